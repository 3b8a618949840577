"""``predict``: images in, one answer an image out, as JSON lines, CSV or Parquet.

Answers are written as they come, so an interrupted run loses nothing (see ``predict_output``).
A file that fails becomes a row with its error and the run goes on. Data goes to stdout or
``--output``, everything else to stderr. Heavy imports happen inside, so that ``--help`` is quick.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from agegender_core.cli.predict_output import (
    Output,
    OutputError,
    TableFormat,
    opened_output,
    save_annotated,
)
from agegender_core.output.counts import counted

if TYPE_CHECKING:
    from agegender_core.settings import Settings
    from agegender_core.types import Analysis

SUFFIXES = {"jsonl", "csv", "parquet"}
"""Of files whose format need not be said."""
FAILED, INTERRUPTED = 1, 130
"""Exit codes; 0 is success and 2 is typer's for a usage error."""

WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights", "-w", metavar="NAME", help="Weights by name. Default: AGEGENDER_WEIGHTS."
    ),
]
RaceOption = Annotated[
    bool | None,
    typer.Option("--race/--no-race", help="Also estimate race. Default: AGEGENDER_RACE, else off."),
]
MinFaceOption = Annotated[
    int,
    typer.Option(
        "--min-face",
        metavar="PX",
        min=12,
        help="Smallest face to detect, in pixels of the image as it is searched: shrunk where it is"
        " large.",
    ),
]


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Images, folders (searched through) and quoted globs such as 'photos/**/*.jpg'.",
        ),
    ],
    table_format: Annotated[
        TableFormat | None,
        typer.Option(
            "--format",
            "-f",
            help="Default: by --output's suffix, else a table on a terminal and jsonl in a pipe.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: standard output."),
    ] = None,
    annotate: Annotated[
        Path | None,
        typer.Option(
            "--annotate",
            metavar="DIR",
            help="Also write images with boxes and labels here; never overwrites a file.",
        ),
    ] = None,
    weights: WeightsOption = None,
    race: RaceOption = None,
    min_face: MinFaceOption = 24,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar and no summary.")
    ] = False,
) -> None:
    """Estimate age and gender of every face in images.

    Exit code 0: all fine; 1: some file failed, see its error, or a folder had no images; 2: wrong
    usage, such as a glob that matches nothing; 130: interrupted.
    """
    started = time.monotonic()
    files, empty = expand_inputs(inputs)
    if not files:
        _name_empty(empty)
        raise typer.Exit(FAILED)
    chosen = choose_format(table_format, output)
    _check_output(output, files)
    if annotate is not None:
        make_folder(annotate, "--annotate")
    settings, with_race = _settings(race)
    tally, interrupted = Tally(), False
    try:
        with _ending_as_ctrl_c(), opened_output(chosen, output, with_race) as out:
            runner = _predictor(settings, weights, with_race, min_face)
            for file in _with_progress(files, quiet):
                _one_file(runner, file, out, annotate, tally)
    except KeyboardInterrupt:
        interrupted = True
    except OutputError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(FAILED) from error
    _name_empty(empty)
    if not quiet:
        _summary(tally, len(files), time.monotonic() - started, interrupted)
    if interrupted or tally.failed or empty:
        raise typer.Exit(INTERRUPTED if interrupted else FAILED)


def _name_empty(folders: Sequence[str]) -> None:
    for folder in folders:
        typer.echo(f"there are no images in {_printable(folder)}", err=True)


@dataclass
class Tally:
    """Counts of a run so far."""

    images: int = 0
    faces: int = 0
    failed: int = 0


class Predictor(Protocol):
    """What this command needs of a predictor."""

    def run(self, source: str) -> Analysis:
        """The answer for the image at a path."""


