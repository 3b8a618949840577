"""The front door: bytes, a path, an open file or a PIL image become one upright RGB image, or are refused with a reason.

Accepted: JPEG (MPO included), PNG, WebP, AVIF, HEIC, BMP, TIFF and GIF; of several frames the first. A file's kind is read from its
first bytes, never from its name. Steps, each of which may refuse: bytes in hand and counted, kind recognised, header read and size
checked, pixels decoded, colours made 8-bit RGB, EXIF orientation applied.

Colours. Transparency is laid over white. Grey pictures of more than 8 bits (modes I, I;16, F) are scaled, never clipped: the range is
the smallest of 8, 10, 12, 14 and 16 bits that holds the brightest pixel, so 0..65535 becomes 0..255 and a 12-bit picture stored in
16 bits keeps its contrast. F pictures within 0..1 are scaled from that; values below 0 or above 65535 stretch from darkest to
brightest. Colour profiles are ignored, as they were in training.

Pillow's plugin classes are called directly instead of ``Image.open``. This is an allow-list of formats; it needs no plugin registered
for HEIC; and it leaves size limits to this file: ``Image.open`` warns or raises by the process-wide ``Image.MAX_IMAGE_PIXELS``.
Nothing here is global or kept, so ``load_image`` may be called from many threads. It writes and logs nothing.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from agegender_core.errors import InvalidImageError

MAX_BYTES = 25 * 1024 * 1024
"""Largest file accepted, 25 MB."""
MAX_PIXELS = 40_000_000
"""Largest picture accepted, width times height."""
MIN_SIDE = 20
"""Shortest side accepted, in pixels; the face detector needs as many."""

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".heic", ".heif", ".hif"}
    | {".bmp", ".dib", ".tif", ".tiff", ".gif"}
)
"""Lower-case file name suffixes of the accepted formats, for finding pictures in folders."""

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image

_ACCEPTED = "JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF or GIF"

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
"""Format -> module and class that read it, imported at first use. The JPEG class reads MPO files too: their first picture is a JPEG."""

_SIGNATURES = (
    ("JPEG", (b"\xff\xd8\xff",)),
    ("PNG", (b"\x89PNG\r\n\x1a\n",)),
    ("GIF", (b"GIF87a", b"GIF89a")),
    ("TIFF", (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")),
)
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})

_EXPORT = "Export it as JPEG or PNG and try again."
_STRANGERS = (
    ((b"%PDF",), f"This is a PDF document, not a picture. {_EXPORT}"),
    ((b"PK\x03\x04",), "This is a ZIP archive or an office document, not a picture. Take the picture out of it and give that."),
    ((b"8BPS",), f"Photoshop files cannot be read. {_EXPORT}"),
    ((b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"), f"JPEG 2000 pictures cannot be read. {_EXPORT}"),
    ((b"\x00\x00\x00\x0cJXL ", b"\xff\x0a"), f"JPEG XL pictures cannot be read. {_EXPORT}"),
    ((b"\x00\x00\x01\x00",), f"Icon files cannot be read. {_EXPORT}"),
    ((b"\x1aE\xdf\xa3",), "This is a video, not a picture. Save one of its frames as JPEG or PNG and give that."),
)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION = 0x0112
_BIT_DEPTHS = (8, 10, 12, 14, 16)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""A few plugins check a frame's or tile's size against Pillow's own limit; the warning arrives here where warnings are errors."""


@dataclass(frozen=True)
class ImageLimits:
    """What is too big or too small: bytes of the file, pixels of the picture, pixels of its shorter side."""

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS
    min_side: int = MIN_SIDE


DEFAULT_LIMITS = ImageLimits()


