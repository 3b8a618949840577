"""``weights``: list, verify, publish, join, calibrate. Heavy imports wait for the call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.cli.recipe_options import recipe_path
from agegender_core.errors import AgeGenderError

weights_app = typer.Typer(
    help="Trained weights: list, verify, publish, join, calibrate.", no_args_is_help=True
)


@weights_app.command("list")
def list_command() -> None:
    """What the manifest names and what is installed."""
    from agegender_core.inference.model_zoo import list_weights

    try:
        entries = list_weights()
    except AgeGenderError as error:
        raise fail(error) from error
    if not entries:
        typer.echo("no weights: the manifest is empty or missing")
    for info in entries:
        state = "installed" if info.installed else "not installed"
        typer.echo(
            f"{info.name}  {state}{', default' if info.default else ''}  {info.parameters:,}"
            f" parameters  {info.title}"
        )


@weights_app.command("verify")
def verify_command() -> None:
    """Check every file against the manifest and load it; exit code 1 where any fails."""
    from agegender_core.inference.model_zoo import list_weights, load_network

    failed = False
    try:
        entries = list_weights()
    except AgeGenderError as error:
        raise fail(error) from error
    for info in entries:
        try:
            load_network(info)
            typer.echo(f"{info.name}  ok  {info.size / 1e6:.1f} MB")
        except AgeGenderError as error:
            failed = True
            typer.secho(f"{info.name}  {error}", fg=typer.colors.RED, err=True)
    if failed or not entries:
        raise typer.Exit(1)


@weights_app.command("publish")
def publish_command(
    run: Annotated[
        Path, typer.Argument(help="Folder of a finished run, such as runs/multitask_cnn_dist.")
    ],
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace better weights too, and take a run with uncommitted changes."
        ),
    ] = False,
    interpolate: Annotated[
        float,
        typer.Option(
            help="How far from the installed weights (0) to those of the run (1), which must have"
            " gone on from them. Choose it on the validation split.",
            show_default="1, the run's",
        ),
    ] = 1.0,
) -> None:
    """Calibrate a finished run on the validation split and put it into weights/."""
    from agegender_core.inference.model_zoo import list_weights
    from agegender_core.publishing.publish import publish
    from agegender_core.training.curves import curve_folder, save_curve

    try:
        curves = curve_folder()
        before = {info.name: info.sha256 for info in list_weights()}
        info = publish(run, force=force, clean=True, interpolate=interpolate)
        save_curve(info, run, curves, before.get(info.name))
    except AgeGenderError as error:
        raise fail(error) from error
    typer.echo(f"{', '.join(info.files)}: val loss {info.training['val_loss']}, {info.decoding}")


@weights_app.command("join")
def join_command(
    recipe: Annotated[
        Path,
        typer.Argument(help="Recipe: a file, or ours such as ensemble.", parser=recipe_path),
    ],
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace better weights too, and join with uncommitted changes."
        ),
    ] = False,
) -> None:
    """Publish an ensemble: published weights that answer together, the mean of their
    probabilities. Nothing is trained.
    """
    from agegender_core.publishing.join import join

    try:
        info = join(recipe, force=force)
    except AgeGenderError as error:
        raise fail(error) from error
    typer.echo(f"{', '.join(info.files)}: val loss {info.training['val_loss']}, {info.decoding}")


@weights_app.command("calibrate")
def calibrate_command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which weights; default: all installed.")
    ] = None,
) -> None:
    """Fit again on the validation splits how answers are read (temperatures, interval); the weights
    stay. Run «evaluate» afterwards.
    """
    from agegender_core.inference.model_zoo import list_weights
    from agegender_core.publishing.publish import recalibrate

    try:
        for name in names or [info.name for info in list_weights() if info.installed]:
            typer.echo(f"{name}  {recalibrate(name).decoding}")
    except AgeGenderError as error:
        raise fail(error) from error
