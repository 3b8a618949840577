"""The command line: ``python -m agegender_core COMMAND``. Commands import torch and pandas when
they run, so that help is quick.
"""

from __future__ import annotations

from typing import Annotated

import typer

from agegender_core import __version__
from agegender_core.cli import research
from agegender_core.cli.attention import attention, attention_report
from agegender_core.cli.batch import batch
from agegender_core.cli.bench import bench
from agegender_core.cli.datasets import datasets_app
from agegender_core.cli.image_quality import conditions
from agegender_core.cli.predict import predict
from agegender_core.cli.serve import app as serve_app

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agegender {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Age and gender of faces in images: estimate, train, evaluate."""


for command in (
    predict,
    batch,
    attention,
    attention_report,
    research.train,
    research.evaluate,
    research.report,
    bench,
    research.ablate,
    research.leakage,
    research.protocol,
    research.rivals,
    research.curve,
    conditions,
):
    app.command()(command)
app.command("app")(serve_app)
app.add_typer(research.weights_app, name="weights")
app.add_typer(datasets_app, name="datasets")
