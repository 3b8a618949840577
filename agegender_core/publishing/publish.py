"""Publishes a finished run in the manifest: calibrated on the validation split, and checked to be
no worse than what it replaces.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from agegender_core.datasets import labelled_targets, read_records
from agegender_core.datasets.registry import terms_of
from agegender_core.errors import ConfigError
from agegender_core.evaluation.calibration import Validation, fit
from agegender_core.evaluation.evaluate import chip_logits
from agegender_core.evaluation.published_results import claims_of
from agegender_core.inference.decoding import (
    DecodingSpec,
    fairface_ranges,
    first_spec,
    read_out,
)
from agegender_core.inference.forward import optimize_for_inference
from agegender_core.inference.model_zoo import (
    ModelInfo,
    find_weights,
    from_clean_commit,
    list_weights,
    load_network,
    load_tensors,
    save_parts,
    sha256,
    stages_of,
    write_manifest,
)
from agegender_core.inference.quantization import pack, unpack
from agegender_core.labels import FAIRFACE_GROUPS, group_index
from agegender_core.models import count_parameters, create_model
from agegender_core.settings import weights_dir
from agegender_core.training.batchnorm import recompute_batchnorm_stats
from agegender_core.training.config import Recipe, recipe_from_dict, recipe_of
from agegender_core.training.crop_dataset import load_split, usable_rows
from agegender_core.training.curves import read_run
from agegender_core.training.initialization import published_words
from agegender_core.training.losses import TargetBatch, validation_loss

MAX_STORAGE_COST = {"mae": 0.05, "gender_accuracy": 0.001, "fairface9_accuracy": 0.001}
"""What compact storage may cost on the validation split: years, and shares of correct estimates. A
single image is always allowed.
"""

STAGE = ("start", "minutes", "pictures", "pictures_seen", "commit")
"""What tells one run from another, of its ``run.json``."""
COARSE = ("int6", "int5", "int4")


def publish(
    run: Path,
    *,
    force: bool = False,
    folder: Path | None = None,
    clean: bool = False,
    interpolate: float = 1.0,
) -> ModelInfo:
    """Copy ``run``'s weights into the weights folder and write its manifest entry, fitted on the
    validation split.

    ``clean``: accept only a run of a commit without uncommitted changes; otherwise these weights
    could not be reproduced. ``interpolate``: of a run that went on from the installed weights, the
    weights so far on the line from those (0) to the run's (1): often better than both, and as
    robust as a run that learned robustness (Wortsman et al., «Robust Fine-Tuning of Zero-Shot
    Models», CVPR 2022). Choose it on the validation split.

    Raises ``ConfigError`` where the run is unfinished, not ``clean``, cannot be interpolated, worse
    on the validation split than the weights it would replace, or loses more by compact storage than
    ``MAX_STORAGE_COST`` (``force`` overrides being not ``clean``, worse, or too costly to store);
    also where it learned from other splits than «train», was chosen on another than «val», or
    diverged.
    """
    folder = folder or weights_dir()
    details = read_run(run)
    recipe = recipe_from_dict(details["recipe"], str(run / "run.json"))
    if clean and not force and not from_clean_commit(details):
        raise ConfigError(
            f"{run} was trained with uncommitted changes or outside a repository (commit"
            f" {details.get('commit', 'unknown')}): commit first and train from that, or publish"
            " with --force"
        )
    if recipe.data.resplit:
        raise ConfigError(
            f"{run} was trained on a split of its own ({recipe.data.resplit}), for a"
            " measurement: not to be published"
        )
    if (recipe.data.split, recipe.data.val_split) != ("train", "val"):
        raise ConfigError(
            f"{run} learned from «{recipe.data.split}» and was chosen on «{recipe.data.val_split}»:"
            " published weights learn from «train» and are chosen on «val», so that test images"
            " stay unseen"
        )
    try:
        tensors = load_file(run / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise ConfigError(
            f"{run / 'model.safetensors'} cannot be read ({error}): train again with --restart"
        ) from error
    if interpolate != 1:
        tensors = _interpolated(recipe, tensors, details, folder, interpolate)
        details["interpolate"] = interpolate
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{recipe.name}-") as fresh:
        stored = _with_batchnorm_recomputed(recipe, pack(unpack(tensors), recipe.card.storage))
        files = save_parts(stored, Path(fresh), recipe.name)
        info = _fitted(
            recipe, tensors, stored, [Path(fresh) / file for file in files], details, folder, force
        )
        old = [
            path
            for other in list_weights(folder)
            if other.name == info.name
            for path in other.paths
        ]
        for file in files:
            (Path(fresh) / file).chmod(0o644)
            (Path(fresh) / file).replace(folder / file)
    for path in set(old) - set(info.paths):
        path.unlink(missing_ok=True)
    others = [
        dataclasses.replace(other, default=other.default and not info.default)
        for other in list_weights(folder)
        if other.name != info.name
    ]
    write_manifest(sorted([*others, info], key=lambda item: item.name), folder)
    return info


def _interpolated(
    recipe: Recipe,
    tensors: dict[str, torch.Tensor],
    details: dict[str, Any],
    folder: Path,
    share: float,
) -> dict[str, torch.Tensor]:
    """``share`` of the run's ``tensors`` and the rest of the installed weights that it went on
    from; counters are the run's.
    """
    if not 0 < share < 1:
        raise ConfigError(f"--interpolate must lie between 0 and 1, got {share:g}")
    if recipe.start_from != "published":
        raise ConfigError(
            f"{recipe.name} did not go on from published weights (start_from ="
            f" {recipe.start_from!r}), so that there is nothing to interpolate with"
        )
    old = find_weights(recipe.name, folder)
    origin = details.get("origin") or {}
    if details.get("start") != f"from {published_words(old)}" or (
        origin.get("sha256", old.sha256) != old.sha256
    ):
        raise ConfigError(
            f"the run went on {details.get('start', 'from unknown weights')}, and installed are"
            f" {published_words(old)}: only weights that a run went on from can be interpolated"
            " with it"
        )
    start = unpack(load_tensors(old))
    return {
        name: torch.lerp(start[name].float(), value.float(), share).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in unpack(tensors).items()
    }


def recalibrate(name: str, folder: Path | None = None) -> ModelInfo:
    """Fit again, on the validation splits of its own datasets, how the logits of the installed
    weights ``name`` are decoded; rewrite the manifest.

    The weights are unchanged; reports made with the old decoding are refused by ``report``
    afterwards. Raises ``WeightsError``.
    """
    folder = folder or weights_dir()
    info = find_weights(name, folder)
    spec = fit(info.decoding, _validation(load_network(info), info, recipe_of(info)))
    if spec == info.decoding:
        return info
    changed = dataclasses.replace(info, decoding=spec, measured={})  # until «report»
    others = [other for other in list_weights(folder) if other.name != name]
    write_manifest(sorted([*others, changed], key=lambda item: item.name), folder)
    return changed


def _stages(recipe: Recipe, details: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Every training stage of these weights. The last one is this run's; earlier ones are of the
    published weights it started from, if any: as the run noted them, or, in a run of before they
    were noted, those of the weights installed. An ensemble's are its members'.
    """
    if "stages" in details:
        return list(details["stages"])
    stage: dict[str, Any] = {key: details[key] for key in STAGE if key in details}
    if recipe.distil.teacher:
        stage["teacher"] = recipe.distil.teacher
    if "interpolate" in details:
        stage["interpolate"] = details["interpolate"]
    if details.get("settings") is not None:
        stage["settings"] = details["settings"]
    stage |= {"sets": list(recipe.data.sets), "split": recipe.data.split}
    if recipe.start_from != "published":
        return [stage]
    if origin := details.get("origin"):
        return [*origin["stages"], stage]
    earlier = [
        row for old in list_weights(folder) if old.name == recipe.name for row in stages_of(old)
    ]
    again = earlier and all(
        earlier[-1].get(key) == stage.get(key) for key in (*STAGE, "interpolate")
    )
    return earlier if again else [*earlier, stage]  # a run may be published twice