def load_image(source: ImageSource, *, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
    """The picture as an upright 8-bit RGB image of its own, without metadata.

    ``source``: a path, the bytes of a file, an open binary file (read from its start where it can be rewound, and left open) or a
    PIL image (left as it is; its EXIF orientation is applied).

    Raises ``InvalidImageError`` whose ``reason`` is ``empty``, ``not_an_image``, ``truncated``, ``too_many_bytes``, ``too_many_pixels``,
    ``too_small`` or ``not_found``, and ``TypeError`` for a source of another type.
    """
    if isinstance(source, Image.Image):
        kind, image = source.format or "PIL", source
    else:
        data = _read(source, limits)
        kind = _kind(data)
        image = _open(kind, data, limits)
    _check_size(image, limits)
    _decode(image, kind, limits)
    _check_size(image, limits)  # again: a HEIC's pixels may be of another size than its header says
    upright = _upright(_to_rgb(image), _orientation(image))
    result = upright.copy() if upright is image else upright  # a plain image: neither the caller's nor tied to a file
    result.info = {}
    return result


def check_image(data: bytes, *, limits: ImageLimits = DEFAULT_LIMITS) -> None:
    """Refuse the bytes that ``load_image`` would refuse, with the same error, at a fraction of its cost: a JPEG is decoded at an eighth."""
    data = _read(data, limits)
    kind = _kind(data)
    image = _open(kind, data, limits)
    _check_size(image, limits)
    if kind == "JPEG":
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
    _decode(image, kind, limits)
    if kind != "JPEG":
        _check_size(image, limits)


def _read(source: str | os.PathLike[str] | bytes | BinaryIO, limits: ImageLimits) -> bytes:
    """The source's bytes, at least one and at most ``limits.max_bytes``."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | os.PathLike):
        data = _read_path(source, limits)
    elif hasattr(source, "read"):
        data = _read_stream(source, limits)
    else:
        raise TypeError(f"load_image takes a path, bytes, a binary file or a PIL image, not {type(source).__name__}")
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(limits)
    if not data:
        raise InvalidImageError("The file is empty. Copy or upload the picture again.", "empty")
    return data


def _read_path(path: str | os.PathLike[str], limits: ImageLimits) -> bytes:
    """Bytes of a regular file; a file over the limit is refused by its size on disk, unread."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InvalidImageError("This is a folder, not a picture. Give a picture file inside it.", "not_found")
        if not stat.S_ISREG(status.st_mode):
            raise InvalidImageError("This is a device or a pipe, not a picture file. Give the path of a picture file.", "not_found")
        if status.st_size > limits.max_bytes:
            raise _too_many_bytes(limits)
        with open(path, "rb") as file:
            return _read_stream(file, limits)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _read_stream(stream: BinaryIO, limits: ImageLimits) -> bytes:
    """Bytes from the stream's start, at most one more than the limit. Streams may give less than asked for, so ask until full."""
    if stream.seekable():
        stream.seek(0)  # an upload may have been read once already
    wanted, parts = limits.max_bytes + 1, []
    while wanted > 0 and (part := stream.read(wanted)):
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)


def _unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> InvalidImageError:
    if isinstance(error, PermissionError):
        return InvalidImageError("The file may not be read. Check its permissions.", "not_found")
    if str(path).startswith(("http://", "https://")):
        return InvalidImageError("Web addresses are not fetched. Download the picture and give the file.", "not_found")
    if isinstance(error, ValueError) or error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}:
        return InvalidImageError("There is no such file. Check the path for typing mistakes.", "not_found")
    return InvalidImageError(f"The file cannot be read ({error.strerror}). Check the disk or copy the file again.", "not_found")


def _too_many_bytes(limits: ImageLimits) -> InvalidImageError:
    megabytes = f"{limits.max_bytes / 1024 / 1024:.3g}"
    return InvalidImageError(f"The file is larger than {megabytes} MB. Save the picture smaller or as JPEG.", "too_many_bytes")


def _kind(data: bytes) -> str:
    """Format of the file by its first bytes: a key of ``_PLUGINS``. Raises ``InvalidImageError`` for anything else."""
    for kind, signatures in _SIGNATURES:
        if data.startswith(signatures):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIF_BRANDS:
        return "HEIC"
    raise InvalidImageError(_what_it_is(data, brands), "not_an_image")


