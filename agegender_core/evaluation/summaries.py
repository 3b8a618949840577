"""Numbers of a whole dataset that are not means over images: error balanced over ages, the gap
between genders, calibration of probabilities. Each with a 95 % bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from agegender_core.evaluation.metrics import RESAMPLES, band_name, bootstrap_draws
from agegender_core.evaluation.report_types import Estimate, Estimates
from agegender_core.labels import GENDERS

SUMMARIES = ("balanced_mae", "gender_gap", "gender_ece")
"""``balanced_mae``: mean over age bands of the band's mean absolute error, years; small bands left
out. ``gender_gap``:
share of women whose gender is correct minus that of men, in [-1, 1]. ``gender_ece``: expected
calibration error of the named gender's probability, in [0, 1].
"""

MIN_BAND_IMAGES = 20
"""A band with fewer images does not count in ``balanced_mae``."""
BINS = 10
"""Even bins of the named gender's probability, from 0.5 to 1."""


def summaries(table: pd.DataFrame, who: np.ndarray | None = None) -> Estimates:
    """What ``SUMMARIES`` names, rounded, of a prediction table; what the dataset's labels do not
    allow is left out.

    ``who``: (n,) person of each image where images of one person are alike: whole persons are drawn
    for the interval.
    """
    found = (balanced_mae(table, who), gender_gap(table, who), gender_ece(table, who))
    return {
        name: estimate.rounded()
        for name, estimate in zip(SUMMARIES, found, strict=True)
        if estimate is not None
    }


def balanced_mae(table: pd.DataFrame, who: np.ndarray | None = None) -> Estimate | None:
    """Mean absolute error in years, every age band weighted equally; None without exact ages."""
    error = (table["age_pred"] - table["age_true"]).abs().to_numpy(float)
    bands = np.array([band_name(age) or "" for age in table["age_true"].astype(float)])
    names, counts = np.unique(bands[~np.isnan(error)], return_counts=True)
    members = [
        (bands == name) & ~np.isnan(error)
        for name, count in zip(names, counts, strict=True)
        if count >= MIN_BAND_IMAGES
    ]
    return _contrast(error, members, [1 / len(members)] * len(members), who) if members else None


def gender_gap(table: pd.DataFrame, who: np.ndarray | None = None) -> Estimate | None:
    """Share of correct genders among women minus that among men; None where either has none."""
    known = table["gender_true"].notna() & table["gender_pred"].notna()
    right = (table["gender_true"] == table["gender_pred"]).to_numpy(float)
    members = [(known & (table["gender_true"] == gender)).to_numpy(bool) for gender in GENDERS]
    return (
        _contrast(right, members, [1.0, -1.0], who)
        if all(member.any() for member in members)
        else None
    )


def _contrast(
    values: np.ndarray,
    members: Sequence[np.ndarray],
    weights: Sequence[float],
    who: np.ndarray | None,
) -> Estimate:
    """Weighted sum of the means of ``values`` (n,) over ``members``, (n,) bool each, disjoint.

    Groups are resampled one by one. Images of one person may be in several: whole persons are then
    drawn within each, which treats the groups as independent.
    """
    value, drawn = 0.0, np.zeros(RESAMPLES)
    for seed, (member, weight) in enumerate(zip(members, weights, strict=True)):
        value += weight * values[member].mean()
        drawn += weight * bootstrap_draws(
            values[member], None if who is None else who[member], seed=seed
        )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high), int(np.sum(members)))


def gender_ece(table: pd.DataFrame, who: np.ndarray | None = None) -> Estimate | None:
    """Mean distance, over images, between the probability of the predicted gender and the share
    that is correct in its bin (Guo et al. 2017); None without probabilities. Chance alone makes it
    positive: with few images even a perfectly calibrated model is not at 0. A resampled table adds
    chance to chance, so its quantiles lie too high: the interval is theirs, mirrored at the value
    (the basic bootstrap), from 0 at the least and to the value at the least.
    """
    known = (table["gender_true"].notna() & table["gender_probability"].notna()).to_numpy(bool)
    if not known.any():
        return None
    chosen = table[known]
    sure = chosen["gender_probability"].to_numpy(float)
    right = (chosen["gender_true"] == chosen["gender_pred"]).to_numpy(float)
    bins = np.clip(((sure - 0.5) * 2 * BINS).astype(int), 0, BINS - 1)
    count, generator = len(sure), np.random.default_rng(0)
    drawn = np.empty(RESAMPLES)
    people = None if who is None else _rows_by_person(who[known])
    for index in range(RESAMPLES):
        if people is None:
            rows = generator.integers(0, count, count)
        else:
            chosen_people = generator.integers(0, len(people), len(people))
            rows = np.concatenate([people[person] for person in chosen_people])
        drawn[index] = _distance(bins[rows], sure[rows], right[rows])
    value, (low, high) = _distance(bins, sure, right), np.quantile(drawn, [0.025, 0.975])
    lowest, highest = max(2 * value - float(high), 0.0), max(2 * value - float(low), value)
    return Estimate(value, lowest, highest, count)


def _rows_by_person(who: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(who == person) for person in np.unique(who)]


def _distance(bins: np.ndarray, sure: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(np.bincount(bins, sure - right, BINS)).sum() / len(bins))
