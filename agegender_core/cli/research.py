"""Commands of the researcher: train, evaluate, report, bench, weights. Heavy imports happen inside,
so that --help is quick.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.settings import INSTALLED, ROOT, reports_dir, weights_dir

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

weights_app = typer.Typer(
    help="Trained weights: list, verify, publish, calibrate.", no_args_is_help=True
)


def fail(error: AgeGenderError) -> typer.Exit:
    """Print ``error`` for a person; the caller raises what this returns."""
    typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
    return typer.Exit(1)


def recipe_path(text: str) -> Path:
    """File of a recipe: a path, or the name of one in ``configs/``, from whatever directory. Raises
    ``typer.BadParameter``.
    """
    return _config_path(text, ROOT / "configs", "recipes")


def _config_path(text: str, folder: Path, what: str) -> Path:
    for path in (Path(text), ROOT / text, folder / f"{text}.toml"):
        if path.is_file():
            return path
    ours = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
    raise typer.BadParameter(f"{text!r} is no file and none of our {what}: {ours}")


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
        typer.echo(f"next: python -m agegender_core weights publish {out / name}")


def parse_override(text: str) -> tuple[str, Any]:
    """``schedule.epochs=2`` to key and value, the value read as TOML. Raises ``ConfigError``."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set {text!r}: expected KEY=VALUE, for example schedule.epochs=2")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


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
        written = update_all(ROOT, reports or reports_dir(), weights_dir())
    except AgeGenderError as error:
        raise fail(error) from error
    for path in written:
        typer.echo(f"wrote {path}")


def ablation_path(text: str) -> Path:
    """File of a comparison: a path, or the name of one in ``configs/ablations/``. Raises
    ``typer.BadParameter``.
    """
    return _config_path(text, ROOT / "configs" / "ablations", "comparisons")


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
) -> None:
    """Calibrate a finished run on the validation split and put it into weights/."""
    from agegender_core.publishing.publish import publish
    from agegender_core.training.curves import save_curve

    try:
        info = publish(run, force=force, clean=True)
        save_curve(info, run, reports_dir())
    except AgeGenderError as error:
        raise fail(error) from error
    typer.echo(f"{', '.join(info.files)}: val loss {info.training['val_loss']}, {info.decoding}")


def curve(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder of a finished run that is not published, such as runs/memorise."
        ),
    ],
) -> None:
    """Save the learning curve of an experiment in reports/; «weights publish» saves those of
    published weights.
    """
    from agegender_core.training.curves import save_experiment

    try:
        typer.echo(f"wrote {save_experiment(run, reports_dir())}")
    except AgeGenderError as error:
        raise fail(error) from error


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


def protocol(
    name: Annotated[
        str,
        typer.Argument(
            help=(
                "leave_one_person_out, five_folds, stratified_age_bins, official_train_val or"
                " our_splits."
            )
        ),
    ],
    set_name: Annotated[
        str,
        typer.Argument(
            metavar="SET", help="Which dataset, such as fgnet, adience, fairface or afad."
        ),
    ],
    weights: Annotated[
        str | None,
        typer.Option("--weights", "-w", help="Which weights; default: the manifest's default."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Where the dataset lies in its official layout, or hub:owner/name; default: ours."
        ),
    ] = None,
    save: Annotated[bool, typer.Option("--save", help="Save the numbers in reports/.")] = False,
    reports: Annotated[
        Path | None,
        typer.Option(help="Where to write.", show_default="AGEGENDER_REPORTS, else reports/"),
    ] = None,
) -> None:
    """Run a published protocol: the network stays as it is, light models on its features are
    refitted for every fold.
    """
    from tqdm import tqdm

    from agegender_core.evaluation.linear_probe import protocol_text, run_protocol
    from agegender_core.inference.model_zoo import find_weights

    bars: dict[str, tqdm] = {}

    def tick(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            for bar in bars.values():
                bar.close()
            bars[stage] = tqdm(desc=stage, total=total)
        bars[stage].update(done - bars[stage].n)

    try:
        found = run_protocol(
            find_weights(weights),
            name,
            set_name.lower(),
            data,
            (reports or reports_dir()) if save else None,
            tick,
        )
    except AgeGenderError as error:
        raise fail(error) from error
    finally:
        for bar in bars.values():
            bar.close()
    typer.echo(protocol_text(found))


def rivals(
    repeats: Annotated[int, typer.Option(help="Timed runs of each network.", min=5)] = 40,
    threads: Annotated[
        int | None, typer.Option(help="Threads for torch; default: its own choice.", min=1)
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Save the numbers in reports/rivals.json.")
    ] = False,
) -> None:
    """Count and time the networks the multi-task CNN's paper compares itself with (its Table
    III).
    """
    from agegender_core.benchmarks.baselines import run_rivals
    from agegender_core.publishing.comparison_tables import rivals_table

    try:
        typer.echo(rivals_table(run_rivals(repeats, threads, reports_dir() if save else None)))
    except AgeGenderError as error:
        raise fail(error) from error
