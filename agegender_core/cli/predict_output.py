"""Where ``predict`` puts its answers, so that none is lost and no file is left half-written.

A file's answers go to a temporary file beside it, made before any work begins: a folder that cannot
be written is known then. Each answer is on disk before the next image is read, and whatever breaks
off, the temporary file is cut after the last whole answer. At the end, or when the run is
interrupted, it takes the target's place at once. Where the disk does not take an answer, the
answers before it stay in the temporary file, which the error names, and the target stays as it was.

Parquet cannot be written answer by answer: its rows are stored as JSON lines until the end.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from agegender_core.cli import predict_table
from agegender_core.errors import ConfigError

if TYPE_CHECKING:
    from agegender_core.types import Analysis

ROWS = 10_000
"""Rows of a Parquet file's row group: so many are in memory at once."""
JPEG_SIDE = 65_500
"""Longest side of a JPEG that libjpeg writes, in pixels."""


class TableFormat(StrEnum):
    """How answers are written."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"
    table = "table"


class OutputError(ConfigError):
    """Answers cannot be written; what was wrong and where the finished ones are."""


class Encoder:
    """Answers as text: JSON documents or table rows, one file's at a time."""

    def __init__(self, chosen: TableFormat, race: bool) -> None:
        self.chosen, self.race = chosen, race

    def header(self) -> str:
        """What stands before the first answer."""
        if self.chosen is TableFormat.table:
            return predict_table.header(self.race)
        return self._csv([]) if self.chosen is TableFormat.csv else ""

    def encode(self, file: str, outcome: Analysis | Exception) -> str:
        """The lines of one file's answer or error."""
        from agegender_core.output.tables import analysis_json, error_json, error_row, face_rows

        if self.chosen is TableFormat.jsonl:
            answer = (
                error_json(file, outcome)
                if isinstance(outcome, Exception)
                else analysis_json(file, outcome)
            )
            return json.dumps(answer, ensure_ascii=False) + "\n"
        rows = (
            [error_row(file, outcome)]
            if isinstance(outcome, Exception)
            else face_rows(file, outcome)
        )
        if self.chosen is TableFormat.table:
            ranges = not isinstance(outcome, Exception) and any(
                prediction.age.ranges is not None for prediction in outcome.predictions
            )
            return predict_table.lines(rows, self.race, ranges)
        if self.chosen is TableFormat.csv:
            return self._csv(rows).partition("\n")[2]
        return "".join(json.dumps(row) + "\n" for row in rows)

    def _csv(self, rows: list[dict[str, Any]]) -> str:
        from agegender_core.output.csv_tables import CsvWriter
        from agegender_core.output.tables import table_columns

        stream = io.StringIO()
        CsvWriter(stream, table_columns(self.race)).writerows(rows)
        return stream.getvalue()


class Output:
    """One place for answers, written whole or not at all. Methods raise ``OutputError``."""

    def __init__(self, name: str, encoder: Encoder) -> None:
        self.name, self.encoder, self.written = name, encoder, 0

    def write(self, file: str, outcome: Analysis | Exception) -> None:
        """Put one file's answer where a crash does not reach it."""
        try:
            self._append(
                (self.encoder.header() if not self.written else "")
                + self.encoder.encode(file, outcome)
            )
        except OSError as error:
            raise OutputError(
                f"{self.name} cannot be written: {error.strerror or error}; {self._kept()}"
            ) from error
        self.written += 1

    def finish(self) -> None:
        """Put what was written in its place."""

    def discard(self) -> None:
        """Forget what was written: the run failed before its first answer."""

    def close(self) -> None:
        """Let go of what is still open."""

    def _append(self, text: str) -> None:
        raise NotImplementedError

    def _kept(self) -> str:
        return f"answers written before it: {self.written}"


