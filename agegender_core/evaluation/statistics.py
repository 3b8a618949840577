"""Intervals and tests in closed form, for many groups of images at once: a page with filters cannot
wait for a bootstrap of each slice.

Means in years have Student's t interval, shares Wilson's. Shares of slice and rest are compared by
Fisher's exact test, means by the larger p of two tests: Welch's, which allows for a slice whose
errors vary more or less than the rest, and a permutation test, which allows for small slices with
skewed errors, where Welch's small p are far too small. The permutation distribution is approximated
by a Pearson type III of its exact mean, variance and skewness (Mielke and Berry 2007).
Where persons are known, images of one person count as one draw: variances are summed by person
(cluster-robust, linearised) and differences have a t test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its statistics are loaded at their first use: a gallery has none

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Means:
    """Of K groups, (K,) each: ``n`` images, their mean ``value``, the bounds ``low`` and ``high``
    of its interval, NaN where unknown.
    """

    n: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Differences:
    """Of K groups, (K,) each: mean of the ``rest``, ``value``: group minus rest, with ``low`` and
    ``high``, and the two-sided ``p``.
    """

    rest: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over the images of K groups. ``n``, ``total``, ``squares``, ``cubes``: (K,).

    ``by_person``: (K, P) images and (K, P) totals of each person in each group, or None where they
    are unknown.
    """

    n: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    cubes: np.ndarray
    by_person: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def draws(self) -> np.ndarray:
        """(K,) independent draws: people where they are known, else images."""
        return self.n if self.by_person is None else (self.by_person[0] > 0).sum(axis=1)

    def take(self, rows: np.ndarray) -> Sums:
        """The groups at positions ``rows`` alone."""
        people = None
        if self.by_person is not None:
            counts, totals = self.by_person
            people = counts[rows], totals[rows]
        return Sums(self.n[rows], self.total[rows], self.squares[rows], self.cubes[rows], people)


def stacked(parts: Sequence[Sums]) -> Sums:
    """Groups of several sums without people, one after the other."""
    return Sums(
        n=np.concatenate([part.n for part in parts]),
        total=np.concatenate([part.total for part in parts]),
        squares=np.concatenate([part.squares for part in parts]),
        cubes=np.concatenate([part.cubes for part in parts]),
    )


def sums(
    values: np.ndarray, codes: np.ndarray, groups: int, people: np.ndarray | None = None
) -> Sums:
    """Sums of ``values`` (N,) by group ``codes`` (N,) from 0 to ``groups`` - 1, -1 for none; NaN
    left out. ``people``: (N,) int, who it is.
    """
    keep = (codes >= 0) & ~np.isnan(values)
    codes, values = codes[keep], values[keep]
    by_person = None
    if people is not None:
        width = int(people.max(initial=0)) + 1
        cells = codes * width + people[keep]
        counts = np.bincount(cells, minlength=groups * width).reshape(groups, width)
        totals = np.bincount(cells, values, groups * width).reshape(groups, width)
        by_person = counts, totals
    return Sums(
        n=np.bincount(codes, minlength=groups).astype(float),
        total=np.bincount(codes, values, groups),
        squares=np.bincount(codes, values**2, groups),
        cubes=np.bincount(codes, values**3, groups),
        by_person=by_person,
    )


