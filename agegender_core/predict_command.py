"""``predict``: pictures in, one answer a picture out, as JSON lines, CSV or Parquet.

Answers are written as they come, so an interrupted run keeps what it has. A file that fails becomes a row with its error and the run
goes on. Data goes to stdout or ``--output``, everything else to stderr. Heavy imports happen inside, so that ``--help`` is quick.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, TextIO

import typer

if TYPE_CHECKING:
    from agegender_core.types import Analysis

FAILED, INTERRUPTED = 1, 130
"""Exit codes; 0 is success and 2 is typer's for a usage error."""

WeightsOption = Annotated[str | None, typer.Option("--weights", metavar="NAME", help="Weights by name. Default: AGEGENDER_WEIGHTS.")]
RaceOption = Annotated[bool | None, typer.Option("--race/--no-race", help="Also estimate race. Default: AGEGENDER_RACE, else off.")]
MinFaceOption = Annotated[int, typer.Option("--min-face", metavar="PX", min=12, help="Smallest face to look for, in pixels.")]


class TableFormat(StrEnum):
    """How answers are written."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUTS", help="Pictures, folders (searched through) and quoted globs such as 'photos/**/*.jpg'."),
    ],
    table_format: Annotated[TableFormat | None, typer.Option("--format", "-f", help="Default: by --output's suffix, else jsonl.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: standard output.")] = None,
    annotate: Annotated[
        Path | None,
        typer.Option("--annotate", metavar="DIR", help="Also write pictures with boxes and labels here; never overwrites a file."),
    ] = None,
    weights: WeightsOption = None,
    race: RaceOption = None,
    min_face: MinFaceOption = 24,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no summary.")] = False,
) -> None:
    """Estimate age and gender of every face in pictures.

    Exit code 0: all fine; 1: some file failed, see its error; 2: wrong usage; 130: interrupted.
    """
    started = time.monotonic()
    files = expand_inputs(inputs)
    chosen = choose_format(table_format, output)
    _check_output(output, files)
    runner, with_race = _predictor(weights, race, min_face)
    if annotate is not None:
        _make_folder(annotate)
    tally, interrupted = Tally(), False
    with _opened_sink(chosen, output, with_race) as sink:
        try:
            for file in _with_progress(files, quiet):
                _one_file(runner, file, sink, annotate, tally)
        except KeyboardInterrupt:
            interrupted = True
    if not quiet:
        _summary(tally, len(files), time.monotonic() - started, interrupted)
    if interrupted or tally.failed:
        raise typer.Exit(INTERRUPTED if interrupted else FAILED)


@dataclass
class Tally:
    """What a run has done so far."""

    pictures: int = 0
    faces: int = 0
    failed: int = 0


class Predictor(Protocol):
    """What this command needs of a predictor."""

    def run(self, source: str) -> Analysis:
        """The answer for the picture at a path."""


def expand_inputs(inputs: Sequence[str]) -> list[str]:
    """Files to read, in order, each once. Folders give their pictures, hidden ones left out, and globs the files they match; both sorted.

    A path that does not exist stays in the list, to become a row with its error. Raises ``typer.BadParameter`` where a glob or all
    inputs together match nothing.
    """
    files: dict[str, str] = {}
    for given in inputs:
        for file in _expand(given):
            files.setdefault(os.path.abspath(file), file)
    if not files:
        raise typer.BadParameter("there are no pictures in " + ", ".join(inputs), param_hint="INPUTS")
    return list(files.values())


def _expand(given: str) -> list[str]:
    from agegender_core.errors import DatasetError
    from agegender_core.listing import matched, pictures_below

    if os.path.isdir(given):
        return sorted(pictures_below(given))
    try:
        return matched(given)
    except DatasetError as error:
        raise typer.BadParameter(str(error), param_hint="INPUTS") from error


def choose_format(asked: TableFormat | None, output: Path | None) -> TableFormat:
    """The format asked for, else the one of the output's suffix, else JSON lines. Raises ``typer.BadParameter`` where that cannot be."""
    if asked is None and output is not None:
        suffix = output.suffix.lower().removeprefix(".")
        if suffix not in set(TableFormat):
            raise typer.BadParameter(f"{output.name} does not end in .jsonl, .csv or .parquet: add --format", param_hint="--output")
        return TableFormat(suffix)
    if asked is TableFormat.parquet and output is None:
        raise typer.BadParameter("parquet cannot go to standard output: add --output FILE", param_hint="--format")
    return asked or TableFormat.jsonl


def _check_output(output: Path | None, files: list[str]) -> None:
    if output is None:
        return
    if output.is_dir() or not output.parent.is_dir():
        raise typer.BadParameter(f"{output} cannot be written: give a file in a folder that exists", param_hint="--output")
    if os.path.abspath(output) in {os.path.abspath(file) for file in files}:
        raise typer.BadParameter(f"{output} is one of the input files: choose another name", param_hint="--output")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be made a folder: {error.strerror}", param_hint="--annotate") from error


def _predictor(weights: str | None, race: bool | None, min_face: int) -> tuple[Predictor, bool]:
    """The predictor, and whether it estimates race. Weights or settings that cannot be used are a usage error."""
    from agegender_core import predictor
    from agegender_core.errors import AgeGenderError
    from agegender_core.settings import read_settings

    try:
        settings = read_settings()
        with_race = settings.race if race is None else race
        return predictor.load_predictor(weights or settings.weights, race=with_race, min_face=min_face), with_race
    except AgeGenderError as error:
        raise typer.BadParameter(str(error), param_hint="weights and settings") from error


