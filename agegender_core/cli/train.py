"""``train``: recipes to checkpoints. Heavy imports wait for the call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.cli.recipe_options import parse_override, recipe_path
from agegender_core.errors import AgeGenderError


def train(
    recipes: Annotated[
        list[Path],
        typer.Argument(
            help="Recipes: files, or ours such as multitask_cnn_dist.", parser=recipe_path
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Each recipe's checkpoints and results go to a folder of its name in here."
        ),
    ] = Path("runs"),
    minutes: Annotated[
        float,
        typer.Option(
            help="Fit each recipe's whole schedule into this many minutes (0: no limit).", min=0
        ),
    ] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; default: cuda where there is one.")
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start again instead of continuing from the checkpoint."),
    ] = False,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting: --set schedule.epochs=2. May be repeated."),
    ] = None,
) -> None:
    """Train recipes, one after the other. Stop and start at will: each continues from its last
    checkpoint.
    """
    from agegender_core.training.config import load_recipe
    from agegender_core.training.trainer import train as run_training

    try:
        changes = dict(parse_override(text) for text in override or [])
        if minutes:
            changes["schedule.budget_minutes"] = minutes
        loaded = [load_recipe(path, changes) for path in recipes]
        runs = {
            recipe.name: run_training(
                recipe, out / recipe.name, resume=not restart, device=device, report=typer.echo
            )
            for recipe in loaded
        }
    except AgeGenderError as error:
        raise fail(error) from error
    for name, run in runs.items():
        numbers = "  ".join(f"{key} {value}" for key, value in run["val"].items())
        typer.echo(f"{name}  {run['minutes']} minutes  {numbers}")
        # What was trained on a split of its own, for a measurement, is never published.
        follows = "curve" if run["recipe"]["data"]["resplit"] else "weights publish"
        typer.echo(f"next: agegender {follows} {out / name}")
