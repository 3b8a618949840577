"""``report``: what was measured into README, docs, model cards and manifest. Heavy imports wait
for the call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.settings import INSTALLED, ROOT, path_setting, reports_dir, weights_dir


def report(
    reports: Annotated[
        Path | None,
        typer.Option(help="What evaluate wrote.", show_default="AGEGENDER_REPORTS, else reports/"),
    ] = None,
) -> None:
    """Rewrite from reports/ whatever is measured: tables of the README and of the pages in docs/,
    docs/scaling.svg, the model cards, the manifest's numbers and reports/comparison.json.
    """
    from agegender_core.publishing.readme import update_all

    try:
        if INSTALLED:
            raise ConfigError(
                "report rewrites the repository's own documents: call it in a copy of the"
                " repository"
            )
        if path_setting("weights_dir"):
            raise ConfigError(
                "report rewrites the documents of the repository's own weights, and"
                f" AGEGENDER_WEIGHTS_DIR names others ({weights_dir()}): unset it"
            )
        written = update_all(ROOT, reports or reports_dir(), weights_dir())
    except AgeGenderError as error:
        raise fail(error) from error
    for path in written:
        typer.echo(f"wrote {path}")
