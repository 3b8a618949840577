"""Where an image lies, and its bytes, read in the process that needs them. A place is small and
travels between processes and machines.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache, singledispatchmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agegender_core.errors import DatasetError, InvalidImageError
from agegender_core.vision.image_io import DEFAULT_LIMITS, ImageLimits

if TYPE_CHECKING:
    from agegender_core.datasets.readers.base import Pictures

LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a zip's member: signature, then the lengths of its name and of its extra field."""
PAGE = 1 << 16
"""Bytes of a Parquet file read at once: without it a whole row group is in memory beside what is
decoded of it.
"""


class FilePlace(NamedTuple):
    """A file of its own."""

    path: str


class ZipPlace(NamedTuple):
    """A member of a zip: where its header starts, bytes as stored and as unpacked, method,
    checksum.
    """

    path: str
    offset: int
    packed: int
    size: int
    method: int
    crc: int
    encrypted: bool


class RowPlace(NamedTuple):
    """A row of a Parquet file with a column ``image``: {bytes, path}; ``row`` counts from 0 in its
    row group.
    """

    path: str
    group: int
    row: int


class HubPlace(NamedTuple):
    """A row of a dataset of the Hugging Face hub, over all its splits."""

    source: str
    row: int


class NoPlace(NamedTuple):
    """What could not be opened when it was listed, with the reason."""

    message: str


Place = FilePlace | ZipPlace | RowPlace | HubPlace | NoPlace


class Item(NamedTuple):
    """One image: ``key`` is unique in its job and the same in every run, ``file`` is what people
    know it by.
    """

    key: str
    file: str
    place: Place


class Loader:
    """Gives what ``load_image`` takes. Keeps the Parquet file read last open: rows in ascending
    order are read once.
    """

    def __init__(self, limits: ImageLimits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._stream: _Rows | None = None

    @singledispatchmethod
    def load(self, place: Place) -> str | bytes:
        """A path, or the encoded image. Raises ``InvalidImageError`` or ``DatasetError``."""
        raise TypeError(f"no place: {place!r}")

    @load.register
    def _(self, place: FilePlace) -> str | bytes:
        return place.path

    @load.register
    def _(self, place: NoPlace) -> str | bytes:
        raise DatasetError(place.message)

    @load.register
    def _(self, place: ZipPlace) -> str | bytes:
        return read_member(place, self.limits.max_bytes)

    @load.register
    def _(self, place: RowPlace) -> str | bytes:
        if self._stream is None or not self._stream.reaches(place):
            self._stream = _Rows(place, self.limits.max_bytes)
        return self._stream.read(place)

    @load.register
    def _(self, place: HubPlace) -> str | bytes:
        from agegender_core.datasets.records import FaceRecord

        return _hub_images(place.source).read(
            FaceRecord(place.source, f"row {place.row}", place.row, "all")
        )


def read_member(place: ZipPlace, most: int) -> bytes:
    """A zip's member, read without the archive's table of contents. Raises ``InvalidImageError``
    for one that is encrypted, packed in a rare way, damaged, or larger than an image may be
    (``most`` bytes): no more than that is ever unpacked, whatever the archive claims.
    """
    if place.encrypted:
        raise InvalidImageError(
            "It is encrypted in the archive. Unpack the archive with its password and give the"
            " folder.",
            "not_found",
        )
    if place.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidImageError(
            "It is packed in a way that is not read here. Zip it again with «deflate», or"
            " unpack it.",
            "not_found",
        )
    if max(place.size, place.packed) > most:
        raise InvalidImageError(
            f"It has more than {most // 2**20} MB unpacked. Save the image smaller or as JPEG.",
            "too_many_bytes",
        )
    try:
        data = _unpacked(place, most)
    except (OSError, ValueError, OverflowError, MemoryError, struct.error, zlib.error) as error:
        raise InvalidImageError(
            f"It cannot be read from the archive ({error}). Copy or zip it again.", "truncated"
        ) from error
    if len(data) != place.size or zlib.crc32(data) != place.crc:
        raise InvalidImageError(
            "It is damaged in the archive, or not what the archive lists. Copy or zip it again.",
            "truncated",
        )
    return data


def _unpacked(place: ZipPlace, most: int) -> bytes:
    with open(place.path, "rb") as file:
        file.seek(place.offset)
        signature, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            raise zlib.error("no member begins here")
        file.seek(name + extra, 1)
        packed = file.read(place.packed)
    return (
        packed
        if place.method == zipfile.ZIP_STORED
        else zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most + 1)
    )


class _Rows:
    """The images of one row group, from its first to its last. Where the group cannot be read on,
    no row after that can.
    """

    def __init__(self, place: RowPlace, most: int) -> None:
        self.path, self.group, self.most, self.next = place.path, place.group, most, 0
        self.cells = self._cells()
        self.broken: str | None = None

    def reaches(self, place: RowPlace) -> bool:
        return (self.path, self.group) == (place.path, place.group) and self.next <= place.row

    def read(self, place: RowPlace) -> bytes:
        """The cell of ``place``; those before it are passed over. Raises ``DatasetError``,
        ``InvalidImageError`` for one too large.
        """
        cell: Any = None
        while self.broken is None and self.next <= place.row:
            try:
                cell = next(self.cells)
            except StopIteration:
                self.broken = "has become shorter since it was listed: start again"
            except Exception as error:
                # Pyarrow raises whatever a damaged file makes it stumble over.
                self.broken = f"cannot be read here: {' '.join(str(error).split())[:300]}"
            else:
                self.next += 1
        if self.broken is not None:
            raise DatasetError(f"{Path(self.path).name} {self.broken}")
        if not cell.is_valid or not (size := len(cell.as_buffer())):
            raise DatasetError("The image column is empty in this row.")
        if size > self.most:
            raise InvalidImageError(
                f"It has more than {self.most // 2**20} MB. Save the image smaller or as JPEG.",
                "too_many_bytes",
            )
        return cell.as_py()

    def _cells(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path, buffer_size=PAGE, pre_buffer=False) as file:
            for batch in file.iter_batches(
                1, row_groups=[self.group], columns=["image.bytes"], use_threads=False
            ):
                yield batch.column("image").field("bytes")[0]


@lru_cache(maxsize=2)
def _hub_images(source: str) -> Pictures:
    from agegender_core.datasets.readers.parquet_or_hub import read_hub

    return read_hub(source).pictures
