"""Large images to the size in which faces are searched, quickly."""

from __future__ import annotations

import numpy as np
from PIL import Image

BAND_BYTES = 384 * 1024
"""Of the bands in which pixels leave Pillow: small enough that their memory is used again and
again. All at once takes three times as long."""
AT_ONCE_BYTES = 48 * 1024 * 1024
"""Most pixels of an image that are copied at once: bounds memory on the largest ones."""


def shrink(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) uint8: an RGB image resized to ``size``, width and height, with an
    antialiasing bicubic filter.

    What Pillow's ``resize`` gives, with another rounding: one value in a few hundred is one off.
    12 megapixels take a third of its time, the copy out of Pillow included.
    """
    high = image.height
    step = max(1, AT_ONCE_BYTES // (3 * image.width))
    if high <= step:
        return _resized(_pixels(image, 0, high), size)
    # Columns before rows, as it is done within one call too: the same to the last bit.
    bands = [(top, min(top + step, high)) for top in range(0, high, step)]
    narrow = [_resized(_pixels(image, *band), (size[0], band[1] - band[0])) for band in bands]
    return _resized(np.concatenate(narrow), size)


def _pixels(image: Image.Image, first: int, end: int) -> np.ndarray:
    """(end - first, W, 3) uint8 copy of rows of an RGB image."""
    wide = image.width
    pixels = np.empty((end - first, wide, 3), np.uint8)
    step = max(1, BAND_BYTES // (4 * wide))  # Pillow keeps four bytes a pixel
    for top in range(first, end, step):
        bottom = min(top + step, end)
        pixels[top - first : bottom - first] = np.asarray(image.crop((0, top, wide, bottom)))
    return pixels


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8 to (height, width, 3)."""
    import torch
    from torch.nn.functional import interpolate

    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # (1, 3, H, W), channels last
    small = interpolate(tensor, size[::-1], mode="bicubic", antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())
