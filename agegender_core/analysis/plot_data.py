"""The numbers behind the plots. Each function takes a table, the weights, and a (N,) bool mask of
the images to use, default all.

Edges and shares are arrays, independent of any plotting library. Shares have Wilson's interval,
means Student's; both are by image, or by person where all people are known (see ``statistics``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.errors import ConfigError
from agegender_core.evaluation.statistics import Means, group_means, sums, wilson
from agegender_core.labels import (
    ADIENCE_GROUPS,
    FAIRFACE_GROUPS,
    GENDERS,
    MAX_AGE,
    AgeGroup,
    group_index,
    group_names,
)

DECADES: tuple[AgeGroup, ...] = (
    *(AgeGroup(f"{start}-{start + 9}", start, start + 9) for start in range(0, 90, 10)),
    AgeGroup("90+", 90, MAX_AGE),
)
GROUPINGS: dict[str, tuple[AgeGroup, ...]] = {
    "adience8": ADIENCE_GROUPS,
    "fairface9": FAIRFACE_GROUPS,
    "decades": DECADES,
}
LONGEST = 20
"""Last k of CS@k, in years."""


@dataclass(frozen=True, eq=False)
class Density:
    """True against predicted age. ``edges``: (B + 1,) years of both axes. ``counts``: (B, B), a row
    a bin of true age. ``true`` and
    ``predicted``: (M,) years of the single images. ``middle``, ``low``, ``high``: (B,) median and
    middle 80 % of the predicted ages in each bin of true age, NaN in empty ones.
    """

    edges: np.ndarray
    counts: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Binned:
    """Of B bins: ``edges`` (B + 1,) years, ``bias`` and ``mae`` in years with intervals, ``low``
    and ``high``: (B,) the middle 80 % of the signed errors.
    """

    edges: np.ndarray
    bias: Means
    mae: Means
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Confusion:
    """``counts``: (G, G) images, a row a true label of ``names``, a column a prediction.
    ``left_out``: images whose label or prediction is in no group. ``by_years``: predictions are the
    groups nearest to the predicted years, for networks that do not predict such groups.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    left_out: int
    by_years: bool = False

    @property
    def shares(self) -> np.ndarray:
        """(G, G) rows that add up to 1; NaN where a label does not occur."""
        with np.errstate(invalid="ignore"):
            return self.counts / self.counts.sum(axis=1, keepdims=True)

    @property
    def accuracy(self) -> float:
        """Share on the diagonal, NaN without images."""
        return (
            float(np.trace(self.counts) / self.counts.sum()) if self.counts.sum() else float("nan")
        )


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence against outcome in bins with images: ``confidence`` (B,) mean probability,
    ``right`` share with its interval, ``edges`` of all bins. ``ece``: expected calibration error,
    the mean gap of the two over images (Naeini et al. 2015); NaN without images.
    """

    edges: np.ndarray
    confidence: np.ndarray
    right: Means
    ece: float


def age_density(
    table: ErrorTable, weights: str, mask: np.ndarray | None = None, width: float = 2.0
) -> Density:
    """Exact ages against predicted ones, in bins of ``width`` years from 0 to 100; older labels
    count as 100.
    """
    true, predicted = _known(
        table, mask, table.labels["age_true"], table.predictions_for(weights)["age_pred"]
    )
    true = np.minimum(true, MAX_AGE)
    edges = np.append(np.arange(0, MAX_AGE, width), MAX_AGE + 0.5)
    counts, _, _ = np.histogram2d(true, predicted, bins=[edges, edges])
    low, middle, high = _quantiles(_bin(true, edges), predicted, len(edges) - 1)
    return Density(edges, counts.astype(int), true, predicted, middle, low, high)


def error_by_age(
    table: ErrorTable, weights: str, mask: np.ndarray | None = None, width: float = 5.0
) -> Binned:
    """Errors in bins of true age, ``width`` years each from 0 to 100; exact ages only."""
    known = (
        table.labels["age_true"].notna() & table.predictions_for(weights)["error"].notna()
    ).to_numpy(bool)
    keep = known if mask is None else known & mask
    true = np.minimum(table.labels["age_true"].to_numpy(float), MAX_AGE)[keep]
    error = table.predictions_for(weights)["error"].to_numpy(float)[keep]
    people = None if table.people is None else table.people[keep]
    edges = np.append(np.arange(0, MAX_AGE, width), MAX_AGE + 0.5)
    bins, count = _bin(true, edges), len(edges) - 1
    low, _, high = _quantiles(bins, error, count)
    bias, mae = (
        group_means(sums(values, bins, count, people), share=False)
        for values in (error, np.abs(error))
    )
    return Binned(edges, bias, mae, low, high)


def group_codes(
    table: ErrorTable, weights: str, grouping: str
) -> tuple[np.ndarray, np.ndarray, bool]:
    """(N,) codes of the true and of the predicted group of a grouping of ``GROUPINGS``, -1 for
    none, and whether the network predicts groups.

    Adience's groups have gaps: a true age in one has no group. The prediction is the network's own
    group, otherwise the group nearest to its years. A dataset that labels ranges has true groups
    for its own ranges only. Raises ``ConfigError`` for an unknown grouping.
    """
    if grouping not in GROUPINGS:
        raise ConfigError(f"unknown grouping {grouping!r}; known: {', '.join(GROUPINGS)}")
    groups, names, answers = (
        GROUPINGS[grouping],
        group_names(GROUPINGS[grouping]),
        table.predictions_for(weights),
    )
    true = group_of_age(table.labels["age_true"].to_numpy(float), groups)
    if set(table.labels["age_range_true"].dropna()) <= set(names):
        true = np.where(
            true < 0, pd.Categorical(table.labels["age_range_true"], categories=names).codes, true
        )
    if f"{grouping}_pred" in answers and answers[f"{grouping}_pred"].notna().any():
        return (
            true,
            pd.Categorical(answers[f"{grouping}_pred"], categories=names).codes.astype(int),
            True,
        )
    return true, nearest_group(answers["age_pred"].to_numpy(float), groups), False


def confusion(
    table: ErrorTable, weights: str, grouping: str, mask: np.ndarray | None = None
) -> Confusion:
    """Confusion of the groups of ``group_codes``; images without a true group are left out. Raises
    ``ConfigError`` as it does.
    """
    true, predicted, named = group_codes(table, weights, grouping)
    return _confused(group_names(GROUPINGS[grouping]), true, predicted, mask, by_years=not named)


def gender_confusion(table: ErrorTable, weights: str, mask: np.ndarray | None = None) -> Confusion:
    """Confusion of ``GENDERS``."""
    true, predicted = (
        pd.Categorical(part, categories=GENDERS).codes
        for part in (table.labels["gender_true"], table.predictions_for(weights)["gender_pred"])
    )
    return _confused(GENDERS, true, predicted, mask)


def gender_by_band(table: ErrorTable, weights: str, mask: np.ndarray | None = None) -> pd.DataFrame:
    """A row an age band and labelled gender that occur: ``band``, ``gender``, ``n``, ``other``, the
    share predicted as the other gender, with ``low`` and ``high``. The band is FairFace's range if
    the dataset labels those.
    """
    ages, bands = (
        table.groups["age"].cat.codes.to_numpy(np.int64),
        tuple(table.groups["age"].cat.categories),
    )
    true = pd.Categorical(table.labels["gender_true"], categories=GENDERS).codes.astype(np.int64)
    codes = np.where((ages >= 0) & (true >= 0), ages * len(GENDERS) + true, -1)
    wrong = _masked(1 - table.predictions_for(weights)["gender_right"].to_numpy(float), mask)
    found = group_means(sums(wrong, codes, len(bands) * len(GENDERS), table.people), share=True)
    names = [(band, gender) for band in bands for gender in GENDERS]
    rows = pd.DataFrame(names, columns=["band", "gender"])
    rows = rows.assign(n=found.n, other=found.value, low=found.low, high=found.high)
    return rows[rows["n"] > 0].reset_index(drop=True)


def gender_reliability(
    table: ErrorTable, weights: str, mask: np.ndarray | None = None, bins: int = 10
) -> Reliability:
    """How often the predicted gender is the labelled one, by its probability, in even bins from 0.5
    to 1.
    """
    answers = table.predictions_for(weights)
    return reliability(
        answers["gender_probability"].to_numpy(float),
        _masked(answers["gender_right"].to_numpy(float), mask),
        bins,
        0.5,
    )


def reliability(
    probability: np.ndarray, outcome: np.ndarray, bins: int = 10, start: float = 0.0
) -> Reliability:
    """(N,) probabilities against (N,) outcomes 0 or 1 in even bins from ``start`` to 1, closed on
    the right; NaN in either left out.
    """
    keep = ~np.isnan(probability) & ~np.isnan(outcome)
    probability, outcome = probability[keep], outcome[keep]
    edges = np.linspace(start, 1, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, probability, side="left") - 1, 0, bins - 1)
    right, mean = (
        group_means(sums(values, bin_of, bins), share)
        for values, share in ((outcome, True), (probability, False))
    )
    filled = right.n > 0
    gap = np.abs(right.value - mean.value)[filled]
    low, high = wilson(right.value, right.n.astype(float))
    right = Means(right.n[filled], right.value[filled], low[filled], high[filled])
    return Reliability(
        edges,
        mean.value[filled],
        right,
        float((gap * right.n).sum() / right.n.sum()) if filled.any() else float("nan"),
    )


def interval_coverage(
    table: ErrorTable, weights: str, mask: np.ndarray | None = None, parts: int = 5
) -> pd.DataFrame:
    """How often the interval contains the exact age. Rows: all images, each age band, and ``parts``
    even parts by width of the interval.

    Columns: ``by`` («all», «age», «width»), ``name``, ``n``, ``covered`` with ``low`` and ``high``,
    ``width``, the mean width in years. No rows for a network without intervals or a dataset without
    ages.
    """
    covered = _masked(table.values[weights]["interval_coverage"].to_numpy(float), mask)
    width = np.where(
        np.isnan(covered), np.nan, table.predictions_for(weights)["width"].to_numpy(float)
    )
    if np.isnan(covered).all():
        return pd.DataFrame(columns=["by", "name", "n", "covered", "low", "high", "width"])
    rows: list[tuple[str, tuple[str, ...], np.ndarray]] = [
        ("all", ("all",), np.zeros(len(table), np.int64))
    ]
    rows.append(
        (
            "age",
            tuple(table.groups["age"].cat.categories),
            table.groups["age"].cat.codes.to_numpy(np.int64),
        )
    )
    rows.append(("width", *_even_parts(width, parts)))
    found = []
    for by, names, codes in rows:
        share = group_means(sums(covered, codes, len(names), table.people), share=True)
        mean = group_means(sums(width, codes, len(names)), share=False)
        columns = {
            "by": by,
            "name": names,
            "n": share.n,
            "covered": share.value,
            "low": share.low,
            "high": share.high,
            "width": mean.value,
        }
        found.append(pd.DataFrame(columns))
    joined = pd.concat(found, ignore_index=True)
    return joined[joined["n"] > 0].reset_index(drop=True)


def cs_curve(
    table: ErrorTable, weights: str, mask: np.ndarray | None = None, longest: int = LONGEST
) -> pd.DataFrame:
    """Cumulative score CS@k for k of 0 to ``longest`` years: ``k``, ``n``, ``share`` with an
    absolute error of at most k, ``low``, ``high``.

    Exact ages only.
    """
    exact = table.labels["age_true"].notna().to_numpy()
    error = np.abs(
        _masked(
            table.predictions_for(weights)["error"].to_numpy(float),
            exact if mask is None else exact & mask,
        )
    )
    rows = []
    for years in range(longest + 1):
        within = np.where(np.isnan(error), np.nan, error <= years)
        found = group_means(
            sums(within, np.zeros(len(within), np.int64), 1, table.people), share=True
        )
        rows.append(
            {
                "k": years,
                "n": found.n[0],
                "share": found.value[0],
                "low": found.low[0],
                "high": found.high[0],
            }
        )
    return pd.DataFrame(rows)


def group_of_age(ages: np.ndarray, groups: tuple[AgeGroup, ...]) -> np.ndarray:
    """(N,) ``group_index`` of each age; -1 in gaps and for NaN."""
    found = (group_index(age, groups) for age in range(MAX_AGE + 1))
    group_at = np.array([*(-1 if index is None else index for index in found), -1])
    return group_at[np.where(np.isnan(ages), MAX_AGE + 1, np.clip(ages, 0, MAX_AGE)).astype(int)]


def nearest_group(years: np.ndarray, groups: tuple[AgeGroup, ...]) -> np.ndarray:
    """(N,) index of the group nearest to each age, where a group spans [lo - 0.5, hi + 0.5]; the
    younger of two; -1 for NaN.
    """
    low, high = (np.array([getattr(group, end) for group in groups], float) for end in ("lo", "hi"))
    away = np.maximum(
        np.maximum(low - 0.5 - years[:, None], years[:, None] - high - 0.5), 0
    )  # (N, G)
    return np.where(np.isnan(years), -1, np.nan_to_num(away).argmin(axis=1))


def _confused(
    names: tuple[str, ...],
    true: np.ndarray,
    predicted: np.ndarray,
    mask: np.ndarray | None,
    by_years: bool = False,
) -> Confusion:
    keep = np.ones(len(true), bool) if mask is None else mask
    known = keep & (true >= 0) & (predicted >= 0)
    cells = true[known].astype(int) * len(names) + predicted[known]
    counts = np.bincount(cells, minlength=len(names) ** 2).reshape(len(names), len(names))
    return Confusion(names, counts, int(keep.sum() - known.sum()), by_years)


def _known(
    table: ErrorTable, mask: np.ndarray | None, *columns: pd.Series
) -> tuple[np.ndarray, ...]:
    arrays = [column.to_numpy(float) for column in columns]
    keep = ~np.isnan(arrays).any(axis=0)
    keep = keep if mask is None else keep & mask
    return tuple(array[keep] for array in arrays)


def _masked(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return values if mask is None else np.where(mask, values, np.nan)


def _bin(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)


def _quantiles(bins: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """10th, 50th and 90th percentile of ``values`` in each bin, (count,) each."""
    found = (
        pd.Series(values).groupby(bins).quantile(np.array([0.1, 0.5, 0.9])).unstack()
        if len(values)
        else pd.DataFrame(columns=[0.1, 0.5, 0.9])
    )
    return tuple(found.reindex(range(count)).to_numpy(float).T)


def _even_parts(width: np.ndarray, parts: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and codes of parts with about equally many images; parts that coincide are merged."""
    cut = (
        pd.qcut(pd.Series(width), parts, duplicates="drop", precision=1)
        if np.nanmin(width) < np.nanmax(width)
        else None
    )
    if cut is None:
        return ("of one width",), np.where(np.isnan(width), -1, 0)
    names = tuple(f"{part.left:.1f} to {part.right:.1f} years" for part in cut.cat.categories)
    return names, cut.cat.codes.to_numpy(np.int64)
