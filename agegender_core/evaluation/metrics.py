"""Metrics, each the mean of one value an image, with a bootstrap interval.

A metric is a column with one value an image; images without the label it needs are NaN and do not
count.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from agegender_core.evaluation.report_types import Estimate, Estimates
from agegender_core.labels import (
    ADIENCE_GROUPS,
    AGE_BANDS,
    FAIRFACE_GROUPS,
    AgeGroup,
    group_index,
    group_names,
)

RESAMPLES = 2000
METRICS = (
    "mae",
    "bias",
    "cs5",
    "fairface9_accuracy",
    "fairface9_one_off",
    "adience8_accuracy",
    "adience8_one_off",
    "gender_accuracy",
    "race_accuracy",
    "interval_coverage",
    "interval_width",
)
"""Those of single images, in the order of reports; ``METRIC_FORMATS`` has the unit of each."""


def bootstrap_mean(
    values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, who: np.ndarray | None = None
) -> Estimate | None:
    """Mean of ``values`` (n,) with a 95 % percentile interval; NaN left out; None where nothing is
    left.

    ``who``: (n,) person in each image. Images of one person are alike, and drawing them one by one
    would make the interval too narrow: with ``who``, whole persons are drawn.
    """
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    if not known.any():
        return None
    drawn = bootstrap_draws(values[known], None if who is None else who[known], resamples, seed)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(values[known].mean()), float(low), float(high), int(known.sum()))


def stored_mean(values: np.ndarray) -> Estimate | None:
    """``bootstrap_mean``, rounded as reports store it."""
    found = bootstrap_mean(values)
    return None if found is None else found.rounded()


def bootstrap_draws(
    values: np.ndarray, who: np.ndarray | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """(``resamples``,) means of ``values`` (n,), n > 0 and no NaN, resampled with replacement; by
    person if ``who`` (n,) is not None.
    """
    if who is None:
        sums, counts = values, None
    else:
        _, person = np.unique(who, return_inverse=True)
        sums, counts = np.bincount(person, values), np.bincount(person)
    generator, count = np.random.default_rng(seed), len(sums)
    means = np.empty(resamples)
    block = max(1, 2_000_000 // count)
    for start in range(0, resamples, block):
        rows = generator.integers(0, count, (min(block, resamples - start), count))
        drawn = sums[rows]
        means[start : start + block] = (
            drawn.mean(axis=1) if counts is None else drawn.sum(axis=1) / counts[rows].sum(axis=1)
        )
    return means


def value_columns(table: pd.DataFrame) -> pd.DataFrame:
    """One column a metric of ``METRICS``, one row an image of a prediction table (see
    ``evaluate.PREDICTION_COLUMNS``).
    """
    error = table["age_pred"] - table["age_true"]
    columns = {
        "mae": error.abs(),
        "bias": error,
        "cs5": _where(error.notna(), error.abs() <= 5),
        "gender_accuracy": _match(table["gender_true"], table["gender_pred"]),
        "race_accuracy": _match(table["race_true"], table["race_pred"]),
        "interval_width": table["age_high"] - table["age_low"],
    }
    known = table["age_true"].notna() & table["age_low"].notna()
    columns["interval_coverage"] = _where(
        known, table["age_true"].between(table["age_low"], table["age_high"])
    )
    for name, groups in (("fairface9", FAIRFACE_GROUPS), ("adience8", ADIENCE_GROUPS)):
        true, predicted = _true_group(table, groups), _positions(table[f"{name}_pred"], groups)
        both = true.notna() & predicted.notna()
        columns[f"{name}_accuracy"] = _where(both, true == predicted)
        columns[f"{name}_one_off"] = _where(both, (true - predicted).abs() <= 1)
    return pd.DataFrame(columns)[list(METRICS)]


def estimates(values: pd.DataFrame, who: np.ndarray | None = None) -> Estimates:
    """Every metric that has at least one image, rounded. ``who``: as in ``bootstrap_mean``."""
    found = {name: bootstrap_mean(values[name].to_numpy(float), who=who) for name in values.columns}
    return {name: estimate.rounded() for name, estimate in found.items() if estimate is not None}


def persons(table: pd.DataFrame) -> np.ndarray | None:
    """(n,) who is in each image, if the dataset labels all of them and someone is in several; else
    None.
    """
    known = table["subject"].notna().all() and table["subject"].duplicated().any()
    return table["subject"].to_numpy(str) if known else None


def slice_labels(table: pd.DataFrame) -> Mapping[str, pd.Series]:
    """Slice name by image: age band (FairFace's own range where no exact age is known), gender,
    race; None where unlabelled.
    """
    ages = table["age_true"].astype(float)
    band = (
        ages.map({age: band_name(age) for age in ages.dropna().unique()})
        .astype(object)
        .where(ages.notna(), table["age_range_true"])
    )
    return {"age": band, "gender": table["gender_true"], "race": table["race_true"]}


def band_name(age: float) -> str | None:
    """Name of the age band that contains ``age`` years, None for NaN."""
    if age is None or np.isnan(age):
        return None
    return next(band.name for band in AGE_BANDS if band.lo <= int(age) <= band.hi)


def sliced(
    table: pd.DataFrame, values: pd.DataFrame, who: np.ndarray | None = None
) -> dict[str, dict[str, Estimates]]:
    """{slicing: {slice: {metric: estimate}}}, slices in natural order: those of ``slice_labels``,
    and «age_answered», the band of the estimated age, by which intervals are fitted.
    """
    start = {group.name: group.lo for group in (*AGE_BANDS, *FAIRFACE_GROUPS)}
    answered = table["age_pred"].astype(float).map(band_name).astype(object)
    answered = answered.where(table["age_true"].notna(), None)
    result: dict[str, dict[str, Estimates]] = {}
    for slicing, labels in {**slice_labels(table), "age_answered": answered}.items():
        names = sorted(labels.dropna().unique(), key=lambda name: (start.get(name, 0), name))
        if names:
            parts = {name: (labels == name).to_numpy(bool) for name in names}
            result[slicing] = {
                name: estimates(values[part], None if who is None else who[part])
                for name, part in parts.items()
            }
    return result


def _where(known: pd.Series, truth: pd.Series) -> pd.Series:
    return truth.astype(float).where(known)


def _match(true: pd.Series, predicted: pd.Series) -> pd.Series:
    return _where(true.notna() & predicted.notna(), true == predicted)


def _true_group(table: pd.DataFrame, groups: tuple[AgeGroup, ...]) -> pd.Series:
    """Position of the true group: by exact age, or by the dataset's own ranges where these
    are ``groups`` (one shared name is not enough).
    """
    ages = table["age_true"].astype(float)
    exact = ages.map({age: group_index(age, groups) for age in ages.dropna().unique()}).astype(
        float
    )
    ranges = table["age_range_true"]
    if not set(ranges.dropna()) <= set(group_names(groups)):
        return exact
    return exact.where(table["age_true"].notna(), _positions(ranges, groups))


def _positions(names: pd.Series, groups: tuple[AgeGroup, ...]) -> pd.Series:
    return names.map({name: float(index) for index, name in enumerate(group_names(groups))}).astype(
        float
    )
