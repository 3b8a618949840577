"""Weights on disk: half precision, or 8 bits with a scale for each output channel.

In 8 bits a tensor ``name`` of two or more dimensions is stored as int8 rounded from ``name`` / scale, with the scales, one an output
channel, beside it as ``name::scale``. Everything else, and every small tensor, is half precision. The stored kind is told by the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Storage = Literal["half", "int8"]

SCALE = "::scale"
SMALL = 4096
"""Tensors with fewer values stay in half precision: they weigh nothing."""


def pack(tensors: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Tensors of a network to tensors to be stored."""
    packed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        if storage == "int8" and value.is_floating_point() and value.ndim >= 2 and value.numel() >= SMALL:
            packed[name], packed[name + SCALE] = _to_int8(value.float())
        else:
            packed[name] = value.half() if value.is_floating_point() else value
    return packed


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors to a network's, floats in single precision."""
    tensors: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(SCALE):
            continue
        scale = stored.get(name + SCALE)
        if scale is not None:
            value = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        tensors[name] = value.float() if value.is_floating_point() else value
    return tensors


def _to_int8(value: Tensor) -> tuple[Tensor, Tensor]:
    """(O, ...) floats to int8 of the same shape and (O,) scales; a channel of zeros has scale 1."""
    largest = value.flatten(1).abs().amax(dim=1)  # (O,)
    scale = torch.where(largest > 0, largest / 127, torch.ones_like(largest))
    shaped = scale.view(-1, *[1] * (value.ndim - 1))
    return (value / shaped).round().clamp(-127, 127).to(torch.int8), scale
