"""Crops to tensors, by the weights' own ``InputSpec``. No torchvision: Pillow and torch do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from agegender_core.types import InputSpec


def to_uint8(crops: Sequence[Image.Image] | np.ndarray) -> torch.Tensor:
    """Equal-sized RGB crops, or an (N, H, W, 3) uint8 array of them, copied to an (N, 3, H, W)
    uint8 tensor, channels last in memory.
    """
    stacked = (
        np.array(crops)
        if isinstance(crops, np.ndarray)
        else np.stack([np.asarray(crop) for crop in crops])
    )  # (N, H, W, 3)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)


def normalise(batch: torch.Tensor, spec: InputSpec) -> torch.Tensor:
    """(N, 3, H, W) RGB in [0, 255], uint8 or float, to a float tensor normalised by ``spec``."""
    mean = torch.tensor(spec.mean, device=batch.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(spec.std, device=batch.device).view(1, 3, 1, 1) * 255
    return (batch.float() - mean) / std


def to_batch(crops: Sequence[Image.Image], spec: InputSpec) -> torch.Tensor:
    """N crops of ``spec.size`` pixels a side to an (N, 3, H, W) float tensor normalised by
    ``spec``.

    Raises ``ValueError`` where a crop has another size or mode.
    """
    for crop in crops:
        if crop.size != (spec.size, spec.size) or crop.mode != "RGB":
            raise ValueError(
                f"expected an RGB crop of {spec.size}x{spec.size}, got {crop.mode}"
                f" {crop.width}x{crop.height}"
            )
    return normalise(to_uint8(crops), spec)
