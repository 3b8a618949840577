"""The table of what worse photos cost, made only from ``corruptions.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agegender_core.benchmarks.corruptions import CORRUPTIONS
from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_types import (
    CorruptionCost,
    CorruptionsReport,
    CorruptionsRow,
    Estimate,
)
from agegender_core.inference.model_zoo import ModelInfo, is_current
from agegender_core.output.markdown import markdown_head, markdown_row, unmeasured_words
from agegender_core.output.metric_formats import METRIC_FORMATS, shown_estimate

Metric = Literal["mae", "gender_accuracy"]
METRICS: dict[Metric, str] = {
    "mae": (
        "Age: MAE in years, then how much it grows (95 % bootstrap interval in brackets) and, after"
        " the semicolon, how much older the answers get:"
    ),
    "gender_accuracy": "Gender: share of right answers in per cent, then its change in points:",
}
"""What stands in the two tables, in words."""
COMMAND = "agegender corruptions"
HOW = (
    "Each is done to the dataset's image before the face is aligned, and answers are compared image"
    " by image with those for the image as it is."
)


def rows_of(report: CorruptionsReport, entries: Sequence[ModelInfo]) -> list[CorruptionsRow]:
    """What was measured with the weights of ``entries`` as they are today, in their order."""
    return [row for info in entries for row in report.rows if is_current(row, info)]


def corruption_rows(rows: Sequence[CorruptionsRow], metric: Metric) -> list[dict[str, str]]:
    """A row as text for each kind of damage, a column for each of ``rows``, networks, that has the
    metric. Empty without any.
    """
    shown = [row for row in rows if getattr(row, metric) is not None]
    if not shown:
        return []
    own = {row.weights: shown_estimate(getattr(row, metric), metric) for row in shown}
    table = [{"image": "as it is", **own}]
    for name, corruption in CORRUPTIONS.items():
        cells = {row.weights: _cell(row.costs.get(name), metric) for row in shown}
        table.append({"image": corruption.title, **cells})
    return table


def corruption_table(report: CorruptionsReport, entries: Sequence[ModelInfo]) -> str:
    """Markdown of ``corruption_rows`` of ``entries``, for ages and genders, and which of them that
    are for use were not measured; empty without rows.
    """
    rows, tables = rows_of(report, entries), []
    for metric, words in METRICS.items():
        if table := corruption_rows(rows, metric):
            lines = markdown_head(tuple(table[0]))
            lines += [markdown_row(tuple(row.values())) for row in table]
            tables += [words, "\n".join(lines)]
    if not tables:
        return ""
    if missing := unmeasured(rows, entries):
        tables.append(unmeasured_words([info.name for info in missing], COMMAND))
    return "\n\n".join([f"{measured_words(report)} {HOW}", *tables])


def unmeasured(rows: Sequence[CorruptionsRow], entries: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Those of ``entries`` that are for use and not among ``rows``."""
    measured = {row.weights for row in rows}
    return [info for info in entries if not info.for_comparison and info.name not in measured]


def measured_words(report: CorruptionsReport) -> str:
    """Dataset, split and n."""
    return f"{DATASET_TITLES[report.set]}, {report.split}, n {report.n:,}, drawn with a fixed seed."


def _cell(cost: CorruptionCost | None, metric: Metric) -> str:
    if cost is None:
        return "–"
    if metric == "gender_accuracy":
        return _change(cost.gender, metric)
    return f"{_change(cost.mae, metric)}; {METRIC_FORMATS['bias'].number(cost.older, '+')}"


def _change(found: Estimate | None, metric: str) -> str:
    if found is None:
        return "–"
    number = METRIC_FORMATS[metric].number
    value, low, high = (number(end, "+") for end in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"
