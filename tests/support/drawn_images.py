"""Images drawn for tests of decoding: four quarters that show how an image is turned, noise, and
the check of a refusal.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from agegender_core.errors import InvalidImageError
from agegender_core.vision.image_io import load_image

WIDTH, HEIGHT = 48, 32


CORNERS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def quartered(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Upright: red and green above, blue and white below."""
    image = Image.new("RGB", (width, height))
    for index, colour in enumerate(CORNERS.values()):
        x, y = (index % 2) * (width // 2), (index // 2) * (height // 2)
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image


def noise(width: int = 120, height: int = 90) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    if kind == "HEIC":
        import pillow_heif

        pillow_heif.from_pillow(image).save(stream, **options)
    else:
        image.save(stream, kind, **options)
    return stream.getvalue()


def corner_names(image: Image.Image) -> list[str]:
    """Names of the colours in the four quarters: left and right above, left and right below."""
    w, h = image.size
    points = [
        (w // 4, h // 4),
        (3 * w // 4, h // 4),
        (w // 4, 3 * h // 4),
        (3 * w // 4, 3 * h // 4),
    ]
    return [
        min(CORNERS, key=lambda name: distance(image.getpixel(point), CORNERS[name]))
        for point in points
    ]


def distance(a, b) -> int:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def refusal(source, reason: str, *words: str, **options) -> str:
    """Check that ``source`` is refused for ``reason`` with a message that says what to do, and
    return the message.
    """
    with pytest.raises(InvalidImageError) as caught:
        load_image(source, **options)
    message = str(caught.value)
    assert caught.value.reason == reason, message
    assert message.count(".") >= 2, f"says what was wrong, but not what to do: {message}"
    for word in words:
        assert word in message
    return message
