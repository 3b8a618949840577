"""What a job reads: folders, pictures, globs, zips, Parquet and sets of the hub become one stream of items, each once, in a fixed order.

A folder gives its pictures, those in folders below it, and the rows of Parquet files with an image column in it or in its folder ``data``;
hidden ones are left out, and zips inside a folder stay closed. Folders and Parquet files are listed while the job runs; held in memory are
the names a glob matches, a zip's table of contents and a hub set's labels.
"""

from __future__ import annotations

import glob
import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agegender_core.batch.loading import FilePlace, HubPlace, Item, NoPlace, RowPlace, ZipPlace
from agegender_core.errors import DatasetError
from agegender_core.imaging import PICTURE_SUFFIXES
from agegender_core.listing import matched, pictures_below

if TYPE_CHECKING:
    import pyarrow.parquet as pq

HUB = "hub:"
ENCRYPTED = 0x1
FEW = 20
"""So many inputs are kept by name, more by their digest."""


@dataclass(frozen=True)
class Sources:
    """Inputs told apart. ``files`` and ``folders``: absolute path -> as it was given; ``hubs``: names of sets; ``root``: keys of files are
    relative to this folder, so that they depend neither on the working directory nor on what a glob matches today; ``identity``: absolute
    inputs in order, a digest of them where they are many."""

    files: dict[str, str]
    folders: dict[str, str]
    hubs: tuple[str, ...]
    root: str
    identity: tuple[str, ...]

    def items(self) -> Iterator[Item]:
        """Every picture once: single files first, then folders, then sets of the hub."""
        for path, given in self.files.items():
            yield from self._file_items(path, given)
        for path, given in self.folders.items():
            yield from self._folder_items(path, given)
        for source in self.hubs:
            yield from _hub_items(source)

    def count(self) -> int:
        """How many items there are; goes through all names once."""
        return sum(1 for _ in self.items())

    def _file_items(self, path: str, given: str) -> Iterator[Item]:
        key, suffix = self._key(path), os.path.splitext(path)[1].lower()
        readers = {".zip": _zip_items, ".parquet": _parquet_items}
        if suffix not in readers or not os.path.isfile(path):
            yield Item(key, printable(given), FilePlace(path))
            return
        try:
            yield from readers[suffix](path, key, printable(given))
        except (OSError, ValueError, DatasetError, zipfile.BadZipFile, NotImplementedError) as error:
            yield Item(key, printable(given), NoPlace(f"{printable(os.path.basename(path))} cannot be opened: {error}"))

    def _folder_items(self, folder: str, given: str) -> Iterator[Item]:
        for path in _shards(Path(folder)):
            if path not in self.files:
                yield from self._file_items(path, os.path.join(given, os.path.relpath(path, folder)))
        for path in pictures_below(folder, self.folders.keys() - {folder}):
            if path not in self.files:
                yield Item(self._key(path), printable(os.path.join(given, os.path.relpath(path, folder))), FilePlace(path))

    def _key(self, path: str) -> str:
        return printable(os.path.relpath(path, self.root)).replace(os.sep, "/")


def find_sources(inputs: Sequence[str]) -> Sources:
    """Inputs as they are given on the command line. A path that does not exist becomes a file, to become a row with its error.

    Raises ``DatasetError`` for a glob that matches nothing, an empty list, or folders on different drives.
    """
    hubs = tuple(dict.fromkeys(given for given in inputs if given.startswith(HUB)))
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for given in inputs:
        for path in [] if given.startswith(HUB) else matched(given):
            (folders if os.path.isdir(path) else files).setdefault(os.path.abspath(path), path)
    if not (files or folders or hubs):
        raise DatasetError("nothing to read: give pictures, folders, zips, Parquet files, globs or hub:owner/name")
    places = {os.path.abspath(given) for given in inputs if not given.startswith(HUB)}
    try:
        root = os.path.commonpath([path if path in folders else _fixed_part(path) for path in places]) if places else os.sep
    except ValueError as error:
        raise DatasetError(f"the inputs have no folder in common ({error}): make a job of each") from error
    return Sources(files, folders, hubs, root, _identity(sorted(places | set(hubs))))


def _identity(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) <= FEW:
        return tuple(printable(name) for name in names)
    digest = hashlib.sha256("\0".join(printable(name) for name in names).encode()).hexdigest()
    return (f"{len(names)} inputs, sha256 {digest}",)


def _fixed_part(path: str) -> str:
    """Folder of a file, or of a glob as far as it is certain."""
    if os.path.lexists(path):
        return os.path.dirname(path)
    while glob.has_magic(path):
        path = os.path.dirname(path)
    return path if os.path.isdir(path) else os.path.dirname(path)


def printable(name: str) -> str:
    """A file's name as valid Unicode; bytes of names that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _zip_items(path: str, key: str, file: str) -> Iterator[Item]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        last = archive.NameToInfo
    for member in members:
        name = member.filename
        hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in name.split("/"))
        if hidden or member.is_dir() or os.path.splitext(name)[1].lower() not in PICTURE_SUFFIXES:
            continue
        place = ZipPlace(
            path,
            member.header_offset,
            member.compress_size,
            member.file_size,
            member.compress_type,
            member.CRC,
            bool(member.flag_bits & ENCRYPTED),
        )
        name = printable(name)
        twin = "" if last[member.filename] is member else f"@{member.header_offset}"  # a name may come twice in a zip
        yield Item(f"{key}/{name}{twin}", f"{file}/{name}", place)


def _shards(folder: Path) -> list[str]:
    """Parquet files with pictures in ``folder`` or in its folder ``data``."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return []
    return [str(path) for path in sorted(folder.glob("*.parquet")) or sorted((folder / "data").glob("*.parquet")) if _may_hold_images(path)]


def _may_hold_images(path: Path) -> bool:
    from agegender_core.data.layouts import hub

    try:
        return hub.detect(path) > 0
    except DatasetError:
        return True  # damaged: becomes a row that says so


def _parquet_items(path: str, key: str, file: str) -> Iterator[Item]:
    import pyarrow.parquet as pq

    from agegender_core.data.layouts import hub

    if hub.detect(Path(path)) == 0:
        raise DatasetError("it has no column «image» with bytes and path")
    table = pq.ParquetFile(path, pre_buffer=False)
    number = 0
    for group in range(table.num_row_groups):
        for row, name in enumerate(_row_names(table, group)):
            yield Item(f"{key}#{number}", printable(name) if name else f"{file}#{number}", RowPlace(path, group, row))
            number += 1


def _row_names(table: pq.ParquetFile, group: int) -> Iterator[str | None]:
    """Column «file», else the path stored with the picture, of every row of a group."""
    column = "file" if "file" in table.schema_arrow.names else "image.path"
    for batch in table.iter_batches(4096, row_groups=[group], columns=[column], use_threads=False):
        names = batch.column(0)
        yield from (str(name) if name else None for name in (names if column == "file" else names.field("path")).to_pylist())


def _hub_items(source: str) -> Iterator[Item]:
    from agegender_core.data.layouts.hub import read_hub

    loaded = read_hub(source)
    names = {record.row: record.file for record in loaded.records}
    for row in range(sum(len(part) for part in loaded.pictures.parts)):
        yield Item(f"{source}#{row}", names.get(row, f"row {row}"), HubPlace(source, row))
