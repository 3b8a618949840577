"""PNG: the chunks the pixels need, in a file of their own.

Texts, profiles, times and animation are dropped, sound or not: a damaged comment is no reason to
refuse an image, and a huge one none to read it.
"""

from __future__ import annotations

import struct
import zlib

from agegender_core.vision.image_io.limits import (
    PIXEL_BYTES,
    ImageLimits,
    Prepared,
    check_pixels,
    check_size,
    damaged,
    too_costly,
)
from agegender_core.vision.image_io.orientation import from_exif

HEAD = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS = 65_536
NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_GREY_ALPHA, _ALPHA = 4, 6
ALPHA_PIXEL_BYTES = {_GREY_ALPHA: 13, _ALPHA: 9}
"""By colour type: what is transparent is laid over white, beside the image itself."""
TRANSPARENT_PIXEL_BYTES = 10
"""Of an image with a chunk of transparency."""


def prepare(data: bytes, limits: ImageLimits) -> Prepared:
    """Walk the file; raises ``InvalidImageError`` for what is too large, too costly or damaged."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise damaged("PNG")
    width, height = struct.unpack_from(">II", data, 16)
    check_size(width, height, limits)
    check_pixels(width, height, limits, ALPHA_PIXEL_BYTES.get(data[25], PIXEL_BYTES))
    parts, orientation, at = [HEAD], 1, 8
    for _ in range(MOST_CHUNKS):
        if at + 12 > len(data):
            parts.append(data[at:])  # cut: the decoder knows whether all pixels are there
            break
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 12 + length
        if name == b"tRNS":
            check_pixels(width, height, limits, TRANSPARENT_PIXEL_BYTES)
        if name in NEEDED:
            parts.append(data[at:end])
        elif name == b"eXIf" and orientation == 1 and _sound(data, at, end):
            orientation = from_exif(data[at + 8 : end - 4]) or 1
        elif not name[0] & 0x20:  # a chunk that must be understood, and is not
            raise damaged("PNG")
        if name == b"IEND":
            break
        at = end
    else:
        raise too_costly("This PNG is cut into far too many parts.")
    return Prepared(b"".join(parts), orientation)


def _sound(data: bytes, at: int, end: int) -> bool:
    """Whether a whole chunk fits its checksum."""
    return end <= len(data) and zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(
        data[end - 4 : end], "big"
    )
