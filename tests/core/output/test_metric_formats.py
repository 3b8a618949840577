"""The metric registry: the same metrics as reports hold, one format each."""

import math

import pytest

from agegender_core.evaluation.metrics import METRICS
from agegender_core.evaluation.report_types import Estimate
from agegender_core.evaluation.summaries import SUMMARIES
from agegender_core.output.metric_formats import (
    METRIC_FORMATS,
    shown_claim,
    shown_estimate,
    shown_measured,
)


def test_the_registry_holds_every_metric_of_the_reports_in_their_order() -> None:
    assert tuple(METRIC_FORMATS) == (*METRICS, *SUMMARIES, "age_accuracy")
    assert {name for name, metric in METRIC_FORMATS.items() if metric.unit == "years"} == {
        "mae",
        "bias",
        "interval_width",
        "balanced_mae",
    }


def test_directions_are_those_of_the_metrics() -> None:
    assert {name for name, metric in METRIC_FORMATS.items() if metric.worse == 1} == {
        "mae",
        "interval_width",
        "balanced_mae",
        "gender_ece",
    }
    assert {name for name, metric in METRIC_FORMATS.items() if metric.worse == 0} == {
        "bias",
        "gender_gap",
    }
    assert {name for name, metric in METRIC_FORMATS.items() if not metric.ranks} == {
        "bias",
        "interval_coverage",
        "interval_width",
        "gender_gap",
    }


@pytest.mark.parametrize(
    ("metric", "heading", "column", "label"),
    [
        ("mae", "Age: mean absolute error, years", "MAE, years", "age, MAE"),
        (
            "bias",
            "Age: mean signed error, years (positive: guessed too old)",
            "bias, years",
            "age, bias",
        ),
        ("gender_accuracy", "Gender: as labelled, %", "gender, %", "gender"),
        (
            "fairface9_accuracy",
            "Age: in the right one of nine ranges, %",
            "9 ranges, %",
            "age, 9 ranges",
        ),
    ],
)
def test_words(metric: str, heading: str, column: str, label: str) -> None:
    found = METRIC_FORMATS[metric]
    assert (found.heading, found.column, found.label) == (heading, column, label)


def test_values_as_shown() -> None:
    mae, gender = METRIC_FORMATS["mae"], METRIC_FORMATS["gender_accuracy"]
    assert (mae.text(4.678), gender.text(0.9386), mae.text(math.nan)) == (
        "4.68 years",
        "93.9 %",
        "–",
    )
    assert (mae.text(0.5, "+"), gender.text(-0.01, "+")) == ("+0.50 years", "-1.0 %")
    assert (
        shown_claim(1.07, "mae") == "1.07 years"
        and shown_claim(0.992, "gender_accuracy") == "99.2 %"
    )


def test_estimates_as_shown() -> None:
    found = Estimate(5.04, 4.9, 5.2, 9)
    assert shown_estimate(found, "mae") == "5.04 (4.90–5.20)" and shown_estimate(None, "mae") == "–"
    assert shown_estimate(Estimate(-0.59, -0.83, -0.35, 9), "bias") == "-0.59 (-0.83 to -0.35)"
    assert (
        shown_measured(Estimate(0.935, 0.926, 0.944, 9), "gender_accuracy") == "93.5 % (92.6–94.4)"
    )
