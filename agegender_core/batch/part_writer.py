"""Where a job's rows go: a folder of Parquet parts, each written as a whole or not at all, and a
note that describes the job.

    out/_batch.json          the job: inputs, weights and their sha256, race, min_face; resuming
                             with other settings is refused
    out/part-00000.parquet   predict's columns and «key», all rows of an image in one part

Readers of such folders skip names that begin with «_» or «.»: ``pandas.read_parquet("out")`` reads
all parts. An image is done when its key is in a part; nothing else is stored about it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from agegender_core.errors import ConfigError
from agegender_core.output.files import atomic_file, write_json
from agegender_core.output.tables import COLUMN_TYPES, table_columns

SCHEMA = 1
"""Increased when columns or keys change their meaning: parts of another version are not continued.
"""
NOTE, LOCK = "_batch.json", "_batch.lock"
NOTE_LENGTH = 2**20
"""Characters of a note that are read; it has some hundreds."""
ARROW = {"string": pa.string(), "Int64": pa.int64(), "Float64": pa.float64()}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What decides the answers, and so what a resume must have in common with the start."""

    inputs: tuple[str, ...]
    weights: str
    weights_sha256: str
    race: bool
    min_face: int
    schema: int = SCHEMA


@dataclass
class Tally:
    """Counts of a job: of this run, or of all."""

    images: int = 0
    faces: int = 0
    failed: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.images + other.images, self.faces + other.faces, self.failed + other.failed
        )


def tally_of(rows: Sequence[Row]) -> Tally:
    """One image's share, by its rows."""
    return Tally(1, sum(row["face"] is not None for row in rows), int(rows[0]["error"] is not None))


def part_schema(race: bool) -> pa.Schema:
    """Columns of a part: «key», then ``tables.table_columns``."""
    return pa.schema(
        [("key", pa.string()), *((name, ARROW[COLUMN_TYPES[name]]) for name in table_columns(race))]
    )


class CompletedKeys:
    """Keys of finished images, as sorted 64-bit digests: 8 bytes each."""

    def __init__(self, digests: Iterable[np.ndarray] = ()) -> None:
        self.digests = np.unique(np.concatenate([np.empty(0, np.uint64), *digests]))

    def __contains__(self, key: str) -> bool:
        wanted = digest(key)
        place = int(np.searchsorted(self.digests, wanted))
        return place < len(self.digests) and bool(self.digests[place] == wanted)

    def __len__(self) -> int:
        return len(self.digests)


def digest(key: str) -> np.uint64:
    """64 bits of a key; among ten million keys two are alike with a chance of three in a
    million.
    """
    return np.uint64(
        int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    )


@dataclass
class Parts:
    """The folder of a job, open for one process. ``done``: images in its parts when it was opened,
    ``before``: their tally; ``tally``: what came since.
    """

    folder: Path
    job: Job
    part_rows: int
    done: CompletedKeys = field(default_factory=CompletedKeys)
    before: Tally = field(default_factory=Tally)
    tally: Tally = field(default_factory=Tally)
    _rows: list[Row] = field(default_factory=list)
    _next: int = 0

    def add(self, key: str, rows: Sequence[Row]) -> None:
        """Take the rows of one image; they stay in memory until ``write``."""
        self._rows += [{"key": key, **row} for row in rows]
        self.tally += tally_of(rows)

    def write_if_full(self) -> None:
        """Write a part where there are enough rows."""
        if len(self._rows) >= self.part_rows:
            self.write()

    def write(self) -> None:
        """Write the rows in memory as the next part. Raises ``ConfigError`` where the disk does not
        take it.
        """
        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=part_schema(self.job.race))
        with (
            _writing(self.folder),
            atomic_file(self.folder / f"part-{self._next:05}.parquet") as file,
        ):
            pq.write_table(table, file)
        self._next += 1
        self._rows = []

    @property
    def count(self) -> int:
        """How many parts there are."""
        return self._next


@contextlib.contextmanager
def opened_parts(folder: Path, job: Job, part_rows: int) -> Iterator[Parts]:
    """The folder of ``job``, new or continued, for this process alone; rows still in memory are
    written at the end, whatever happens.

    Raises ``ConfigError`` for a folder of another job, one in use, one that contains something
    else, or one that cannot be written.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _check_note(folder, job)
        lock = open(folder / LOCK, "ab")  # noqa: SIM115 (open as long as the job runs)
    with lock:
        _lock_folder(lock, folder)
        for partial in folder.glob(".*.tmp"):
            partial.unlink()
        _check_note(folder, job)  # again: another process may have begun a job in between
        with _writing(folder):
            write_json(folder / NOTE, dataclasses.asdict(job))
        parts = _read(folder, job, part_rows)
        try:
            yield parts
        finally:
            parts.write()


def _check_note(folder: Path, job: Job) -> None:
    try:
        with open(folder / NOTE, encoding="utf-8") as file:
            note = json.loads(file.read(NOTE_LENGTH))
        if not isinstance(note, dict):
            raise ValueError("it is not a job's note")
    except FileNotFoundError:
        if any(folder.glob("*.parquet")):
            raise ConfigError(
                f"{folder} contains Parquet files that no batch job wrote: give a new folder"
            ) from None
        return
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"{folder / NOTE} cannot be read ({error}): give a new folder") from error
    wanted = json.loads(json.dumps(dataclasses.asdict(job)))
    other = [
        f"{name} is {wanted[name]!r}, was {note.get(name)!r}"
        for name in wanted
        if note.get(name) != wanted[name]
    ]
    if other:
        raise ConfigError(
            f"{folder} was begun as another job ({'; '.join(other)}): give the settings it was"
            " begun with, or a new folder"
        )


def _lock_folder(lock: IO[bytes], folder: Path) -> None:
    """Keep other processes out until this one ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(
            f"{folder} is in use by another batch: wait for it, or give another folder"
        ) from error
    except OSError:  # a file system without locks
        return


def _read(folder: Path, job: Job, part_rows: int) -> Parts:
    digests, before, last = [], Tally(), -1
    for path in sorted(folder.glob("part-*.parquet")):
        try:
            table = pq.read_table(
                path,
                columns=["key", "face", "error"],
                schema=part_schema(job.race),
                partitioning=None,
            )
            last = max(last, int(path.stem.removeprefix("part-")))
            if not path.is_file() or table.column("key").null_count:
                raise ValueError("it has rows without a key")
        except Exception as error:  # pyarrow raises whatever a damaged file makes it stumble over
            raise ConfigError(
                f"{path} is damaged or no part of a batch job ({error}): delete it, its images are"
                " read again"
            ) from error
        keys = table.column("key").unique().to_pylist()
        digests.append(np.fromiter((digest(key) for key in keys), np.uint64, len(keys)))
        failed = len(table) - table.column("error").null_count
        before += Tally(len(keys), pc.count(table.column("face")).as_py(), failed)
    return Parts(folder, job, part_rows, CompletedKeys(digests), before, _next=last + 1)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from error
