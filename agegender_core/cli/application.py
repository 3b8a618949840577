"""The command line: ``python -m agegender_core COMMAND``. Commands import torch and pandas when
they run, so that help is quick.
"""

from __future__ import annotations

from typing import Annotated

import typer

from agegender_core import __version__
from agegender_core.cli.ablate import ablate
from agegender_core.cli.attention import attention, attention_report
from agegender_core.cli.batch import batch
from agegender_core.cli.bench import bench
from agegender_core.cli.corruptions import corruptions
from agegender_core.cli.curve import curve
from agegender_core.cli.datasets import datasets_app
from agegender_core.cli.evaluate import evaluate
from agegender_core.cli.image_quality import conditions
from agegender_core.cli.leakage import leakage
from agegender_core.cli.predict import predict
from agegender_core.cli.protocol import protocol
from agegender_core.cli.report import report
from agegender_core.cli.rivals import rivals
from agegender_core.cli.serve import app as serve_app
from agegender_core.cli.train import train
from agegender_core.cli.weights import weights_app

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
    train,
    evaluate,
    report,
    bench,
    ablate,
    corruptions,
    leakage,
    protocol,
    rivals,
    curve,
    conditions,
):
    app.command()(command)
app.command("app")(serve_app)
app.add_typer(weights_app, name="weights")
app.add_typer(datasets_app, name="datasets")
