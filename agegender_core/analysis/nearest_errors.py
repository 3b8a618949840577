"""Similar mistakes: images on which networks go wrong in the same way, whatever they show.

An image is a point: each network's error and interval width, its probability of the labelled
gender, and the labelled age. Each coordinate is centred and scaled by the interquartile range, so
that units do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.errors import ConfigError

FARTHEST = 6.0
"""Coordinates are clipped to this many scales: beyond, distance means nothing."""
AGE_WEIGHT = 0.5
"""Equal errors count more than equal ages."""
SHARED = 0.5
"""Two images are compared if they share at least this much of the known coordinates of the first.
"""


@dataclass(frozen=True, eq=False)
class ErrorSpace:
    """``points``: (N, D) float32 coordinates, NaN where unknown; ``names`` of the
    coordinates.
    """

    points: np.ndarray
    names: tuple[str, ...]


def error_space(table: ErrorTable, weights: Sequence[str] | None = None) -> ErrorSpace:
    """The space of the errors of ``weights``, default all of the table. Raises ``ConfigError`` for
    weights that are not in it.
    """
    columns: dict[str, np.ndarray] = {}
    for name in weights or table.weights:
        answers = table.predictions_for(name)
        for what in ("error", "width", "label_probability"):
            columns[f"{name} {what}"] = answers[what].to_numpy(float)
    columns["labelled age"] = (table.labels["age_lo"] + table.labels["age_hi"]).to_numpy(float) / 2
    scaled = {name: _scaled(values) for name, values in columns.items()}
    usable = {name: values for name, values in scaled.items() if values is not None}
    if "labelled age" in usable:
        usable["labelled age"] = AGE_WEIGHT * usable["labelled age"]
    points = (
        np.stack(list(usable.values()), axis=1).astype(np.float32)
        if usable
        else np.empty((len(table), 0), np.float32)
    )
    return ErrorSpace(points, tuple(usable))


def nearest_errors(
    space: ErrorSpace, row: int, count: int = 12, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) positions of the at most ``count`` images nearest to ``row`` and their (M,) distances, a
    root mean square over the coordinates both have.

    ``mask``: (N,) bool, images to search. Raises ``ConfigError`` for a row that does not exist.
    """
    if not 0 <= row < len(space.points):
        raise ConfigError(
            f"there is no image {row:,}: the table has 0 to {len(space.points) - 1:,}"
        )
    apart = space.points - space.points[row]
    shared = (~np.isnan(apart)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.sqrt(np.nansum(apart**2, axis=1) / shared)
    candidates = (shared > 0) & (shared >= SHARED * (~np.isnan(space.points[row])).sum())
    candidates[row] = False
    rows = np.flatnonzero(candidates if mask is None else candidates & mask)
    near = rows[np.argsort(distance[rows], kind="stable")[:count]]
    return near, distance[near]


def _scaled(values: np.ndarray) -> np.ndarray | None:
    """Centred and scaled by the interquartile range, or by the standard deviation if that is 0;
    None if all values are equal.
    """
    if np.isnan(values).all():
        return None
    low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75])
    scale = (high - low) / 1.349 if high > low else np.nanstd(values)
    return np.clip((values - middle) / scale, -FARTHEST, FARTHEST) if scale > 0 else None
