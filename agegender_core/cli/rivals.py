"""``rivals``: the networks that a paper compares itself with, counted and timed. Heavy imports
wait for the call.
"""

from __future__ import annotations

from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError
from agegender_core.settings import reports_dir


def rivals(
    repeats: Annotated[int, typer.Option(help="Timed runs of each network.", min=5)] = 40,
    threads: Annotated[
        int | None, typer.Option(help="Threads for torch; default: its own choice.", min=1)
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Save the numbers in reports/rivals.json.")
    ] = False,
) -> None:
    """Count and time the networks the multi-task CNN's paper compares itself with (its Table
    III).
    """
    from agegender_core.benchmarks.baselines import run_rivals
    from agegender_core.publishing.comparison_tables import rivals_table

    try:
        typer.echo(rivals_table(run_rivals(repeats, threads, reports_dir() if save else None)))
    except AgeGenderError as error:
        raise fail(error) from error
