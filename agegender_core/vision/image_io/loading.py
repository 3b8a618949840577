"""From a source to pixels: see the package's docstring."""

from __future__ import annotations

import importlib
import io
import os
import struct
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from PIL import Image, ImageChops, ImageFile

from agegender_core.errors import InvalidImageError
from agegender_core.types import FULL_SIZE
from agegender_core.vision.image_io import boxes, colours, jpeg, plain, png, tiff
from agegender_core.vision.image_io.kinds import kind_of
from agegender_core.vision.image_io.limits import (
    DEFAULT_LIMITS,
    ImageLimits,
    Prepared,
    check_size,
    damaged,
    too_many_pixels,
    unsupported,
)
from agegender_core.vision.image_io.orientation import stated
from agegender_core.vision.image_io.sources import read

T = TypeVar("T")
ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image

_PLUGINS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif", "HeifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
}
"""Format -> module and class that read it, imported at first use. The JPEG class reads MPO files
too: their first image is a JPEG.
"""
_PREPARE: dict[str, Callable[[bytes, ImageLimits], Prepared]] = {
    "JPEG": jpeg.prepare,
    "PNG": png.prepare,
    "WebP": plain.prepare_webp,
    "AVIF": boxes.prepare_avif,
    "HEIC": boxes.prepare,
    "BMP": plain.prepare_bmp,
    "TIFF": tiff.prepare,
    "GIF": plain.prepare_gif,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""A few plugins check a frame's or tile's size against Pillow's own limit; the warning arrives here
where warnings are errors."""


def load_image(source: ImageSource, *, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
    """The image as an upright 8-bit RGB image of its own, without metadata.

    ``source``: a path, the bytes of a file, an open binary file (read from its start where it can
    be rewound, and left open) or a PIL image (left as it is; its EXIF orientation is applied).
    JPEGs of more than ``limits.reduce_above`` pixels come at half their width and height: see
    ``scale_of``.

    Raises ``InvalidImageError`` whose ``reason`` is ``empty``, ``not_an_image``, ``truncated``,
    ``unsupported``, ``too_many_bytes``, ``too_many_pixels``, ``too_costly``, ``too_small`` or
    ``not_found``, and ``TypeError`` for a source of another type.
    """
    return _refusing(lambda: _loaded(source, limits))


def check_image(data: bytes, *, limits: ImageLimits = DEFAULT_LIMITS) -> None:
    """Refuse the bytes that ``load_image`` would refuse, with the same error, at a fraction of its
    cost: a JPEG is decoded at an eighth."""
    _refusing(lambda: _checked(data, limits))


def check_header(data: bytes, *, limits: ImageLimits = DEFAULT_LIMITS) -> None:
    """Refuse what can be refused without decoding: in milliseconds and without memory for
    pixels.
    """
    _refusing(lambda: _prepared(read(data, limits), limits))


def _refusing(work: Callable[[], T]) -> T:
    """The result of ``work``. Its errors are raised as new ones: the traceback of the old one would
    hold the decoder and its pixels in memory for as long as the error lives.
    """
    try:
        return work()
    except InvalidImageError as error:
        refusal = InvalidImageError(str(error), error.reason)
    except MemoryError:
        message = (
            "There is not enough memory for this image now. Make it smaller, or try again later."
        )
        refusal = InvalidImageError(message, "too_many_pixels")
    raise refusal


def _loaded(source: ImageSource, limits: ImageLimits) -> Image.Image:
    if isinstance(source, Image.Image):
        return _from_pil(source, limits)
    kind, ready = _prepared(read(source, limits), limits)
    image = _decoded(kind, ready, limits)
    full = image.info.get(FULL_SIZE)
    orientation = _orientation(image, kind, ready)
    upright = _upright(colours.to_rgb(image, ready.inverted), orientation)
    # a plain image that is not tied to a file; its pixels are not copied
    result = upright if type(upright) is Image.Image else upright._new(upright.im)
    result.info = {}
    if full is not None:
        result.info[FULL_SIZE] = full[::-1] if orientation > 4 else full
    return result


def _from_pil(image: Image.Image, limits: ImageLimits) -> Image.Image:
    kind = image.format or "PIL"
    check_size(*image.size, limits)
    _decode(image, kind, limits)
    try:
        orientation = int(image.getexif().get(0x0112, 1))
    except Exception:  # EXIF parsers raise whatever damaged tags make them stumble over
        orientation = 1
    upright = _upright(colours.to_rgb(image), orientation)
    result = upright.copy() if upright is image else upright
    result.info = {}
    return result


def _checked(data: bytes, limits: ImageLimits) -> None:
    kind, ready = _prepared(read(data, limits), limits)
    _decoded(kind, ready, limits, eighth=True)


def _prepared(data: bytes, limits: ImageLimits) -> tuple[str, Prepared]:
    """Kind of the file, and what its decoder gets; nothing is decoded."""
    kind = kind_of(data)
    if limits.kinds is not None and kind not in limits.kinds:
        allowed = ", ".join(sorted(limits.kinds))
        raise InvalidImageError(
            f"{kind} images are not taken here. Give one of {allowed}.", "not_an_image"
        )
    try:
        return kind, _PREPARE[kind](data, limits)
    except (struct.error, IndexError) as error:  # the file ends before its header's data
        raise damaged(kind) from error


def _decoded(kind: str, ready: Prepared, limits: ImageLimits, eighth: bool = False) -> Image.Image:
    """The first frame with its pixels. ``eighth``: JPEGs at an eighth of their size."""
    opened = _open(kind, ready.data, limits)
    check_size(*opened.size, limits)
    full = opened.size
    reduced = eighth or full[0] * full[1] > limits.reduce_above
    if kind == "JPEG" and reduced:
        # draft() takes the smallest size that is no smaller than the one asked for
        step = 8 if eighth else 2
        opened.draft(None, (max(1, full[0] // step), max(1, full[1] // step)))
    image = (
        _endless(ready.data, opened.size, limits)
        if ready.endless
        else _deep(opened, kind, ready, limits)
    )
    if kind == "JPEG":
        if image.size != full and not eighth:
            image.info[FULL_SIZE] = full
    else:
        check_size(
            *image.size, limits
        )  # a HEIC's header may state another size than its pixels have
    return image


def _open(kind: str, data: bytes, limits: ImageLimits) -> ImageFile.ImageFile:
    """The image with its header read and its pixels not yet decoded."""
    module, name = _PLUGINS[kind]
    plugin = getattr(importlib.import_module(module), name)
    try:
        image: ImageFile.ImageFile = plugin(io.BytesIO(data))
        if kind == "TIFF":
            tiff.mend(image)
        return image
    except _BOMBS as error:
        raise too_many_pixels(limits) from error
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever a damaged header makes them stumble over
        raise (tiff.layout_error(data) if kind == "TIFF" else damaged(kind)) from error


def _decode(image: Image.Image, kind: str, limits: ImageLimits) -> None:
    """Load the pixels of the first frame."""
    try:
        image.load()
    except _BOMBS as error:
        raise too_many_pixels(limits) from error
    except MemoryError:
        raise
    except Exception as error:  # as in _open
        raise damaged(kind) from error


def _endless(data: bytes, size: tuple[int, int], limits: ImageLimits) -> Image.Image:
    """A JPEG without its end marker: sound if it is the same image whatever comes next."""
    ends = []
    for tail in jpeg.TAILS:
        one = _open("JPEG", data + tail + b"\xff\xd9", limits)
        if one.size != size:
            one.draft(None, size)
        _decode(one, "JPEG", limits)
        ends.append(one)
    first, second = ends
    if ImageChops.difference(first, second).getbbox() is not None:
        raise damaged("JPEG")
    return first


def _deep(
    image: ImageFile.ImageFile, kind: str, ready: Prepared, limits: ImageLimits
) -> Image.Image:
    """Decode; where 16-bit colours are so dark that they may use fewer bits, read all their
    bits.
    """
    lower = [_lower(tile) for tile in image.tile] if kind in ("PNG", "TIFF") else []
    lost = kind == "TIFF" and tiff.is_deep_and_planar(image)
    _decode(image, kind, limits)
    readable = [tile for tile in lower if tile is not None]
    if not readable or len(readable) < len(lower) or not colours.is_dark(image):
        return image
    if lost:
        raise unsupported(
            "Compressed TIFFs of 16 bits in separate planes that use 14 bits or fewer cannot be"
            " read."
        )
    again = _open(kind, ready.data, limits)
    again.tile = readable
    _decode(again, kind, limits)
    made = colours.combined(image, again)
    made.info = image.info
    return made


def _lower(tile: ImageFile._Tile) -> ImageFile._Tile | None:
    """The tile that reads the lower bytes, or None where there are none."""
    args = tile.args
    if not args:
        return None
    rawmode = colours.low_bytes(args if isinstance(args, str) else args[0])
    if rawmode is None:
        return None
    return tile._replace(args=rawmode if isinstance(args, str) else (rawmode, *args[1:]))


def _orientation(image: Image.Image, kind: str, ready: Prepared) -> int:
    """Orientation 1 to 8. TIFFs, AVIFs and HEICs are turned by their decoders already."""
    boxed = kind in ("AVIF", "HEIC")
    return stated(image.info.get("exif"), None) if boxed else ready.orientation


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
