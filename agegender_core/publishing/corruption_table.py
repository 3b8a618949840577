"""The table of what worse photos cost, made only from ``corruptions.json``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from agegender_core.benchmarks.corruptions import CORRUPTIONS
from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_types import CorruptionCost, CorruptionsReport, Estimate
from agegender_core.output.markdown import markdown_head, markdown_row
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
HOW = (
    "Each is done to the dataset's image before the face is aligned, and answers are compared image"
    " by image with those for the image as it is."
)


def corruption_rows(
    report: CorruptionsReport, metric: Metric, current: Collection[str] | None = None
) -> list[dict[str, str]]:
    """A row as text for each kind of damage, a column for each network that has the metric.
    ``current``: SHA-256 of the weights to show; None: all. Empty without any.
    """
    shown = [
        row
        for row in report.rows
        if (current is None or row.weights_sha256 in current) and getattr(row, metric) is not None
    ]
    if not shown:
        return []
    own = {row.weights: shown_estimate(getattr(row, metric), metric) for row in shown}
    rows = [{"image": "as it is", **own}]
    for name, corruption in CORRUPTIONS.items():
        cells = {row.weights: _cell(row.costs.get(name), metric) for row in shown}
        rows.append({"image": corruption.title, **cells})
    return rows


def corruption_table(report: CorruptionsReport, current: Collection[str] | None = None) -> str:
    """Markdown of ``corruption_rows`` for ages and genders; empty without rows."""
    tables = []
    for metric, words in METRICS.items():
        if rows := corruption_rows(report, metric, current):
            lines = markdown_head(tuple(rows[0]))
            lines += [markdown_row(tuple(row.values())) for row in rows]
            tables += [words, "\n".join(lines)]
    return "\n\n".join([f"{measured_words(report)} {HOW}", *tables]) if tables else ""


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
