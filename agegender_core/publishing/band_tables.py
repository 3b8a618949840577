"""Tables by age band of the networks for use: errors, and where the 80 % interval does not hold.
Made only from ``reports/``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from agegender_core.datasets.registry import EXACT_AGES, TERMS, VALIDATION_IMAGES
from agegender_core.evaluation.report_types import Estimate, EvaluationReport
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.labels import AGE_BANDS
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import METRIC_FORMATS, shown_estimate

MIN_IMAGES = 100
"""Of a cell whose coverage is judged: with fewer, chance alone moves it by eight points or more."""
MAX_GAP = 0.03
"""Distance from the nominal coverage up to which a cell counts as holding."""
NOMINAL = 0.8
VALIDATION = {name: VALIDATION_IMAGES[name] for name in EXACT_AGES}
"""Validation images with exact ages, on which the intervals' margins are fitted, all together."""
CELLS = {"age_answered": "answered age", "gender": "gender"}


def errors_by_band(entries: list[ModelInfo], reports: list[EvaluationReport]) -> str:
    """Markdown: mean absolute and mean signed error by band of the true age, a row for each network
    for use and dataset with exact ages; empty without any.
    """
    lines: list[str] = []
    weak: list[str] = []
    for info, report in _measured(entries, reports):
        bands = report.slices.get("age", {})
        cells = [_errors(bands.get(band.name, {})) for band in AGE_BANDS]
        if "mae" not in report.metrics or not any(cells):
            continue
        lines.append(markdown_row([f"`{info.name}`", TERMS[report.set].title, *cells]))
        if words := _weak_ends(report):
            weak.append(f"* `{info.name}`, {TERMS[report.set].title}: {words}")
    if not lines:
        return ""
    head = markdown_head(["weights", "dataset", *(band.name for band in AGE_BANDS)])
    parts = ["\n".join([*head, *lines]), "MAE in years; mean signed error, + too old; n."]
    if weak:
        parts += [
            "**The weak ends are not mended.** Where the first or the last bands are off by more"
            " than all images of the dataset, beyond their intervals:",
            "\n".join(weak),
        ]
    return "\n\n".join(parts)


def _errors(part: dict[str, Estimate]) -> str:
    if "mae" not in part:
        return ""
    mae, bias = (METRIC_FORMATS["mae"].number(part["mae"].value), _signed(part["bias"]))
    return f"{mae}; {bias}; {part['mae'].n:,}"


def _signed(bias: Estimate) -> str:
    return METRIC_FORMATS["bias"].number(bias.value, "+")


def _weak_ends(report: EvaluationReport) -> str:
    """«70+ 8.10 years, -5.20» of the two bands at either end that are worse than the dataset."""
    whole, found = report.metrics["mae"], []
    for band in (*AGE_BANDS[:2], *AGE_BANDS[-2:]):
        part = report.slices["age"].get(band.name, {})
        if "mae" in part and part["mae"].n >= MIN_IMAGES and part["mae"].low > whole.high:
            found.append(
                f"{band.name} {shown_estimate(part['mae'], 'mae')} years,"
                f" {_signed(part['bias'])} on average"
            )
    return "; ".join(found) and f"{'; '.join(found)} (all: {shown_estimate(whole, 'mae')})"


