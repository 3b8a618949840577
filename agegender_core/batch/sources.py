"""What a job reads: folders, images, globs, zips, Parquet and datasets of the hub become one stream
of items, each once, in a fixed order.

A folder gives its images, those in folders below it, and the rows of Parquet files with an image
column in it or in its folder ``data``; hidden ones are left out, and zips inside a folder stay
closed, which is reported. Folders and Parquet files are listed while the job runs; in memory are
the names a glob matches, a zip's table of contents and a hub dataset's labels.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agegender_core.batch.archives import ARCHIVE_SUFFIXES, printable, reason, zip_items
from agegender_core.batch.image_refs import FilePlace, HubPlace, Item, NoPlace
from agegender_core.batch.parquet_rows import parquet_items, shards
from agegender_core.errors import DatasetError
from agegender_core.vision.image_files import CLOSED, expand_glob, files_below, folder_identity
from agegender_core.vision.image_io import IMAGE_SUFFIXES

HUB = "hub:"
FEW = 20
"""Up to this number, inputs are stored by name, more by their digest."""


@dataclass(frozen=True)
class Sources:
    """Inputs by kind. ``files`` and ``folders``: absolute path -> as it was passed; ``hubs``: names
    of datasets; ``root``: keys of files are relative to this folder, so that they depend neither on
    the working directory nor on what a glob matches today; ``identity``: absolute inputs in order,
    a digest of them where they are many.

    Filled while items are listed, by the inputs' names: ``empty``, the messages about inputs
    without a single image, and ``unopened``, of folders with archives in them.
    """

    files: dict[str, str]
    folders: dict[str, str]
    hubs: tuple[str, ...]
    root: str
    identity: tuple[str, ...]
    empty: dict[str, str] = field(default_factory=dict, compare=False)
    unopened: dict[str, str] = field(default_factory=dict, compare=False)

    def items(self) -> Iterator[Item]:
        """Every image once: single files first, then folders, then datasets of the hub."""
        for path, name in self.files.items():
            yield from self._noting_empty(name, self._file_items(path, name))
        for path, name in self.folders.items():
            yield from self._noting_empty(name, self._folder_items(path, name))
        for source in self.hubs:
            yield from self._noting_empty(source, _hub_items(source))

    def _noting_empty(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """``items``; an input without any is recorded in ``empty``."""
        item = None
        for item in items:
            yield item
        if item is None:
            closed = self.unopened.get(name)
            self.empty[name] = f"there are no images in {printable(name)}" + (
                f"; {closed}" if closed else ""
            )

    def count(self) -> int:
        """How many items there are; goes through all names once."""
        return sum(1 for _ in self.items())

    def _file_items(self, path: str, name: str) -> Iterator[Item]:
        key, suffix = self._key(path), os.path.splitext(path)[1].lower()
        readers = {".zip": zip_items, ".parquet": parquet_items}
        if os.path.isdir(path):
            yield Item(key, printable(name), NoPlace(CLOSED))
        elif suffix not in readers or not os.path.isfile(path):
            yield Item(key, printable(name), FilePlace(path))
        else:
            try:
                yield from readers[suffix](path, key, printable(name))
            except Exception as error:
                # Readers raise whatever a damaged file makes them stumble over.
                yield Item(
                    key,
                    printable(name),
                    NoPlace(
                        f"{printable(os.path.basename(path))} cannot be opened: {reason(error)}"
                    ),
                )

    def _folder_items(self, folder: str, name: str) -> Iterator[Item]:
        for path in shards(folder):
            if path not in self.files:
                yield from self._file_items(path, os.path.join(name, os.path.relpath(path, folder)))
        archives = 0
        for path in files_below(folder, self.folders.keys() - {folder}):
            if path in self.files:
                continue
            suffix = os.path.splitext(path)[1].lower()
            archives += suffix in ARCHIVE_SUFFIXES
            if suffix in IMAGE_SUFFIXES or os.path.isdir(path):
                place = NoPlace(CLOSED) if os.path.isdir(path) else FilePlace(path)
                yield Item(
                    self._key(path),
                    printable(os.path.join(name, os.path.relpath(path, folder))),
                    place,
                )
        if archives:
            many = f"{archives:,} archives in {printable(name)} were not opened"
            self.unopened[name] = f"{many}: give zips by name, or as a glob, and unpack others"

    def _key(self, path: str) -> str:
        return printable(os.path.relpath(path, self.root)).replace(os.sep, "/")


def find_sources(inputs: Sequence[str]) -> Sources:
    """Inputs as they are on the command line. A path that does not exist becomes a file, to
    become a row with its error.

    Raises ``DatasetError`` for a glob that matches nothing, an empty list, or folders on different
    drives.
    """
    hubs = tuple(dict.fromkeys(name for name in inputs if name.startswith(HUB)))
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in inputs:
        for path in [] if name.startswith(HUB) else expand_glob(name):
            if os.path.isdir(name):
                _add_folder(folders, path)
            else:
                files.setdefault(os.path.abspath(path), path)
    if not (files or folders or hubs):
        raise DatasetError(
            "nothing to read: give images, folders, zips, Parquet files, globs or hub:owner/name"
        )
    places = {os.path.abspath(name) for name in inputs if not name.startswith(HUB)}
    try:
        root = (
            os.path.commonpath([path if path in folders else _fixed_part(path) for path in places])
            if places
            else os.sep
        )
    except ValueError as error:
        raise DatasetError(
            f"the inputs have no folder in common ({error}): make a job of each"
        ) from error
    return Sources(files, folders, hubs, root, _identity(sorted(places | set(hubs))))


def _add_folder(folders: dict[str, str], path: str) -> None:
    """Once, whatever names it has."""
    if folder_identity(path) not in {folder_identity(other) for other in folders}:
        folders[os.path.abspath(path)] = path


def _identity(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) <= FEW:
        return tuple(printable(name) for name in names)
    digest = hashlib.sha256("\0".join(printable(name) for name in names).encode()).hexdigest()
    return (f"{len(names)} inputs, sha256 {digest}",)


def _fixed_part(path: str) -> str:
    """Folder of a file, or of a glob as far as it is certain."""
    if os.path.lexists(path):
        return os.path.dirname(path)
    while glob.has_magic(path) and not os.path.isdir(path):
        path = os.path.dirname(path)
    return path if os.path.isdir(path) else os.path.dirname(path)


def _hub_items(source: str) -> Iterator[Item]:
    from agegender_core.datasets.readers.parquet_or_hub import HubPictures, read_hub

    loaded = read_hub(source)
    names = {record.row: record.file for record in loaded.records}
    assert isinstance(loaded.pictures, HubPictures)
    for row in range(sum(len(part) for part in loaded.pictures.parts)):
        yield Item(f"{source}#{row}", names.get(row, f"row {row}"), HubPlace(source, row))
