"""The README's headline numbers, made only from ``reports/``."""

from __future__ import annotations

from agegender_core.datasets.registry import TERMS
from agegender_core.evaluation.report_types import BenchReport, EvaluationReport
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import shown_measured

NUMBERS = (
    ("utkface", "mae", "age, mean absolute error"),
    ("utkface", "balanced_mae", "the same with every age band counted alike"),
    ("utkface", "gender_accuracy", "gender, correct"),
    ("utkface", "gender_gap", "gender, correct for women less correct for men; none would be 0"),
    ("utkface", "interval_coverage", "80 % age interval contains the true age"),
    (
        "fgnet",
        "mae",
        "age, mean absolute error; family photos, mostly of children, never trained on",
    ),
    (
        "fgnet",
        "interval_coverage",
        "80 % age interval contains the true age; photos unlike those it was fitted for",
    ),
)
"""Dataset, metric and title of each number from a test split."""
PHOTO = "whole photo"
"""How the benchmark's row about detection and model together starts."""


def headline_table(
    entries: list[ModelInfo], reports: list[EvaluationReport], bench: BenchReport | None
) -> str:
    """Markdown: the numbers of the default model, the first of ``entries``, each with dataset,
    split, n and 95 % interval.

    A number whose report or benchmark is missing is left out.
    """
    if not entries:
        return ""
    info = entries[0]
    found = {report.set: report for report in reports if report.weights == info.name}
    lines = [
        *markdown_head([f"default model, `{info.name}`", "dataset, split, n", "measured here"]),
    ]
    for dataset, metric, words in NUMBERS:
        report = found.get(dataset)
        if report is not None and metric in report.metrics:
            found_in = report.metrics[metric]
            missed = f" (no face in {report.no_face})" if found_in.n < report.n else ""
            where = f"{TERMS[dataset].title}, {report.split}, {found_in.n:,}{missed}"
            lines.append(markdown_row([words, where, shown_measured(found_in, metric)]))
    return "\n".join([*lines, *(_photo_rows(info.name, bench) if bench else [])])


def _photo_rows(weights: str, bench: BenchReport) -> list[str]:
    machine = ", ".join(bench.machine.split(", ")[:2])  # without the versions of its software
    return [
        markdown_row(
            [
                "time of a whole photo",
                f"{row.what.removeprefix(f'{PHOTO} ')}, {machine}",
                f"{row.median_ms:.0f} ms",
            ]
        )
        for row in bench.rows
        if row.weights == weights and row.what.startswith(PHOTO)
    ]
