"""``conditions``: measure blur, exposure, colour, size and pose of the images of a test split.
Heavy imports wait for the call.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.output.counts import counted
from agegender_core.settings import reports_dir


def conditions(
    sets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SET]...", help="Which datasets; default: all installed."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the one dataset lies in another layout, or hub:owner/name; default: ours."
        ),
    ] = None,
    twins: Annotated[
        bool,
        typer.Option(
            "--twins", help="Find near-duplicates with different labels instead, in all splits."
        ),
    ] = False,
    reports: Annotated[
        Path | None,
        typer.Option(help="Where to write.", show_default="AGEGENDER_REPORTS, else reports/"),
    ] = None,
) -> None:
    """Measure the images of test splits; write conditions/SET.parquet, numbers only, for the
    galleries and slices of errors.
    """
    from tqdm import tqdm

    from agegender_core.analysis.image_quality import CONDITIONS, conditions_met
    from agegender_core.analysis.image_quality_run import write_conditions
    from agegender_core.analysis.label_issues import write_conflicting_duplicates
    from agegender_core.datasets.parquet_store import installed_datasets
    from agegender_core.datasets.registry import TEST_SPLITS

    reports = reports or reports_dir()
    try:
        if data is not None and len(sets or []) != 1:
            raise ConfigError(
                "--data is the place of one dataset: name that dataset, for example «conditions"
                " fairface --data FOLDER»"
            )
        if unknown := set(sets or []) - set(TEST_SPLITS):
            raise ConfigError(
                f"unknown dataset {', '.join(sorted(unknown))}; known: {', '.join(TEST_SPLITS)}"
            )
        if twins and data is not None:
            raise ConfigError("--twins reads our own datasets: leave --data out")
        for name in sets or installed_datasets(TEST_SPLITS):
            if twins:
                pairs = write_conflicting_duplicates(name, reports)
                found = counted(len(pairs), "pair")
                typer.echo(f"{name}: {found} of near-duplicates with different labels")
                continue
            with tqdm(desc=name, unit="image") as bar:

                def tick(done: int, total: int, bar: tqdm = bar) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                table = write_conditions(name, reports, data, tick)
            counts = conditions_met(table).sum()
            typer.echo(
                f"{name} (n {len(table)}): "
                + "  ".join(
                    f"{CONDITIONS[str(key)].title} {count}" for key, count in counts.items()
                )
            )
    except AgeGenderError as error:
        raise fail(error) from error