class StreamOutput(Output):
    """Standard output, a pipe or a device: what is written cannot be taken back."""

    def __init__(self, stream: Any, name: str, encoder: Encoder) -> None:
        super().__init__(name, encoder)
        self.stream = stream

    def _append(self, text: str) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:
            raise  # the reader has seen enough: no fault, and the command ends quietly
        except OSError:
            self._silence()
            raise

    def finish(self) -> None:
        """Write the header where there was no answer."""
        if not self.written and (header := self.encoder.header()):
            try:
                self._append(header)
            except OSError as error:
                raise OutputError(
                    f"{self.name} cannot be written: {error.strerror or error}"
                ) from error

    def close(self) -> None:
        """Close a device; standard output stays open."""
        if self.stream is not sys.stdout:
            with contextlib.suppress(OSError):
                self.stream.close()

    def _silence(self) -> None:
        """What is left in the stream's buffer is not tried again when Python ends, which would
        print a traceback."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


class FileOutput(Output):
    """A temporary file beside ``path``, which it replaces at the end."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        super().__init__(str(path), encoder)
        self.path = Path(os.path.realpath(path))  # a link stays one
        try:
            if self.path.exists() and not os.access(self.path, os.W_OK):
                raise PermissionError(13, "Permission denied")
            self.partial, self.file = _temporary(self.path)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
        self.good = 0

    def _append(self, text: str) -> None:
        _write_all(self.file, memoryview(text.encode("utf-8", "backslashreplace")))
        self.good = self.file.tell()

    def finish(self) -> None:
        """Cut an answer that was being written, and put the rest in its place."""
        try:
            if not self.written:
                self._append(self.encoder.header())
            self.file.truncate(self.good)
            if self.encoder.chosen is TableFormat.parquet:
                self._to_parquet()
            os.fsync(self.file.fileno())
            self.file.close()
            with contextlib.suppress(FileNotFoundError):
                os.chmod(self.partial, stat.S_IMODE(os.stat(self.path).st_mode))
            os.replace(self.partial, self.path)
        except OSError as error:
            raise OutputError(
                f"{self.name} cannot be written: {error.strerror or error}; {self._kept()}"
            ) from error

    def discard(self) -> None:
        """Remove the temporary file."""
        self.close()
        with contextlib.suppress(OSError):
            self.partial.unlink()

    def close(self) -> None:
        """Close the file, wherever it is by now."""
        with contextlib.suppress(OSError):
            self.file.close()

    def _kept(self) -> str:
        with contextlib.suppress(OSError):
            self.file.truncate(self.good)
            self.file.close()
        if not self.written:
            self.discard()
            return "there was no answer yet"
        rows = " as JSON lines" if self.encoder.chosen is TableFormat.parquet else ""
        return f"finished answers are saved{rows} in {self.partial}: {self.written}"

    def _to_parquet(self) -> None:
        """Make the JSON lines a table. They are deleted only once it is complete."""
        table, file = _temporary(self.path)
        try:
            self._write_parquet(file)
        except BaseException:
            file.close()
            table.unlink()
            raise
        self.file.close()
        self.partial.unlink()
        self.partial, self.file = table, file

    def _write_parquet(self, file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from agegender_core.output.tables import parquet_schema

        schema = parquet_schema(self.encoder.race)
        with (
            open(self.partial, encoding="utf-8") as lines,
            pq.ParquetWriter(file, schema) as writer,
        ):
            while rows := [json.loads(line) for line in itertools.islice(lines, ROWS)]:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            if not self.written:
                writer.write_table(schema.empty_table())


def _write_all(file: io.FileIO, data: memoryview) -> None:
    """An unbuffered file may take a part at a time. Nothing is kept back that closing it would try
    to write again."""
    while data:
        data = data[file.write(data) :]


def _temporary(path: Path) -> tuple[Path, io.FileIO]:
    """A new unbuffered file beside ``path``, with the rights that a file made there has."""
    descriptor, name = tempfile.mkstemp(
        prefix=f"{path.name[:100]}.", suffix=".partial", dir=path.parent
    )
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
    return Path(name), open(descriptor, "wb", buffering=0)


@contextlib.contextmanager
def opened_output(chosen: TableFormat, path: Path | None, race: bool) -> Iterator[Output]:
    """Where answers go: ``path``, standard output for None. Put in its place at the end, and on
    ctrl-C too; removed again where the run fails before its first answer. Raises
    ``OutputError``."""
    encoder = Encoder(chosen, race)
    output: Output
    if path is None:
        output = StreamOutput(_stdout(), "standard output", encoder)
    elif path.exists() and not path.is_file():
        if chosen is TableFormat.parquet:
            raise OutputError(f"{path} is not a file, and Parquet needs one")
        output = StreamOutput(_device(path), str(path), encoder)
    else:
        output = FileOutput(path, encoder)
    try:
        yield output
    except OutputError:
        raise
    except BaseException:
        output.finish() if output.written else output.discard()
        raise
    else:
        output.finish()
    finally:
        output.close()


def _device(path: Path) -> Any:
    try:
        return open(path, "w", encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error


def _stdout() -> Any:
    """Standard output in UTF-8: names of files may contain any letter."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    return sys.stdout


def save_annotated(analysis: Analysis, source: str, folder: Path) -> Path:
    """Write the annotated image under the source's name, JPEG for a JPEG that is not too long for
    one and PNG for all else, and return its path.

    An existing file is never touched, be it another source's or an older run's: «-2», «-3» and so
    on is added to the name instead. Raises ``OSError``; no file is left behind then.
    """
    from agegender_core.output.drawing import annotate

    stem, suffix = os.path.splitext(os.path.basename(source))
    image = annotate(analysis)
    lossy = (
        suffix.lower() in {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}
        and max(image.size) <= JPEG_SIDE
    )
    data = io.BytesIO()
    image.save(data, "JPEG", quality=92) if lossy else image.save(data, "PNG")
    for number in itertools.count(1):
        path = folder / f"{stem}{'' if number == 1 else f'-{number}'}{'.jpg' if lossy else '.png'}"
        with contextlib.suppress(FileExistsError), open(path, "xb", buffering=0) as file:
            try:
                _write_all(file, data.getbuffer())
            except BaseException:
                path.unlink()
                raise
            return path
    raise AssertionError("numbers do not run out")
