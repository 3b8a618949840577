"""Weights on disk: half precision, 8 bits with a scale for each output channel, or fewer bits with
a scale for each 64 values.

What a stored tensor ``name`` is follows from what lies beside it:

* nothing: half precision (counters stay integers);
* ``name::scale`` alone: int8, rounded from ``name`` / scale, one scale an output channel;
* ``name::scale`` and ``name::shape``: the values of each output channel are cut into groups of 64
  (the last one filled up with zeros), each rounded to the levels of its own scale and packed
  without gaps, eight values of b bits in b bytes, lowest bits first.

Small tensors are always half precision. Those of less than two dimensions, biases and batch norm,
keep single precision: they weigh nothing, and the running variances of a deep residual network pass
the 65,504 that half precision ends at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Storage = Literal["half", "int8", "int6", "int5", "int4"]

SCALE, SHAPE = "::scale", "::shape"
SMALL = 4096
"""Tensors with fewer values stay in half precision: they weigh nothing."""
GROUP = 64
"""Values that share a scale in less than 8 bits: a quarter of a bit a value."""
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6)
"""Shares of a group's largest value tried as the largest level; the one with the least squared
error is taken.
"""


def pack(tensors: Mapping[str, Tensor], storage: Storage) -> dict[str, Tensor]:
    """Tensors of a network to tensors to be stored."""
    packed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        if not value.is_floating_point():
            packed[name] = value
        elif value.ndim < 2:
            packed[name] = value.float()
        elif storage == "half" or value.numel() < SMALL:
            packed[name] = value.half()
        elif storage == "int8":
            packed[name], packed[name + SCALE] = _to_int8(value.float())
        else:
            packed[name], packed[name + SCALE] = _to_groups(
                value.float(), int(storage.removeprefix("int"))
            )
            packed[name + SHAPE] = torch.tensor(value.shape)
    return packed


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors to a network's, floats in single precision."""
    tensors: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith((SCALE, SHAPE)):
            continue
        scale, shape = stored.get(name + SCALE), stored.get(name + SHAPE)
        if scale is not None and shape is not None:
            value = _from_groups(value, scale, shape.tolist())
        elif scale is not None:
            value = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        tensors[name] = value.float() if value.is_floating_point() else value
    return tensors


def _to_int8(value: Tensor) -> tuple[Tensor, Tensor]:
    """(O, ...) floats to int8 of the same shape and (O,) scales; a channel of zeros has scale 1."""
    largest = value.flatten(1).abs().amax(dim=1)  # (O,)
    scale = torch.where(largest > 0, largest / 127, torch.ones_like(largest))
    shaped = scale.view(-1, *[1] * (value.ndim - 1))
    return (value / shaped).round().clamp(-127, 127).to(torch.int8), scale


def _to_groups(value: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """(O, ...) floats to packed bytes, (O x G x 64 x bits / 8,) uint8, and (O, G) half-precision
    scales.
    """
    rows = value.flatten(1)  # (O, V)
    groups = functional.pad(rows, (0, -rows.shape[1] % GROUP)).unflatten(
        1, (-1, GROUP)
    )  # (O, G, 64)
    top = 2 ** (bits - 1) - 1
    largest = groups.abs().amax(dim=2, keepdim=True)
    best, scale = torch.full_like(largest, torch.inf), torch.ones_like(largest)
    for clip in CLIPS:
        # The smallest half there is, for groups of zeros.
        tried = (clip * largest / top).clamp(min=2**-24).half().float()
        error = (_levels(groups, tried, top) * tried - groups).square().sum(dim=2, keepdim=True)
        scale, best = torch.where(error < best, tried, scale), torch.minimum(error, best)
    levels = _levels(groups, scale, top) + top  # (O, G, 64) in 0 .. 2 top
    return _to_bytes(levels.flatten().long(), bits), scale.squeeze(2).half()


def _levels(groups: Tensor, scale: Tensor, top: int) -> Tensor:
    return (groups / scale).round().clamp(-top, top)


def _from_groups(packed: Tensor, scale: Tensor, shape: list[int]) -> Tensor:
    """The reverse of ``_to_groups``: floats of ``shape``."""
    bits = packed.numel() * 8 // (scale.numel() * GROUP)
    levels = _from_bytes(packed, bits) - (2 ** (bits - 1) - 1)
    rows = (levels.view(*scale.shape, GROUP).float() * scale.float().unsqueeze(2)).flatten(
        1
    )  # (O, G x 64)
    return rows[:, : math.prod(shape[1:])].reshape(shape)


def _to_bytes(values: Tensor, bits: int) -> Tensor:
    """(N,) integers below 2^bits, N divisible by 8, to (N x bits / 8,) uint8."""
    words = (values.view(-1, 8) << (bits * torch.arange(8))).sum(
        dim=1
    )  # (N / 8,) of 8 x bits <= 48 bits
    return ((words.unsqueeze(1) >> (8 * torch.arange(bits))) & 255).to(torch.uint8).flatten()


def _from_bytes(packed: Tensor, bits: int) -> Tensor:
    """The reverse of ``_to_bytes``: (N,) int64."""
    words = (packed.view(-1, bits).long() << (8 * torch.arange(bits))).sum(dim=1)
    return ((words.unsqueeze(1) >> (bits * torch.arange(8))) & (2**bits - 1)).flatten()
