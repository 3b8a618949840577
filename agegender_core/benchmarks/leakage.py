"""What a way of dividing UTKFace does to a measured error: our leak-free split, a random split with
duplicates kept, and the third paper's.

The same recipe and budget on each. Where duplicates are kept, some test images have a near-twin
among the training images: their error is shown apart. Twins are images whose grey 24x24 thumbnails
correlate above 0.96, as in the making of the leak-free split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from agegender_core.datasets import labelled_targets
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.datasets.near_duplicates import has_near_duplicate
from agegender_core.evaluation.evaluate import crop_logits
from agegender_core.evaluation.metrics import bootstrap_mean
from agegender_core.evaluation.report_store import read_leakage
from agegender_core.inference.decoding import first_spec, read_out
from agegender_core.inference.forward import optimize_for_inference
from agegender_core.inference.quantization import unpack
from agegender_core.models import create_model
from agegender_core.output.files import write_json
from agegender_core.training.config import Recipe, load_recipe
from agegender_core.training.crop_dataset import split_records
from agegender_core.training.trainer import train

SET = "utkface"
RESPLITS = {"leak_free": "", "random": "random", "stratified_age_bins": "stratified_age_bins"}
"""Name of a division here to ``data.resplit``."""


def run_leakage(
    recipe_path: Path,
    out: Path,
    reports: Path,
    changes: dict[str, Any],
    splits: Sequence[str] = ("leak_free", "random"),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train and measure by each of ``splits``, keys of ``RESPLITS``; put the results into
    ``leakage.json`` in ``reports`` in place of earlier ones of the same recipe and split, and
    return what it holds.

    ``changes``: dotted settings for all alike, such as the budget. Raises ``ConfigError`` or
    ``DatasetError``.
    """
    result = read_leakage(reports) or {"set": SET, "runs": []}
    for split in splits:
        recipe = load_recipe(
            recipe_path, {**changes, "data.sets": [SET], "data.resplit": RESPLITS[split]}
        )
        folder = out / f"leakage_{recipe.name}_{split}"
        run = train(recipe, folder, report=say)
        found = {
            "recipe": recipe.name,
            "split": split,
            "minutes": run["minutes"],
            "pictures": run["pictures"],
        }
        found |= {"pictures_seen": run["pictures_seen"], **_measure(recipe, folder)}
        kept = [
            item
            for item in result["runs"]
            if (item["recipe"], item["split"]) != (recipe.name, split)
        ]
        result["runs"] = sorted(
            [*kept, found], key=lambda item: (item["recipe"], list(RESPLITS).index(item["split"]))
        )
        write_json(reports / "leakage.json", result)
        say(f"{split}: {found}")
    return result


def _measure(recipe: Recipe, run: Path) -> dict[str, Any]:
    test, trained = (
        split_records(recipe.data, SET, split) for split in ("test", recipe.data.split)
    )
    model = create_model(recipe.architecture, recipe.heads, **recipe.model)
    model.load_state_dict(unpack(load_file(run / "model.safetensors")))
    logits = crop_logits(
        optimize_for_inference(model),
        load_crops(test, recipe.input),
        recipe.input,
        recipe.card.flip,
    )
    answers, truth = (
        read_out(logits, first_spec(recipe.heads, recipe.loss.groups)),
        labelled_targets(test),
    )
    errors = np.abs(answers.years - truth.age_lo)
    twin, known = has_near_duplicate(test, trained), truth.gender >= 0
    right = (answers.gender == truth.gender)[known].astype(float)
    groups = {
        "mae": errors,
        "mae_with_twin": errors[twin],
        "mae_without_twin": errors[~twin],
        "gender_accuracy": right,
    }
    found = {name: bootstrap_mean(values) for name, values in groups.items()}
    return {
        name: None if estimate is None else estimate.as_dict() for name, estimate in found.items()
    }
