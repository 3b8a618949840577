"""8-bit RGB from whatever a decoder gives. Large images are worked on in bands of rows, so that
the floats of a 65 megapixel image never exist at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from PIL import Image

BIT_DEPTHS = (8, 10, 12, 14, 16)
BAND = 4_000_000
"""Pixels worked on at once."""
_TURNED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def to_rgb(image: Image.Image, inverted: bool = False) -> Image.Image:
    """8-bit RGB from any mode; ``inverted``: deep grey values of which 0 is white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if is_deep(image.mode):
        return _narrowed(image, inverted).convert("RGB")
    return _over_white(image) if image.has_transparency_data else image.convert("RGB")


def is_deep(mode: str) -> bool:
    """Whether a mode is grey of more than 8 bits."""
    return mode in {"I", "F"} or mode.startswith("I;16")


def low_bytes(rawmode: str) -> str | None:
    """The raw mode that reads the lower bytes where ``rawmode`` reads the upper bytes of 16
    bits.
    """
    name, _, depth = rawmode.partition(";16")
    return (
        f"{name};16{_TURNED[depth]}"
        if name and depth in _TURNED and not name.startswith("I")
        else None
    )


def is_dark(image: Image.Image) -> bool:
    """Whether the upper bytes of 16-bit colours leave it open that fewer than 16 bits are used."""
    if image.mode not in ("RGB", "RGBA"):
        return False
    extrema = cast(
        "tuple[tuple[int, int], ...]", image.getextrema()
    )  # of several bands: a pair each
    return max(high for _, high in extrema[:3]) < 2**6


def combined(high: Image.Image, low: Image.Image) -> Image.Image:
    """8-bit image from the upper and the lower bytes of its colours, scaled by the range they use;
    alpha that uses all its range stays as it is."""
    colours = range(3)
    bands = [
        _Both(high.getchannel(band), low.getchannel(band)) for band in range(len(high.getbands()))
    ]
    top = _top(max(bands[band].brightest() for band in colours))
    scaled = [
        band.scaled(top)
        if number in colours or band.brightest() <= top
        else high.getchannel(number)
        for number, band in enumerate(bands)
    ]
    return Image.merge(high.mode, scaled)


class _Both:
    """One channel of 16 bits in two images of 8."""

    def __init__(self, high: Image.Image, low: Image.Image) -> None:
        self.high, self.low = high, low

    def values(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """(H, W) whole numbers of a part of the image."""
        high, low = (np.asarray(image.crop(box), np.float32) for image in (self.high, self.low))
        return high * 256 + low

    def brightest(self) -> float:
        """The largest value."""
        return max(float(self.values(box).max()) for box in _bands(self.high.size))

    def scaled(self, top: float) -> Image.Image:
        """8-bit grey in which ``top`` is 255."""
        return _banded(self.high.size, lambda box: self.values(box) * (255 / top))


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # grey with premultiplied alpha; Pillow knows no direct way to RGBA
        image = image.convert("LA")
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def _narrowed(image: Image.Image, inverted: bool) -> Image.Image:
    """8-bit grey from a grey image of more bits or of floats, scaled by the range its values
    use.
    """

    def values(box: tuple[int, int, int, int]) -> np.ndarray:
        part = np.asarray(image.crop(box), dtype=np.float32)  # (H, W)
        return np.nan_to_num(part, posinf=0.0, neginf=0.0)

    spans = [(float(part.min()), float(part.max())) for part in map(values, _bands(image.size))]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    if image.mode == "F" and low >= 0 and high <= 1:
        bottom, top = 0.0, 1.0
    elif low >= 0 and high < 2**16:
        # Signed numbers use 15 of their 16 bits.
        signed = image.mode == "I" and 2**14 <= high < 2**15
        bottom, top = 0.0, 2.0**15 - 1 if signed else _top(high)
    else:
        bottom, top = low, max(high, low + 1)
    factor = 255 / (top - bottom)

    def grey(box: tuple[int, int, int, int]) -> np.ndarray:
        scaled = (values(box) - bottom) * factor
        return 255 - scaled if inverted else scaled

    return _banded(image.size, grey)


def _top(high: float) -> float:
    """The end of the smallest usual range that contains ``high``."""
    return float(next(2**bits - 1 for bits in BIT_DEPTHS if high < 2**bits))


def _bands(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of whole rows that make up an image."""
    width, height = size
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


def _banded(
    size: tuple[int, int], grey: Callable[[tuple[int, int, int, int]], np.ndarray]
) -> Image.Image:
    """An 8-bit grey image made band by band from values of 0 to 255."""
    made = Image.new("L", size)
    for box in _bands(size):
        band = np.clip(np.rint(grey(box)), 0, 255).astype(np.uint8)
        made.paste(Image.fromarray(band), box[:2])
    return made