def coverage_misses(entries: list[ModelInfo], reports: list[EvaluationReport]) -> str:
    """Markdown: every cell of at least ``MIN_IMAGES`` images in which the 80 % interval holds more
    than ``MAX_GAP`` more or less, of the networks for use, by dataset, answered age and gender.
    Datasets that a network was not fitted for come after those that it was.
    """
    fitted: list[list[str]] = []
    others: list[str] = []
    judged: list[tuple[int, float]] = []
    for info, report in _measured(entries, reports):
        whole = report.metrics.get("interval_coverage")
        if whole is None:
            continue
        if report.set not in info.training.get("sets", ()):
            others.append(
                f"* `{info.name}`, {TERMS[report.set].title}:"
                f" {shown_estimate(whole, 'interval_coverage')} %, n {whole.n:,}"
            )
            continue
        fitted_on = sum(VALIDATION.get(name, 0) for name in info.training["sets"])
        for by, name, found in _cells(report, whole):
            judged.append((found.n, fitted_on / whole.n))
            if abs(found.value - NOMINAL) > MAX_GAP:
                fitted.append(
                    [
                        f"`{info.name}`",
                        TERMS[report.set].title,
                        by,
                        name,
                        f"{found.n:,}",
                        shown_estimate(found, "interval_coverage"),
                        _chance(found.n),
                    ]
                )
    if not judged and not others:
        return ""
    head = ["weights", "dataset", "by", "cell", "n", "80 % interval holds, %", "chance alone"]
    return "\n\n".join(
        [
            f"{len(fitted)} of {len(judged)} cells with n >= {MIN_IMAGES} of the datasets that the"
            f" intervals were fitted for are more than {100 * MAX_GAP:.0f} points from"
            f" {100 * NOMINAL:.0f} %. Even intervals that are right on average would miss in about"
            f" {expected_misses(judged, fitted=False):.0f} of them by chance, because the test"
            f" images are few, and in about {expected_misses(judged):.0f} in all, because their"
            " margins are fitted on few images too (the validation splits have"
            f" {' and '.join(f'{count:,}' for count in VALIDATION.values())} with exact ages). In"
            " brackets: 95 % bootstrap interval. Chance alone: where"
            " 95 % of samples of that size would lie if the interval held exactly 80 % of true"
            " ages. One interval serves all datasets, whose errors at the same answered age differ."
            " Margins smoothed over the age, and fewer bands, were tried on halves of the"
            " validation splits: neither brought the coverage of single datasets closer to 80 %.",
            "\n".join([*markdown_head(head), *(markdown_row(row) for row in fitted)]),
            "Datasets that no interval was fitted for:",
            "\n".join(others) or "* none measured",
        ]
    )


def _measured(
    entries: list[ModelInfo], reports: list[EvaluationReport]
) -> Iterator[tuple[ModelInfo, EvaluationReport]]:
    """Networks for use, each with its reports."""
    for info in entries:
        if not info.for_comparison:
            yield from ((info, report) for report in reports if report.weights == info.name)


def _cells(report: EvaluationReport, whole: Estimate) -> Iterator[tuple[str, str, Estimate]]:
    """(by what, name, coverage) of every cell that is large enough to be judged."""
    cells = [("dataset", "all", whole)]
    for slicing, title in CELLS.items():
        cells += [
            (title, name, part["interval_coverage"])
            for name, part in report.slices.get(slicing, {}).items()
            if "interval_coverage" in part
        ]
    return (cell for cell in cells if cell[2].n >= MIN_IMAGES)


def expected_misses(cells: Sequence[tuple[int, float]], fitted: bool = True) -> float:
    """How many of ``cells`` an interval that is right on average would leave by more than
    ``MAX_GAP``: (test images, validation images for each of them) of each.

    Both counts of hits are binomial and taken as normal. ``fitted``: whether the margins are
    quantiles of the validation images, or known. Cells without validation images are taken as
    fitted elsewhere, on enough.
    """
    gaps = [
        MAX_GAP
        / math.sqrt(NOMINAL * (1 - NOMINAL) / n * (1 + (1 / share if fitted and share else 0)))
        for n, share in cells
    ]
    return sum(math.erfc(gap / math.sqrt(2)) for gap in gaps)


def _chance(n: int) -> str:
    """«75.1–84.9»: 95 % of samples of ``n`` at the nominal coverage."""
    spread = 1.96 * math.sqrt(NOMINAL * (1 - NOMINAL) / n)
    return f"{100 * (NOMINAL - spread):.1f}–{100 * min(NOMINAL + spread, 1.0):.1f}"
