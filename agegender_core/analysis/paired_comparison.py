"""Two networks on the same images: the difference image by image, with an interval, and which one
is right where the other is wrong.

The same images are hard for both, so their errors are correlated and the paired difference is known
far more precisely than two separate intervals suggest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy  # its statistics are loaded at their first use: a gallery has none

from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.analysis.slices import SMALL, TESTED, WORSE, slices_of
from agegender_core.errors import ConfigError
from agegender_core.evaluation.metrics import METRICS, RESAMPLES, bootstrap_mean
from agegender_core.evaluation.report_types import Estimate
from agegender_core.evaluation.statistics import LEVEL, holm
from agegender_core.output.metric_formats import METRIC_FORMATS

CLASSES = tuple(name for name, metric in METRIC_FORMATS.items() if metric.unit == "%")
"""Metrics that are right or wrong for each image."""
DIRECTED = tuple(name for name, metric in METRIC_FORMATS.items() if metric.ranks)
"""Metrics by which one network is better than another."""


@dataclass(frozen=True)
class McNemar:
    """Images that only the first, only the second, both or neither gets right, and the exact
    two-sided ``p`` that both are right equally often.

    The p takes images as independent: several of one person make it too small.
    """

    only_first: int
    only_second: int
    both: int
    neither: int
    p: float


@dataclass(frozen=True)
class Paired:
    """``metric`` of two networks over the images that count for both. ``difference``: second minus
    first, with a 95 % bootstrap interval of pairs, drawn by person where all are known. ``better``:
    «first» or «second» if that interval excludes 0, else empty. ``first_wins``, ``second_wins``,
    ``ties``: on how many images which is better. ``mcnemar``: for classes, else None.
    """

    metric: str
    first: float
    second: float
    difference: Estimate
    better: str
    first_wins: int
    second_wins: int
    ties: int
    mcnemar: McNemar | None


def compare(
    table: ErrorTable,
    first: str,
    second: str,
    metrics: Sequence[str] = METRICS,
    mask: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Paired]:
    """One row a metric that both networks have on images in ``mask`` (N,) bool. Raises
    ``ConfigError`` for unknown weights or metrics.
    """
    found = []
    for metric in metrics:
        one, other = _pair(table, first, second, metric, mask)
        if len(one) == 0:
            continue
        counted = _counted(table, first, second, metric, mask)
        people = None if table.people is None else table.people[counted]
        difference = _bootstrap(other - one, people, resamples, seed)
        gain = -WORSE[metric] * (other - one) if metric in DIRECTED else np.zeros(len(one))
        wins = int((gain < 0).sum()), int((gain > 0).sum())
        better = ""
        if metric in DIRECTED and (difference.low > 0 or difference.high < 0):
            better = "second" if -WORSE[metric] * difference.value > 0 else "first"
        test = mcnemar(one, other) if metric in CLASSES else None
        means = float(one.mean()), float(other.mean())
        found.append(Paired(metric, *means, difference, better, *wins, len(one) - sum(wins), test))
    return found


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Exact test of two (N,) columns of 0 and 1 over the same images (McNemar 1947): a binomial
    test of the images that differ.
    """
    one, other = np.asarray(first) == 1, np.asarray(second) == 1
    counts = int((one & ~other).sum()), int((other & ~one).sum())
    p = float(exact_sign(np.array([counts[0]]), np.array([sum(counts)]))[0])
    return McNemar(*counts, int((one & other).sum()), int((~one & ~other).sum()), p)


def exact_sign(heads: np.ndarray, tosses: np.ndarray) -> np.ndarray:
    """(K,) two-sided p of a result as uneven under a fair coin: twice the smaller tail of ``heads``
    (K,) in ``tosses`` (K,), 1 for none.
    """
    return np.minimum(1, 2 * scipy.stats.binom.cdf(np.minimum(heads, tosses - heads), tosses, 0.5))


