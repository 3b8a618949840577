"""GIF, WebP and BMP: their headers are checked before a decoder allocates memory."""

from __future__ import annotations

import struct

from agegender_core.vision.image_io.limits import (
    ImageLimits,
    Prepared,
    check_pixels,
    check_size,
    damaged,
    too_costly,
)
from agegender_core.vision.image_io.orientation import stated

MOST_BLOCKS = 200_000
MOST_RLE = 2 * 2**20
"""Bytes of a run-length coded BMP, which Pillow decodes in Python."""
_TABLE, _EXTENSION, _FRAME, _CONTROL = 0x80, 0x21, 0x2C, 0xF9
_RLE = (1, 2)
WEBP_PIXEL_BYTES = 15
"""libwebp's reader of animations, which Pillow uses for every file, keeps the canvas four times."""


def prepare_gif(data: bytes, limits: ImageLimits) -> Prepared:
    """The first frame alone, without comments. Raises ``InvalidImageError``."""
    if len(data) < 13:
        raise damaged("GIF")
    width, height = struct.unpack_from("<HH", data, 6)
    check_size(width, height, limits)
    at = 13 + _table(data[10])
    parts, control = [data[:at]], b""
    for _ in range(MOST_BLOCKS):
        kind = data[at : at + 1]
        if kind == bytes([_EXTENSION]):
            end = _blocks_end(data, at + 2)
            if data[at + 1] == _CONTROL:
                control = data[at:end]
            at = end
        elif kind == bytes([_FRAME]) and at + 10 < len(data):
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
            check_size(max(20, left + width), max(20, top + height), limits)
            end = _blocks_end(data, at + 11 + _table(flags))
            return Prepared(b"".join([*parts, control, data[at:end], b"\x3b"]))
        elif kind in (b"", b"\x3b", bytes([_FRAME])):
            raise damaged("GIF")
        else:
            at += 1
    raise too_costly("This GIF is cut into far too many parts.")


def _table(flags: int) -> int:
    """Bytes of the colour table that ``flags`` announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & _TABLE else 0


def _blocks_end(data: bytes, at: int) -> int:
    """Where a chain of sub-blocks ends; the end of the file where it is cut."""
    size = len(data)
    while at < size and data[at]:
        at += 1 + data[at]
    return min(at + 1, size)


def prepare_webp(data: bytes, limits: ImageLimits) -> Prepared:
    """The file as it is, its canvas checked. Raises ``InvalidImageError``."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise damaged("WebP")
    if kind == b"VP8X":
        size = (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        size = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    elif kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        size = (width & 0x3FFF, height & 0x3FFF)
    else:
        raise damaged("WebP")
    check_size(*size, limits)
    check_pixels(*size, limits, WEBP_PIXEL_BYTES)
    return Prepared(data, stated(_chunk(data, b"EXIF"), _chunk(data, b"XMP ")))


def _chunk(data: bytes, name: bytes) -> bytes | None:
    """A chunk of a RIFF file by its name, or None."""
    at = 12
    for _ in range(MOST_BLOCKS):
        if at + 8 > len(data):
            break
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == name:
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return None


def prepare_bmp(data: bytes, limits: ImageLimits) -> Prepared:
    """The file as it is, its size and packing checked. Raises ``InvalidImageError``."""
    head = int.from_bytes(data[14:18], "little")
    if len(data) < 34:
        raise damaged("BMP")
    width, height = struct.unpack_from("<HH" if head == 12 else "<ii", data, 18)
    check_size(width, abs(height), limits)
    if head > 16 and int.from_bytes(data[30:34], "little") in _RLE and len(data) > MOST_RLE:
        raise too_costly("This BMP is run-length coded and large.")
    return Prepared(data)
