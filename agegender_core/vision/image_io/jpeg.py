"""JPEG: size, scans and orientation before decoding, and what to do where the end is missing.

The segments the pixels need remain: tables, frame, JFIF and Adobe headers (they define how colours
are stored). All else before the first scan is dropped, and all after the end marker: further images
of an MPO, videos of phones.
"""

from __future__ import annotations

import re

from agegender_core.vision.image_io.limits import (
    ImageLimits,
    Prepared,
    check_size,
    damaged,
    too_costly,
    unsupported,
)
from agegender_core.vision.image_io.orientation import stated

SOI, EOI, SOS, APP0, APP1, APP14, COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE = frozenset(range(0xD0, 0xD8)) | {SOI, 0x01}
"""Markers without a length."""
MOST_MARKERS = 20_000
LEAST_WORK = 100_000
"""Pixels a scan counts for at least: what a scan of a tiny image costs."""
TAILS = (bytes(24), bytes.fromhex("a55a") * 12)
"""Two different ends for an image without one: if every pixel is there, neither is read."""
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""In coded data: everything but a stuffed 0, fill bytes and restart markers."""


def prepare(data: bytes, limits: ImageLimits) -> Prepared:
    """Walk the file; raises ``InvalidImageError`` for what is too large, too costly or damaged."""
    parts, size, at = [b"\xff\xd8"], None, 2
    metadata: dict[str, bytes] = {}
    for _ in range(MOST_MARKERS):
        marker, at = _next_marker(data, at)
        if marker in ALONE:
            continue
        segment, after = _segment(data, at)
        if marker == SOS:
            break
        if marker in FRAMES:
            if size is not None:
                raise damaged("JPEG")
            size = _frame(segment, limits)
        _note(marker, segment, metadata)
        if not (APP0 <= marker <= 0xEF or marker == COM) or _names_colours(marker, segment):
            parts.append(data[at - 2 : after])
        at = after
    else:
        raise too_costly("This JPEG is cut into far too many parts.")
    if size is None:
        raise damaged("JPEG")
    scans, end, ended = _scans(data, at - 2)
    if scans * max(LEAST_WORK, size[0] * size[1]) > limits.max_work:
        raise too_costly(
            f"This JPEG of {size[0]} x {size[1]} pixels has {scans} scans, far too many."
        )
    parts.append(data[at - 2 : end])
    orientation = stated(metadata.get("exif"), metadata.get("xmp"))
    return Prepared(b"".join(parts), orientation, endless=not ended)


def _next_marker(data: bytes, at: int) -> tuple[int, int]:
    """The next marker and where its segment begins; garbage before it is passed over."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise damaged("JPEG")
        marker, at = data[at + 1], at + 1
        if marker not in (0x00, 0xFF):
            break
    if marker == EOI:
        raise damaged("JPEG")
    return marker, at + 1


def _segment(data: bytes, at: int) -> tuple[bytes, int]:
    length = int.from_bytes(data[at : at + 2], "big")
    if length < 2 or at + length > len(data):
        raise damaged("JPEG")
    return data[at + 2 : at + length], at + length


def _frame(segment: bytes, limits: ImageLimits) -> tuple[int, int]:
    if len(segment) < 6:
        raise damaged("JPEG")
    if segment[0] != 8:
        raise unsupported(f"JPEGs of {segment[0]} bits a channel cannot be read.")
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    check_size(width, height, limits)
    return width, height


def _note(marker: int, segment: bytes, metadata: dict[str, bytes]) -> None:
    if marker == APP1 and segment.startswith(b"Exif\0\0"):
        metadata.setdefault("exif", segment)
    elif marker == APP1 and segment.startswith(_XMP):
        metadata.setdefault("xmp", segment)


def _names_colours(marker: int, segment: bytes) -> bool:
    return (marker == APP0 and segment.startswith(b"JFIF")) or (
        marker == APP14 and segment.startswith(b"Adobe")
    )


def _scans(data: bytes, at: int) -> tuple[int, int, bool]:
    """Scans from the one whose marker is at ``at``, where the image ends, and whether it has an
    end marker.
    """
    scans = 0
    for _ in range(MOST_MARKERS):
        found = _MARKER.search(data, at)
        if found is None:
            end = len(data) - 1 if data.endswith(b"\xff") else len(data)
            return scans, end, False
        marker, at = data[found.start() + 1], found.end()
        if marker == EOI:
            return scans, at, True
        scans += marker == SOS
        if marker not in ALONE:
            length = int.from_bytes(data[at : at + 2], "big")
            if at + length > len(data):
                return scans, found.start(), False
            at += max(2, length)
    raise too_costly("This JPEG is cut into far too many parts.")
