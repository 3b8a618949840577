"""What leakage by near-duplicates does to a measured error: UTKFace by our leak-free split beside a random split with duplicates kept.

The same recipe and budget twice. In the random split some test pictures have a near-twin among the training pictures: their error is
shown apart. Twins are pictures whose grey 24x24 thumbnails correlate above 0.96, as in the making of the leak-free split.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from agegender_core.compact import unpack
from agegender_core.data import FaceRecord, labelled_targets
from agegender_core.data.crops import load_crops
from agegender_core.decoding import first_spec, read_out
from agegender_core.evaluation.metrics import bootstrap_mean
from agegender_core.evaluation.runner import crop_logits
from agegender_core.models import create_model
from agegender_core.network import prepare
from agegender_core.training.config import Recipe, load_recipe
from agegender_core.training.dataset import split_records
from agegender_core.training.loop import train
from agegender_core.types import InputSpec

SET = "utkface"
TWINS = 0.96
THUMBNAIL = InputSpec(size=24, margin=0.0)


def run_leakage(recipe_path: Path, out: Path, reports: Path, changes: dict[str, Any], say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train both ways, measure both, write ``leakage.json`` into ``reports`` and return it.

    ``changes``: dotted settings for both recipes alike, such as the budget. Raises ``ConfigError`` or ``DatasetError``.
    """
    result: dict[str, Any] = {"set": SET, "recipe": recipe_path.name, "changes": changes, "splits": {}}
    for kind in ("", "random"):
        recipe = load_recipe(recipe_path, {**changes, "data.sets": [SET], "data.resplit": kind})
        name = kind or "leak_free"
        run = train(recipe, out / f"leakage_{name}", say=say)
        result["splits"][name] = {
            "minutes": run["minutes"],
            "pictures_seen": run["pictures_seen"],
            **_measure(recipe, out / f"leakage_{name}"),
        }
        say(f"{name}: {result['splits'][name]}")
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "leakage.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def _measure(recipe: Recipe, run: Path) -> dict[str, Any]:
    test, trained = (split_records(recipe.data, SET, split) for split in ("test", recipe.data.split))
    model = create_model(recipe.architecture, recipe.heads, **recipe.model)
    model.load_state_dict(unpack(load_file(run / "model.safetensors")))
    logits = crop_logits(prepare(model), load_crops(test, recipe.input), recipe.input, recipe.card.flip)
    answers = read_out(logits, first_spec(recipe.heads, recipe.loss.groups))
    errors = np.abs(answers.years - labelled_targets(test).age_lo)
    twin = has_twin(test, trained)
    groups = {"mae": errors, "mae_with_twin": errors[twin], "mae_without_twin": errors[~twin]}
    found = {name: bootstrap_mean(values) for name, values in groups.items()}
    return {name: None if estimate is None else estimate.as_dict() for name, estimate in found.items()}


def has_twin(records: Sequence[FaceRecord], others: Sequence[FaceRecord]) -> np.ndarray:
    """(N,) bool: which of ``records`` look almost the same as one of ``others`` (M), by correlation of grey thumbnails."""
    one, many = _thumbnails(records), _thumbnails(others)
    return np.concatenate([(part @ many.T).max(axis=1) > TWINS for part in np.array_split(one, max(1, len(one) // 512))])


def _thumbnails(records: Sequence[FaceRecord]) -> np.ndarray:
    """(N, 576) grey thumbnails of mean 0 and length 1, so that a product is a correlation."""
    grey = np.asarray(load_crops(records, THUMBNAIL), np.float32).mean(axis=3).reshape(len(records), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    return grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-6)