def _with_progress(files: list[str], quiet: bool) -> Iterator[str]:
    from tqdm import tqdm

    yield from tqdm(files, file=sys.stderr, unit="picture", disable=quiet or not sys.stderr.isatty())


def _one_file(runner: Predictor, file: str, sink: Sink, annotate: Path | None, tally: Tally) -> None:
    """Answer one file, write the answer, then its annotated picture."""
    outcome = _outcome(runner, file)
    sink.write(_printable(file), outcome)
    tally.pictures += 1
    if isinstance(outcome, Exception):
        tally.failed += 1
        return
    tally.faces += len(outcome.predictions)
    if annotate is not None:
        try:
            save_annotated(outcome, file, annotate)
        except OSError as error:
            tally.failed += 1
            typer.echo(f"{_printable(file)}: its annotated picture cannot be written: {error.strerror}", err=True)


def _outcome(runner: Predictor, file: str) -> Analysis | Exception:
    """The answer, or whatever went wrong: one bad file must not end a run over thousands."""
    try:
        return runner.run(file)
    except Exception as error:
        return error


def _printable(file: str) -> str:
    """The file's name as valid Unicode; bytes of names that are not UTF-8 are written as escapes."""
    return file.encode("utf-8", "backslashreplace").decode("utf-8")


def save_annotated(analysis: Analysis, source: str, folder: Path) -> Path:
    """Write the annotated picture under the source's name, JPEG for a JPEG and PNG for all else, and return its path.

    An existing file is never touched, be it another source's or an older run's: «-2», «-3» and so on is added to the name instead.
    """
    from agegender_core.export import annotate

    stem, suffix = os.path.splitext(os.path.basename(source))
    lossy = suffix.lower() in {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}
    picture = annotate(analysis)
    for number in itertools.count(1):
        path = folder / f"{stem}{'' if number == 1 else f'-{number}'}{'.jpg' if lossy else '.png'}"
        with contextlib.suppress(FileExistsError), open(path, "xb") as file:
            picture.save(file, "JPEG", quality=92) if lossy else picture.save(file, "PNG")
            return path
    raise AssertionError("numbers do not run out")


class Sink(Protocol):
    """Where answers go."""

    def write(self, file: str, outcome: Analysis | Exception) -> None:
        """Write one file's answer or error."""

    def close(self) -> None:
        """Write what is still held back."""


class JsonLinesSink:
    """One JSON object a file, written at once."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, file: str, outcome: Analysis | Exception) -> None:
        """Write one line."""
        from agegender_core.export import analysis_json, error_json

        answer = error_json(file, outcome) if isinstance(outcome, Exception) else analysis_json(file, outcome)
        self.stream.write(json.dumps(answer, ensure_ascii=False) + "\n")
        self.stream.flush()

    def close(self) -> None:
        """Nothing is held back."""


class CsvSink:
    """One line a face, written at once, after a header."""

    def __init__(self, stream: TextIO, race: bool) -> None:
        from agegender_core.export import csv_writer, table_columns

        self.stream = stream
        self.writer = csv_writer(stream, table_columns(race))

    def write(self, file: str, outcome: Analysis | Exception) -> None:
        """Write the file's lines."""
        self.writer.writerows(_rows(file, outcome))
        self.stream.flush()

    def close(self) -> None:
        """Nothing is held back."""


class ParquetSink:
    """One row a face, kept until the end: Parquet cannot be written line by line."""

    def __init__(self, path: Path, race: bool) -> None:
        self.path, self.race = path, race
        self.rows: list[dict] = []

    def write(self, file: str, outcome: Analysis | Exception) -> None:
        """Keep the file's rows."""
        self.rows.extend(_rows(file, outcome))

    def close(self) -> None:
        """Write all rows."""
        from agegender_core.export import table_parquet

        self.path.write_bytes(table_parquet(self.rows, race=self.race))


def _rows(file: str, outcome: Analysis | Exception) -> list[dict]:
    from agegender_core.export import error_row, face_rows

    return [error_row(file, outcome)] if isinstance(outcome, Exception) else face_rows(file, outcome)


@contextlib.contextmanager
def _opened_sink(chosen: TableFormat, output: Path | None, race: bool) -> Iterator[Sink]:
    """The sink for a format; closed, and its file with it, even where the run breaks off."""
    with contextlib.ExitStack() as stack:
        if chosen is TableFormat.parquet:
            sink: Sink = ParquetSink(output, race)
        else:
            stream = _stdout() if output is None else stack.enter_context(_created(output))
            sink = CsvSink(stream, race) if chosen is TableFormat.csv else JsonLinesSink(stream)
        stack.callback(sink.close)
        yield sink


def _created(output: Path) -> TextIO:
    try:
        return open(output, "w", encoding="utf-8", newline="")
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}", param_hint="--output") from error


def _stdout() -> TextIO:
    """Standard output in UTF-8: names of files may hold any letter."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


def _summary(tally: Tally, asked: int, seconds: float, interrupted: bool) -> None:
    stopped = f"stopped before {asked - tally.pictures} of {asked} files: " if interrupted else ""
    done = f"{_count(tally.pictures, 'picture')}, {_count(tally.faces, 'face')}, {tally.failed} failed, {seconds:.1f} s"
    typer.echo(stopped + done, err=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
