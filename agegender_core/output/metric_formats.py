"""The metrics: name, unit, direction, title and format of each, for reports, tables and pages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

Unit = Literal["years", "%", "points"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    ``subject``: what is estimated, «age», «gender» or «race». ``title``, ``short``: for a
    heading and for a narrow column, both without unit. ``unit``: of a value as shown; shares are
    stored in [0, 1] and shown in per cent, differences of shares in points. ``worse``: 1 if larger
    values are worse, -1 if smaller ones are, 0 if either side of zero is. ``ranks``: whether a
    difference between two models shows which of them is better.
    ``note``: what a heading adds in brackets.
    """

    name: str
    subject: str
    title: str
    short: str
    unit: Unit
    worse: Literal[-1, 0, 1]
    ranks: bool = True
    note: str = ""

    @property
    def factor(self) -> float:
        """What a stored value is multiplied by to be shown."""
        return 1.0 if self.unit == "years" else 100.0

    @property
    def digits(self) -> int:
        """Decimals of a value as shown."""
        return 2 if self.unit == "years" else 1

    @property
    def heading(self) -> str:
        """«Age: mean absolute error, years»."""
        return f"{self.title}, {self.unit}{self.note}"

    @property
    def column(self) -> str:
        """«MAE, years»: the head of a column."""
        return f"{self.short}, {self.unit}"

    @property
    def label(self) -> str:
        """«age, MAE», «gender»: subject and metric, where the unit stands elsewhere."""
        return self.short if self.short == self.subject else f"{self.subject}, {self.short}"

    def number(self, value: float, sign: str = "") -> str:
        """A stored value as shown, without unit: «4.68», «93.9»; ``sign``: «+» for differences."""
        return f"{self.factor * value:{sign}.{self.digits}f}"

    def text(self, value: float, sign: str = "") -> str:
        """A stored value with its unit: «4.68 years», «93.9 %»; «–» for NaN."""
        return "–" if math.isnan(value) else f"{self.number(value, sign)} {self.unit}"


METRIC_FORMATS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mae", "age", "Age: mean absolute error", "MAE", "years", 1),
        Metric(
            "bias",
            "age",
            "Age: mean signed error",
            "bias",
            "years",
            0,
            False,
            " (positive: guessed too old)",
        ),
        Metric("cs5", "age", "Age: within five years", "within 5 years", "%", -1),
        Metric(
            "fairface9_accuracy", "age", "Age: in the right one of nine ranges", "9 ranges", "%", -1
        ),
        Metric(
            "fairface9_one_off",
            "age",
            "Age: right or next one of nine ranges",
            "9 ranges or next",
            "%",
            -1,
        ),
        Metric(
            "adience8_accuracy", "age", "Age: in the right one of eight groups", "8 groups", "%", -1
        ),
        Metric(
            "adience8_one_off",
            "age",
            "Age: right or next one of eight groups",
            "8 groups or next",
            "%",
            -1,
        ),
        Metric("gender_accuracy", "gender", "Gender: as labelled", "gender", "%", -1),
        Metric("race_accuracy", "race", "Race: as labelled", "race", "%", -1),
        Metric(
            "interval_coverage",
            "age",
            "Age: inside the interval",
            "in the interval",
            "%",
            -1,
            False,
        ),
        Metric(
            "interval_width",
            "age",
            "Age: width of the interval",
            "interval width",
            "years",
            1,
            False,
        ),
        # of a whole dataset, no means over images
        Metric(
            "balanced_mae",
            "age",
            "Age: mean absolute error with all age bands alike",
            "MAE with all age bands alike",
            "years",
            1,
        ),
        Metric(
            "gender_gap", "gender", "Gender: women less men", "women less men", "points", 0, False
        ),
        Metric(
            "gender_ece",
            "gender",
            "Gender: expected calibration error",
            "calibration error",
            "%",
            1,
        ),
        # of claims alone
        Metric("age_accuracy", "age", "Age: classes not stated", "classes not stated", "%", -1),
    )
}
"""Every metric of the reports in their order, then those of a whole dataset, then those only papers
state.
"""


class Interval(Protocol):
    """A value with the bounds of its interval, such as an estimate of a report."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Counted(Interval, Protocol):
    """An interval that says of how many images it is."""

    @property
    def n(self) -> int: ...


def shown_estimate(estimate: Interval | None, metric: str) -> str:
    """«5.04 (4.90–5.20)» in years or per cent, «-0.59 (-0.83 to -0.35)» below zero, a dash for
    None.
    """
    if estimate is None:
        return "–"
    value, low, high = (
        METRIC_FORMATS[metric].number(number)
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})" if low.startswith("-") else f"{value} ({low}–{high})"


def shown_measured(estimate: Interval, metric: str) -> str:
    """``shown_estimate`` with its unit: «5.04 years (4.90–5.20)», «93.5 % (92.6–94.4)»."""
    value, rest = shown_estimate(estimate, metric).split(" ", 1)
    return f"{value} {METRIC_FORMATS[metric].unit} {rest}"


def shown_claim(value: float, metric: str) -> str:
    """«1.07 years», «99.2 %» or, where the paper has two decimals of it, «92.19 %»."""
    found = METRIC_FORMATS[metric]
    decimals = max(found.digits, len(f"{found.factor * value:.2f}".rstrip("0").partition(".")[2]))
    return f"{found.factor * value:.{decimals}f} {found.unit}"


def shown_with_n(estimate: Counted | None, metric: str, n: int) -> str:
    """``shown_estimate``, with the number of its images where that is not ``n``, the row's:
    «78.1 (76.4–79.7), n 2,192».
    """
    own = "" if estimate is None or estimate.n == n else f", n {estimate.n:,}"
    return shown_estimate(estimate, metric) + own
