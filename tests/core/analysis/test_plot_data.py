"""What the plots show, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, confusion_matrix, mean_absolute_error

from agegender_core.analysis.plot_data import (
    DECADES,
    age_density,
    confusion,
    cs_curve,
    error_by_age,
    gender_by_band,
    gender_confusion,
    gender_reliability,
    group_of_age,
    interval_coverage,
    nearest_group,
    reliability,
)
from agegender_core.analysis.prediction_table import make_table
from agegender_core.benchmarks.error_analysis import drawn_predictions
from agegender_core.errors import ConfigError
from agegender_core.labels import ADIENCE_GROUPS, FAIRFACE_GROUPS, GENDERS, group_index, group_names

BASE = drawn_predictions(800)
TABLE = make_table("drawn", {"a": BASE})
MALE = (BASE["gender_true"] == "Male").to_numpy()


@pytest.mark.parametrize("groups", [ADIENCE_GROUPS, FAIRFACE_GROUPS, DECADES])
def test_groups_of_ages(groups) -> None:
    ages = np.append(np.arange(0, 117, dtype=float), np.nan)
    expected = [
        -1 if np.isnan(age) or (found := group_index(age, groups)) is None else found
        for age in ages
    ]
    assert group_of_age(ages, groups).tolist() == expected


def test_nearest_group_in_the_gaps() -> None:
    years = np.array([3.0, 3.1, 2.4, 7.0, 34.9, 35.6, 99.0, np.nan])
    assert [
        None if index < 0 else ADIENCE_GROUPS[index].name
        for index in nearest_group(years, ADIENCE_GROUPS)
    ] == ["0-2", "4-6", "0-2", "4-6", "25-32", "38-43", "60+", None]


def test_confusion_matrices_are_scikit_learns() -> None:
    found = confusion(TABLE, "a", "fairface9")
    true = [FAIRFACE_GROUPS[group_index(age, FAIRFACE_GROUPS)].name for age in BASE["age_true"]]
    names = group_names(FAIRFACE_GROUPS)
    assert (
        found.counts == confusion_matrix(true, BASE["fairface9_pred"], labels=names)
    ).all() and not found.by_years
    assert (
        found.accuracy == pytest.approx(accuracy_score(true, BASE["fairface9_pred"]))
        and found.left_out == 0
    )
    assert np.nansum(found.shares, axis=1)[found.counts.sum(axis=1) > 0] == pytest.approx(1)
    genders = gender_confusion(TABLE, "a", MALE)
    assert (
        genders.counts
        == confusion_matrix(BASE["gender_true"][MALE], BASE["gender_pred"][MALE], labels=GENDERS)
    ).all()
    decades = confusion(TABLE, "a", "decades")
    assert decades.by_years and decades.counts.sum() == 800 and decades.names[-1] == "90+"


def test_confusion_agrees_with_the_reports_metric() -> None:
    for grouping in ("fairface9", "adience8"):
        values = TABLE.values["a"][f"{grouping}_accuracy"]
        found = confusion(TABLE, "a", grouping)
        assert (
            found.accuracy == pytest.approx(values.mean())
            and found.counts.sum() == values.notna().sum()
        )
        assert found.left_out == values.isna().sum()


def test_confusion_of_ranges_and_of_networks_that_name_no_group() -> None:
    frame = drawn_predictions(4).assign(
        age_true=np.nan, age_range_true=["0-2", "20-29", "70+", None], fairface9_pred=None
    )
    table = make_table("ranges", {"a": frame.assign(age_pred=[1.0, 31.0, 75.0, 5.0])})
    found = confusion(table, "a", "fairface9")
    assert found.by_years and found.left_out == 1
    assert [(int(i), int(j)) for i, j in zip(*np.nonzero(found.counts), strict=True)] == [
        (0, 0),
        (3, 4),
        (8, 8),
    ]
    assert confusion(table, "a", "adience8").counts.sum() == 0, (
        "FairFace's 0-2 is Adience's by name, its other ranges are not"
    )
    assert np.isnan(confusion(table, "a", "decades").accuracy)
    with pytest.raises(ConfigError, match="unknown grouping"):
        confusion(TABLE, "a", "weeks")


def test_density_counts_every_image_once() -> None:
    found = age_density(TABLE, "a", MALE)
    assert (
        found.counts.sum() == MALE.sum() == len(found.true)
        and found.counts.shape == (50, 50)
        and len(found.edges) == 51
    )
    row = found.counts.sum(axis=1).argmax()
    inside = (found.true >= found.edges[row]) & (found.true < found.edges[row + 1])
    assert found.middle[row] == pytest.approx(np.median(found.predicted[inside]))
    assert (found.low[row], found.high[row]) == pytest.approx(
        tuple(np.quantile(found.predicted[inside], [0.1, 0.9]))
    )
    very_old = make_table("old", {"a": BASE.assign(age_true=116.0)})
    assert age_density(very_old, "a").counts[-1].sum() == 800, "older labels count as 100"


def test_error_by_age_by_hand() -> None:
    frame = drawn_predictions(4).assign(
        age_true=[1.0, 4.0, 5.0, 100.0], age_pred=[3.0, 3.0, 5.0, 90.0]
    )
    found = error_by_age(make_table("hand", {"a": frame}), "a")
    assert found.bias.n.tolist() == [2, 1, *[0] * 17, 1] and found.bias.value[
        [0, 1, -1]
    ].tolist() == [0.5, 0, -10]
    assert (
        found.mae.value[0] == 1.5
        and np.isnan(found.mae.low[1])
        and found.mae.low[0] < 1.5 < found.mae.high[0]
    )
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(np.quantile([2, -1], [0.1, 0.9])))
    whole = error_by_age(TABLE, "a")
    mean = np.nansum(whole.mae.value * whole.mae.n) / whole.mae.n.sum()
    assert mean == pytest.approx(mean_absolute_error(BASE["age_true"], BASE["age_pred"]))


def test_reliability_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=3000)
    outcome = (rng.uniform(size=3000) < probability**2).astype(float)
    found = reliability(probability, outcome)
    right, mean = calibration_curve(outcome, probability, n_bins=10)
    assert found.right.value == pytest.approx(right) and found.confidence == pytest.approx(mean)
    shares = np.histogram(probability, np.linspace(0, 1, 11))[0] / 3000
    assert found.ece == pytest.approx(
        (shares * np.abs(right - mean)).sum()
    ) and found.ece == pytest.approx(1 / 6, abs=0.02)


def test_reliability_by_hand() -> None:
    found = reliability(
        np.array([0.05, 0.6, 0.8, 0.95, 0.95, np.nan]), np.array([0, 1, 1, 1, 0, 1.0]), bins=2
    )
    assert (
        found.right.n.tolist() == [1, 4]
        and found.right.value.tolist() == [0, 0.75]
        and found.confidence.tolist() == pytest.approx([0.05, 0.825])
    )
    assert found.ece == pytest.approx((0.05 + 4 * 0.075) / 5)
    assert reliability(np.array([0.5, 1.0]), np.array([1.0, 1.0]), 5, 0.5).right.n.tolist() == [
        1,
        1,
    ], "both ends are inside"
    assert np.isnan(reliability(np.array([np.nan]), np.array([1.0])).ece)
    honest = gender_reliability(TABLE, "a")
    assert honest.edges[0] == 0.5 and honest.right.n.sum() == 800


def test_genders_by_band() -> None:
    found = gender_by_band(TABLE, "a")
    assert found["n"].sum() == 800
    band = TABLE.groups["age"] == "30-39"
    chosen = BASE[band.to_numpy() & MALE]
    row = found[(found["band"] == "30-39") & (found["gender"] == "Male")].iloc[0]
    assert row["n"] == len(chosen) and row["other"] == pytest.approx(
        (chosen["gender_pred"] == "Female").mean()
    )
    assert row["low"] < row["other"] < row["high"]
    assert gender_by_band(make_table("bare", {"a": BASE.assign(gender_true=None)}), "a").empty


def test_interval_coverage() -> None:
    found = interval_coverage(TABLE, "a").set_index(["by", "name"])
    held = BASE["age_true"].between(BASE["age_low"], BASE["age_high"])
    whole = found.loc[("all", "all")]
    assert whole["covered"] == pytest.approx(held.mean()) and whole["n"] == 800
    assert found.loc["age"]["n"].sum() == found.loc["width"]["n"].sum() == 800
    assert (found.loc["width"]["width"].diff().dropna() > 0).all()
    flat = make_table(
        "flat", {"a": BASE.assign(age_low=BASE["age_true"] - 5, age_high=BASE["age_true"] + 5)}
    )
    assert set(interval_coverage(flat, "a").query("by == 'width'")["name"]) == {"of one width"}
    assert interval_coverage(
        make_table("bare", {"a": BASE.assign(age_low=np.nan, age_high=np.nan)}), "a"
    ).empty


def test_cumulative_score_by_hand() -> None:
    frame = drawn_predictions(5).assign(
        age_true=[10.0, 20, 30, 40, np.nan], age_pred=[10.0, 22, 35, 60, 30]
    )
    frame = frame.assign(age_range_true=[None, None, None, None, "20-29"])
    found = cs_curve(make_table("hand", {"a": frame}), "a")
    assert (
        found["share"].tolist()[:6] == [0.25, 0.25, 0.5, 0.5, 0.5, 0.75]
        and found["share"].iloc[20] == 1
        and (found["n"] == 4).all()
    )
    whole = cs_curve(TABLE, "a")
    assert (
        whole.loc[5, "share"] == pytest.approx(TABLE.values["a"]["cs5"].mean())
        and whole["share"].is_monotonic_increasing
    )


def test_plots_of_nothing_are_empty_and_no_error() -> None:
    none = np.zeros(800, bool)
    assert (
        age_density(TABLE, "a", none).counts.sum() == 0
        and error_by_age(TABLE, "a", none).mae.n.sum() == 0
    )
    assert (
        confusion(TABLE, "a", "decades", none).counts.sum() == 0
        and gender_by_band(TABLE, "a", none).empty
    )
    assert (
        interval_coverage(TABLE, "a", none).empty
        and pd.isna(cs_curve(TABLE, "a", none)["share"]).all()
    )
    people = make_table("people", {"a": BASE.assign(subject="one")})
    assert error_by_age(people, "a", none).mae.n.sum() == 0