def expand_inputs(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files to read, in order, each once, and folders without any. Folders give their images,
    hidden ones left out, and globs the files they match; both sorted.

    A path that does not exist stays in the list, to become a row with its error. Raises
    ``typer.BadParameter`` where a glob matches nothing.
    """
    files: dict[str, str] = {}
    empty: list[str] = []
    for pattern in inputs:
        found = _expand(pattern)
        empty += [] if found else [pattern]
        for file in found:
            folder, name = os.path.split(file)
            files.setdefault(os.path.join(os.path.realpath(folder), name), file)
    return list(files.values()), empty


def _expand(pattern: str) -> list[str]:
    from agegender_core.errors import DatasetError
    from agegender_core.vision.image_files import expand_glob, images_below

    if os.path.isdir(pattern):
        return sorted(images_below(pattern))
    try:
        return expand_glob(pattern)
    except DatasetError as error:
        raise typer.BadParameter(str(error), param_hint="INPUTS") from error


def choose_format(chosen: TableFormat | None, output: Path | None) -> TableFormat:
    """The chosen format, else the one of the output's suffix; on a terminal a table, and JSON lines
    for everything that reads them. Raises ``typer.BadParameter`` where that cannot be.
    """
    if chosen is None and output is not None:
        suffix = output.suffix.lower().removeprefix(".")
        if suffix not in SUFFIXES:
            raise typer.BadParameter(
                f"{output.name} does not end in .jsonl, .csv or .parquet: add --format",
                param_hint="--output",
            )
        return TableFormat(suffix)
    if chosen is TableFormat.parquet and output is None:
        raise typer.BadParameter(
            "parquet cannot go to standard output: add --output FILE", param_hint="--format"
        )
    if chosen is None and output is None and sys.stdout.isatty():
        return TableFormat.table
    return chosen or TableFormat.jsonl


def _check_output(output: Path | None, files: list[str]) -> None:
    if output is None:
        return
    if output.is_dir() or not output.parent.is_dir():
        raise typer.BadParameter(
            f"{output} cannot be written: give a file in a folder that exists",
            param_hint="--output",
        )
    if output.exists() and any(_same(output, file) for file in files):
        raise typer.BadParameter(
            f"{output} is one of the input files: choose another name", param_hint="--output"
        )


def _same(output: Path, file: str) -> bool:
    """Whether both are one file, by whatever names."""
    try:
        return os.path.samefile(output, file)
    except (OSError, ValueError):
        return False


def make_folder(folder: Path, option: str) -> None:
    """Make the folder where it does not exist, and check that a file can be written in it. Raises
    ``typer.BadParameter`` that names ``option``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        message = f"no files can be written in the folder {folder}: {error.strerror or error}"
        raise typer.BadParameter(message, param_hint=option) from error


@contextlib.contextmanager
def _ending_as_ctrl_c() -> Iterator[None]:
    """While this lasts, a request to end (SIGTERM) acts like ctrl-C: what is finished is
    written.
    """
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)


def _settings(race: bool | None) -> tuple[Settings, bool]:
    """The operator's settings, and whether race is estimated. Settings that cannot be used are a
    usage error.
    """
    from agegender_core.errors import AgeGenderError
    from agegender_core.settings import read_settings

    try:
        settings = read_settings()
    except AgeGenderError as error:
        raise typer.BadParameter(str(error), param_hint="settings") from error
    return settings, settings.race if race is None else race


def _predictor(settings: Settings, weights: str | None, race: bool, min_face: int) -> Predictor:
    """The predictor, within the operator's limits. Weights that cannot be used are a usage
    error.
    """
    from agegender_core.errors import AgeGenderError
    from agegender_core.inference import predictor

    try:
        return predictor.load_predictor(
            weights or settings.weights,
            race=race,
            min_face=min_face,
            limits=settings.image_limits,
            max_faces=settings.max_faces,
            threads=settings.threads,
        )
    except AgeGenderError as error:
        raise typer.BadParameter(str(error), param_hint="weights and settings") from error


def _with_progress(files: list[str], quiet: bool) -> Iterator[str]:
    from tqdm import tqdm

    yield from tqdm(files, file=sys.stderr, unit="image", disable=quiet or not sys.stderr.isatty())


def _one_file(
    runner: Predictor, file: str, output: Output, annotate: Path | None, tally: Tally
) -> None:
    """Answer one file, write the answer, then its annotated image."""
    outcome = _outcome(runner, file)
    output.write(_printable(file), outcome)
    tally.images += 1
    if isinstance(outcome, Exception):
        tally.failed += 1
        return
    tally.faces += len(outcome.predictions)
    if annotate is not None:
        try:
            save_annotated(outcome, file, annotate)
        except Exception as error:
            tally.failed += 1
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            typer.echo(
                f"{_printable(file)}: its annotated image cannot be written: {reason}", err=True
            )


def _outcome(runner: Predictor, file: str) -> Analysis | Exception:
    """The answer, or whatever went wrong: one bad file must not end a run over thousands."""
    from agegender_core.errors import InvalidImageError
    from agegender_core.vision.image_files import CLOSED

    if os.path.isdir(file):
        return InvalidImageError(CLOSED, "not_found")
    try:
        return runner.run(file)
    except Exception as error:
        return error


def _printable(file: str) -> str:
    """The file's name as valid Unicode; bytes of names that are not UTF-8 are written as
    escapes.
    """
    return file.encode("utf-8", "backslashreplace").decode("utf-8")


def _summary(tally: Tally, count: int, seconds: float, interrupted: bool) -> None:
    stopped = f"stopped before {count - tally.images} of {count} files: " if interrupted else ""
    done = (
        f"{counted(tally.images, 'image')}, {counted(tally.faces, 'face')}, {tally.failed} failed,"
        f" {seconds:.1f} s"
    )
    typer.echo(stopped + done, err=True)
