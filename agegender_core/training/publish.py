"""A finished run becomes an entry of the manifest: calibrated on the validation split, checked to be no worse than what it replaces."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from agegender_core.data import labelled_targets, read_records
from agegender_core.data.terms import terms_of
from agegender_core.decoding import first_spec
from agegender_core.errors import ConfigError
from agegender_core.evaluation.calibration import Validation, fit
from agegender_core.evaluation.runner import chip_logits
from agegender_core.models import count_parameters, create_model
from agegender_core.network import prepare
from agegender_core.training.config import Recipe, recipe_from_dict
from agegender_core.training.dataset import usable_rows
from agegender_core.training.losses import TargetBatch, total_loss
from agegender_core.weights import WeightsEntry, list_weights, sha256, weights_dir, write_manifest


def publish(run: Path, *, force: bool = False, folder: Path | None = None) -> WeightsEntry:
    """Copy ``run``'s weights into the weights folder and write its manifest entry, fitted on the validation split.

    Raises ``ConfigError`` where the run is unfinished, or worse on the validation split than the weights it would replace
    (``force`` overrides this).
    """
    folder = folder or weights_dir()
    details = _read_run(run)
    recipe = recipe_from_dict(details["recipe"], str(run / "run.json"))
    entry, model = _new_entry(recipe, run, folder)
    validation = _validation(model, entry, recipe)
    loss = _validation_loss(validation, recipe)
    others = [other for other in list_weights(folder) if other.name != entry.name]
    _refuse_worse(entry.name, loss, folder, force)
    training = {key: details[key] for key in ("commit", "device", "minutes", "pictures", "pictures_seen", "torch")}
    training |= {
        "sets": list(recipe.data.sets),
        "split": recipe.data.split,
        "recipe": f"configs/{recipe.name}.toml",
        "val_loss": round(loss, 5),
    }
    entry = dataclasses.replace(entry, decoding=fit(entry.decoding, validation), training=training)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "model.safetensors", folder / entry.file)
    write_manifest(sorted([*others, entry], key=lambda item: item.name), folder)
    return entry


def _read_run(run: Path) -> dict[str, Any]:
    try:
        return json.loads((run / "run.json").read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{run} holds no finished run ({error}): train first, «python -m agegender_core train configs/….toml»") from error


def _new_entry(recipe: Recipe, run: Path, folder: Path) -> tuple[WeightsEntry, torch.nn.Module]:
    model = create_model(recipe.architecture, recipe.heads, **recipe.model)
    model.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in load_file(run / "model.safetensors").items()}
    )
    entry = WeightsEntry(
        name=recipe.name,
        title=recipe.card.title or recipe.name,
        summary=recipe.card.summary,
        file=f"{recipe.name}.safetensors",
        sha256=sha256(run / "model.safetensors"),
        architecture=recipe.architecture,
        heads=recipe.heads,
        options=recipe.model,
        paper=recipe.card.paper,
        terms=terms_of(recipe.data.sets),
        caveats=recipe.card.caveats,
        folder=folder,
        input=recipe.input,
        decoding=first_spec(recipe.heads, recipe.loss.groups),
        flip=recipe.card.flip,
        parameters=count_parameters(model),
        default=recipe.card.default,
        claimed=recipe.card.claimed,
    )
    return entry, prepare(model)


def _validation(model: torch.nn.Module, entry: WeightsEntry, recipe: Recipe) -> Validation:
    records, parts = [], []
    for name in recipe.data.sets:
        found = read_records(name, recipe.data.val_split)
        usable = [record for record, keep in zip(found, usable_rows(found, recipe), strict=True) if keep]
        parts.append(chip_logits(model, entry, usable))
        records.extend(usable)
    logits = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return Validation(logits, labelled_targets(records))


def _validation_loss(validation: Validation, recipe: Recipe) -> float:
    arrays = validation.targets
    batch = TargetBatch(*(torch.from_numpy(np.asarray(item)) for item in (arrays.age_lo, arrays.age_hi, arrays.gender, arrays.race)))
    return float(total_loss(validation.logits, batch, recipe.loss))


def _refuse_worse(name: str, loss: float, folder: Path, force: bool) -> None:
    for old in list_weights(folder):
        before = old.training.get("val_loss")
        if old.name == name and before is not None and loss > before and not force:
            raise ConfigError(
                f"validation loss {loss:.4f} is worse than {before:.4f} of the weights {name!r} it would replace; "
                "--force replaces them all the same"
            )
