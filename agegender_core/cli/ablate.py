"""``ablate``: variants of a recipe, trained equally long. Heavy imports wait for the call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.cli.recipe_options import config_path, parse_override
from agegender_core.errors import AgeGenderError
from agegender_core.settings import ROOT, reports_dir


def ablation_path(text: str) -> Path:
    """File of a comparison: a path, or the name of one in ``configs/ablations/``. Raises
    ``typer.BadParameter``.
    """
    return config_path(text, ROOT / "configs" / "ablations", "comparisons")


def ablate(
    comparison: Annotated[
        Path,
        typer.Argument(
            help="What to compare: a file, or one of ours such as controls.", parser=ablation_path
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs"),
    override: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting of all runs, KEY=VALUE.")
    ] = None,
) -> None:
    """Train variants of a recipe equally long over several seeds and measure them. Stop and start
    at will: what is measured stays in the report.
    """
    from agegender_core.benchmarks.ablations import run_ablation
    from agegender_core.publishing.seed_tables import seeds_section

    try:
        changes = dict(parse_override(text) for text in override or [])
        report = run_ablation(comparison, ROOT / "configs", out, reports_dir(), changes, typer.echo)
    except AgeGenderError as error:
        raise fail(error) from error
    typer.echo(seeds_section(report))
