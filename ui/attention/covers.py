"""What of a face is covered: one patch that can be moved, and what a brush painted; how it travels
in an address.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

LARGEST = 1024
"""Pixels of a crop's side that an address may name."""
PATCH = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})\.(\d{1,4})", re.ASCII)
"""Left, top and side of the patch and the crop's side, in pixels."""
Patch = tuple[int, int, int]


@dataclass(frozen=True)
class Cover:
    """``patch``: left, top and side in pixels of a crop of ``size`` pixels a side, or None;
    ``painted``: a bit a pixel, row by row, as ``numpy.packbits`` packs them, or nothing.
    """

    size: int
    patch: Patch | None = None
    painted: bytes = b""

    @cached_property
    def pixels(self) -> np.ndarray:
        """(size, size) bool: what is covered."""
        count = self.size**2
        covered = np.zeros(count, bool)
        if self.painted:
            covered = np.unpackbits(np.frombuffer(self.painted, np.uint8), count=count).astype(bool)
        covered = covered.reshape(self.size, self.size)
        if self.patch is not None:
            left, top, side = self.patch
            covered[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = True
        return covered

    @property
    def share(self) -> float:
        """Covered share of the crop, in [0, 1]."""
        return float(self.pixels.mean())

    @property
    def bits(self) -> str:
        """What was painted in base64, for the browser."""
        return base64.b64encode(self.painted).decode()

    def word(self) -> str:
        """The cover as a word of an address: four numbers for a patch alone, packed bits for what
        was painted.
        """
        if not np.any(np.frombuffer(self.painted, np.uint8)):
            return "" if self.patch is None else ".".join(map(str, (*self.patch, self.size)))
        packed = zlib.compress(np.packbits(self.pixels).tobytes(), 9)
        return f"b{self.size}.{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


def read_word(word: str | None, size: int) -> Cover | None:
    """The cover a word of an address names, for crops of ``size`` pixels; None where it names none.
    A cover made on a crop of another size is scaled.
    """
    if not word:
        return None
    if found := PATCH.fullmatch(word):
        left, top, side, old = map(int, found.groups())
        if not (0 < old <= LARGEST and 0 < side <= old and left < old and top < old):
            return None
        scale = size / old
        return Cover(size, (round(left * scale), round(top * scale), max(1, round(side * scale))))
    head, _, packed = word.partition(".")
    if not re.fullmatch(r"b\d{1,4}", head, re.ASCII) or not 0 < int(head[1:]) <= LARGEST:
        return None
    bits = _unpacked(packed, int(head[1:]))
    if bits is None:
        return None
    pixels = Image.fromarray(bits).resize((size, size), Image.Resampling.NEAREST)
    return Cover(size, None, np.packbits(np.asarray(pixels).astype(bool)).tobytes())


def _unpacked(packed: str, size: int) -> np.ndarray | None:
    """(size, size) uint8 of 0 and 255; None for anything that is no such cover."""
    count = -(-(size**2) // 8)
    try:
        squeezed = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        raw = zlib.decompressobj().decompress(squeezed, count + 1)
    except (binascii.Error, zlib.error, ValueError):
        return None
    if len(raw) != count:
        return None
    return np.unpackbits(np.frombuffer(raw, np.uint8), count=size**2).reshape(
        size, size
    ) * np.uint8(255)


def read_pad(value: Any, size: int) -> Cover | None:
    """What the browser's pad sent: a mapping with «patch», three whole numbers or None, and «bits»,
    base64. None for anything else and for a face with nothing on it.
    """
    if not isinstance(value, dict):
        return None
    patch, bits = value.get("patch"), value.get("bits") or ""
    whole = (
        isinstance(patch, list)
        and len(patch) == 3
        and all(isinstance(part, int | float) for part in patch)
    )
    try:
        painted = base64.b64decode(bits, validate=True) if isinstance(bits, str) else b""
    except (binascii.Error, ValueError):
        painted = b""
    if len(painted) != -(-(size**2) // 8) or not any(painted):
        painted = b""
    left, top, side = (int(part) for part in patch) if whole else (0, 0, 0)
    fits = whole and 0 < side <= size and abs(left) <= size and abs(top) <= size
    if not fits and not painted:
        return None
    return Cover(size, (left, top, side) if fits else None, painted)