def right_and_wrong(
    table: ErrorTable, first: str, second: str, metric: str, mask: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Positions of the images that «only_first», «only_second», «both» and «neither» get right, in
    the order of the dataset.

    Raises ``ConfigError`` for a metric that is not right or wrong.
    """
    if metric not in CLASSES:
        raise ConfigError(f"{metric!r} is not right or wrong; use one of {', '.join(CLASSES)}")
    one, other = _pair(table, first, second, metric, mask)
    rows = np.flatnonzero(_counted(table, first, second, metric, mask))
    right = {"only_first": (1, 0), "only_second": (0, 1), "both": (1, 1), "neither": (0, 0)}
    return {
        name: rows[(one == left) & (other == other_is)] for name, (left, other_is) in right.items()
    }


def biggest_gains(
    table: ErrorTable, first: str, second: str, mask: np.ndarray | None = None
) -> np.ndarray:
    """Positions where the second network's age error is smaller than the first's, the biggest gain
    first; swap the two for the opposite.
    """
    gain = table.predictions_for(first)["error"].abs().to_numpy(float) - table.predictions_for(
        second
    )["error"].abs().to_numpy(float)
    rows = np.flatnonzero((gain > 0) if mask is None else (gain > 0) & mask)
    return rows[np.argsort(-gain[rows], kind="stable")]


def slice_wins(
    table: ErrorTable,
    first: str,
    second: str,
    metric: str,
    depth: int = 1,
    mask: np.ndarray | None = None,
) -> pd.DataFrame:
    """For each slice: ``n``, ``first``, ``second``, ``difference`` second minus first with ``low``
    and ``high``, ``p`` that there is none, ``p_holm`` among all slices tested, ``wins`` («first»,
    «second» or empty, by p_holm) and ``small``.

    Intervals and p are Student's, of the pairs' differences, by person where all are known; without
    people, classes have McNemar's exact p. Raises ``ConfigError`` for a metric that does not
    rank networks.
    """
    if metric not in DIRECTED:
        raise ConfigError(f"{metric!r} does not rank networks; use one of {', '.join(DIRECTED)}")
    counted = _counted(table, first, second, metric, mask)
    one, other = (
        np.where(counted, table.values[name][metric].to_numpy(float), np.nan)
        for name in (first, second)
    )
    found = slices_of(
        table,
        other - one,
        share=False,
        worse=WORSE[metric],
        depth=depth,
        people=table.people,
        test=False,
    )
    sides = [
        slices_of(table, side, share=False, worse=WORSE[metric], depth=depth, test=False)["value"]
        for side in (one, other)
    ]
    draws = found["people"].where(found["people"].notna(), found["n"]).to_numpy(float)
    if metric in CLASSES and table.people is None:
        p = _mcnemar_p(table, found, other - one, depth)
    else:
        p = _student_p(found, draws)
    adjusted = holm(np.where(draws >= TESTED, p, np.nan))
    gain = -WORSE[metric] * found["value"].to_numpy(float)
    wins = np.where(~(adjusted <= 1 - LEVEL), "", np.where(gain > 0, "second", "first"))
    labels = found[["age", "gender", "race", "condition", "depth", "n"]]
    columns = {
        "first": sides[0],
        "second": sides[1],
        "difference": found["value"],
        "low": found["low"],
        "high": found["high"],
    }
    return labels.assign(**columns, p=p, p_holm=adjusted, wins=wins, small=found["n"] < SMALL)


def _mcnemar_p(
    table: ErrorTable, found: pd.DataFrame, difference: np.ndarray, depth: int
) -> np.ndarray:
    """McNemar's exact p of each slice in ``found``; ``difference``: -1, 0 or 1 an image, second
    minus first.
    """
    differ = (
        slices_of(table, difference**2, share=False, worse=1, depth=depth, test=False)["value"]
        * found["n"]
    )
    return exact_sign(
        ((differ - found["value"] * found["n"]) / 2).round().to_numpy(float),
        differ.round().to_numpy(float),
    )


def _student_p(found: pd.DataFrame, draws: np.ndarray) -> np.ndarray:
    """Student's p of each slice in ``found``, from its interval and its number of ``draws``."""
    spread = (
        (found["high"] - found["low"]).to_numpy(float)
        / 2
        / scipy.stats.t.ppf((1 + LEVEL) / 2, np.maximum(draws - 1, 1))
    )
    return _p_no_difference(found["value"].to_numpy(float), spread, draws)


def _counted(
    table: ErrorTable, first: str, second: str, metric: str, mask: np.ndarray | None
) -> np.ndarray:
    if metric not in METRICS:
        raise ConfigError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    for name in (first, second):
        table.predictions_for(name)
    both = (
        table.values[first][metric].notna().to_numpy()
        & table.values[second][metric].notna().to_numpy()
    )
    return both if mask is None else both & mask


def _pair(
    table: ErrorTable, first: str, second: str, metric: str, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    counted = _counted(table, first, second, metric, mask)
    one, other = (table.values[name][metric].to_numpy(float)[counted] for name in (first, second))
    return one, other


def _bootstrap(
    values: np.ndarray, people: np.ndarray | None, resamples: int, seed: int
) -> Estimate:
    """The mean's interval; ``values``: one at least, none of them NaN."""
    found = bootstrap_mean(values, resamples, seed, people)
    assert found is not None
    return found


def _p_no_difference(value: np.ndarray, spread: np.ndarray, draws: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * scipy.stats.t.sf(np.abs(value) / spread, np.maximum(draws - 1, 1))
    return np.where(
        np.isnan(spread), np.nan, np.where(spread > 0, p, np.where(value == 0, 1.0, 0.0))
    )
