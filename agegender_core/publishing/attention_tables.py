"""Tables from the attention reports: do masks matter, and do they show what an estimate depends
on?
"""

from __future__ import annotations

from collections.abc import Sequence

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_store import EDGE
from agegender_core.evaluation.report_types import CENTRE, AttentionReport, MapCurves
from agegender_core.output.markdown import markdown_head, markdown_row

BETTER = "better than random"
TITLES = {"grad_cam": "Grad-CAM", "occlusion": "occlusion"}
FAITHFUL = (
    "Faithful: a map beats random maps of its resolution at both, removing the pixels it calls"
    " most important and putting them back first, with 95 % intervals of the paired difference on"
    " its side of zero. Of each block two maps are judged: the mean of its mask over the channels,"
    " and its effect, what the mask changes against a flat one. Grad-CAM and occlusion are asked"
    " from outside. Better than the middle: beats, at both, a map that knows where crops have their"
    " faces and nothing of the face."
)


def faithful_rows(attentions: Sequence[AttentionReport]) -> list[dict[str, str]]:
    """A row for each attention report, as text: saturated mask values, what flat masks cost, which
    maps are faithful.
    """
    return [
        {
            "weights": report.weights,
            "dataset, split": f"{DATASET_TITLES[report.set]}, {report.split}",
            f"mask values within {EDGE:g} of 0 or 1": _saturated(report),
            "error of age with flat masks": cost_words(report),
            "faithful for age": faithful(report, "age"),
            "faithful for gender": faithful(report, "gender"),
            "better than the middle, for age": over_centre(report, "age"),
        }
        for report in attentions
    ]


def faithful_table(attentions: Sequence[AttentionReport]) -> str:
    """Markdown of ``faithful_rows``, at least one."""
    rows = [{**row, "weights": f"`{row['weights']}`"} for row in faithful_rows(attentions)]
    lines = [
        *markdown_head(tuple(rows[0])),
        *(markdown_row(tuple(row.values())) for row in rows),
    ]
    return "\n".join([*lines, "", FAITHFUL])


def cost_words(report: AttentionReport) -> str:
    """«+0.65 (+0.34 to +0.96) years, n 1,000»: what flat masks do to the error of age; a dash if
    that was not measured.
    """
    flat = report.flat_masks
    found = flat.mae if flat else None
    if found is None:
        return "–"
    return (
        f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f}) years, n {report.changes_n:,}"
    )


def faithful(report: AttentionReport, target: str) -> str:
    """«block 2, occlusion (of 5, n 100)»: the maps that beat random ones at deletion and at
    insertion.
    """
    maps = {
        name: kinds
        for name, kinds in report.targets[target].items()
        if kinds["deletion"].verdict is not None and name != CENTRE
    }
    good = [
        name
        for name, kinds in maps.items()
        if all(kind.verdict == BETTER for kind in kinds.values())
    ]
    return f"{', '.join(map(_title, good)) or 'none'} (of {len(maps)}, n {report.curves_n:,})"


def over_centre(report: AttentionReport, target: str) -> str:
    """«occlusion»: the maps that beat the one of the middle; a dash where that was not measured."""
    maps = report.targets[target]
    if CENTRE not in maps:
        return "–"
    good = [name for name, kinds in maps.items() if beats_centre(kinds)]
    return f"{', '.join(map(_title, good)) or 'none'}"


def beats_centre(kinds: MapCurves) -> bool:
    """Whether a map is better than that of the middle at both, with its whole intervals."""
    deletion, insertion = kinds["deletion"].from_centre, kinds["insertion"].from_centre
    return bool(deletion and insertion and deletion.high < 0 < insertion.low)


def _saturated(report: AttentionReport) -> str:
    """«0.1 %, 12 %, 38 %» by block; a dash if that was not measured."""
    found = [100 * block.saturated for block in report.activity.values()]
    return (
        ", ".join(f"{share:.1f} %" if 0 < share < 1 else f"{share:.0f} %" for share in found) or "–"
    )


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("attention", "block ").replace(".", ", "))
