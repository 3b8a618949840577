"""TIFF: its first directory checked before Pillow reads it, and what Pillow reads wrongly put
right.

Put right: planar images of 16 bits a channel, grey ones in which 0 is white, and numbers of the
other byte order inside compressed files (libtiff hands them over in the machine's own order, which
Pillow knows for some layouts only).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from agegender_core.vision.image_io.limits import (
    ImageLimits,
    Prepared,
    check_size,
    damaged,
    too_costly,
    too_many_pixels,
    unsupported,
)

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIPS, SAMPLES, TILE_WIDTH, TILE_LENGTH, TILES, FORMAT = 273, 277, 322, 323, 324, 339
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
} | dict.fromkeys((16, 17, 18), 8)
_WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q"}
_FORMATS = {1: "whole", 2: "signed whole", 3: "floating-point", 5: "complex", 6: "complex"}
MOST_TAGS = 4096
MOST_PARTS = 300_000


@dataclass(frozen=True)
class Tag:
    """Where a tag's values lie: ``form`` of a value, their number ``count`` and offset ``at``."""

    form: int
    count: int
    at: int


def prepare(data: bytes, limits: ImageLimits) -> Prepared:
    """Walk the first directory; raises ``InvalidImageError`` for what is too large or damaged.

    Deep grey images in which 0 is white are handed on as if 0 were black, to be inverted later.
    """
    order = "<" if data[:2] == b"II" else ">"
    try:
        tags = _directory(data, order)
        width, height = _value(data, order, tags[WIDTH]), _value(data, order, tags[LENGTH])
        _check_parts(data, order, tags, limits)
        check_size(width, height, limits)
        bits = _value(data, order, tags[BITS]) if BITS in tags else 1
        white = PHOTOMETRIC in tags and _value(data, order, tags[PHOTOMETRIC]) == 0
    except (struct.error, KeyError) as error:
        raise damaged("TIFF") from error
    if not (white and bits > 8):
        return Prepared(data)
    at = tags[PHOTOMETRIC].at
    size = _SIZES[tags[PHOTOMETRIC].form]
    one = (1).to_bytes(size, "little" if order == "<" else "big")
    return Prepared(data[:at] + one + data[at + size :], inverted=True)


def _directory(data: bytes, order: str) -> dict[int, Tag]:
    """The first directory's tags. Raises ``struct.error`` where it is cut."""
    big = data[2:4] in (b"+\0", b"\0+")
    start = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)[0]
    if start > len(data):
        raise damaged("TIFF")
    count = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, start)[0]
    if count > MOST_TAGS:
        raise too_costly("This TIFF has far too many tags.")
    entry, room, form = (20, 8, f"{order}HHQ") if big else (12, 4, f"{order}HHI")
    tags, total = {}, 0
    for number in range(count):
        at = start + (8 if big else 2) + entry * number
        tag, kind, values = struct.unpack_from(form, data, at)
        size, inner = _SIZES.get(kind, 1) * values, at + entry - room
        total += size
        if size > room:
            inner = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, inner)[0]
        tags[tag] = Tag(kind, values, inner)
    if total > len(data) + 8 * MOST_TAGS:  # tags that share their bytes would take them many times
        raise too_costly("This TIFF's tags are far too large.")
    return tags


def _value(data: bytes, order: str, tag: Tag) -> int:
    """The tag's first value, where it is a whole number."""
    if tag.form not in _WHOLE or not 0 <= tag.at < len(data) or not tag.count:
        raise damaged("TIFF")
    return struct.unpack_from(order + _WHOLE[tag.form], data, tag.at)[0]


def _check_parts(data: bytes, order: str, tags: dict[int, Tag], limits: ImageLimits) -> None:
    """Strips and tiles: not too many of them, and none larger than an image may be."""
    if any(tags[tag].count > MOST_PARTS for tag in (STRIPS, TILES) if tag in tags):
        raise too_costly("This TIFF is cut into far too many parts.")
    if any(tags[tag].count > 16 for tag in (BITS, FORMAT) if tag in tags):
        raise damaged("TIFF")
    if TILE_WIDTH in tags and TILE_LENGTH in tags:
        size = (_value(data, order, tags[TILE_WIDTH]), _value(data, order, tags[TILE_LENGTH]))
        if size[0] * size[1] > limits.max_pixels:
            raise too_many_pixels(limits, size)


def layout_error(data: bytes) -> Exception:
    """The error for a TIFF that Pillow does not open: a layout it does not know, or damage."""
    from PIL.TiffImagePlugin import COMPRESSION_INFO, OPEN_INFO

    order = "<" if data[:2] == b"II" else ">"
    try:
        tags = _directory(data, order)
        bits = _values(data, order, tags, BITS, 1)
        form = _values(data, order, tags, FORMAT, 1)[0]
        packing = _values(data, order, tags, COMPRESSION, 1)[0]
        photometric = _values(data, order, tags, PHOTOMETRIC, 0)[0]
        samples = _values(data, order, tags, SAMPLES, 1)[0]
    except Exception:
        return damaged("TIFF")
    if packing not in COMPRESSION_INFO:
        return unsupported(f"TIFFs compressed by method {packing} cannot be read.")
    values = _FORMATS.get(form, "unknown")
    known = any(
        key[0] == data[:2]
        and key[1] == photometric
        and key[4][0] == bits[0]
        and key[2][0] == form
        and len(key[4]) == samples
        for key in OPEN_INFO
    )
    if known:
        return damaged("TIFF")
    channels = "channel" if samples == 1 else "channels"
    return unsupported(
        f"TIFFs with {samples} {channels} of {bits[0]}-bit {values} numbers (colour kind"
        f" {photometric}) cannot be read."
    )


def _values(data: bytes, order: str, tags: dict[int, Tag], tag: int, default: int) -> list[int]:
    found = tags.get(tag)
    return [default] if found is None else [_value(data, order, found)]


_SWAPPED = {
    "F;32BF": "F;32NF",
    "I;16BS": "I;16NS",
    "I;32BS": "I;32NS",
    "I;16S": "I;16NS",
    "I;32S": "I;32NS",
    "F;32F": "F;32NF",
}


def mend(image: Any) -> None:
    """Correct how Pillow is about to read the pixels of an opened TIFF."""
    tiles = []
    for tile in image.tile:
        args = tile.args
        if tile.codec_name == "libtiff" and args[0] in _SWAPPED:
            args = (_SWAPPED[args[0]], *args[1:])
        elif tile.codec_name != "libtiff" and _is_deep_plane(image, args[0]):
            order = "L" if image.tag_v2.prefix == b"II" else "B"
            args = (f"{args[0]};16{order}", *args[1:])
        tiles.append(tile._replace(args=args))
    image.tile = tiles


def is_deep_and_planar(image: Any) -> bool:
    """Whether the planes have 16 bits and libtiff reads them, so that their lower bytes are
    lost.
    """
    planar = image._planar_configuration == 2 and image.tag_v2.get(BITS, (1,))[0] == 16
    return planar and any(tile.codec_name == "libtiff" for tile in image.tile)


def _is_deep_plane(image: Any, rawmode: str) -> bool:
    """Whether a plane of 16 bits would be read as one of 8."""
    bits = image.tag_v2.get(BITS, (1,))
    return (
        image._planar_configuration == 2
        and bits[0] == 16
        and image.mode in ("RGB", "RGBA")
        and rawmode in "RGBA"
    )
