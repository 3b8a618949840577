"""``curve``: the learning curve of an experiment. Heavy imports wait for the call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError
from agegender_core.settings import reports_dir


def curve(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of a finished run that is not published, such as runs/memorise."
        ),
    ],
) -> None:
    """Save the learning curve of an experiment in reports/; «weights publish» saves those of
    published weights.
    """
    from agegender_core.training.curves import save_experiment

    try:
        typer.echo(f"wrote {save_experiment(run, reports_dir())}")
    except AgeGenderError as error:
        raise fail(error) from error