def group_means(found: Sums, share: bool, level: float = LEVEL) -> Means:
    """Mean and interval of each group; ``share``: values are 0 and 1. Fewer than two draws have no
    interval.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = found.total / found.n
        if share:
            n = found.n if found.by_person is None else _effective(found, value)
            low, high = wilson(value, np.where(found.draws >= 2, n, np.nan), level)
        else:
            half = scipy.stats.t.ppf((1 + level) / 2, np.maximum(found.draws - 1, 1)) * np.sqrt(
                _variance_of_mean(found, value)
            )
            low, high = value - half, value + half
    return Means(found.n.astype(int), value, low, high)


def wilson(share: np.ndarray, n: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's (1927) score interval of shares (K,) of ``n`` (K,), n need not be whole; NaN for n
    of 0.
    """
    z = scipy.stats.norm.ppf((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def differences(
    found: Sums, whole: Sums, share: bool, level: float = LEVEL, test: bool = True
) -> Differences:
    """Each group against the rest of the whole; ``whole``: sums of a single group that contains all
    of them. ``test``: False skips the tests of images, the slow part; p is then NaN.

    The rest, not the whole: the group is not part of it, so the two are independent, and a large
    group is not compared with itself.
    """
    rest = Sums(
        n=whole.n - found.n,
        total=whole.total - found.total,
        squares=whole.squares - found.squares,
        cubes=whole.cubes - found.cubes,
        by_person=_rest_people(found, whole),
    )
    one, other = group_means(found, share, level), group_means(rest, share, level)
    value = one.value - other.value
    with np.errstate(divide="ignore", invalid="ignore"):
        if found.by_person is not None and rest.by_person is not None:
            low, high, p = _by_person(found, rest, one, other, level)
        elif share:
            low = value - np.hypot(one.value - one.low, other.high - other.value)
            high = value + np.hypot(one.high - one.value, other.value - other.low)
            p = (
                fisher(found.total, found.n, whole.total, whole.n)
                if test
                else np.full(len(value), np.nan)
            )
        else:
            low, high, p = _welch(found, rest, one, other, level)
            p = np.maximum(p, permutation(found, whole)) if test else np.full(len(value), np.nan)
    known = (found.draws >= 2) & (rest.draws >= 2)
    return Differences(
        other.value, value, *(np.where(known, item, np.nan) for item in (low, high, p))
    )


def fisher(
    successes: np.ndarray, n: np.ndarray, all_successes: np.ndarray, all_n: np.ndarray
) -> np.ndarray:
    """Two-sided p of Fisher's exact test, twice the smaller tail, of ``successes`` among ``n``
    drawn from ``all_successes`` among ``all_n``.
    """
    drawn = scipy.stats.hypergeom(all_n, all_successes, n)
    return np.minimum(1, 2 * np.minimum(drawn.cdf(successes), drawn.sf(successes - 1)))


def permutation(found: Sums, whole: Sums) -> np.ndarray:
    """(K,) two-sided p that a group's mean is that of as many images drawn from the whole by
    chance, without replacement.
    """
    n, size = found.n, whole.n
    mean = whole.total / size
    second = np.maximum(whole.squares / size - mean**2, 0)
    third = whole.cubes / size - 3 * mean * whole.squares / size + 2 * mean**3
    variance = second * (size - n) / (n * (size - 1))
    skew = third * (size - n) * (size - 2 * n) / (n**2 * (size - 1) * (size - 2)) / variance**1.5
    drawn = scipy.stats.pearson3(np.nan_to_num(skew))
    score = (found.total / n - mean) / np.sqrt(variance)
    return np.where(
        variance > 0, np.minimum(1, 2 * np.minimum(drawn.cdf(score), drawn.sf(score))), 1.0
    )


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's (1979) adjusted p of (K,) p; NaN, a group that was not tested, stays and does not
    count.

    It bounds the chance of a single false alarm among all, however the tests depend on one another.
    Slices overlap, and a slice and its rest move in opposite directions, so the positive dependence
    that Benjamini and Hochberg's false discovery rate requires does not apply.
    """
    p = np.asarray(p, float)
    tested = np.flatnonzero(~np.isnan(p))
    rows = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(rows), 0, -1) * p[rows]
    adjusted = np.full(len(p), np.nan)
    adjusted[rows] = np.minimum(1, np.maximum.accumulate(steps)) if len(rows) else steps
    return adjusted


def _variance(found: Sums) -> np.ndarray:
    mean = found.total / found.n
    return np.maximum(found.squares - found.n * mean**2, 0) / np.where(
        found.n > 1, found.n - 1, np.nan
    )


def _variance_of_mean(found: Sums, value: np.ndarray) -> np.ndarray:
    if found.by_person is None:
        return _variance(found) / found.n
    return (_influence(found, value) ** 2).sum(axis=1) * _correction(found.draws)


def _influence(found: Sums, value: np.ndarray) -> np.ndarray:
    """(K, P) how far each person moves the mean of each group."""
    assert found.by_person is not None
    count, total = found.by_person
    moved = (total - value[:, None] * count) / found.n[:, None]
    return np.where(count > 0, moved, 0.0)


def _correction(draws: np.ndarray) -> np.ndarray:
    return draws / np.where(draws > 1, draws - 1, np.nan)


def _effective(found: Sums, value: np.ndarray) -> np.ndarray:
    """Effective number of independent images: at most the number of images, at least the number of
    people.
    """
    plain = value * (1 - value)
    worth = np.where(plain > 0, plain / _variance_of_mean(found, value), found.draws)
    return np.clip(worth, found.draws, found.n)


def _rest_people(found: Sums, whole: Sums) -> tuple[np.ndarray, np.ndarray] | None:
    if found.by_person is None or whole.by_person is None:
        return None
    (all_counts, all_totals), (counts, totals) = whole.by_person, found.by_person
    return all_counts - counts, all_totals - totals


def _welch(
    found: Sums, rest: Sums, one: Means, other: Means, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = _variance(found) / found.n, _variance(rest) / rest.n
    spread = first + second
    freedom = spread**2 / (first**2 / (found.n - 1) + second**2 / (rest.n - 1))
    return _student(
        one.value - other.value, np.sqrt(spread), np.where(np.isnan(freedom), 1, freedom), level
    )


def _by_person(
    found: Sums, rest: Sums, one: Means, other: Means, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A person may have images in the group and in the rest: the influence on the difference is
    summed before it is squared.
    """
    assert found.by_person is not None
    assert rest.by_person is not None
    moved = _influence(found, one.value) - _influence(rest, other.value)
    everybody = ((found.by_person[0] + rest.by_person[0]) > 0).sum(axis=1)
    spread = np.sqrt((moved**2).sum(axis=1) * _correction(everybody))
    return _student(
        one.value - other.value,
        spread,
        np.maximum(np.minimum(found.draws, rest.draws) - 1, 1),
        level,
    )


def _student(
    value: np.ndarray, spread: np.ndarray, freedom: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interval and two-sided p by Student's t; without any spread equal means have p 1 and
    unequal ones p 0.
    """
    half = scipy.stats.t.ppf((1 + level) / 2, freedom) * spread
    p = np.where(
        spread > 0,
        2 * scipy.stats.t.sf(np.abs(value) / spread, freedom),
        np.where(value == 0, 1.0, 0.0),
    )
    return value - half, value + half, p
