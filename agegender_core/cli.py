"""The command line: ``python -m agegender_core COMMAND``. Commands import torch and pandas when they run, so that help is quick."""

from __future__ import annotations

import typer

from agegender_core import commands
from agegender_core.attention_command import attention, attention_report
from agegender_core.batch_command import batch
from agegender_core.conditions_command import conditions
from agegender_core.datasets_command import datasets_app
from agegender_core.predict_command import predict

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback()
def main() -> None:
    """Age and gender of faces in pictures: estimate, train, evaluate."""


for command in (
    predict,
    batch,
    attention,
    attention_report,
    commands.train,
    commands.evaluate,
    commands.report,
    commands.bench,
    commands.leakage,
    commands.protocol,
    commands.rivals,
    conditions,
):
    app.command()(command)
app.add_typer(commands.weights_app, name="weights")
app.add_typer(datasets_app, name="datasets")