def _with_batchnorm_recomputed(
    recipe: Recipe, stored: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """``stored`` with batch norm's statistics measured again where values were rounded to fewer
    than 8 bits.

    Rounding shifts the input of each norm; the statistics, which are in single precision anyway,
    compensate much of that.
    """
    if recipe.card.storage not in COARSE:
        return stored
    model = _network(recipe, stored).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it for modules
    return stored | recompute_batchnorm_stats(model, recipe, load_split(recipe, recipe.data.split))


def _fitted(
    recipe: Recipe,
    tensors: dict[str, torch.Tensor],
    stored: dict[str, torch.Tensor],
    fresh: list[Path],
    details: dict[str, Any],
    folder: Path,
    force: bool,
) -> ModelInfo:
    """The manifest entry of the ``stored`` weights in the files ``fresh``, measured as stored."""
    model = _network(recipe, stored)
    info = _new_info(recipe, fresh, folder, count_parameters(model))
    validation = _validation(optimize_for_inference(model), info, recipe)
    original = _validation(optimize_for_inference(_network(recipe, tensors)), info, recipe)
    if not math.isfinite(found := _validation_loss(original, recipe)):
        raise ConfigError(
            f"the validation loss of {recipe.name} is {found}: its training diverged, there is"
            " nothing to publish"
        )
    loss = _validation_loss(validation, recipe)
    if math.isfinite(loss):
        _refuse_worse(recipe, loss, folder, force)
    spec = fit(info.decoding, validation)
    training: dict[str, Any] = {
        key: details[key]
        for key in ("commit", "device", "minutes", "pictures", "pictures_seen", "start", "torch")
        if key in details
    }
    training |= {
        "sets": list(recipe.data.sets),
        "split": recipe.data.split,
        "recipe": f"configs/{recipe.name}.toml",
        "val_loss": round(loss, 5),
        "storage": recipe.card.storage,
        "stages": _stages(recipe, details, folder),
    }
    training["storage_cost"] = storage_cost(spec, original, validation)
    _refuse_costly(recipe, training["storage_cost"], validation, force)
    if not math.isfinite(loss):
        raise ConfigError(
            f"{recipe.name} stored as {recipe.card.storage} has a validation loss of {loss}: set a"
            " finer card.storage in its run.json"
        )
    sets = dict.fromkeys(name for stage in training["stages"] for name in stage.get("sets", ()))
    terms = terms_of(list(dict.fromkeys([*recipe.data.sets, *sets])))  # of every stage
    return dataclasses.replace(info, decoding=spec, training=training, terms=terms)


def storage_cost(spec: DecodingSpec, original: Validation, stored: Validation) -> dict[str, float]:
    """Cost of storage on the validation split: increase of the mean absolute error in years,
    decrease of accuracies as shares (of the nine ranges where labels are ranges).
    """
    targets = original.targets
    exact, known = (targets.age_lo >= 0) & (targets.age_lo == targets.age_hi), targets.gender >= 0
    before, after = read_out(original.logits, spec), read_out(stored.logits, spec)
    cost = {}
    if known.any():
        right = [(answers.gender == targets.gender)[known].mean() for answers in (before, after)]
        cost["gender_accuracy"] = float(right[0] - right[1])
    if exact.any():
        errors = [
            np.abs(answers.years - targets.age_lo)[exact].mean() for answers in (before, after)
        ]
        cost["mae"] = float(errors[1] - errors[0])
    ranged = (targets.age_lo >= 0) & (targets.age_lo != targets.age_hi)
    chosen = [
        ranges
        for answers in (before, after)
        if (ranges := fairface_ranges(answers, spec)) is not None
    ]
    if ranged.any() and chosen:
        true = np.array([group_index(age, FAIRFACE_GROUPS) for age in targets.age_lo[ranged]])
        right = [(ranges[ranged] == true).mean() for ranges in chosen]
        cost["fairface9_accuracy"] = float(right[0] - right[1])
    return {name: round(value, 5) for name, value in cost.items()}


def _refuse_costly(
    recipe: Recipe, cost: dict[str, float], validation: Validation, force: bool
) -> None:
    """``cost``: of ``storage_cost``; NaN counts as too much."""
    targets = validation.targets
    single = {
        "gender_accuracy": 1 / max((targets.gender >= 0).sum(), 1),
        "fairface9_accuracy": (
            1 / max(((targets.age_lo >= 0) & (targets.age_lo != targets.age_hi)).sum(), 1)
        ),
    }
    allowed = {
        name: max(limit, single.get(name, 0.0)) + 1e-5 for name, limit in MAX_STORAGE_COST.items()
    }  # costs are rounded to five places
    beyond = [
        f"{name} {value:+.4f} (at most {allowed[name]:.4f})"
        for name, value in cost.items()
        if not value <= allowed[name]
    ]
    if beyond and not force:
        raise ConfigError(
            f"storing {recipe.name} as {recipe.card.storage} costs {', '.join(beyond)} on the"
            " validation split: set a finer card.storage in its run.json, or publish with --force"
        )


def _network(recipe: Recipe, tensors: dict[str, torch.Tensor]) -> torch.nn.Module:
    model = create_model(recipe.architecture, recipe.heads, **recipe.model)
    model.load_state_dict(unpack(tensors))
    return model


def _new_info(recipe: Recipe, fresh: list[Path], folder: Path, parameters: int) -> ModelInfo:
    return ModelInfo(
        name=recipe.name,
        title=recipe.card.title or recipe.name,
        summary=recipe.card.summary,
        files=tuple(path.name for path in fresh),
        sha256=sha256(*fresh),
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
        parameters=parameters,
        default=recipe.card.default,
        for_comparison=recipe.card.for_comparison
        or any(old.for_comparison for old in list_weights(folder) if old.name == recipe.name),
        claimed={claim.key: claim.value for claim in claims_of(recipe.architecture)},
    )


def _validation(model: torch.nn.Module, info: ModelInfo, recipe: Recipe) -> Validation:
    records, parts = [], []
    for name in recipe.data.sets:
        found = read_records(name, recipe.data.val_split)
        usable = [
            record for record, keep in zip(found, usable_rows(found, recipe), strict=True) if keep
        ]
        parts.append(chip_logits(model, info, usable))
        records.extend(usable)
    logits = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return Validation(logits, labelled_targets(records))


def _validation_loss(validation: Validation, recipe: Recipe) -> float:
    return validation_loss(validation.logits, TargetBatch.of(validation.targets), recipe.loss)


def _refuse_worse(recipe: Recipe, loss: float, folder: Path, force: bool) -> None:
    """Raises ``ConfigError`` where the installed weights have a lower validation loss."""
    old = next((info for info in list_weights(folder) if info.name == recipe.name), None)
    before = None if old is None or force else _loss_before(old, recipe)
    if before is not None and not loss <= before:
        raise ConfigError(
            f"validation loss {loss:.4f} is worse than {before:.4f} of the weights {recipe.name!r}"
            " it would replace; --force replaces them anyway"
        )


def _loss_before(old: ModelInfo, recipe: Recipe) -> float | None:
    """The loss of installed weights, weighed as ``recipe`` weighs it: what was noted when they were
    published may have been another sum. Over as many views as the new ones are asked about. What
    was noted where they have other heads.
    """
    if old.heads != recipe.heads:
        noted = old.training.get("val_loss")
        return None if noted is None else float(noted)
    alike = dataclasses.replace(old, flip=recipe.card.flip)
    return _validation_loss(_validation(load_network(old), alike, recipe), recipe)
