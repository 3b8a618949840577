"""Makes an ensemble of published weights, and publishes it as any run is published."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from agegender_core.errors import ConfigError, WeightsError
from agegender_core.inference.model_zoo import (
    ModelInfo,
    find_weights,
    load_tensors,
    stages_of,
    trained_on,
)
from agegender_core.inference.quantization import unpack
from agegender_core.models import ensemble
from agegender_core.output.files import write_json
from agegender_core.publishing.publish import publish
from agegender_core.settings import weights_dir
from agegender_core.training.config import Recipe, load_recipe
from agegender_core.training.distil import head_size
from agegender_core.training.trainer import git_commit
from agegender_core.types import InputSpec

HEADS = "heads."
"""Start of the names of a network's tensors that belong to its heads."""


def join(recipe_file: Path, *, force: bool = False, folder: Path | None = None) -> ModelInfo:
    """Publish the ensemble that ``recipe_file`` describes: ``architecture = "ensemble"`` and, under
    ``model.members``, the names of published weights.

    Its heads are the recipe's, which every member must have; its stages are those of its members.
    Calibrated on the validation splits of all their datasets. ``force``: as of ``publish``. Raises
    ``ConfigError``, in one sentence, for a recipe of another architecture and for members that are
    not installed, lack a head, see faces with another margin, or learned from unknown images.
    """
    folder = folder or weights_dir()
    recipe = load_recipe(recipe_file)
    if recipe.architecture != ensemble.NAME:
        raise ConfigError(
            f"{recipe_file} describes a network of {recipe.architecture!r}: train it; only recipes"
            f" with architecture = {ensemble.NAME!r} are joined"
        )
    asked = ensemble.read_members(recipe.model.get("members", ()))
    members = [_member(recipe, member.weights, folder) for member in asked]
    margins = {info.input.margin for info in members}
    if len(margins) > 1:
        raise ConfigError(
            f"{recipe.name}: its members see faces with margins"
            f" {' and '.join(f'{margin:g}' for margin in sorted(margins))}: choose members with the"
            " same margin"
        )
    joined = dataclasses.replace(
        recipe,
        model={"members": [_table(info) for info in members]},
        input=InputSpec(
            max((info.input.size for info in members), default=recipe.input.size),
            max(margins, default=recipe.input.margin),
            ensemble.INPUT_MEAN,
            ensemble.INPUT_STD,
        ),
        data=dataclasses.replace(
            recipe.data,
            sets=tuple(dict.fromkeys(name for info in members for name in info.training["sets"])),
        ),
    )
    ensemble.Ensemble(joined.heads, joined.model["members"])  # raises ConfigError where none
    stages = [{"member": info.name, **stage} for info in members for stage in stages_of(info)]
    details = {
        "recipe": joined.as_dict(),
        "commit": git_commit(),
        "minutes": round(sum(stage.get("minutes", 0) for stage in stages), 1),
        "stages": stages,
    }
    with tempfile.TemporaryDirectory() as run:
        save_file(_tensors(members, recipe), Path(run) / "model.safetensors")
        write_json(Path(run) / "run.json", details)
        return publish(Path(run), force=force, folder=folder, clean=True)


def _member(recipe: Recipe, name: str, folder: Path) -> ModelInfo:
    try:
        info = find_weights(name, folder)
    except WeightsError as error:
        raise ConfigError(f"{recipe.name}: its member cannot be used: {error}") from error
    if not info.installed:
        raise ConfigError(f"{recipe.name}: its member {name} is not installed: publish it first")
    if info.architecture == ensemble.NAME:
        raise ConfigError(f"{recipe.name}: its member {name} is an ensemble: name its members")
    for head, size in recipe.heads.items():
        if info.heads.get(head) != size:
            raise ConfigError(
                f"{recipe.name}: its member {name} has {head_size(info.heads, head)}, the recipe"
                f" {head} = {size}: choose members with the same heads"
            )
    if trained_on(info) is None:
        raise ConfigError(
            f"{recipe.name}: it is not known which images its member {name} learned from"
        )
    return info


def _table(info: ModelInfo) -> dict[str, Any]:
    member = ensemble.Member(
        info.name, info.sha256, info.architecture, dict(info.options), info.input
    )
    return dataclasses.asdict(member)


def _tensors(members: Sequence[ModelInfo], recipe: Recipe) -> dict[str, Tensor]:
    """All members' tensors as the ensemble names them, without heads that it does not have."""
    kept = tuple(f"{HEADS}{head}." for head in recipe.heads)
    return {
        f"members.{index}.{name}": value.contiguous()
        for index, info in enumerate(members)
        for name, value in unpack(load_tensors(info)).items()
        if not name.startswith(HEADS) or name.startswith(kept)
    }
