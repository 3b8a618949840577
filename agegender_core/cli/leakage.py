"""``leakage``: what a split of UTKFace does to the error. Heavy imports wait for the call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.cli.recipe_options import parse_override, recipe_path
from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.settings import reports_dir


def leakage(
    recipe: Annotated[
        Path,
        typer.Argument(
            help="Recipe to train on each split: a file, or one of ours.", parser=recipe_path
        ),
    ],
    split: Annotated[
        list[str] | None,
        typer.Option(help="leak_free, random or stratified_age_bins; default: the first two."),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Budget of each run.", min=0.01)] = 15,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs"),
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting of all runs, KEY=VALUE.")
    ] = None,
) -> None:
    """Measure what a split of UTKFace does to the error: leak-free, at random with duplicates
    kept, or as the third paper did.
    """
    from agegender_core.benchmarks.leakage import RESPLITS, run_leakage

    try:
        changes = dict(parse_override(text) for text in override or []) | {
            "schedule.budget_minutes": minutes
        }
        splits = tuple(split or ("leak_free", "random"))
        if unknown := set(splits) - set(RESPLITS):
            raise ConfigError(
                f"unknown split {', '.join(sorted(unknown))}; known: {', '.join(RESPLITS)}"
            )
        run_leakage(recipe, out, reports_dir(), changes, splits, typer.echo)
    except AgeGenderError as error:
        raise fail(error) from error
