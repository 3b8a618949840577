"""Learning curves of published weights: the log of each stage, saved in
``reports/<weights>/curve.json``.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender_core.errors import ConfigError
from agegender_core.inference.model_zoo import ModelInfo, is_current, list_weights, stages_of
from agegender_core.output.files import write_json
from agegender_core.output.json_records import from_json, to_json
from agegender_core.settings import path_setting, reports_dir, weights_dir

if TYPE_CHECKING:
    from agegender_core.training.config import Recipe

Row = dict[str, float]
DEALT = {
    "random": "split at random, near-duplicates on both sides",
    "stratified_age_bins": "split at random within age bins, 5,000 of them",
}
"""``data.resplit`` of a recipe in words."""
CONTINUED = "published weights"
"""In the start of a stage that goes on from the weights that were published before it."""
FROM_SCRATCH = "from scratch"


@dataclass(frozen=True)
class LearningStage:
    """One run of training. ``start``: what it started from, in words. ``pictures``: training
    images. ``rows``: of its log, see ``save_curve``. ``watched``: training images behind «train …».
    ``held_out``: images behind the other measurements by dataset, those that the recipe can use.
    """

    start: str
    pictures: int | None
    rows: tuple[Row, ...]
    watched: int = 0
    held_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MeasuredOn:
    """What the rows of an experiment's curve were measured on. ``split``: the one held out;
    ``resplit``: how the images were dealt anew, as in a recipe's ``data``, or empty; ``pictures``:
    images of ``split``. ``augmented``: whether «loss» is of images as augmentation leaves them.
    """

    split: str
    resplit: str
    pictures: int
    augmented: bool


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """``curve.json``: the stages behind ``weights``, first to last. ``experiment``: title of a run
    that was not for publishing, which has no ``weights_sha256``. ``measured_on``: of an experiment;
    weights are measured on validation splits.
    """

    experiment: str | None = None
    measured_on: MeasuredOn | None = None
    weights: str
    weights_sha256: str | None = None
    stages: tuple[LearningStage, ...]

    @property
    def begins_late(self) -> bool:
        """Whether stages before the first one here were not recorded."""
        return bool(self.stages) and CONTINUED in self.stages[0].start

    def joined(self) -> list[Row]:
        """Rows of all stages one after the other, «epoch» and «minutes» running on, with «stage»
        from 1.
        """
        rows: list[Row] = []
        passes = minutes = 0.0
        for number, stage in enumerate(self.stages, start=1):
            rows += [
                {
                    **row,
                    "stage": number,
                    "epoch": row["epoch"] + passes,
                    "minutes": row["minutes"] + minutes,
                }
                for row in stage.rows
            ]
            if stage.rows:
                passes, minutes = rows[-1]["epoch"], rows[-1]["minutes"]
        return rows


def curve_folder() -> Path:
    """Where the curves of published weights go. Raises ``ConfigError`` where that would be the
    repository's own reports although the weights go elsewhere: a trial run would replace the curve
    of the repository's weights.
    """
    if path_setting("weights_dir") and not path_setting("reports"):
        raise ConfigError(
            f"weights go to {weights_dir()} (AGEGENDER_WEIGHTS_DIR), but their learning curve would"
            f" go to {reports_dir()}: name a folder for it too, under AGEGENDER_REPORTS"
        )
    return reports_dir()


def save_curve(
    info: ModelInfo, run: Path, reports: Path, replaced: str | None = None
) -> Path | None:
    """Write the curve of ``info``, just published from ``run``, into ``reports``; None where the
    run has no log, and then a curve of the weights it replaced is removed.

    A run that started from published weights continues their curve, if that is the curve of the
    weights with the checksum it noted (older runs: with the checksum ``replaced``); otherwise its
    own stage stands alone: see ``LearningCurve.begins_late``. Its rows are those of ``log.jsonl``:
    «epoch» (passes of this stage), «minutes», «loss» (on training images as augmentation leaves
    them, running mean), «val_loss», and «set/metric» of the validation split, «train set/metric» of
    training images where the recipe has ``watch``. Raises ``ConfigError`` for a damaged log.
    """
    from agegender_core.training.config import recipe_from_dict

    path = reports / info.name / "curve.json"
    if not (run / "log.jsonl").is_file():
        path.unlink(missing_ok=True)
        return None
    start = info.training.get("start", FROM_SCRATCH)
    details = read_run(run)
    recipe = recipe_from_dict(details["recipe"], str(run / "run.json"))
    stage = _stage(run, recipe, start, info.training.get("pictures"))
    earlier: tuple[LearningStage, ...] = ()
    if CONTINUED in start:
        origin = (details.get("origin") or {}).get("sha256")
        shown = _stages(path, replaced)
        again = shown[-1:] == (stage,)  # a run that is published twice
        earlier = shown[:-1] if again else _stages(path, origin or replaced)
    curve = LearningCurve(weights=info.name, weights_sha256=info.sha256, stages=(*earlier, stage))
    if not fits(curve, info):  # such as earlier stages of which the manifest knows nothing
        curve = dataclasses.replace(curve, stages=(stage,))
    return _write(path, curve)


def fits(curve: LearningCurve, info: ModelInfo) -> bool:
    """Whether ``curve`` is of the weights of ``info`` and its stages are the last ones that the
    manifest states.
    """
    stated = [
        (stage.get("start", FROM_SCRATCH), stage.get("pictures")) for stage in stages_of(info)
    ]
    own = [(stage.start, stage.pictures) for stage in curve.stages]
    return is_current(curve, info) and bool(own) and stated[-len(own) :] == own


def save_experiment(run: Path, reports: Path) -> Path:
    """Write the curve of a run that is not to be published, such as one on a split of its own, into
    ``reports``.

    Raises ``ConfigError`` where ``run`` contains no finished run or no log, or has the name of
    published weights, whose curve it would replace; ``DatasetError`` where the images it was
    measured on, which are counted, are not here.
    """
    from agegender_core.training.config import AugmentConfig, recipe_from_dict

    details = read_run(run)
    recipe = recipe_from_dict(details["recipe"], str(run / "run.json"))
    if any(info.name == recipe.name for info in list_weights()):
        raise ConfigError(
            f"{recipe.name} is the name of published weights, whose learning curve this would"
            " replace: publish the run with «weights publish», or train it under another name"
        )
    pictures = details.get("pictures")
    if not isinstance(pictures, int):
        raise ConfigError(f"{run / 'run.json'} does not say how many images it learned from")
    stage = _stage(run, recipe, details.get("start", FROM_SCRATCH), pictures)
    curve = LearningCurve(
        experiment=recipe.card.title or recipe.name,
        measured_on=MeasuredOn(
            split=recipe.data.val_split,
            resplit=recipe.data.resplit,
            pictures=sum(stage.held_out.values()),
            augmented=recipe.augment != AugmentConfig(flip_p=0.0, affine_p=0.0),
        ),
        weights=recipe.name,
        stages=(stage,),
    )
    return _write(reports / recipe.name / "curve.json", curve)


def _held_out(recipe: Recipe) -> dict[str, int]:
    """Images that a run of ``recipe`` was measured on, by dataset."""
    from agegender_core.training.crop_dataset import split_records, usable_rows

    return {
        name: int(
            usable_rows(split_records(recipe.data, name, recipe.data.val_split), recipe).sum()
        )
        for name in recipe.data.sets
    }


def read_run(run: Path) -> dict[str, Any]:
    """Contents of ``run.json`` of a finished run. Raises ``ConfigError`` where there is none."""
    try:
        details = json.loads((run / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{run} contains no finished run ({error}): train first, «agegender train RECIPE»"
        ) from error
    if not isinstance(details, dict) or not isinstance(details.get("recipe"), dict):
        raise ConfigError(
            f"{run / 'run.json'} is not that of a finished run: it has no recipe; train again"
        )
    return details


def _stage(run: Path, recipe: Recipe, start: str, pictures: int | None) -> LearningStage:
    rows, watched = tuple(read_log(run)), 0
    if pictures and any(key.startswith("train ") for row in rows for key in row):
        watched = min(recipe.schedule.watch, pictures)
    return LearningStage(start, pictures, rows, watched, _held_out(recipe))


def read_log(run: Path) -> list[Row]:
    """Rows of ``log.jsonl``. Raises ``ConfigError`` for a log that is missing or damaged."""
    log = run / "log.jsonl"
    try:
        return [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    except OSError as error:
        raise ConfigError(f"{log} is missing: {run.name} has no curve to save") from error
    except ValueError as error:
        raise ConfigError(
            f"{log} is damaged ({error}): the curve of {run.name} cannot be saved"
        ) from error


def _write(path: Path, curve: LearningCurve) -> Path:
    write_json(path, to_json(curve))
    return path


def _stages(path: Path, sha256: str | None) -> tuple[LearningStage, ...]:
    """Stages of the curve in ``path``; none where it is of other weights than those of
    ``sha256``."""
    if not path.is_file():
        return ()
    curve = from_json(LearningCurve, json.loads(path.read_text()))
    return curve.stages if curve.weights_sha256 == sha256 else ()
