"""Images to try: the two portraits that ship with the package, and images made of them.

Each names its source. The derived ones show what moves an answer: blur, a turn, a small face.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from agegender_core.datasets.sample_image import (
    HOPPER_NAME,
    SAMPLE_NAME,
    hopper_file,
    sample_file,
    sample_portrait,
)
from ui.common.images import encoded, image_url
from ui.common.session_results import InputImage

COLLINS = "Eileen Collins, astronaut, by NASA (public domain)"
HOPPER = (
    "Grace Hopper at 77, computer pioneer, by the US Navy (public domain). The default model takes"
    " her for a man: sure of it, and wrong."
)
BACKGROUND = (38, 48, 52)
THUMB = 112
"""Side of a thumbnail in pixels: twice its size on the page."""
QUALITY = 90
"""Of the JPEG files made here."""


@dataclass(frozen=True)
class Example:
    """``label``: under its thumbnail; ``source``: what the image is, and whose; ``file``: name and
    bytes.
    """

    label: str
    source: str
    file: Callable[[], tuple[str, bytes]]


def _portrait(name: str) -> Image.Image:
    """A square of 320 pixels around the face of one of the portraits."""
    if name == SAMPLE_NAME:
        return sample_portrait().crop((90, 0, 410, 320))
    with Image.open(io.BytesIO(hopper_file())) as opened:
        return opened.convert("RGB").crop((80, 0, 440, 360)).resize((320, 320))


def _both() -> tuple[str, bytes]:
    canvas = Image.new("RGB", (640, 320))
    canvas.paste(_portrait(HOPPER_NAME), (0, 0))
    canvas.paste(_portrait(SAMPLE_NAME), (320, 0))
    return "two_portraits.jpg", encoded(canvas, quality=QUALITY)


def _blurred() -> tuple[str, bytes]:
    return "blurred.jpg", encoded(
        sample_portrait().filter(ImageFilter.GaussianBlur(5)), quality=QUALITY
    )


def _crowd() -> tuple[str, bytes]:
    """Both portraits as they are, grey, dark, blurred, bright and of few pixels: twelve in one."""
    changes: tuple[Callable[[Image.Image], Image.Image], ...] = (
        lambda image: image,
        lambda image: image.convert("L").convert("RGB"),
        lambda image: ImageEnhance.Brightness(image).enhance(0.4),
        lambda image: image.filter(ImageFilter.GaussianBlur(2)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.5),
        lambda image: image.resize((50, 50)).resize((200, 200)),
    )
    canvas = Image.new("RGB", (900, 680), BACKGROUND)
    for number in range(12):
        tile = _portrait((SAMPLE_NAME, HOPPER_NAME)[number % 2]).resize((200, 200))
        tile = changes[number // 2](ImageOps.mirror(tile) if number % 4 > 1 else tile)
        canvas.paste(tile, (20 + number % 4 * 220, 20 + number // 4 * 220))
    return "twelve_in_one.jpg", encoded(canvas, quality=QUALITY)


EXAMPLES = {
    "portrait": Example("Astronaut", COLLINS, lambda: (SAMPLE_NAME, sample_file())),
    "hopper": Example("Pioneer", HOPPER, lambda: (HOPPER_NAME, hopper_file())),
    "both": Example("Two", "Both portraits side by side", _both),
    "sideways": Example(
        "Sideways",
        "The astronaut's portrait on its side",
        lambda: ("on_its_side.png", sample_file(Image.Transpose.ROTATE_90)),
    ),
    "blurred": Example("Blurred", "The astronaut's portrait, blurred", _blurred),
    "crowd": Example(
        "Twelve",
        "Both portraits, six ways each: as they are, grey, dark, blurred, bright and coarse",
        _crowd,
    ),
}
FIRST = "portrait"


@cache
def image(key: str) -> InputImage:
    """The image called ``key`` in ``EXAMPLES``."""
    return InputImage(*EXAMPLES[key].file(), shipped=True)


@cache
def thumbnail(key: str) -> str:
    """A square of ``THUMB`` pixels as a data: address."""
    with Image.open(io.BytesIO(image(key).data)) as opened:
        square = ImageOps.fit(opened.convert("RGB"), (THUMB, THUMB), centering=(0.5, 0.1))
    return image_url(square, quality=QUALITY)


@cache
def _by_digest() -> dict[str, str]:
    return {image(key).digest: key for key in EXAMPLES}


def key_of(image: InputImage) -> str | None:
    """The example that ``image`` is; None for an image of the visitor's."""
    return _by_digest().get(image.digest)
