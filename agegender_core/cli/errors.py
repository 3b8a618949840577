"""How a command ends that cannot do what it was asked."""

from __future__ import annotations

import typer

from agegender_core.errors import AgeGenderError


def fail(error: AgeGenderError) -> typer.Exit:
    """Print ``error`` for a person; the caller raises what this returns."""
    typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
    return typer.Exit(1)
