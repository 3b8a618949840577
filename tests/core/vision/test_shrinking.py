"""Shrinking for the search: Pillow's pixels, whatever the size, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agegender_core.types import Face
from agegender_core.vision import shrinking
from agegender_core.vision.face_detector import MTCNNDetector
from agegender_core.vision.shrinking import shrink


def noisy(portrait: Image.Image, size: tuple[int, int]) -> Image.Image:
    pixels = np.asarray(portrait.resize(size, Image.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(1).normal(0, 12, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "before,after",
    [
        ((1600, 1200), (1024, 768)),
        ((1201, 1999), (615, 1024)),
        ((1025, 31), (1024, 31)),
        ((3000, 40), (1024, 14)),
        ((40, 3000), (1, 77)),
        ((500, 400), (500, 400)),
    ],
)
def test_pixels_are_pillows_to_one_level(
    portrait: Image.Image, before: tuple[int, int], after: tuple[int, int]
) -> None:
    image = noisy(portrait, before)
    wanted = np.asarray(image.resize(after, Image.Resampling.BICUBIC)).astype(int)
    got = shrink(image, after)
    assert got.dtype == np.uint8 and got.shape == wanted.shape
    off = np.abs(got - wanted)
    assert off.max() <= 1 and off.mean() < 0.03


def test_bands_change_no_bit(portrait: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    image = noisy(portrait, (1500, 1301))
    whole = shrink(image, (700, 607))
    monkeypatch.setattr(shrinking, "AT_ONCE_BYTES", 3 * 1500 * 97)
    monkeypatch.setattr(shrinking, "BAND_BYTES", 4 * 1500 * 7)
    assert np.array_equal(shrink(image, (700, 607)), whole)


class PillowsDetector(MTCNNDetector):
    """The detector as it was when Pillow shrank images for it."""

    def _resized(self, image: Image.Image, size: tuple[int, int]) -> np.ndarray:
        return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True])
def test_faces_of_large_images_stay_where_they_were(portrait: Image.Image, turned: bool) -> None:
    image = noisy(portrait, (2000, 1500))
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_90)

    def faces(detector: MTCNNDetector) -> list[Face]:
        return detector.detect(image)

    (before,), (now,) = faces(PillowsDetector()), faces(MTCNNDetector())
    assert before.turned == now.turned == (270 if turned else 0)
    assert np.abs(np.subtract(before.box_xyxy, now.box_xyxy)).max() < 0.1
    assert np.abs(before.landmarks - now.landmarks).max() < 0.1
