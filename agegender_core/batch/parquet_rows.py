"""Rows of Parquet files, listed in a process of its own.

Damaged or hostile files can end the process that opens them (pyarrow lets C++ exceptions out of
calls that must not throw, and a page of a few kilobytes may unpack to gigabytes): that costs a
process here, never the job, and becomes one sentence about the file.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender_core.batch.archives import printable, reason
from agegender_core.batch.image_refs import Item, RowPlace
from agegender_core.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

NAME_BYTES = 4096
"""Longest name that is shown; a file whose names are longer on average is refused."""
CHUNK = 4096
"""Rows that travel at once."""
MEMORY = 2 * 2**30
"""Bytes that the process may take beyond what it has at its start; one page of a file has less than
2 GB."""
PATIENCE = 120.0
"""Seconds for one answer."""
Row = tuple[int, int, str | None]
"""Row group, row in it, name of its image."""


def shards(folder: str) -> list[str]:
    """Parquet files with images in ``folder`` or in its folder ``data``, damaged ones among them,
    so that they are reported."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return []
    found = _parquet_files(Path(folder)) or _parquet_files(Path(folder) / "data")
    return [str(path) for path in found if _may_contain_images(str(path))]


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.glob("*.parquet")
        if path.is_file() and not path.name.startswith(".")
    )


def _may_contain_images(path: str) -> bool:
    try:
        return lister().ask(path, -1)
    except DatasetError:
        return True  # damaged: becomes a row with its error


def parquet_items(path: str, key: str, file: str) -> Iterator[Item]:
    """Rows of a Parquet file. Raises ``DatasetError`` where it has no images or cannot be read
    on."""
    if not lister().ask(path, -1):
        raise DatasetError("it has no column «image» with bytes and path")
    number = 0
    for chunk in itertools.count():
        rows: list[Row] = lister().ask(path, chunk)
        for group, row, name in rows:
            yield Item(f"{key}#{number}", name or f"{file}#{number}", RowPlace(path, group, row))
            number += 1
        if not rows:
            return


class Lister:
    """The process that opens Parquet files for this thread; a new one is started where a file ended
    it."""

    def __init__(self) -> None:
        self.process: Any = None
        self.pipe: Connection | None = None

    def ask(self, path: str, chunk: int) -> Any:
        """Rows of a chunk counted from 0, an empty list after the last one; for -1 whether the file
        has images. Raises ``DatasetError``."""
        if self.process is None or self.pipe is None or not self.process.is_alive():
            self.pipe = self._start()
        try:
            self.pipe.send((path, chunk))
            if not self.pipe.poll(PATIENCE):
                raise TimeoutError
            answer = self.pipe.recv()
        except TimeoutError:
            self.close()
            raise DatasetError(f"it takes longer than {PATIENCE:.0f} s to list") from None
        except (EOFError, OSError):
            self.close()
            raise DatasetError(
                "it is damaged: the process that opened it crashed or ran out of memory"
            ) from None
        if isinstance(answer, str):
            raise DatasetError(answer)
        return answer

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        return pipe

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None


_threads = threading.local()


def lister() -> Lister:
    """This thread's."""
    if not hasattr(_threads, "lister"):
        _threads.lister = Lister()
    return _threads.lister


def close_lister() -> None:
    """End this thread's, where it has one."""
    if hasattr(_threads, "lister"):
        _threads.lister.close()


def _serve(pipe: Connection) -> None:
    """The process's life. It ends with its pipe, and so with the process that started it."""
    import signal

    import pyarrow.parquet  # noqa: F401 (before memory is bounded)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C\+\+'s last words are no message for people
    _bound_memory()
    path, number = "", 0
    chunks: Iterator[list[Row]] = iter(())
    with contextlib.suppress(EOFError, OSError):
        while True:
            wanted, chunk = pipe.recv()
            try:
                if chunk < 0:
                    answer: Any = has_images(wanted)
                else:
                    if (wanted, chunk) != (path, number):
                        path, chunks = wanted, itertools.islice(_chunks(wanted), chunk, None)
                    answer, number = next(chunks, []), chunk + 1
            except Exception as error:
                # Pyarrow raises whatever a damaged file makes it stumble over.
                path, answer = "", reason(error)
            pipe.send(answer)


def _bound_memory() -> None:
    """What asks for more gets an error, or ends the process, before the machine is out of
    memory."""
    try:
        import resource

        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    except (ImportError, OSError, ValueError):  # not on Linux
        return


def has_images(path: str) -> bool:
    """Whether a Parquet file has a column ``image``: {bytes, path}. Raises whatever ``pyarrow``
    does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    kind = schema.field("image").type if schema.names.count("image") == 1 else None
    if kind is None or not pa.types.is_struct(kind):
        return False
    fields = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
    return "path" in fields and "bytes" in fields and _is_bytes(fields["bytes"])


def _is_bytes(kind: object) -> bool:
    import pyarrow as pa

    return (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def _chunks(path: str) -> Iterator[list[Row]]:
    """All rows of a file, ``CHUNK`` at a time."""
    rows = _rows(path)
    while chunk := list(itertools.islice(rows, CHUNK)):
        yield chunk


def _rows(path: str) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as table:
        counts = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        if min(counts, default=0) < 0 or sum(counts) > os.path.getsize(path):
            raise DatasetError(f"it claims {sum(counts):,} rows, more than it has bytes")
        for group in range(table.num_row_groups):
            for row, name in enumerate(itertools.islice(_row_names(table, group), counts[group])):
                yield group, row, printable(name)[:NAME_BYTES] if name else None


def _row_names(table: pq.ParquetFile, group: int) -> Iterator[str | None]:
    """Column «file», else the path stored with the image, of every row of a group."""
    column = "file" if table.schema_arrow.names.count("file") == 1 else "image.path"
    described = table.metadata.row_group(group)
    size = sum(
        described.column(index).total_uncompressed_size
        for index in range(described.num_columns)
        if described.column(index).path_in_schema.split(".")[: column.count(".") + 1]
        == column.split(".")
    )
    if size > NAME_BYTES * max(described.num_rows, 16):
        raise DatasetError(
            f"the column «{column}» has more than {NAME_BYTES:,} bytes a row: these are not names"
        )
    for batch in table.iter_batches(256, row_groups=[group], columns=[column], use_threads=False):
        names = batch.column(0)
        yield from (
            str(name) if name else None
            for name in (names if column == "file" else names.field("path")).to_pylist()
        )
