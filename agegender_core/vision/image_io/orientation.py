"""The orientation of a photograph, read from its metadata without trusting them."""

from __future__ import annotations

import re
import struct

ORIENTATION = 0x0112
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


def from_exif(block: bytes) -> int | None:
    """EXIF orientation 1 to 8 in an EXIF block, with or without its «Exif» head; None where there
    is none or the block is damaged, which is no reason to refuse a good image.
    """
    tiff = block[6:] if block.startswith(b"Exif\0\0") else block
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(count):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, start + 2 + 12 * number)
            if tag == ORIENTATION:
                form = {1: "B", 3: "H", 4: "I"}.get(kind, "H")
                (value,) = struct.unpack_from(order + form, tiff, start + 10 + 12 * number)
                return value if 1 <= value <= 8 else None
    except struct.error:
        pass
    return None


def from_xmp(packet: bytes) -> int | None:
    """The orientation an XMP packet states, or None."""
    found = _XMP.search(packet)
    return int(found[1]) if found else None


def stated(exif: bytes | None, xmp: bytes | None) -> int:
    """The orientation to apply: EXIF's, else XMP's, else 1."""
    return from_exif(exif or b"") or from_xmp(xmp or b"") or 1
