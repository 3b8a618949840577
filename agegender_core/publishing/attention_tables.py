"""Tables from the attention reports: do masks matter, and do they show what an estimate depends
on?
"""

from __future__ import annotations

from collections.abc import Sequence

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_store import EDGE
from agegender_core.evaluation.report_types import CENTRE, AttentionReport, MapCurves, is_control
from agegender_core.explain.attention_images import block_title
from agegender_core.output.markdown import markdown_head, markdown_row

BETTER = "better than random"
TITLES = {"grad_cam": "Grad-CAM", "occlusion": "occlusion"}
FAITHFUL = (
    "Faithful: a map beats random maps of its resolution at both, removing the pixels it calls"
    " most important and putting them back first, with 95 % intervals of the paired difference on"
    " its side of zero. Of each block three maps are judged: the mean of its mask over the"
    " channels; the deviation of the channels from their own means, made of the mask alone as well;"
    " and the effect, what the mask changes in what the trunk gives it. Grad-CAM and occlusion are"
    " asked from outside. Two controls know less: nearness to the crop's centre, and the size of"
    " the features before the mask (trunk). Better than these: at both, with whole intervals."
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
            "better than the crop's centre, for age": better_than(report, "age", CENTRE),
            "effect better than its trunk, for age": better_than(report, "age", "trunk"),
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
    """«block 2: effect; occlusion (of 11, n 100)»: the maps that beat random ones at deletion and
    at insertion.
    """
    maps = {
        name: kinds
        for name, kinds in report.targets[target].items()
        if kinds["deletion"].verdict is not None and not is_control(name)
    }
    good = [
        name
        for name, kinds in maps.items()
        if all(kind.verdict == BETTER for kind in kinds.values())
    ]
    return f"{'; '.join(map(_title, good)) or 'none'} (of {len(maps)}, n {report.curves_n:,})"


def better_than(report: AttentionReport, target: str, control: str) -> str:
    """«occlusion; block 2: effect»: the maps that beat ``control``, «centre» or «trunk»; a dash
    where that was not measured.
    """
    maps = report.targets[target]
    if not any(control in kinds["deletion"].against for kinds in maps.values()):
        return "–"
    good = [name for name, kinds in maps.items() if beats(kinds, control)]
    return "; ".join(map(_title, good)) or "none"


def beats(kinds: MapCurves, control: str) -> bool:
    """Whether a map is better than ``control`` at both, with its whole intervals."""
    deletion, insertion = (kinds[kind].against.get(control) for kind in ("deletion", "insertion"))
    return bool(deletion and insertion and deletion.high < 0 < insertion.low)


def _saturated(report: AttentionReport) -> str:
    """«0.1 %, 12 %, 38 %» by block; a dash if that was not measured."""
    found = [100 * block.saturated for block in report.activity.values()]
    return (
        ", ".join(f"{share:.1f} %" if 0 < share < 1 else f"{share:.0f} %" for share in found) or "–"
    )


def _title(name: str) -> str:
    title = block_title(name)
    return TITLES.get(name, title[0].lower() + title[1:])
