"""Limits of an image's size and cost, and the errors beyond them."""

from __future__ import annotations

from dataclasses import dataclass

from agegender_core.errors import InvalidImageError
from agegender_core.types import (
    DEFAULT_LIMITS,
    MAX_BYTES,
    MAX_PIXELS,
    MAX_WORK,
    MIN_SIDE,
    ImageLimits,
)

__all__ = [
    "DEFAULT_LIMITS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_WORK",
    "MIN_SIDE",
    "ImageLimits",
    "Prepared",
    "check_size",
    "too_many_bytes",
    "too_many_pixels",
]


@dataclass(frozen=True)
class Prepared:
    """What a decoder gets: ``data``. ``orientation``: EXIF's 1 to 8; ``endless``: a JPEG without
    its end marker; ``inverted``: grey values of which 0 is white.
    """

    data: bytes
    orientation: int = 1
    endless: bool = False
    inverted: bool = False


PIXEL_BYTES = 7
"""Bytes that decoding takes a pixel at its peak in most formats, or fewer; measured."""


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Raises ``InvalidImageError`` where the size in pixels is beyond the limits."""
    check_pixels(width, height, limits)
    if min(width, height) < limits.min_side:
        need = f"each side needs at least {limits.min_side}. Use a larger image."
        raise InvalidImageError(f"The image is only {width} x {height} pixels; {need}", "too_small")


def check_pixels(
    width: int, height: int, limits: ImageLimits, pixel_bytes: int = PIXEL_BYTES
) -> None:
    """Raises ``InvalidImageError`` for too many pixels. A format that takes more than the usual
    bytes a pixel may have fewer of them: a file of 40 bytes can claim any size.
    """
    if width * height > limits.max_pixels:
        raise too_many_pixels(limits, (width, height))
    most = limits.max_pixels * PIXEL_BYTES / pixel_bytes
    if width * height > most:
        raise too_costly(
            f"In this format an image may have {most / 1e6:.0f} megapixels at most, and this one"
            f" has {width} x {height}."
        )


def too_many_pixels(limits: ImageLimits, size: tuple[int, int] | None = None) -> InvalidImageError:
    """The error for an image of too many pixels."""
    measured = "" if size is None else f" ({size[0]} x {size[1]})"
    allowed = f"{limits.max_pixels / 1e6:.3g} megapixels"
    message = f"The image has more than {allowed}{measured}. Make it smaller and try again."
    return InvalidImageError(message, "too_many_pixels")


def too_many_bytes(limits: ImageLimits) -> InvalidImageError:
    """The error for a file of too many bytes."""
    megabytes = f"{limits.max_bytes / 1024 / 1024:.3g}"
    message = f"The file is larger than {megabytes} MB. Save the image smaller or as JPEG."
    return InvalidImageError(message, "too_many_bytes")


def too_costly(what: str) -> InvalidImageError:
    """The error for an image that would take far longer to decode than its size warrants."""
    return InvalidImageError(
        f"{what} Save the image again as an ordinary JPEG or PNG.", "too_costly"
    )


def unsupported(what: str) -> InvalidImageError:
    """The error for a sound image of a layout that is not read."""
    return InvalidImageError(f"{what} Export it as JPEG or PNG and try again.", "unsupported")


def damaged(kind: str) -> InvalidImageError:
    """The error for an image that is cut short or broken."""
    message = f"The {kind} image is incomplete or damaged. Copy, download or save it again."
    return InvalidImageError(message, "truncated")
