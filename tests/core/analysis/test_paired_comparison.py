"""Two networks on the same images, by hand, against scipy, and by simulation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from agegender_core.analysis.paired_comparison import (
    biggest_gains,
    compare,
    mcnemar,
    right_and_wrong,
    slice_wins,
)
from agegender_core.analysis.prediction_table import ErrorTable, make_table
from agegender_core.benchmarks.error_analysis import drawn_conditions, drawn_predictions
from agegender_core.errors import ConfigError
from tests.support.slices import slice_mask

ROWS = 500
GOOD, BAD = (
    drawn_predictions(ROWS, answers_seed=1, noise=4),
    drawn_predictions(ROWS, answers_seed=2, noise=8),
)
TABLE = make_table("s", {"good": GOOD, "bad": BAD}, drawn_conditions(ROWS))


def test_mcnemar_by_hand() -> None:
    """Two against eight: twice the tail of ten coins, (1 + 10 + 45) / 1024."""
    first = np.array([1] * 2 + [0] * 8 + [1] * 5 + [0] * 3)
    second = np.array([0] * 2 + [1] * 8 + [1] * 5 + [0] * 3)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second, found.both, found.neither) == (2, 8, 5, 3)
    assert found.p == pytest.approx(2 * 56 / 1024) and found.p == pytest.approx(
        stats.binomtest(2, 10).pvalue
    )
    assert mcnemar(second, first).p == found.p and mcnemar(first, first).p == 1.0
    assert mcnemar(np.array([1, 0]), np.array([0, 1])).p == 1.0


def test_mcnemar_is_rarely_wrong() -> None:
    rng = np.random.default_rng(0)
    false = [mcnemar(*(rng.uniform(size=(2, 300)) < 0.85)).p < 0.05 for _ in range(400)]
    assert np.mean(false) <= 0.06


def test_comparison_by_hand() -> None:
    base = drawn_predictions(4).assign(age_true=[10.0, 20, 30, 40], gender_true="Male")
    one = base.assign(
        age_pred=[11.0, 25, 30, np.nan], gender_pred=["Male", "Male", "Female", "Female"]
    )
    two = base.assign(age_pred=[13.0, 20, 30, 40], gender_pred=["Male", "Female", "Male", None])
    table = make_table("s", {"one": one, "two": two})
    mae, gender = compare(table, "one", "two", ("mae", "gender_accuracy"))
    assert (mae.first, mae.second, mae.difference.value, mae.difference.n) == (2, 1, -1, 3)
    assert (
        (mae.first_wins, mae.second_wins, mae.ties) == (1, 1, 1)
        and mae.mcnemar is None
        and mae.better == ""
    )
    assert (gender.first, gender.second) == pytest.approx(
        (2 / 3, 2 / 3)
    ) and gender.mcnemar.only_first == gender.mcnemar.only_second == 1
    sides = right_and_wrong(table, "one", "two", "gender_accuracy")
    assert {name: rows.tolist() for name, rows in sides.items()} == {
        "only_first": [1],
        "only_second": [2],
        "both": [0],
        "neither": [],
    }
    assert biggest_gains(table, "one", "two").tolist() == [1] and biggest_gains(
        table, "two", "one"
    ).tolist() == [0]
    assert (
        right_and_wrong(table, "one", "two", "gender_accuracy", np.array([1, 0, 1, 1], bool))[
            "only_first"
        ].tolist()
        == []
    )


def test_better_networks_are_named_whichever_comes_first() -> None:
    found = {row.metric: row for row in compare(TABLE, "good", "bad")}
    assert (
        found["mae"].better == "first"
        and found["mae"].difference.low > 0
        and found["cs5"].better == "first"
    )
    turned = {row.metric: row for row in compare(TABLE, "bad", "good")}
    assert turned["mae"].better == "second" and turned["mae"].difference.value == pytest.approx(
        -found["mae"].difference.value
    )
    assert turned["mae"].second_wins == found["mae"].first_wins and turned["cs5"].better == "second"
    assert (
        found["bias"].better == "" and found["bias"].first_wins == found["bias"].second_wins == 0
    ), "bias has no better side"
    row = found["mae"]
    assert (
        row.second - row.first == pytest.approx(row.difference.value)
        and row.first_wins + row.second_wins + row.ties == ROWS
    )


def with_errors(**errors: np.ndarray) -> ErrorTable:
    """The drawn table with other absolute errors: making a table anew takes longer than all
    else.
    """
    values = {name: TABLE.values["good"].assign(mae=error) for name, error in errors.items()}
    return dataclasses.replace(
        TABLE,
        weights=tuple(errors),
        values=values,
        answers=dict.fromkeys(errors, TABLE.answers["good"]),
    )


def test_paired_interval_is_narrower_where_errors_move_together_and_holds() -> None:
    rng = np.random.default_rng(1)
    held, widths = [], []
    for seed in range(100):
        hard = rng.exponential(6, ROWS)
        (found,) = compare(
            with_errors(a=hard, b=hard + rng.exponential(1, ROWS)),
            "a",
            "b",
            ("mae",),
            resamples=500,
            seed=seed,
        )
        held.append(found.difference.low <= 1 <= found.difference.high)
        widths.append(found.difference.high - found.difference.low)
    assert 0.88 <= np.mean(held) <= 0.99 and np.mean(widths) < 0.3


def test_people_are_drawn_whole() -> None:
    rng = np.random.default_rng(2)
    shift = np.repeat(rng.normal(1, 2, 40), 10)
    base = drawn_predictions(400).assign(age_true=40.0, age_pred=45.0)
    by_picture = make_table("s", {"a": base, "b": base.assign(age_pred=45 + shift)})
    who = np.repeat([f"p{index}" for index in range(40)], 10)
    by_person = make_table(
        "s", {"a": base.assign(subject=who), "b": base.assign(age_pred=45 + shift, subject=who)}
    )
    narrow, wide = (
        compare(table, "a", "b", ("mae",))[0].difference for table in (by_picture, by_person)
    )
    assert wide.value == pytest.approx(narrow.value) and wide.high - wide.low > 2 * (
        narrow.high - narrow.low
    )


def test_wins_by_slice() -> None:
    table = make_table(
        "s",
        {
            "a": GOOD,
            "b": BAD.assign(
                age_pred=np.where(GOOD["gender_true"] == "Male", GOOD["age_true"], BAD["age_pred"])
            ),
        },
    )
    found = slice_wins(table, "a", "b", "mae").set_index("gender")
    assert found.loc["Male", "wins"] == "second" and found.loc["Female", "wins"] == "first"
    male = (GOOD["gender_true"] == "Male").to_numpy()
    errors = np.abs(GOOD["age_pred"] - GOOD["age_true"])[male]
    row = found.loc["Male"]
    assert (
        row["n"] == male.sum()
        and row["first"] == pytest.approx(errors.mean())
        and row["second"] == 0
    )
    assert row["difference"] == pytest.approx(-errors.mean()) and row["p"] == pytest.approx(
        stats.ttest_1samp(-errors, 0).pvalue, rel=1e-6, abs=1e-300
    )
    interval = stats.ttest_1samp(-errors, 0).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_equal_networks_win_no_slice() -> None:
    same = slice_wins(make_table("s", {"a": GOOD, "b": GOOD}), "a", "b", "gender_accuracy", depth=2)
    assert (
        (same["wins"] == "").all()
        and (same["difference"] == 0).all()
        and (same["p"].dropna() == 1).all()
    )
    rng = np.random.default_rng(3)
    drawn = [with_errors(**{name: rng.exponential(5, ROWS) for name in "ab"}) for _ in range(30)]
    false = [
        bool((slice_wins(table, "a", "b", "mae", depth=2)["wins"] != "").any()) for table in drawn
    ]
    assert np.mean(false) <= 0.12


def test_wins_in_classes_are_mcnemars() -> None:
    found = slice_wins(TABLE, "good", "bad", "cs5", depth=2)
    for _, row in found.sample(12, random_state=1).iterrows():
        mask = slice_mask(TABLE, row)
        expected = compare(TABLE, "good", "bad", ("cs5",), mask)[0]
        assert row["p"] == pytest.approx(expected.mcnemar.p) and row["n"] == expected.difference.n
        assert row["difference"] == pytest.approx(expected.difference.value)


def test_impossible_questions_are_refused() -> None:
    for call, complaint in (
        (lambda: compare(TABLE, "good", "none"), "no predictions"),
        (lambda: compare(TABLE, "good", "bad", ("beauty",)), "unknown metric"),
        (lambda: right_and_wrong(TABLE, "good", "bad", "mae"), "not right or wrong"),
        (lambda: slice_wins(TABLE, "good", "bad", "bias"), "does not rank"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            call()
    ranges = make_table(
        "s", {name: GOOD.assign(age_true=np.nan, age_range_true="20-29") for name in "ab"}
    )
    assert "mae" not in {row.metric for row in compare(ranges, "a", "b")}
