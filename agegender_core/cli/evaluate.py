"""``evaluate``: weights on test splits. Heavy imports wait for the call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agegender_core.cli.errors import fail
from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.settings import reports_dir

if TYPE_CHECKING:
    from tqdm import tqdm

    from agegender_core.inference.model_zoo import ModelInfo

SHOWN = (
    "mae",
    "fairface9_accuracy",
    "adience8_accuracy",
    "gender_accuracy",
    "interval_coverage",
)
"""Metrics that ``evaluate`` prints."""


def evaluate(
    weights: Annotated[
        list[str] | None,
        typer.Option("--weights", "-w", help="Which weights; default: all installed."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Which datasets; default: all installed."),
    ] = None,
    reports: Annotated[
        Path | None,
        typer.Option(help="Where to write.", show_default="AGEGENDER_REPORTS, else reports/"),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Run no model: compute the numbers from the saved predictions."
        ),
    ] = False,
) -> None:
    """Measure weights on test splits; write metrics.json and predictions.parquet for each."""
    from agegender_core.datasets.parquet_store import installed_datasets
    from agegender_core.datasets.registry import TEST_SPLITS
    from agegender_core.inference.model_zoo import find_weights, list_weights

    reports = reports or reports_dir()
    try:
        entries = (
            [find_weights(name) for name in weights]
            if weights
            else [info for info in list_weights() if info.installed]
        )
        if unknown := set(sets or []) - set(TEST_SPLITS):
            raise ConfigError(
                f"unknown dataset {', '.join(sorted(unknown))}; known: {', '.join(TEST_SPLITS)}"
            )
        if again:
            for info in entries:
                _recompute(info, sets or list(TEST_SPLITS), reports)
        else:
            for name in sets or installed_datasets(TEST_SPLITS):
                _evaluate_on(name, entries, reports)
    except AgeGenderError as error:
        raise fail(error) from error


def _recompute(info: ModelInfo, names: list[str], reports: Path) -> None:
    """The numbers of ``info`` on datasets, from its saved predictions."""
    from agegender_core.evaluation.evaluate import count_again

    done = [name for name in names if count_again(info, name, reports)]
    typer.echo(
        f"{info.name}: recomputed on {', '.join(done) or 'nothing, no predictions are saved'}"
    )


def _evaluate_on(name: str, entries: list[ModelInfo], reports: Path) -> None:
    """Measure ``entries`` on the test split of one dataset."""
    from tqdm import tqdm

    from agegender_core.datasets.parquet_store import dataset_path
    from agegender_core.evaluation.evaluate import evaluate as run_evaluation

    dataset_path(name)  # raises where the dataset is absent
    for info in entries:
        with tqdm(desc=f"{info.name} on {name}", unit="image") as bar:

            def tick(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            report = run_evaluation(info, name, reports, tick)
        metrics = report.metrics
        numbers = "  ".join(f"{key} {metrics[key].value:.3f}" for key in SHOWN if key in metrics)
        typer.echo(f"{info.name} on {name} {report.split} (n {report.n}): {numbers}")