def _brands(data: bytes) -> frozenset[bytes]:
    """Four-letter brands a file of the MP4 family (AVIF, HEIC and videos) lists in its first box; empty for other files."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), 256)
    listed = (data[start : start + 4] for start in range(16, end, 4))
    return frozenset({data[8:12], *listed})


def _what_it_is(data: bytes, brands: frozenset[bytes]) -> str:
    """What to tell people who gave something that is not a picture we read."""
    for signatures, message in _STRANGERS:
        if data.startswith(signatures):
            return message
    if brands or (data[:4] == b"RIFF" and data[8:12] == b"AVI "):
        return "This is a video or a picture of an unknown kind. Save a frame of it as JPEG or PNG and give that."
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<") and b"<svg" in head:
        return f"This is an SVG drawing, not a photograph. {_EXPORT}"
    if head.startswith((b"<!doctype html", b"<html")):
        return "This is a web page, not a picture. Save the picture itself and give that file."
    if not any(byte < 9 for byte in head):
        return f"This is a text file, not a picture. Give a {_ACCEPTED} file."
    return f"This is not a picture that can be read. Give a {_ACCEPTED} file."


def _open(kind: str, data: bytes, limits: ImageLimits) -> Image.Image:
    """The image with its header read and its pixels not yet decoded."""
    module, name = _PLUGINS[kind]
    plugin = getattr(importlib.import_module(module), name)
    try:
        return plugin(io.BytesIO(data))
    except _BOMBS as error:
        raise _too_many_pixels(limits) from error
    except Exception as error:  # decoders raise whatever a damaged header makes them stumble over
        if kind == "AVIF" and b"Exif" in data:  # libavif refuses the whole picture for damaged EXIF: hide that part from it
            return _open(kind, data.replace(b"Exif", b"none"), limits)
        raise _damaged(kind) from error


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise _too_many_pixels(limits, image.size)
    if min(width, height) < limits.min_side:
        need = f"both sides need {limits.min_side} at least. Give a larger picture."
        raise InvalidImageError(f"The picture is only {width} x {height} pixels; {need}", "too_small")


def _too_many_pixels(limits: ImageLimits, size: tuple[int, int] | None = None) -> InvalidImageError:
    measured = "" if size is None else f" ({size[0]} x {size[1]})"
    allowed = f"{limits.max_pixels / 1e6:.3g} megapixels"
    return InvalidImageError(f"The picture has more than {allowed}{measured}. Make it smaller and try again.", "too_many_pixels")


def _decode(image: Image.Image, kind: str, limits: ImageLimits) -> None:
    """Load the pixels of the first frame."""
    try:
        image.load()
    except _BOMBS as error:
        raise _too_many_pixels(limits) from error
    except Exception as error:  # as in _open
        raise _damaged(kind) from error


def _damaged(kind: str) -> InvalidImageError:
    return InvalidImageError(f"The {kind} picture is incomplete or damaged. Copy, download or save it again.", "truncated")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where there is none or the EXIF block is damaged, which is no reason to refuse a good picture."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # EXIF parsers raise whatever damaged tags make them stumble over
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB from any mode; see the top of this file for what becomes of depth and transparency."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _narrowed(image).convert("RGB")
    return _over_white(image) if image.has_transparency_data else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # grey with premultiplied alpha; Pillow knows no direct way to RGBA
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(rgba, mask=rgba.getchannel("A"))
    return canvas


def _narrowed(image: Image.Image) -> Image.Image:
    """8-bit grey from a grey image of more bits or of floats, scaled by the range its values use."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)  # (H, W)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F" and low >= 0 and high <= 1:
        bottom, top = 0.0, 1.0
    elif low >= 0 and high < 2**16:
        bottom, top = 0.0, float(next(2**bits - 1 for bits in _BIT_DEPTHS if high < 2**bits))
    else:
        bottom, top = low, max(high, low + 1)
    scaled = (values - bottom) * (255 / (top - bottom))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))
