"""Slices: for whom and in which conditions a network errs more than elsewhere. Age band x gender x
race x image condition.

Each slice is compared with the rest of the images (see ``statistics.differences``). A slice of
fewer than ``TESTED`` draws is shown but not tested; the p of all others are adjusted together by
Holm, so that the chance of any false mark «worse» or «better» in a table is at most 5 %. Which
slices are tested depends on their sizes alone, never on their errors.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agegender_core.analysis.prediction_table import DIMENSIONS, ErrorTable
from agegender_core.errors import ConfigError
from agegender_core.evaluation.metrics import METRICS
from agegender_core.evaluation.statistics import (
    LEVEL,
    Sums,
    differences,
    group_means,
    holm,
    stacked,
    sums,
)
from agegender_core.output.metric_formats import METRIC_FORMATS

CONDITION = "condition"
LABELS = (*DIMENSIONS, CONDITION)
TESTED = 10
"""Draws are people where they are known, else images."""
SMALL = 30
"""Slices below this size have a warning: they are too small for the normal approximation of their
intervals.
"""
WORSE: dict[str, int] = {name: metric.worse for name, metric in METRIC_FORMATS.items()}
"""Which sign of slice minus rest is worse; 0: either, the farther from 0 the worse."""
ALPHA = 1 - LEVEL


@dataclass(frozen=True, eq=False)
class Cut:
    """One way to cut the table: ``dimensions``, the ``names`` of their values and (N,) ``codes``
    into their product, -1 for none.
    """

    dimensions: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    codes: np.ndarray

    @property
    def size(self) -> int:
        """Number of slices, empty ones too."""
        return int(np.prod([len(part) for part in self.names]))


def cuts(table: ErrorTable, depth: int) -> Iterator[Cut]:
    """Every combination of up to ``depth`` of age, gender, race and one condition that the table
    has labels for.
    """
    single = {
        name: (tuple(column.cat.categories), column.cat.codes.to_numpy(np.int64))
        for name, column in table.groups.items()
    }
    bases = [name for name in DIMENSIONS if single[name][0]]
    condition = _conditions(table)
    for count in range(1, depth + 1):
        for chosen in itertools.combinations(bases, count):
            yield _product(chosen, [single[name] for name in chosen])
        for chosen in itertools.combinations(bases, count - 1):
            for name, codes in condition:
                yield _product(
                    (*chosen, CONDITION), [*(single[part] for part in chosen), ((name,), codes)]
                )


def slice_table(
    table: ErrorTable,
    weights: str,
    metric: str,
    depth: int = 2,
    mask: np.ndarray | None = None,
    min_size: int = 1,
) -> pd.DataFrame:
    """A row a slice of at least ``min_size`` images that count for ``metric``, simple slices first,
    in natural order.

    Columns: ``age``, ``gender``, ``race``, ``condition`` (None: any), ``depth``, ``n``, ``people``
    (NaN where unknown), ``value`` with ``low`` and ``high``, ``rest``, ``difference`` from the rest
    with ``difference_low`` and ``difference_high``, ``from_whole``, the difference from all images,
    ``p``, ``p_holm``, ``mark`` («worse», «better» or empty; for the bias «older» or «younger») and
    ``small``.
    ``mask``: (N,) bool, images to use. Raises ``ConfigError`` for an unknown metric or a depth
    below 1.
    """
    values, people = _values(table, weights, metric, mask)
    return slices_of(
        table, values, METRIC_FORMATS[metric].unit == "%", WORSE[metric], depth, min_size, people
    )


def slices_of(
    table: ErrorTable,
    values: np.ndarray,
    share: bool,
    worse: int,
    depth: int = 2,
    min_size: int = 1,
    people: np.ndarray | None = None,
    searched: bool = False,
    test: bool = True,
) -> pd.DataFrame:
    """``slice_table`` of any (N,) ``values``; ``share``: they are 0 and 1; ``worse``: as in
    ``WORSE``.

    ``searched`` adds ``searched_low`` and ``searched_high``: bounds of the difference that are
    valid for all rows simultaneously (Bonferroni).
    ``test``: False skips the tests against the rest.
    """
    if depth < 1:
        raise ConfigError(f"slices {depth} labels deep: use 1 or more")
    known = ~np.isnan(values)
    values, people = values[known], None if people is None else people[known]
    whole = sums(values, np.zeros(len(values), np.int64), 1, people)
    labels, batches = _collect(table, values, known, depth, max(min_size, 1), people)
    measured = [_measured(batch, whole, share, people is not None, test) for batch in batches]
    found = pd.concat(
        [
            labels,
            pd.concat(
                [*measured, _measured(_none(whole), whole, share, False, test)], ignore_index=True
            ),
        ],
        axis=1,
    )
    part = found["n"] < whole.n[0]
    if searched:
        level = 1 - ALPHA / max(int(part.sum()), 1)
        wide = [differences(batch, whole, share, level, test=False) for batch in batches]
        for name in ("low", "high"):
            found[f"searched_{name}"] = np.concatenate(
                [*(getattr(item, name) for item in wide), np.empty(0)]
            )
    found["p_holm"] = holm(found["p"].where((_draws(found) >= TESTED) & part).to_numpy(float))
    found["mark"] = _marks(found, worse)
    found["small"] = found["n"] < SMALL
    return found


def worst_slices(
    table: ErrorTable,
    weights: str,
    metric: str,
    min_size: int = SMALL,
    depth: int = 3,
    limit: int = 10,
    mask: np.ndarray | None = None,
) -> pd.DataFrame:
    """At most ``limit`` slices of at least ``min_size`` images that are significantly worse than
    their rest, the largest certain harm first.

    Rows as in ``slice_table``. Slices are ranked by the end of their difference's interval that is
    nearer to 0, at a level corrected for all slices searched (Bonferroni; ``searched_low``,
    ``searched_high``): the worst of many looks worse than it is, so its plain interval would be too
    narrow. A slice within one already listed is left out unless its own interval is beyond that
    one's value. ``found.attrs["searched"]``: how many slices were searched.
    """
    values, people = _values(table, weights, metric, mask)
    share, worse = METRIC_FORMATS[metric].unit == "%", WORSE[metric]
    found = slices_of(table, values, share, worse, depth, min_size, people, searched=True)
    found = found[found["n"] < int((~np.isnan(values)).sum())]
    searched = len(found)
    harm = _least_harm(found, worse)
    found = (
        found.assign(harm=harm)[(harm > 0) & (found["mark"] != "")]
        .sort_values("harm", ascending=False, kind="stable")
        .drop(columns="harm")
    )
    kept = _without_echoes(found, worse, limit)
    kept.attrs["searched"] = searched
    return kept.reset_index(drop=True)


def _values(
    table: ErrorTable, weights: str, metric: str, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    table.predictions_for(weights)
    if metric not in METRICS:
        raise ConfigError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    values = table.values[weights][metric].to_numpy(float)
    return (values if mask is None else np.where(mask, values, np.nan)), table.people


def _conditions(table: ErrorTable) -> list[tuple[str, np.ndarray]]:
    return [
        (str(name), np.where(column.to_numpy(bool), 0, -1))
        for name, column in table.conditions.items()
        if column.any()
    ]


def _product(dimensions: tuple[str, ...], parts: list[tuple[tuple[str, ...], np.ndarray]]) -> Cut:
    codes = parts[0][1].copy()
    for names, other in parts[1:]:
        codes = np.where((codes >= 0) & (other >= 0), codes * len(names) + other, -1)
    return Cut(dimensions, tuple(names for names, _ in parts), codes)


def _collect(
    table: ErrorTable,
    values: np.ndarray,
    known: np.ndarray,
    depth: int,
    min_size: int,
    people: np.ndarray | None,
) -> tuple[pd.DataFrame, list[Sums]]:
    """Labels of all slices of ``min_size`` images, and their sums in the same order, in as few
    batches as memory allows.
    """
    names: list[tuple[str | None, ...]] = []
    batches: list[Sums] = []
    for cut in cuts(table, depth):
        found = sums(values, cut.codes[known], cut.size, people)
        rows = np.flatnonzero(found.n >= min_size)
        products = list(itertools.product(*cut.names))
        columns = [
            cut.dimensions.index(name) if name in cut.dimensions else None for name in LABELS
        ]
        names += [
            tuple(None if column is None else products[row][column] for column in columns)
            for row in rows
        ]
        batches.append(found.take(rows))
    labels = pd.DataFrame(names, columns=list(LABELS), dtype=object)
    labels["depth"] = labels.notna().sum(axis=1)
    return labels, batches if people is not None or not batches else [stacked(batches)]


def _draws(found: pd.DataFrame) -> pd.Series:
    return found["people"].where(found["people"].notna(), found["n"])


def _none(whole: Sums) -> Sums:
    return whole.take(np.empty(0, np.int64))


def _measured(found: Sums, whole: Sums, share: bool, by_person: bool, test: bool) -> pd.DataFrame:
    means, against = group_means(found, share), differences(found, whole, share, test=test)
    return pd.DataFrame(
        {
            "n": means.n,
            "people": found.draws if by_person else np.full(len(means.n), np.nan),
            "value": means.value,
            "low": means.low,
            "high": means.high,
            "rest": against.rest,
            "difference": against.value,
            "difference_low": against.low,
            "difference_high": against.high,
            "from_whole": means.value - whole.total / np.maximum(whole.n, 1),
            "p": against.p,
        }
    )


def _marks(found: pd.DataFrame, worse: int) -> np.ndarray:
    above, below = (
        ("older", "younger")
        if worse == 0
        else ("worse", "better")
        if worse > 0
        else ("better", "worse")
    )
    sure = found["p_holm"].to_numpy(float) <= ALPHA
    return np.where(
        sure & (found["difference"] > 0),
        above,
        np.where(sure & (found["difference"] < 0), below, ""),
    )


def _least_harm(found: pd.DataFrame, worse: int) -> pd.Series:
    """How much worse than its rest a slice is at least; at most 0 if not significant."""
    above, below = found["searched_low"], -found["searched_high"]
    harm = above.combine(below, np.maximum) if worse == 0 else above if worse > 0 else below
    return harm.fillna(-np.inf)


def _without_echoes(found: pd.DataFrame, worse: int, limit: int) -> pd.DataFrame:
    kept: list[pd.Series] = []
    for _, row in found.iterrows():
        if all(not _within(row, other) or _beyond(row, other, worse) for other in kept):
            kept.append(row)
        if len(kept) == limit:
            break
    return pd.DataFrame(kept, columns=found.columns)


def _within(row: pd.Series, other: pd.Series) -> bool:
    return all(not isinstance(other[name], str) or other[name] == row[name] for name in LABELS)


def _beyond(row: pd.Series, other: pd.Series, worse: int) -> bool:
    sign = worse or np.sign(other["difference"])
    return bool(row["low"] > other["value"] if sign > 0 else row["high"] < other["value"])
