"""AVIF and HEIC: the sizes in the container, and those that AV1 data really decode to.

An AVIF states its size twice: in its boxes, and in the sequence header of the coded data, which is
what memory and time go to. libavif decodes whatever that states, up to 268 megapixels, and scales
it down afterwards; so both are checked. libheif compares the two itself. Layouts: ISO/IEC 14496-12
and 23008-12; AV1 bitstream specification, 5.5.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from agegender_core.vision.image_io.limits import (
    PIXEL_BYTES,
    ImageLimits,
    Prepared,
    check_pixels,
    too_many_pixels,
)

MOST_BOXES, MOST_ITEMS, MOST_UNITS = 10_000, 2_000, 256
LAYERS = 4
"""Coded pixels allowed for each pixel of the limit: colour, transparency, brightness and previews.
"""
_HOLDERS = {
    b"iprp": 0,
    b"ipco": 0,
    b"meta": 4,
    b"moov": 0,
    b"trak": 0,
    b"mdia": 0,
    b"minf": 0,
    b"stbl": 0,
}
"""Boxes that contain boxes, and how many bytes come before those."""
_SEQUENCE = 1
AVIF_PIXEL_BYTES = 9

Span = tuple[int, int]


def prepare_avif(data: bytes, limits: ImageLimits) -> Prepared:
    """As ``prepare``, for AVIF, which takes more memory a pixel."""
    return prepare(data, limits, AVIF_PIXEL_BYTES)


def prepare(data: bytes, limits: ImageLimits, pixel_bytes: int = PIXEL_BYTES) -> Prepared:
    """The file without its EXIF block, which Pillow would parse; its sizes are checked. Raises
    ``InvalidImageError``."""
    found = list(_boxes(data, 0, len(data)))
    for name, start, _ in found:
        if name == b"ispe" and start + 12 <= len(data):
            width, height = struct.unpack_from(">II", data, start + 4)
            check_pixels(width, height, limits, pixel_bytes)
    coded = 0
    for start, end in _coded(data, found):
        for width, height in _sequences(data, start, end):
            coded += width * height
            check_pixels(width, height, limits, pixel_bytes)
            if coded > LAYERS * limits.max_pixels:
                raise too_many_pixels(limits, (width, height))
    metas = [(start, end) for name, start, end in found if name == b"meta"]
    return Prepared(_without_exif(data, metas))


def _without_exif(data: bytes, metas: list[Span]) -> bytes:
    """The EXIF item under a name that no reader knows, of the same length."""
    for start, end in metas:
        part = data[start:end]
        if b"Exif" in part:
            data = data[:start] + part.replace(b"Exif", b"none") + data[end:]
    return data


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the content of each box, those inside ``_HOLDERS`` included."""
    stack, seen = [(start, end)], 0
    while stack:
        at, end = stack.pop()
        while at + 8 <= end and seen < MOST_BOXES:
            seen += 1
            size, name, head = struct.unpack_from(">I", data, at)[0], data[at + 4 : at + 8], 8
            if size == 1 and at + 16 <= end:
                size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
            size = end - at if size == 0 else size
            if size < head:
                break
            after = min(end, at + size)
            yield name, at + head, after
            if name in _HOLDERS:
                stack.append((at + head + _HOLDERS[name], after))
            at += size


def _coded(data: bytes, found: list[tuple[bytes, int, int]]) -> Iterator[Span]:
    """Where coded data may begin, and the end of what belongs to it."""
    idat = next((start for name, start, _ in found if name == b"idat"), 0)
    for name, start, end in found:
        try:
            if name == b"iloc":
                yield from _items(data, start, idat)
            elif name in (b"stco", b"co64"):
                form = ">I" if name == b"stco" else ">Q"
                yield struct.unpack_from(form, data, start + 8)[0], len(data)
            elif name == b"stsd":
                yield from ((at + 8, end) for at in [data.find(b"av1C", start, end)] if at >= 0)
            elif name == b"av1C":
                yield start + 4, end
        except (struct.error, IndexError):  # a damaged table: the decoder will refuse it
            continue


def _items(data: bytes, at: int, idat: int) -> Iterator[Span]:
    """Begin and end of the first extent of each item of an ``iloc`` box."""
    version = data[at]
    sizes, more = data[at + 4], data[at + 5]
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version in (1, 2) else 0
    wide = 4 if version == 2 else 2
    count = int.from_bytes(data[at + 6 : at + 6 + wide], "big")
    at += 6 + wide
    for _ in range(min(count, MOST_ITEMS)):
        at += wide
        method = 0
        if version in (1, 2):
            method, at = int.from_bytes(data[at : at + 2], "big") & 15, at + 2
        base = int.from_bytes(data[at + 2 : at + 2 + base_size], "big")
        at += 2 + base_size
        extents, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        one = index_size + offset_size + length_size
        begin = at + index_size
        offset = base + int.from_bytes(data[begin : begin + offset_size], "big")
        offset += idat if method == 1 else 0
        length = int.from_bytes(
            data[begin + offset_size : begin + offset_size + length_size], "big"
        )
        yield offset, offset + length if length else len(data)
        at += one * extents


def _sequences(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Sizes in the AV1 sequence headers among the units from ``at`` on."""
    end = min(end, len(data))
    for _ in range(MOST_UNITS):
        if at >= end or data[at] & 0x81:  # bits that are 0 in AV1
            return
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        length, at = _leb128(data, at) if sized else (end - at, at)
        if kind == _SEQUENCE:
            size = _sequence_size(data[at : at + 64])
            if size is not None:
                yield size
        at += length


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << (7 * number)
        if not byte & 0x80:
            return value, at + number + 1
    return len(data), at


class _Bits:
    """Reads whole numbers of any number of bits; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def __call__(self, count: int) -> int:
        part = self.text[self.at : self.at + count].ljust(count, "0")
        self.at += count
        return int(part or "0", 2)


def _sequence_size(unit: bytes) -> tuple[int, int] | None:
    """Largest frame of an AV1 sequence header, in pixels; None where the header ends before."""
    bits = _Bits(unit)
    bits(4)
    if bits(1):  # reduced_still_picture_header
        bits(5)
    else:
        _operating_points(bits)
    wide, high = bits(4) + 1, bits(4) + 1
    size = bits(wide) + 1, bits(high) + 1
    return size if bits.at <= len(bits.text) else None


def _operating_points(bits: _Bits) -> None:
    delay = model = 0
    if bits(1):  # timing_info_present_flag
        bits(64)
        if bits(1):  # equal_picture_interval, then a number in uvlc
            zeros = 0
            while zeros < 32 and not bits(1):
                zeros += 1
            bits(zeros)
        model = bits(1)
        if model:
            delay = bits(5) + 1
            bits(42)
    display = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if model and bits(1):
            bits(2 * delay + 1)
        if display and bits(1):
            bits(4)
