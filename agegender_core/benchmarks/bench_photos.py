"""Photos that benches send as files: the two portraits that ship with the package, and images drawn
from the first.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from agegender_core.benchmarks.detection import scene
from agegender_core.datasets.sample_image import hopper_file, sample_file, sample_portrait
from agegender_core.types import TURNS

ONE_FACE = "640x480, one face"
QUALITY = 90
TILE, COLUMNS = 200, 6
"""Pixels of a portrait in a group, and how many stand in a row."""
NOISE_SD = 5.0
"""Of a camera's noise, in levels of 255: a drawn photo has as many bytes as a real one then."""


FACES_IN = {
    "portrait of Eileen Collins, 512x512": 1,
    "portrait of Grace Hopper, 512x600": 1,
    ONE_FACE: 1,
    "640x480, three faces": 3,
    "640x480, nothing": 0,
    "640x480, on its side": 1,
    "1920x1080, two faces": 2,
    "1280x960, 24 faces": 24,
}
"""How many faces each of ``peer_photos`` shows."""


def jpeg(image: Image.Image) -> bytes:
    """``image`` as a file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def group(faces: int) -> Image.Image:
    """1280x960 with ``faces`` portraits of one size, 0 to 24, in rows."""
    image = Image.new("RGB", (1280, 960), (110, 120, 110))
    portrait = sample_portrait().resize((TILE, TILE))
    for number in range(faces):
        row, column = divmod(number, COLUMNS)
        image.paste(portrait, (20 + column * (TILE + 10), 40 + row * (TILE + 20)))
    return image


def camera_photo(width: int, height: int) -> Image.Image:
    """One face, as high as the image, with a camera's noise."""
    image = scene(640, 480, 1).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(image, np.int16)
    rng = np.random.default_rng(0)
    # A tile of noise: drawing it for 24 megapixels would take longer than what is measured.
    tile = rng.normal(0, NOISE_SD, (480, 640, 3)).astype(np.int16)
    repeats = (-(-height // 480), -(-width // 640), 1)
    noisy = pixels + np.tile(tile, repeats)[:height, :width]
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def release_photos() -> dict[str, bytes]:
    """What releases are compared on, by name."""
    return {
        ONE_FACE: jpeg(scene(640, 480, 1)),
        "640x480, three faces": jpeg(scene(640, 480, 3)),
        "640x480, nothing": jpeg(Image.new("RGB", (640, 480), "navy")),
        "640x480, on its side": jpeg(scene(480, 640, 1).transpose(TURNS[90])),
        "1920x1080, two faces": jpeg(scene(1920, 1080, 2)),
    }


def peer_photos() -> dict[str, bytes]:
    """What packages are compared on, by name."""
    return {
        "portrait of Eileen Collins, 512x512": sample_file(),
        "portrait of Grace Hopper, 512x600": hopper_file(),
        **release_photos(),
        "1280x960, 24 faces": jpeg(group(24)),
    }
