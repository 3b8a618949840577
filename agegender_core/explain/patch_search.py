"""The grey patch that moves a face's estimated age the most: a search over a grid of positions, in
batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import nn

from agegender_core.explain.attention import Change, intervention, occluded
from agegender_core.inference.decoding import read_out
from agegender_core.inference.forward import mean_of_views, mirrored_views
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.types import Progress
from agegender_core.vision.preprocessing import to_batch

POSITIONS = 8
"""Steps of the grid along one side, at most: a finer grid costs its square."""
BATCH = 16
"""Covered crops that go through the model at once."""


@dataclass(frozen=True, eq=False)
class PatchEffects:
    """What a patch of ``side`` pixels does at each place. ``before``: years without it; ``years``:
    (n, n), rows from the top, columns from the left; ``offsets``: (n,) pixels from the top or left
    edge.
    """

    side: int
    before: float
    offsets: np.ndarray
    years: np.ndarray

    def strongest(self, older: bool) -> tuple[int, int, float]:
        """Left and top in pixels and the change in years of the patch that makes the face look
        oldest, or youngest.
        """
        index = int(self.years.argmax() if older else self.years.argmin())
        row, column = np.unravel_index(index, self.years.shape)
        return (
            int(self.offsets[column]),
            int(self.offsets[row]),
            float(self.years[row, column] - self.before),
        )


def grid(size: int, side: int) -> np.ndarray:
    """(n,) offsets in pixels of patches of ``side`` pixels along ``size`` pixels: half a patch
    apart where the grid allows it, the last one flush with the edge. Raises ``ValueError`` unless 1
    <= ``side`` <= ``size``.
    """
    if not 1 <= side <= size:
        raise ValueError(f"a patch has between 1 and {size} pixels a side, got {side}")
    step = max(1, -(-side // 2), -(-(size - side) // POSITIONS))
    return np.unique([*range(0, size - side, step), size - side])


@torch.inference_mode()
def patch_effects(
    network: nn.Module,
    info: ModelInfo,
    crop: Image.Image,
    side: int,
    changes: Mapping[str, Change] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> PatchEffects:
    """Ages for ``crop`` with a grey patch of ``side`` pixels at every place of ``grid``, and
    without one.

    ``crop``: RGB of the network's input size. ``changes``: made to the masks, as in
    ``AttentionNetwork.answer``. ``progress``: called with the number of places done and of all
    places. Raises ``ValueError`` for a patch that does not fit.
    """
    offsets = grid(crop.width, side)
    places = [(left, top) for top in offsets for left in offsets]
    size = crop.width
    crops = [crop, *(occluded(crop, left / size, top / size, side / size) for left, top in places)]
    years: list[np.ndarray] = []
    for start in range(0, len(crops), BATCH):
        years.append(_years(network, info, crops[start : start + BATCH], changes or {}, seed))
        if progress:
            progress(min(start + BATCH, len(crops)) - 1, len(places))
    found = np.concatenate(years)
    return PatchEffects(
        side, float(found[0]), offsets, found[1:].reshape(len(offsets), len(offsets))
    )


def _years(
    network: nn.Module,
    info: ModelInfo,
    crops: list[Image.Image],
    changes: Mapping[str, Change],
    seed: int,
) -> np.ndarray:
    """(N,) years for a batch of crops."""
    views = mirrored_views(to_batch(crops, info.input), info.flip)
    output = network(views)
    chosen = {name: change for name, change in changes.items() if change != "own"}
    if chosen:
        output = network(views, intervention(output, chosen, seed))
    logits = {name: mean_of_views(value, info.flip) for name, value in output.logits.items()}
    return read_out(logits, info.decoding).years
