"""What every adapter takes and gives: a folder goes in, canonical records come out, with a reason
for every row that does not.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from agegender_core.datasets.records import FaceRecord
from agegender_core.errors import DatasetError
from agegender_core.vision.image_io import IMAGE_SUFFIXES

DETECT_NAMES = 400
"""How many names of a folder are looked at to recognise a layout."""
SUBFOLDER_WEIGHT = 0.9
"""Confidence of a layout found one folder below the given one, relative to one found in it."""


class Skip(NamedTuple):
    """A row or file and what is wrong with it. Reasons name no single values, so that they can be
    counted.
    """

    file: str
    reason: str


class Pictures(Protocol):
    """Where a dataset's images are. ``has`` is cheap; ``read`` gives the encoded image or raises
    ``DatasetError``.
    """

    def has(self, record: FaceRecord) -> bool: ...

    def read(self, record: FaceRecord) -> bytes: ...


@dataclass(frozen=True)
class FolderPictures:
    """Images in files: ``record.file`` below ``root``."""

    root: Path

    def has(self, record: FaceRecord) -> bool:
        """Whether the file is there; it may still be no image."""
        return (self.root / record.file).is_file()

    def read(self, record: FaceRecord) -> bytes:
        """Bytes of the file."""
        try:
            return (self.root / record.file).read_bytes()
        except OSError as error:
            raise DatasetError(
                f"{record.file} cannot be read in {self.root}: {error.strerror or error}"
            ) from error


@dataclass(frozen=True, eq=False)
class LoadedSet:
    """A dataset as it was found.

    ``records``: labelled images; ``file`` is relative to ``root`` with forward slashes, ``row`` is
    unique. ``skipped``: rows and files that gave no record. ``incomplete``: records that lack a
    label their set should have. ``notes``: sentences on the whole.
    """

    name: str
    root: str
    records: tuple[FaceRecord, ...]
    skipped: tuple[Skip, ...]
    incomplete: tuple[Skip, ...]
    notes: tuple[str, ...]
    pictures: Pictures

    def image_bytes(self, record: FaceRecord) -> bytes:
        """The encoded image of ``record``. Raises ``DatasetError`` where it is missing."""
        return self.pictures.read(record)

    def images(
        self, records: Sequence[FaceRecord] | None = None
    ) -> Iterator[tuple[FaceRecord, bytes]]:
        """(record, encoded image) one after the other, in the order of ``row``; default: all."""
        for record in sorted(
            self.records if records is None else records, key=lambda record: record.row
        ):
            yield record, self.image_bytes(record)


@dataclass(frozen=True)
class Layout:
    """One official way to lay a dataset out.

    ``expects``: what must be in the folder, for messages. ``official``: size of the whole release.
    ``detect``: confidence in [0, 1] that a path holds it. ``read``: all of it; raises
    ``DatasetError``.
    """

    name: str
    title: str
    expects: str
    official: str
    detect: Callable[[Path], float]
    read: Callable[[Path], LoadedSet]


@dataclass
class Collector:
    """Gathers a dataset row by row. A file that comes a second time, or whose name leads out of the
    root, is skipped here for all adapters.
    """

    name: str
    records: list[FaceRecord] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    incomplete: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(
        self,
        file: str,
        *,
        missing: Sequence[str] = (),
        row: int | None = None,
        split: str = "all",
        **labels: Any,
    ) -> None:
        """Take one image in; ``missing`` says which labels it lacks. ``row``: default is its place
        among the records.
        """
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts:
            self.skip(file, "the file name leads out of the folder")
        elif file in self._seen:
            self.skip(file, "the file was listed before")
        else:
            self._seen.add(file)
            self.incomplete += [Skip(file, reason) for reason in missing]
            self.records.append(
                FaceRecord(
                    self.name, file, len(self.records) if row is None else row, split, **labels
                )
            )

    def skip(self, file: str, reason: str) -> None:
        """Leave one row out."""
        self.skipped.append(Skip(file, reason))

    def finish(self, root: Path | str, pictures: Pictures | None = None) -> LoadedSet:
        """What was gathered; images are in files below ``root`` unless given."""
        return LoadedSet(
            self.name,
            str(root),
            tuple(self.records),
            tuple(self.skipped),
            tuple(self.incomplete),
            tuple(self.notes),
            pictures or FolderPictures(Path(root)),
        )


def is_picture(name: str) -> bool:
    """Whether a file name is that of an image; hidden files are none."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def subfolders(folder: Path) -> list[Path]:
    """Direct, visible subfolders in order of name."""
    return (
        sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        if folder.is_dir()
        else []
    )


def matching_share(folder: Path, pattern: re.Pattern[str]) -> float:
    """Share of the images in ``folder`` (the first few hundred) whose name matches; 0 where there
    is none.
    """
    if not folder.is_dir():
        return 0.0
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in itertools.islice(entries, DETECT_NAMES)
            if is_picture(entry.name)
        ]
    return sum(bool(pattern.match(name)) for name in names) / len(names) if names else 0.0


def picture_files(root: Path, folder: Path, depth: int = 0) -> list[str]:
    """Images in ``folder`` and ``depth`` levels below it, as sorted names relative to ``root`` with
    forward slashes.
    """
    found = [
        (folder / entry.name).relative_to(root).as_posix()
        for entry in os.scandir(folder)
        if entry.is_file() and is_picture(entry.name)
    ]
    found.sort()
    for child in subfolders(folder) if depth else []:
        found += picture_files(root, child, depth - 1)
    return found


def best_root(path: Path, score: Callable[[Path], float], table: str = "") -> tuple[Path, float]:
    """Folder that holds a layout and the confidence: ``path``, one of its subfolders, or the folder
    of ``path`` where that is a ``table`` (a regular expression) of the layout itself.
    """
    if path.is_file():
        return (
            (path.parent, score(path.parent))
            if table and re.fullmatch(table, path.name)
            else (path, 0.0)
        )
    best = (path, score(path)) if path.is_dir() else (path, 0.0)
    for child in subfolders(path) if best[1] < SUBFOLDER_WEIGHT else []:
        confidence = SUBFOLDER_WEIGHT * score(child)
        if confidence > best[1]:
            best = (child, confidence)
    return best


def require_root(path: Path, score: Callable[[Path], float], expects: str, table: str = "") -> Path:
    """Like ``best_root``, but raises ``DatasetError`` where nothing of the layout is found."""
    root, confidence = best_root(path, score, table)
    if confidence <= 0:
        raise DatasetError(f"{path} does not hold {expects}")
    return root
