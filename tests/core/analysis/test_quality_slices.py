"""What an image's condition costs, in cases worked by hand and over drawn tables whose truth is
known.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agegender_core.analysis.prediction_table import ErrorTable, make_table
from agegender_core.analysis.quality_slices import condition_table
from agegender_core.benchmarks.error_analysis import drawn_conditions, drawn_predictions
from agegender_core.errors import ConfigError

ANSWERS, CONDITIONS = drawn_predictions(800), drawn_conditions(800)


def made(
    age: np.ndarray, error: np.ndarray, grey: np.ndarray, subject: np.ndarray | None = None
) -> ErrorTable:
    """A table in which nothing but ``grey`` images is the matter."""
    rows = len(age)
    answers = ANSWERS.head(rows).assign(age_true=age, age_pred=age + error)
    conditions = CONDITIONS.head(rows).assign(
        face_found=True,
        sharpness=0.3,
        luminance=0.5,
        crushed=0.0,
        blown=0.0,
        face_side=100.0,
        yaw=0.0,
    )
    if subject is not None:
        answers["subject"] = subject
    return make_table("s", {"a": answers}, conditions.assign(chroma=np.where(grey, 0.0, 0.3)))


def test_by_hand() -> None:
    age = np.array([25, 25, 25, 25, 65, 65, 65, 65], float)
    error = np.array([1, 2, 3, 4, 10, 12, 14, 19], float)
    grey = np.array([0, 0, 0, 1, 0, 1, 1, 1], bool)
    found = condition_table(made(age, error, grey), "a", "mae")
    assert (
        found["condition"].tolist() == ["grey"]
        and found["n"].tolist() == [4]
        and found["small"].all()
    )
    row = found.iloc[0]
    assert row["value"] == pytest.approx((4 + 12 + 14 + 19) / 4) and row["rest"] == pytest.approx(
        (1 + 2 + 3 + 10) / 4
    )
    assert row["difference"] == pytest.approx(12.25 - 4)
    assert row["within"] == pytest.approx(((4 - 2) + (12 - 10) + (14 - 10) + (19 - 10)) / 4)
    assert np.isnan(row["p_holm"]) and row["mark"] == "", "four images are not tested"


def test_age_alone_is_no_cost_of_the_image() -> None:
    rng = np.random.default_rng(0)
    age = np.repeat([25.0, 65.0], 400)
    grey = rng.uniform(size=800) < np.where(age == 25, 0.05, 0.6)
    error = np.where(age == 25, 3.0, 12.0) + rng.normal(0, 1, 800)
    row = condition_table(made(age, error, grey), "a", "mae").iloc[0]
    assert row["difference"] > 3 and row["low"] > 2
    assert row["within_low"] < 0 < row["within_high"] and row["mark"] == ""
    row = condition_table(made(age, error + 2.0 * grey, grey), "a", "mae").iloc[0]
    assert (
        row["within"] == pytest.approx(2, abs=0.3)
        and row["mark"] == "worse"
        and row["p_holm"] < 0.001
    )
    assert (
        condition_table(made(age, -error - 2.0 * grey, grey), "a", "bias").iloc[0]["mark"]
        == "younger"
    )


def test_a_cost_that_is_none_is_rarely_found_and_its_interval_holds() -> None:
    rng = np.random.default_rng(1)
    age = np.repeat([25.0, 45.0, 65.0], 100)
    held = marked = 0
    for _ in range(120):
        grey = rng.uniform(size=300) < np.where(age == 25, 0.1, 0.3)
        row = condition_table(
            made(age, rng.exponential(np.where(age == 65, 8.0, 4.0)), grey), "a", "mae"
        ).iloc[0]
        held += row["within_low"] <= 0 <= row["within_high"]
        marked += row["mark"] != ""
    assert held >= 107 and marked <= 12


def test_people_a_mask_and_what_is_everywhere() -> None:
    age = np.repeat([25.0, 65.0], 30)
    grey = np.tile([True, False, False], 20)
    error = np.where(grey, 6.0, 3.0) + np.random.default_rng(2).normal(0, 0.5, 60)
    alone = condition_table(made(age, error, grey), "a", "mae").iloc[0]
    shared = condition_table(made(age, error, grey, np.arange(60) // 6), "a", "mae").iloc[0]
    assert (
        shared["within"] == pytest.approx(alone["within"])
        and shared["within_low"] != alone["within_low"]
    )
    half = condition_table(made(age, error, grey), "a", "mae", mask=age == 25)
    assert half["n"].tolist() == [10] and half["within"].tolist() == pytest.approx(
        half["difference"].tolist()
    )
    assert condition_table(made(age, error, grey), "a", "mae", mask=grey).empty, (
        "nothing is left to compare with"
    )
    assert condition_table(made(age, error, np.zeros(60, bool)), "a", "mae").empty


def test_a_band_of_nothing_else_does_not_count_within() -> None:
    age = np.repeat([25.0, 65.0], 20)
    grey = np.append(np.tile([True, False], 10), np.ones(20, bool))
    row = condition_table(
        made(age, np.where(age == 65, 30.0, np.where(grey, 5.0, 4.0)), grey), "a", "mae"
    ).iloc[0]
    assert row["n"] == 30 and row["within"] == pytest.approx(1)
    lone = made(np.array([25.0, 65.0] * 10), np.arange(20.0), np.array([True, False] * 10))
    row = condition_table(lone, "a", "mae").iloc[0]
    assert np.isnan(row["within"]) and row["mark"] == "" and not np.isnan(row["difference"])


def test_unknown_questions_are_refused() -> None:
    table = made(np.full(4, 30.0), np.zeros(4), np.array([True, False, True, False]))
    with pytest.raises(ConfigError, match="unknown metric"):
        condition_table(table, "a", "mood")
    with pytest.raises(ConfigError, match="no predictions"):
        condition_table(table, "z", "mae")
    assert isinstance(condition_table(table, "a", "gender_accuracy"), pd.DataFrame)
