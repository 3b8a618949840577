"""``batch``: ``predict`` for big folders. Answers go to Parquet parts in a folder; the same command
again continues where it was stopped.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agegender_core.cli.predict import FAILED, INTERRUPTED, MinFaceOption, RaceOption, WeightsOption
from agegender_core.output.counts import counted

if TYPE_CHECKING:
    from tqdm import tqdm

    from agegender_core.batch.part_writer import Job, Parts, Tally
    from agegender_core.batch.sources import Sources


class Engine(StrEnum):
    """Who does the work."""

    local = "local"
    ray = "ray"


def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help=(
                "Folders, images, zips, quoted globs, Parquet with an image column, hub:owner/name."
            ),
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the Parquet parts; used again: continue.",
        ),
    ],
    engine: Annotated[
        Engine,
        typer.Option(
            help=r"«ray»: on all machines of a Ray cluster (pip install 'agegender\[ray]')."
        ),
    ] = Engine.local,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Worker processes. Default: one a core.")
    ] = None,
    weights: WeightsOption = None,
    race: RaceOption = None,
    min_face: MinFaceOption = 24,
    part_rows: Annotated[
        int,
        typer.Option("--part-rows", metavar="N", min=1, help="Rows after which a part is written."),
    ] = 1000,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress and no summary.")
    ] = False,
) -> None:
    """Estimate age and gender in many images, into a folder of Parquet parts.

    Stop it at will: the same command continues, and no image is done twice or left out. An image
    that fails becomes a row with its error. Exit code 0: all fine; 1: some image failed, or an
    input had none; 2: wrong usage; 130: interrupted.
    """
    from agegender_core.batch.part_writer import opened_parts
    from agegender_core.errors import AgeGenderError

    started = time.monotonic()
    try:
        sources, job = _job(inputs, weights, race, min_face)
        run = _runner(engine, workers)
    except AgeGenderError as error:
        raise typer.BadParameter(str(error), param_hint="inputs, weights and settings") from error
    try:
        with (
            opened_parts(output, job, part_rows) as parts,
            _stopping() as stop,
            _progress(sources, parts, quiet) as tick,
        ):
            run(sources, parts, tick, stop)
    except AgeGenderError as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(FAILED) from error
    if not quiet:
        typer.echo(_summary(parts, time.monotonic() - started, stop()), err=True)
    for note in (sources.unopened | sources.empty).values():
        typer.echo(note, err=True)
    if stop() or (parts.before + parts.tally).failed or sources.empty:
        raise typer.Exit(INTERRUPTED if stop() else FAILED)


Stop = Callable[[], bool]
Tick = Callable[["Tally"], None]
Run = Callable[["Sources", "Parts", Tick, Stop], None]


def _job(
    inputs: list[str], weights: str | None, race: bool | None, min_face: int
) -> tuple[Sources, Job]:
    """What to read, and what decides the answers. Raises an ``AgeGenderError`` for what cannot be
    used.
    """
    from agegender_core.batch.part_writer import Job
    from agegender_core.batch.sources import find_sources
    from agegender_core.inference.model_zoo import find_weights, verify
    from agegender_core.settings import read_settings
    from agegender_core.vision.face_detector import DetectorConfig

    settings = read_settings()
    info = find_weights(weights or settings.weights)
    verify(info)
    DetectorConfig(min_face=min_face)
    sources = find_sources(inputs)
    return sources, Job(
        sources.identity, info.name, info.sha256, settings.race if race is None else race, min_face
    )


def _runner(engine: Engine, workers: int | None) -> Run:
    """What does the work. Raises ``ConfigError`` where it is not installed."""
    if engine is Engine.ray:
        from agegender_core.batch.ray_engine import require_ray, run_ray

        require_ray()
        return lambda sources, parts, tick, stop: run_ray(sources, parts, workers, tick, stop)
    return lambda sources, parts, tick, stop: _run_local(sources, parts, workers, tick, stop)


def _run_local(sources: Sources, parts: Parts, workers: int | None, tick: Tick, stop: Stop) -> None:
    from agegender_core.batch.local_engine import run_local
    from agegender_core.batch.pipeline import Answerer, FinderRecipe
    from agegender_core.batch.worker_pool import Pool, usable_cores
    from agegender_core.inference.predictor import load_predictor
    from agegender_core.settings import read_settings

    settings = read_settings()
    predictor = load_predictor(
        parts.job.weights,
        race=parts.job.race,
        min_face=parts.job.min_face,
        # The cores are the workers': more threads would wait for each other beside them.
        threads=settings.threads or 1,
    )
    recipe = FinderRecipe(
        predictor.info.input, parts.job.min_face, settings.image_limits, settings.max_faces
    )
    items = (item for item in sources.items() if item.key not in parts.done)
    with Pool(recipe, workers or usable_cores()) as pool:
        run_local(items, parts, Answerer(predictor), pool, tick, stop)


@contextlib.contextmanager
def _stopping() -> Iterator[Stop]:
    """Whether ctrl-C was pressed or the process was asked to end. The second ctrl-C ends it at
    once; parts are whole even then.
    """
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)
        typer.echo("\nstopping: what is finished is being written", err=True)

    before = (
        {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        if _in_main_thread()
        else {}
    )
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _progress(sources: Sources, parts: Parts, quiet: bool) -> Iterator[Tick]:
    """A bar with images a second, time left, faces and failures; a line every half minute where no
    one watches.
    """
    from tqdm import tqdm

    if not quiet and len(parts.done):
        typer.echo(f"continuing after {counted(len(parts.done), 'image')}", err=True)
    watched = sys.stderr.isatty()
    wait = 0.2 if watched else 30.0
    with tqdm(
        initial=len(parts.done),
        unit=" images",
        file=sys.stderr,
        disable=quiet,
        mininterval=wait,
        maxinterval=wait + 1,
    ) as bar:
        if not quiet:
            threading.Thread(target=_count, args=(sources, bar), daemon=True).start()

        def tick(share: Tally) -> None:
            total = parts.before + parts.tally
            bar.set_postfix_str(
                f"{counted(total.faces, 'face')}, {total.failed:,} failed", refresh=False
            )
            bar.update(share.images)

        yield tick


def _count(sources: Sources, bar: tqdm) -> None:
    """Counting a large folder takes a while: the work does not wait for it. What cannot be counted
    has no time left to show.
    """
    from agegender_core.batch.parquet_rows import close_lister

    with contextlib.suppress(Exception):
        bar.total = sources.count()
    close_lister()


def _summary(parts: Parts, seconds: float, stopped: bool) -> str:
    total, now = parts.before + parts.tally, parts.tally
    earlier = f" ({parts.before.images:,} of them before)" if parts.before.images else ""
    rate = f"{now.images / seconds:.1f} images a second" if now.images else "nothing new"
    done = (
        f"{counted(total.images, 'image')}{earlier}, {counted(total.faces, 'face')},"
        f" {total.failed:,} failed,"
        f" {seconds:.0f} s, {rate}"
    )
    return (
        f"{'stopped; the same command continues: ' if stopped else ''}{done},"
        f" {counted(parts.count, 'part')} in {parts.folder}"
    )
