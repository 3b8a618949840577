"""Slices by hand, against scipy, and by simulation: intervals hold what they promise and marks are
rarely false.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from agegender_core.analysis.prediction_table import ErrorTable, make_table
from agegender_core.analysis.slices import (
    slice_table,
    slices_of,
    worst_slices,
)
from agegender_core.benchmarks.error_analysis import drawn_conditions, drawn_predictions
from agegender_core.errors import ConfigError
from agegender_core.evaluation.metrics import bootstrap_mean
from agegender_core.evaluation.statistics import (
    differences,
    fisher,
    group_means,
    holm,
    permutation,
    sums,
    wilson,
)
from tests.support.slices import slice_mask, slice_name


def drawn(rows: int = 1200, **columns: object) -> ErrorTable:
    return make_table(
        "drawn", {"a": drawn_predictions(rows).assign(**columns)}, drawn_conditions(rows)
    )


DRAWN = drawn()


def one_group(
    values: np.ndarray, inside: np.ndarray, share: bool, people: np.ndarray | None = None
):
    """Means and differences of one group against its rest."""
    found = sums(values, np.where(inside, 0, -1), 1, people)
    whole = sums(values, np.zeros(len(values), np.int64), 1, people)
    return group_means(found, share), differences(found, whole, share)


def both_sums(values: np.ndarray, inside: np.ndarray):
    """Sums of one group and of the whole."""
    return sums(values, np.where(inside, 0, -1), 1), sums(
        values, np.zeros(len(values), np.int64), 1
    )


def permuted(values: np.ndarray, n: int, draws: int = 20000) -> float:
    """Two-sided p of the mean of the first ``n`` among means of ``n`` drawn at random."""
    rng = np.random.default_rng(0)
    means = np.array([rng.choice(values, n, replace=False).mean() for _ in range(draws)])
    return 2 * min((means <= values[:n].mean()).mean(), (means >= values[:n].mean()).mean())


def test_wilson_by_hand() -> None:
    low, high = wilson(np.array([0.0, 0.5, 1.0]), np.array([10.0, 10.0, 10.0]))
    assert low.tolist() == pytest.approx(
        [0, 0.2366, 0.7225], abs=1e-4
    ) and high.tolist() == pytest.approx([0.2775, 0.7634, 1], abs=1e-4)
    assert np.isnan(wilson(np.array([np.nan]), np.array([0.0]))[0][0])


def test_years_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    values, inside = rng.exponential(5, 200), np.arange(200) < 40
    means, against = one_group(values, inside, share=False)
    expected = stats.ttest_ind(values[inside], values[~inside], equal_var=False)
    assert against.p[0] == pytest.approx(
        max(expected.pvalue, permutation(*both_sums(values, inside))[0])
    )
    interval = expected.confidence_interval()
    assert (against.low[0], against.high[0]) == pytest.approx((interval.low, interval.high))
    low, high = stats.t.interval(0.95, 39, values[inside].mean(), stats.sem(values[inside]))
    assert (means.low[0], means.high[0]) == pytest.approx((low, high)) and means.n[0] == 40
    assert against.rest[0] == pytest.approx(values[~inside].mean())


@pytest.mark.parametrize("n,raised", [(12, 1.0), (12, 2.2), (100, 1.2), (100, 0.8)])
def test_permutation_p_is_that_of_drawing(n: int, raised: float) -> None:
    values = np.random.default_rng(n).exponential(5, 300)
    values[:n] *= raised * 5 / values[:n].mean()
    found = permutation(*both_sums(values, np.arange(300) < n))[0]
    assert found == pytest.approx(permuted(values, n), rel=0.15, abs=0.004)


def test_shares_agree_with_scipy() -> None:
    rng = np.random.default_rng(1)
    values, inside = (rng.uniform(size=300) < 0.9).astype(float), np.arange(300) < 50
    values[:12] = 0
    means, against = one_group(values, inside, share=True)
    table = [
        [values[inside].sum(), (1 - values[inside]).sum()],
        [values[~inside].sum(), (1 - values[~inside]).sum()],
    ]
    tails = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert against.p[0] == pytest.approx(min(1, 2 * min(tails)), rel=1e-6)
    expected = stats.binomtest(int(values[inside].sum()), 50).proportion_ci(method="wilson")
    assert (means.low[0], means.high[0]) == pytest.approx((expected.low, expected.high))


def test_newcombes_own_example() -> None:
    """Newcombe 1998, table II, example (a): 56/70 less 48/80 is 0.2 with 0.0524 to 0.3339 by his
    method 10.
    """
    values = np.concatenate([np.ones(56), np.zeros(14), np.ones(48), np.zeros(32)])
    _, against = one_group(values, np.arange(150) < 70, share=True)
    assert against.value[0] == pytest.approx(0.2)
    assert (against.low[0], against.high[0]) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_fisher_by_hand() -> None:
    """Lady tasting tea: 3 of 4 right has a tail of 17/70, 4 of 4 one of 1/70."""
    assert fisher(
        np.array([3.0, 4.0, 2.0]), np.array([4.0, 4.0, 4.0]), 4.0, 8.0
    ).tolist() == pytest.approx([34 / 70, 2 / 70, 1.0])


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005])).tolist() == pytest.approx(
        [0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True
    )
    assert holm(np.array([0.5, 0.6])).tolist() == [1.0, 1.0] and len(holm(np.array([]))) == 0


def test_slices_by_hand() -> None:
    table = drawn(
        4,
        age_true=[5.0, 7.0, 25.0, 80.0],
        age_pred=[6.0, 10.0, 25.0, 70.0],
        gender_true=["Male", "Female", "Female", None],
    )
    found = slice_table(table, "a", "mae", depth=1).set_index(["age", "gender"])
    small = found.xs("0-9", level="age").iloc[0]
    assert (
        small["n"],
        small["value"],
        small["rest"],
        small["difference"],
        small["from_whole"],
    ) == (2, 2, 5, -3, -1.5)
    assert small["small"] and np.isnan(small["p_holm"]), (
        "two images are shown with a warning and not tested"
    )
    half = stats.t.ppf(0.975, 1) * 1.0
    assert (small["low"], small["high"]) == pytest.approx((2 - half, 2 + half))
    women = found.xs("Female", level="gender").iloc[0]
    assert women["n"] == 2 and women["value"] == 1.5 and women["rest"] == 5.5
    old = found.xs("70+", level="age").iloc[0]
    assert old["n"] == 1 and np.isnan(old["low"]) and np.isnan(old["p"])


@pytest.mark.parametrize("metric", ["mae", "bias", "gender_accuracy"])
def test_every_slice_is_what_its_mask_holds(metric: str) -> None:
    found, values = slice_table(DRAWN, "a", metric, depth=3), DRAWN.values["a"][metric]
    assert (
        set(found["depth"]) == {1, 2, 3}
        and not found.duplicated(["age", "gender", "race", "condition"]).any()
    )
    assert found["n"].min() >= 1 and found["condition"].notna().any()
    for _, row in found.sample(60, random_state=0).iterrows():
        mask = slice_mask(DRAWN, row)
        chosen, rest = values[mask].dropna(), values[~mask].dropna()
        assert (
            row["n"] == len(chosen)
            and row["value"] == pytest.approx(chosen.mean())
            and row["rest"] == pytest.approx(rest.mean())
        )
        assert slice_name(row).count(",") == row["depth"] - 1
    whole = slice_table(DRAWN, "a", metric, depth=1)
    parts = whole[whole["gender"].notna()]
    assert (parts["n"] * parts["from_whole"]).sum() == pytest.approx(0, abs=1e-9), (
        "differences from the whole cancel out"
    )


def test_mask_limits_the_slices_and_the_rest() -> None:
    mask = DRAWN.labels["gender_true"].to_numpy() == "Male"
    found = slice_table(DRAWN, "a", "mae", depth=1, mask=mask)
    assert found.loc[found["gender"].notna(), "gender"].tolist() == ["Male"]
    row = found[found["gender"] == "Male"].iloc[0]
    assert np.isnan(row["rest"]) and np.isnan(row["p_holm"]) and row["from_whole"] == 0, (
        "the whole has no rest"
    )


def test_closed_form_and_bootstrap_agree_on_large_slices() -> None:
    row = slice_table(DRAWN, "a", "mae", depth=1).query("gender == 'Male'").iloc[0]
    estimate = bootstrap_mean(DRAWN.values["a"]["mae"].to_numpy()[slice_mask(DRAWN, row)])
    width = estimate.high - estimate.low
    assert (row["low"], row["high"]) == pytest.approx(
        (estimate.low, estimate.high), abs=0.1 * width
    )


@pytest.mark.parametrize(
    "draw,truth,share",
    [
        (lambda rng, n: rng.normal(3, 4, n), 3.0, False),
        (lambda rng, n: rng.exponential(5, n), 5.0, False),
        (lambda rng, n: (rng.uniform(size=n) < 0.93).astype(float), 0.93, True),
    ],
    ids=["normal", "exponential", "share"],
)
@pytest.mark.parametrize("size", [30, 200])
def test_intervals_hold_the_truth_as_often_as_they_say(
    draw, truth: float, share: bool, size: int
) -> None:
    rng = np.random.default_rng(size)
    slices = 4000
    values = draw(rng, slices * size)
    found = group_means(sums(values, np.repeat(np.arange(slices), size), slices), share)
    held = ((found.low <= truth) & (truth <= found.high)).mean()
    assert 0.915 <= held <= 0.975, held


def test_difference_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    held = {"years": [], "shares": []}
    inside = np.arange(400) < 40
    for _ in range(400):
        years = rng.exponential(np.where(inside, 7.0, 5.0))
        shares = (rng.uniform(size=400) < np.where(inside, 0.8, 0.92)).astype(float)
        for name, values, truth in (("years", years, 2.0), ("shares", shares, -0.12)):
            against = differences(*both_sums(values, inside), name == "shares", test=False)
            held[name].append(against.low[0] <= truth <= against.high[0])
    assert all(0.92 <= np.mean(found) <= 0.98 for found in held.values()), {
        name: np.mean(found) for name, found in held.items()
    }


def test_people_count_as_one_draw_each() -> None:
    """40 people with 10 images each, alike within a person: by image the interval holds far too
    seldom, by person as it says.
    """
    rng = np.random.default_rng(6)
    people = np.repeat(np.arange(40), 10)
    by_picture, by_person, tested = [], [], []
    for _ in range(250):
        values = np.repeat(rng.normal(5, 3, 40), 10) + rng.normal(0, 1, 400)
        for who, held in ((None, by_picture), (people, by_person)):
            means, against = one_group(values, people < 20, False, who)
            held.append(means.low[0] <= 5 <= means.high[0])
        tested.append(against.p[0] < 0.05)
    assert (
        np.mean(by_picture) < 0.6
        and 0.92 <= np.mean(by_person) <= 0.98
        and 0.02 <= np.mean(tested) <= 0.08
    )


def test_a_person_on_both_sides_cancels_out() -> None:
    """Each person has five images in the slice and five in the rest: how hard the person is moves
    both alike.
    """
    rng = np.random.default_rng(7)
    people, inside = np.repeat(np.arange(60), 10), np.tile(np.arange(10) < 5, 60)
    found = []
    for _ in range(250):
        values = np.repeat(rng.normal(5, 5, 60), 10) + rng.normal(0, 1, 600)
        _, against = one_group(values, inside, False, people)
        found.append((against.low[0] <= 0 <= against.high[0], against.high[0] - against.low[0]))
    held, width = np.mean(found, axis=0)
    assert 0.92 <= held <= 0.98 and width < 0.5


def test_shares_by_person_hold_too() -> None:
    rng = np.random.default_rng(8)
    people = np.repeat(np.arange(60), 8)
    held = []
    for _ in range(300):
        chance = np.repeat(rng.beta(4, 1, 60), 8)
        means, _ = one_group(
            (rng.uniform(size=480) < chance).astype(float), people >= 0, True, people
        )
        held.append(means.low[0] <= 0.8 <= means.high[0])
    assert 0.92 <= np.mean(held) <= 0.98


def test_equal_slices_are_rarely_marked_and_bad_ones_are_found() -> None:
    rng = np.random.default_rng(9)
    false = [
        bool((slices_of(DRAWN, rng.exponential(5, len(DRAWN)), False, 1)["mark"] != "").any())
        for _ in range(60)
    ]
    assert np.mean(false) <= 0.12, "at most 5 % of tables may have a false mark"
    rows = 3000
    base = drawn_predictions(rows)
    bad = (base["gender_true"] == "Female") & (base["race_true"] == "Indian")
    table = make_table(
        "drawn",
        {"a": base.assign(age_pred=base["age_pred"].where(~bad, base["age_true"] + 20))},
        drawn_conditions(rows),
    )
    worst = worst_slices(table, "a", "mae")
    assert slice_name(worst.iloc[0]) == "Female, Indian" and worst.iloc[0]["mark"] == "worse"
    assert worst.iloc[0]["searched_low"] < worst.iloc[0]["difference_low"], (
        "the worst of many needs a wider interval"
    )
    assert worst.attrs["searched"] > 100 and (worst["n"] >= 30).all()
    names = [slice_name(row) for _, row in worst.iterrows()]
    assert not any(
        name.startswith("Female, Indian,") or name.endswith("Female, Indian") for name in names[1:]
    ), "echoes are left out"
    assert worst_slices(table, "a", "mae", min_size=10**6).empty


def test_worst_slices_of_shares_and_of_bias() -> None:
    rows = 2000
    base = drawn_predictions(rows)
    old = base["age_true"] >= 60
    wrong = base["gender_true"].map({"Male": "Female", "Female": "Male"})
    changed = base.assign(
        gender_pred=base["gender_pred"].where(~old, wrong),
        age_pred=base["age_pred"].where(~old, base["age_true"] - 9),
    )
    table = make_table("drawn", {"a": changed}, None)
    worst = worst_slices(table, "a", "gender_accuracy", depth=2)
    assert set(worst["age"].dropna()) == {"60-69", "70+"} and (worst["difference"] < 0).all()
    bias = worst_slices(table, "a", "bias", depth=1)
    assert set(bias["age"].dropna()) >= {"60-69", "70+"} and bias.iloc[0]["mark"] == "younger"


def test_sets_without_labels_or_answers_give_empty_tables() -> None:
    bare = drawn(50, gender_true=None, race_true=None, age_true=np.nan, race_pred=None)
    for metric in ("mae", "race_accuracy", "gender_accuracy"):
        assert slice_table(bare, "a", metric).empty and worst_slices(bare, "a", metric).empty
    plain = make_table("drawn", {"a": drawn_predictions(50).assign(gender_true=None)})
    assert (
        plain.groups["gender"].isna().all()
        and slice_table(plain, "a", "mae")["gender"].isna().all()
    )
    for arguments, complaint in (
        (("b", "mae"), "no predictions"),
        (("a", "beauty"), "unknown metric"),
        (("a", "mae", 0), "1 or more"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            slice_table(DRAWN, *arguments)


def test_people_are_counted_where_all_are_known() -> None:
    table = drawn(120, subject=[f"p{index % 12}" for index in range(120)])
    found = slice_table(table, "a", "mae", depth=1)
    assert (
        found.loc[found["gender"] == "Male", "people"].iloc[0] <= 12
        and pd.isna(slice_table(DRAWN, "a", "mae")["people"]).all()
    )
    bare = drawn(120, subject="p", gender_true=None)
    assert (
        slice_table(bare, "a", "gender_accuracy").empty
        and worst_slices(bare, "a", "gender_accuracy").empty
    )
    assert (
        make_table("x", {"a": drawn_predictions(3).assign(subject=["a", None, "b"])}).people is None
    )
