"""The table «One view or two» of docs/network-speed.md, made only from ``views.json`` and the
manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from agegender_core.benchmarks.views import LEAST_GAIN, views_by_rule
from agegender_core.datasets.registry import TERMS
from agegender_core.evaluation.report_store import read_views
from agegender_core.evaluation.speed_reports import ViewsCompared, ViewsReport, ViewsRow
from agegender_core.inference.model_zoo import ModelInfo, is_current
from agegender_core.output.markdown import markdown_head, markdown_row, unmeasured_words

PAPERS_RECIPE = "it follows its paper's recipe, which names no second view"
EXCEPTIONS: dict[str, str] = {
    "gra_net_paper": PAPERS_RECIPE,
}
"""Networks whose number of views in the manifest is not what the rule asks for, and why."""
WORDS = {1: "one", 2: "two"}
YEARS = ("utkface", "all_age_faces")
"""Datasets with exact ages, in the order of the columns."""
COMMAND = "agegender bench --part views --save"


def views_section(entries: Sequence[ModelInfo], reports: Path) -> str:
    """Everything between the markers of docs/network-speed.md."""
    return views_table(read_views(reports) or ViewsReport(), entries)


def current_rows(report: ViewsReport, entries: Sequence[ModelInfo]) -> list[ViewsRow]:
    """Rows that were measured with the manifest's weights, in the order of ``entries``."""
    return [row for info in entries for row in report.rows if is_current(row, info)]


def views_table(report: ViewsReport, entries: Sequence[ModelInfo]) -> str:
    """Markdown: a row for each network that was measured with today's weights; the others, and
    those that the rule would change, in words.
    """
    rows, parts = current_rows(report, entries), []
    if rows:
        manifest = {info.name: 2 if info.flip else 1 for info in entries}
        heads = ["weights", "SHA-256", "manifest"]
        for name in YEARS:
            heads += [f"{TERMS[name].title}, one", "two"]
        heads += ["gain, years", "rule", "FairFace, one", "two", "gain, points", "gender, points"]
        lines = markdown_head(heads)
        lines += [markdown_row(_cells(row, manifest[row.weights])) for row in rows]
        parts += ["\n".join(lines), _how(rows), *_exceptions(rows, manifest)]
    if missing := sorted({info.name for info in entries} - {row.weights for row in rows}):
        parts.append(unmeasured_words(missing, COMMAND))
    return "\n\n".join(parts)


def _cells(row: ViewsRow, manifest: int) -> list[str]:
    rule = views_by_rule(row)
    cells = [f"`{row.weights}`", f"`{row.weights_sha256[:8]}`", WORDS[manifest]]
    for name in YEARS:
        cells += _both(row.mae.get(name), 1)
    cells.append(_gain(row.years, 1, 2))
    cells.append(WORDS[rule] + ("" if rule == manifest else " (*)"))
    return [*cells, *_both(row.ranges, 100), _gain(row.ranges, 100, 1), _gain(row.gender, 100, 1)]


def _both(found: ViewsCompared | None, factor: float) -> list[str]:
    if found is None:
        return ["–", "–"]
    digits = 2 if factor == 1 else 1
    return [f"{factor * value:.{digits}f}" for value in (found.one, found.two)]


def _gain(found: ViewsCompared | None, factor: float, digits: int) -> str:
    """«+0.14 (+0.10 to +0.18)»."""
    if found is None:
        return "–"
    gain = found.gain
    low, high = (f"{factor * end:+.{digits}f}" for end in (gain.low, gain.high))
    return f"{factor * gain.value:+.{digits}f} ({low} to {high})"


def _how(rows: Sequence[ViewsRow]) -> str:
    """What was measured, on how many images."""
    counts = {name: _most(row.mae.get(name) for row in rows) for name in YEARS}
    counts["fairface"] = _most(row.ranges for row in rows)
    images = ", ".join(f"{TERMS[name].title} {n:,}" for name, n in counts.items() if n)
    return (
        "Images of the validation splits, each network on those of its own training datasets:"
        f" {images}. Ages: mean absolute error in years; «gain»: by how much the second view lowers"
        " it over these datasets. FairFace: per cent in the right one of its nine ranges. «Gender»:"
        " points of accuracy that the second view adds over all datasets. In brackets: 95 %"
        " bootstrap interval, of the difference image by image. How logits are read was fitted for"
        " one view and for two alike, on these same images, as `agegender weights publish` does."
    )


def _most(found: Iterable[ViewsCompared | None]) -> int:
    return max((one.gain.n for one in found if one is not None), default=0)


def _exceptions(rows: Sequence[ViewsRow], manifest: dict[str, int]) -> list[str]:
    """The rule, and why the manifest departs from it."""
    rule = (
        f"The rule: a second view is kept where it gains {LEAST_GAIN:g} years at least."
        " Without exact ages (–) it is kept where more ranges or genders are right, the whole"
        " interval above 0."
    )
    apart = [row.weights for row in rows if views_by_rule(row) != manifest[row.weights]]
    lines = [f"* `{name}`: {EXCEPTIONS.get(name, 'no reason is given')}." for name in apart]
    if not lines:
        return [rule]
    return [f"{rule} The manifest departs from it (*):", "\n".join(lines)]
