"""How the split of UTKFace affects the measured error: our leak-free split, a random split that
ignores duplicates, and the third paper's.

The same recipe and budget on each. Where duplicates are ignored, some test images have a
near-duplicate among the training images: their error is reported separately. Near-duplicates are
images whose grey 24x24 thumbnails correlate above 0.96. The thumbnails here are of aligned faces;
those that the leak-free split was made by are of the whole chips. So a few of its test images have
a near-duplicate in training all the same: the same photo, cropped or turned differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agegender_core.benchmarks.finished_run import load_run
from agegender_core.datasets import labelled_targets
from agegender_core.datasets.near_duplicates import has_near_duplicate
from agegender_core.evaluation.metrics import stored_mean
from agegender_core.evaluation.report_store import read_leakage
from agegender_core.evaluation.report_types import LeakageReport, LeakageRun
from agegender_core.explain.attention_report import exact_ages
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.training.config import Recipe, load_recipe
from agegender_core.training.crop_dataset import split_records
from agegender_core.training.trainer import train

SET = "utkface"
RESPLITS = {"leak_free": "", "random": "random", "stratified_age_bins": "stratified_age_bins"}
"""Name of a split here to ``data.resplit``."""


def run_leakage(
    recipe_path: Path,
    out: Path,
    reports: Path,
    changes: dict[str, Any],
    splits: Sequence[str] = ("leak_free", "random"),
    say: Callable[[str], None] = print,
) -> LeakageReport:
    """Train and measure with each of ``splits``, keys of ``RESPLITS``. The results replace earlier
    ones of the same recipe and split in ``leakage.json`` in ``reports``; returns the whole report.

    ``changes``: dotted settings for all runs, such as the budget. Raises ``ConfigError`` or
    ``DatasetError``.
    """
    result = read_leakage(reports) or LeakageReport(SET, ())
    for split in splits:
        recipe = load_recipe(
            recipe_path, {**changes, "data.sets": [SET], "data.resplit": RESPLITS[split]}
        )
        folder = out / f"leakage_{recipe.name}_{split}"
        run = train(recipe, folder, same_length=True, report=say)
        found = _measure(recipe, folder, split, run)
        others = [item for item in result.runs if (item.recipe, item.split) != (recipe.name, split)]
        runs = sorted(
            [*others, found], key=lambda item: (item.recipe, list(RESPLITS).index(item.split))
        )
        result = replace(result, runs=tuple(runs))
        write_json(reports / "leakage.json", to_json(result))
        say(f"{split}: {to_json(found)}")
    return result


def _measure(recipe: Recipe, folder: Path, split: str, run: dict[str, Any]) -> LeakageRun:
    """``run``: what ``train`` returned for the run in ``folder``."""
    test, trained = (split_records(recipe.data, SET, part) for part in ("test", recipe.data.split))
    _, answers = load_run(recipe, folder).answers(test)
    truth = labelled_targets(test)
    errors = np.abs(answers.years - exact_ages(test))
    duplicated, known = has_near_duplicate(test, trained), truth.gender >= 0
    right = (answers.gender == truth.gender)[known].astype(float)
    return LeakageRun(
        recipe=recipe.name,
        split=split,
        minutes=run["minutes"],
        pictures=run["pictures"],
        pictures_seen=run["pictures_seen"],
        mae=stored_mean(errors),
        mae_with_twin=stored_mean(errors[duplicated]),
        mae_without_twin=stored_mean(errors[~duplicated]),
        gender_accuracy=stored_mean(right),
    )
