"""Metrics against hand-worked cases and scikit-learn; calibration and intervals against simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, mean_absolute_error

from agegender_core.data.records import Targets
from agegender_core.decoding import DecodingSpec, age_quantile, softmax
from agegender_core.evaluation.calibration import Validation, fit, fit_temperature
from agegender_core.evaluation.metrics import bootstrap_mean, estimates, sliced, value_columns
from agegender_core.evaluation.runner import PREDICTION_COLUMNS
from agegender_core.labels import FAIRFACE_GROUPS


def table(**columns: list) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    empty = {name: [None] * count for name in PREDICTION_COLUMNS}
    frame = pd.DataFrame({**empty, **columns})
    numbers = ("age_true", "age_pred", "age_low", "age_high", "gender_probability")
    return frame.astype({name: float for name in numbers})


HAND = table(
    age_true=[30, 5, 70, None, 36],
    age_range_true=[None, None, None, "20-29", None],
    age_pred=[33, 11, 60, 25, None],
    age_low=[28, 6, 50, 20, None],
    age_high=[38, 16, 69, 31, None],
    fairface9_pred=["30-39", "10-19", "50-59", "30-39", None],
    adience8_pred=["25-32", "4-6", "60+", "25-32", None],
    gender_true=["Male", "Female", None, "Female", "Male"],
    gender_pred=["Male", "Male", "Male", "Female", None],
)


def test_metrics_by_hand() -> None:
    found = estimates(value_columns(HAND))
    value = {name: item["value"] for name, item in found.items()}
    count = {name: item["n"] for name, item in found.items()}
    assert value["mae"] == pytest.approx((3 + 6 + 10) / 3, abs=1e-4) and count["mae"] == 3
    assert value["bias"] == pytest.approx((3 + 6 - 10) / 3, abs=1e-4)
    assert value["cs5"] == pytest.approx(1 / 3, abs=1e-4)
    assert value["gender_accuracy"] == pytest.approx(2 / 3, abs=1e-4) and count["gender_accuracy"] == 3
    assert value["fairface9_accuracy"] == 0.25 and value["fairface9_one_off"] == 0.75 and count["fairface9_accuracy"] == 4
    assert value["adience8_accuracy"] == 1.0 and count["adience8_accuracy"] == 3
    assert value["interval_coverage"] == pytest.approx(1 / 3, abs=1e-4)
    assert value["interval_width"] == pytest.approx((10 + 10 + 19 + 11) / 4, abs=1e-4)
    assert "race_accuracy" not in found


def test_ranges_count_only_for_the_groups_they_are() -> None:
    ranges = table(age_range_true=["0-2", "20-29"], adience8_pred=["0-2", "15-20"], fairface9_pred=["0-2", "30-39"])
    found = estimates(value_columns(ranges))
    assert "adience8_accuracy" not in found, "FairFace's 0-2 is Adience's by name, its other ranges are not"
    assert found["fairface9_accuracy"]["value"] == 0.5 and found["fairface9_accuracy"]["n"] == 2


def test_metrics_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 90, 400), rng.normal(40, 20, 400)
    sexes = rng.choice(["Male", "Female"], (2, 400))
    frame = table(age_true=list(true), age_pred=list(predicted), gender_true=list(sexes[0]), gender_pred=list(sexes[1]))
    found = estimates(value_columns(frame))
    assert found["mae"]["value"] == pytest.approx(mean_absolute_error(true, predicted), abs=1e-4)
    assert found["gender_accuracy"]["value"] == pytest.approx(accuracy_score(*sexes), abs=1e-4)


def test_slices_partition_what_is_labelled() -> None:
    parts = sliced(HAND, value_columns(HAND))
    assert list(parts["age"]) == ["0-9", "20-29", "30-39", "70+"] and list(parts["gender"]) == ["Female", "Male"]
    assert "race" not in parts and parts["age"]["70+"]["mae"]["value"] == 10
    assert sum(item["mae"]["n"] for item in parts["age"].values() if "mae" in item) == 3


def test_bootstrap_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(300):
        estimate = bootstrap_mean(rng.exponential(5.0, 120), resamples=400, seed=trial)
        held += estimate.low <= 5.0 <= estimate.high
    assert 0.89 <= held / 300 <= 0.98
    assert bootstrap_mean(np.array([np.nan])) is None
    assert bootstrap_mean(np.array([1.0, 2.0, np.nan])).n == 2


def overconfident(count: int, factor: float) -> tuple[torch.Tensor, np.ndarray]:
    """(N, 101) logits ``factor`` times too sure, and ages drawn from the honest distribution."""
    rng = np.random.default_rng(2)
    centres = rng.uniform(15, 80, count)
    honest = -((np.arange(101) - centres[:, None]) ** 2) / (2 * 6.0**2)
    probs = softmax(torch.from_numpy(honest))
    ages = np.array([rng.choice(101, p=row) for row in probs])
    return torch.from_numpy(honest * factor), ages


def test_calibration_finds_the_temperature_and_the_coverage() -> None:
    logits, ages = overconfident(3000, 2.0)
    count = len(ages)
    gender_logits = torch.from_numpy(np.random.default_rng(3).normal(0, 1, (count, 2)))
    honest = softmax(gender_logits)[:, 1]
    gender = (np.random.default_rng(4).uniform(size=count) < honest).astype(np.int64)
    targets = Targets(ages, ages, gender, np.zeros((count, 7), np.float32))
    spec = fit(DecodingSpec(), Validation({"age": logits, "gender": gender_logits * 3}, targets))
    assert spec.age_temperature == pytest.approx(2.0, rel=0.12) and spec.gender_temperature == pytest.approx(3.0, rel=0.2)
    probs = softmax(logits, spec.age_temperature)
    held = ((ages >= age_quantile(probs, 0.1)) & (ages <= age_quantile(probs, 0.9))).mean()
    assert spec.coverage == 0.8 and held == pytest.approx(0.8, abs=0.02)
    assert fit_temperature(gender_logits, np.full(count, -1)) == 1.0


def test_conformal_half_width_covers_what_it_says() -> None:
    rng = np.random.default_rng(5)
    ages = rng.choice([1, 5, 10, 18, 28, 40, 50, 70], 2000)
    groups = np.searchsorted([1, 5, 10, 18, 28, 40, 50, 70], ages)
    values = torch.from_numpy(np.stack([groups + rng.normal(0, 0.7, 2000), rng.uniform(size=2000)], axis=1))
    targets = Targets(ages, ages, np.zeros(2000, np.int64), np.zeros((2000, 7), np.float32))
    spec = fit(DecodingSpec(kind="two_values", groups="adience8"), Validation({"targets": values}, targets))
    from agegender_core.decoding import read_out

    answers = read_out({"targets": values}, spec)
    assert ((ages >= answers.low) & (ages <= answers.high)).mean() == pytest.approx(0.8, abs=0.03)


def test_probabilities_of_ranges_are_calibrated_too() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 9, generator=generator)
    truth = torch.distributions.Categorical(logits=logits).sample()
    starts = np.array([group.lo for group in FAIRFACE_GROUPS])[truth.numpy()]
    targets = Targets(starts, starts + 5, np.full(4000, -1), np.zeros((4000, 7), np.float32))
    found = fit(DecodingSpec(kind="groups"), Validation({"age": 3 * logits, "gender": torch.zeros(4000, 2)}, targets))
    assert found.age_temperature == pytest.approx(3, rel=0.12) and found.coverage is None
