"""``corruptions``: what worse photos cost. Heavy imports wait for the call."""

from __future__ import annotations

from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError
from agegender_core.settings import reports_dir


def corruptions(
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            "-w",
            metavar="NAME",
            help="Which networks; may be repeated.",
            show_default="all for use",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Test images of UTKFace.", min=1)] = 1000,
) -> None:
    """Measure what noise, compression, blur and bad light cost, on test images of UTKFace, and save
    it in reports/.
    """
    from agegender_core.benchmarks.corruptions import run_corruptions
    from agegender_core.inference.model_zoo import list_weights
    from agegender_core.publishing.corruption_table import corruption_table

    try:
        report = run_corruptions(
            reports_dir(), weights or (), limit, lambda text: typer.echo(text, err=True)
        )
    except AgeGenderError as error:
        raise fail(error) from error
    typer.echo(corruption_table(report, list_weights()))
