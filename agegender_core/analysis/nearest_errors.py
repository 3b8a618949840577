"""Look-alikes in error: images on which networks go wrong in the same way, whatever they show.

An image is a point: each network's error and interval width, what it gives the labelled gender, and
the labelled age. Each coordinate is centred and scaled by the middle half of the images, so that
none rules by its unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.errors import ConfigError

FARTHEST = 6.0
"""Coordinates are clipped to so many scales: beyond, far is far."""
AGE_WEIGHT = 0.5
"""Same errors count more than same ages."""
SHARED = 0.5
"""Two images are compared where they share at least so much of what is known of the first."""


@dataclass(frozen=True, eq=False)
class ErrorSpace:
    """``points``: (N, D) float32 coordinates, NaN where unknown; ``names``: what each of them
    is.
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
    kept = {name: values for name, values in scaled.items() if values is not None}
    if "labelled age" in kept:
        kept["labelled age"] = AGE_WEIGHT * kept["labelled age"]
    points = (
        np.stack(list(kept.values()), axis=1).astype(np.float32)
        if kept
        else np.empty((len(table), 0), np.float32)
    )
    return ErrorSpace(points, tuple(kept))


def lookalikes(
    space: ErrorSpace, row: int, count: int = 12, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(M,) positions of the at most ``count`` images nearest to ``row`` and their (M,) distances, a
    root mean square over what both know.

    ``mask``: (N,) bool, images to choose from. Raises ``ConfigError`` for a row that is not there.
    """
    if not 0 <= row < len(space.points):
        raise ConfigError(
            f"there is no image {row:,}: the table has 0 to {len(space.points) - 1:,}"
        )
    apart = space.points - space.points[row]
    shared = (~np.isnan(apart)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.sqrt(np.nansum(apart**2, axis=1) / shared)
    able = (shared > 0) & (shared >= SHARED * (~np.isnan(space.points[row])).sum())
    able[row] = False
    rows = np.flatnonzero(able if mask is None else able & mask)
    near = rows[np.argsort(distance[rows], kind="stable")[:count]]
    return near, distance[near]


def _scaled(values: np.ndarray) -> np.ndarray | None:
    """Centred and scaled by the middle half, or by the standard deviation where that half is one
    number; None where all are.
    """
    if np.isnan(values).all():
        return None
    low, middle, high = np.nanquantile(values, [0.25, 0.5, 0.75])
    scale = (high - low) / 1.349 if high > low else np.nanstd(values)
    return np.clip((values - middle) / scale, -FARTHEST, FARTHEST) if scale > 0 else None
