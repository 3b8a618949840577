"""«Over a test set»: masks averaged over many faces, and their faithfulness. Read from
``reports/``, never computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

from agegender_core.datasets.registry import TERMS, TEST_SPLITS
from agegender_core.evaluation.report_store import EDGE, read_attention
from agegender_core.evaluation.report_types import (
    ALL_BLOCKS,
    CENTRE,
    EFFECT,
    AttentionReport,
    ChangeEffect,
    Estimate,
    MapCurve,
    MapCurves,
    MaskActivity,
)
from agegender_core.inference.model_zoo import is_current
from agegender_core.output.metric_formats import METRIC_FORMATS
from agegender_core.publishing.attention_tables import beats
from agegender_core.settings import reports_dir
from ui.attention import query_params as link
from ui.attention.faithfulness import (
    BETTER,
    EQUAL,
    KINDS,
    MARGIN,
    curves_side_by_side,
    judged,
    map_title,
    render_verdict,
)
from ui.attention.figures import FLAT, bar, images_row, limits, small_png
from ui.attention.finding import flattening_cost
from ui.attention.layers import SALIENCY, title
from ui.attention.query_params import TARGETS, key
from ui.attention.session import Subject
from ui.common.charts import with_en_dash
from ui.common.images import image_url
from ui.common.messages import plain

SLICINGS = {
    "all": "All faces",
    "age": "Age",
    "gender": "Gender as labelled",
    "age_answer": "Age within five years, or not",
    "gender_answer": "Gender right, or wrong",
}
"""Ways to group the faces, in words."""
EFFECTS = (
    "Effect: how far a mask changes its block's output, as a share of the output's average. Mean:"
    " of the mask over its channels."
)
CHANGE_WORDS = {"off": "switched off", "mean": "its channels' means", "shuffled": "shuffled"}
IN_A_ROW = 4
"""Masks beside each other where each block has but one."""
Arrays = dict[str, np.ndarray]


@st.fragment
def show(subject: Subject) -> None:
    """Averages of the network, or how to get them."""
    weights = subject.info.name
    found = {
        name: saved
        for name in TEST_SPLITS
        if (saved := read_attention(reports_dir(), weights, name)) is not None
    }
    if not found:
        empty(weights)
        return
    name = next(iter(found))
    if len(found) > 1:
        name = st.segmented_control(
            "Dataset",
            list(found),
            default=name,
            required=True,
            format_func=lambda one: TERMS[one].title,
            key="attention-set",
        )
    report, arrays = found[name]
    if not is_current(report, subject.info):
        st.warning(
            "These averages were made with an earlier version of the weights.",
            icon=":material/history:",
        )
    where = f"{TERMS[name].title}, {report.split}"
    if any(
        part.count("/") == 2 and part.rpartition("/")[2] not in ("n", "face") for part in arrays
    ):
        _masks(report, arrays, where)
    if report.changes:
        _changes(report, where)
    _faithfulness(report, where)


def empty(weights: str) -> None:
    """Nothing was averaged for these weights."""
    st.info(
        "Averages of masks and effects by age band and gender, and for right against wrong answers,"
        " are worked out once over a test set and stored in the reports folder. For these weights"
        " there are none yet. Where the datasets are installed:\n\n"
        f"    agegender attention-report {weights} --set utkface",
        title="No averages over a test set are here",
        icon=":material/dataset:",
    )


def _masks(report: AttentionReport, arrays: Arrays, where: str) -> None:
    """Mean masks and effects of the groups of one slicing: a row a map, all groups of a row on one
    scale.
    """
    st.markdown(f"**Averages over {report.n:,} faces** ({plain(where)})")
    slicings = [name for name in SLICINGS if report.groups.get(name)]
    slicing = st.segmented_control(
        "Faces by",
        slicings,
        default=slicings[0],
        required=True,
        format_func=SLICINGS.get,
        key="attention-slicing",
        wrap=True,
    )
    groups = report.groups[slicing]
    faces = [
        (image_url(Image.fromarray(arrays[path]), "PNG"), _group(group), "")
        for group in groups
        if (path := f"{slicing}/{group}/face") in arrays
    ]
    rows = []
    if len(faces) == len(groups):
        rows.append('<p class="ag-map-title"><b>Mean face</b></p>' + images_row(faces, many=True))
    known = [name for name in report.sides if f"all/all/{name}" in arrays]
    for block in sorted(known, key=_order):
        maps = {group: arrays[f"{slicing}/{group}/{block}"] for group in groups}
        rows.append(
            mask_row(
                block,
                maps,
                groups,
                link.get("colours"),
                activity_words(report.activity.get(block)),
            )
        )
    together = IN_A_ROW if len(groups) == 1 else 1
    for start in range(0, len(rows), together):
        for place, row in zip(st.columns(together), rows[start : start + together], strict=False):
            place.html(row)
    st.caption(
        "Means over the faces; all images of a row share one scale. "
        + (EFFECTS if any(name.endswith(EFFECT) for name in known) else "")
        + " Small groups differ by chance alone: mind their n."
    )


def _order(name: str) -> int:
    """Effects first, then means; blocks in their order."""
    return 0 if name.endswith(EFFECT) else 1


def activity_words(found: MaskActivity | None) -> str:
    """How alive a block's masks are: «. 38 % of values are saturated (within 0.02 of 0 or 1)»;
    nothing where that was not measured.
    """
    if found is None:
        return ""
    words = f". {100 * found.saturated:.0f} % of values are saturated (within {EDGE:g} of 0 or 1)"
    return words + ("; it is the same for every face" if found.between_faces < FLAT else "")


def mask_row(
    block: str, maps: dict[str, np.ndarray], counts: dict[str, int], colours: str, more: str = ""
) -> str:
    """HTML of one block's mean masks by group, with their scale. ``more``: words behind the
    title.
    """
    span = limits(np.stack(list(maps.values())), "own")
    items = [
        (small_png(values, colours, *span), _group(group), f"n {counts[group]:,}")
        for group, values in maps.items()
    ]
    side = next(iter(maps.values())).shape[-1]
    flat = "" if span != (0.0, 1.0) else ". Flat in all groups: on average it prefers no place"
    head = (
        f'<p class="ag-map-title"><b>{map_title(block)}</b>, {side} × {side} cells{flat}{more}</p>'
    )
    return head + images_row(items, many=True) + bar(colours, *span)


def _changes(report: AttentionReport, where: str) -> None:
    """What the answers lose when masks are changed."""
    st.markdown(f"**Does it matter? Masks changed on {report.changes_n:,} faces** ({plain(where)})")
    if (effect := flattening_cost(report)) is not None:
        st.markdown(f"{effect.sentence()} {plain(effect.evidence())}")
    st.dataframe(
        change_rows(report.changes),
        hide_index=True,
        width="stretch",
        height="content",
        key="attention-mean-changes",
        placeholder="–",
    )
    st.caption(
        "Against the same faces with the model's own masks; 95 % bootstrap intervals in brackets."
        " Positive years and negative points are losses. Means and shuffled masks preserve how"
        " much each channel lets through and lose where."
    )


def change_rows(rows: Sequence[ChangeEffect]) -> pd.DataFrame:
    """A row for each block and change."""
    return pd.DataFrame(
        [
            {
                "block": "all blocks" if row.block == ALL_BLOCKS else title(row.block),
                "its mask becomes": CHANGE_WORDS[row.change],
                "answer moves by, years": f"{row.moved:.2f}",
                METRIC_FORMATS["mae"].column: _moved(row.mae, "mae"),
                "gender, points": _moved(row.gender_accuracy, "gender_accuracy"),
            }
            for row in rows
        ]
    )


def _faithfulness(report: AttentionReport, where: str) -> None:
    """Mean curves, areas with intervals, and a sentence for each mask."""
    st.markdown(f"**Faithfulness over {report.curves_n:,} faces** ({plain(where)})")
    target = st.segmented_control(
        "Curves for",
        list(TARGETS),
        required=True,
        format_func=TARGETS.get,
        key=key("target"),
        persist_state="session",
    )
    maps = report.targets[target]
    for name in list(filter(judged, maps)) or [name for name in SALIENCY if name in maps]:
        render_verdict(name, [verdict(maps[name][kind]) for kind in KINDS], "on average")
    if words := control_words(maps):
        st.markdown(f":material/center_focus_strong: {words}")
    curves_side_by_side(
        {name: {kind: np.array(row[kind].curve) for kind in row} for name, row in maps.items()},
        "attention-mean",
    )
    st.dataframe(
        areas(maps), hide_index=True, width="stretch", height="content", key="attention-mean-areas"
    )
    st.caption(
        "95 % bootstrap intervals in brackets. Differences are taken face by face from a random"
        f" map of the same cells; in the sentences above, less than {MARGIN:g} counts as none. How:"
        f" {plain(report.how)}."
    )


def control_words(maps: Mapping[str, MapCurves]) -> str:
    """Which maps beat the controls that know less; empty where that was not measured."""
    if CENTRE not in maps:
        return ""
    good = {
        control: ", ".join(map_title(name) for name, kinds in maps.items() if beats(kinds, control))
        for control in ("centre", "trunk")
    }
    words = f"Better than nearness to the crop's centre, at both: {good['centre'] or 'no map'}."
    if all(kind.verdict == BETTER for kind in maps[CENTRE].values()):
        words += (
            " That control beats random maps: much of what a map gets right is where faces are."
        )
    if any(name.endswith(EFFECT) for name in maps):
        words += (
            " Better than the size of the features before the mask, at both:"
            f" {good['trunk'] or 'no effect of a mask'}."
        )
    return plain(words)


def verdict(found: MapCurve) -> str:
    """The report's verdict, unless the difference is too small to matter."""
    assert found.difference and found.verdict, "random maps are what others are compared with"
    return EQUAL if abs(found.difference.value) < MARGIN else found.verdict


def areas(maps: Mapping[str, MapCurves]) -> pd.DataFrame:
    """A row a map: area and difference from random for both curves, and what follows."""
    rows = []
    for name, kinds in maps.items():
        row = {"map": map_title(name)}
        for kind, found in kinds.items():
            row[f"{kind}, area"] = _estimate(found.area)
            row[f"{kind}, against random"] = (
                _estimate(found.difference, sign="+") if found.difference else "–"
            )
            row[f"{kind}, verdict"] = found.verdict or "the map to beat"
        rows.append(row)
    return pd.DataFrame(rows)


def _group(name: str) -> str:
    """«0–9», «Right», «All»."""
    return with_en_dash(name[0].upper() + name[1:])


def _estimate(found: Estimate, sign: str = "") -> str:
    """«0.123 (0.100 to 0.150)», of areas under curves."""
    value, low, high = (f"{end:{sign}.3f}" for end in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _moved(found: Estimate | None, metric: str) -> str | None:
    """«+0.12 (+0.05 to +0.20)»: how a change moves a metric; None where it was not measured."""
    if found is None:
        return None
    number = METRIC_FORMATS[metric].number
    value, low, high = (number(end, "+") for end in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"
