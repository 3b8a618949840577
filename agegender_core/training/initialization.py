"""What a network starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agegender_core.errors import ConfigError, WeightsMissingError
from agegender_core.inference.model_zoo import (
    ModelInfo,
    find_weights,
    load_tensors,
    read_tensors,
    stages_of,
    verify,
)
from agegender_core.inference.quantization import unpack
from agegender_core.models import create_model, efficientnet_lite, xception
from agegender_core.training.config import Recipe
from agegender_core.training.distil import find_teachers
from agegender_core.training.losses import TargetBatch

IMAGENET: Mapping[str, Callable[[Any, Path | None], str]] = {
    "xception": xception.load_imagenet,
    "efficientnet_lite0": efficientnet_lite.load_imagenet,
    "efficientnet_lite2": efficientnet_lite.load_imagenet,
}
"""What puts ImageNet weights, those of a package or of a file, into the trunk, by architecture for
which they can be had.
"""


def load_initial(model: nn.Module, recipe: Recipe) -> str:
    """Fill ``model`` according to ``recipe.start_from``; returns in words what was done, for the
    log and the model card.

    Raises ``ConfigError`` for a start the architecture does not have, ``WeightsError`` for files
    that are absent or do not fit.
    """
    source = recipe.start_from
    imagenet = source == "imagenet" or (recipe.architecture in IMAGENET and source != "published")
    if recipe.fresh and (not source or imagenet):
        raise ConfigError(
            f"{recipe.name}: fresh names parts of published weights or of a file of one's own that"
            f" start again; it means nothing with start_from = {source!r}"
        )
    if not source:
        return "from scratch"
    load = IMAGENET.get(recipe.architecture)
    if load is not None and source != "published":
        return load(model, None if source == "imagenet" else Path(source))
    if source == "imagenet":
        raise _no_imagenet(recipe)
    return _load_own(model, recipe)


def _load_own(model: nn.Module, recipe: Recipe) -> str:
    if recipe.start_from == "published":
        info = find_weights(recipe.name)
        tensors, source = load_tensors(info), published_words(info)
    else:
        tensors, source = read_tensors([Path(recipe.start_from)]), Path(recipe.start_from).name
    own = model.state_dict()
    reset = {name for name in own if any(part in name for part in recipe.fresh)}
    if unused := [part for part in recipe.fresh if not any(part in name for name in own)]:
        raise ConfigError(
            f"{recipe.name}: fresh names {', '.join(unused)}, which {recipe.architecture} does not"
            " have"
        )
    loaded = {
        name: value
        for name, value in unpack(tensors).items()
        if not any(part in name for part in recipe.fresh)
    }
    filled = loaded | {name: own[name] for name in reset}
    if wrong := _mismatch(own, filled):
        raise ConfigError(f"{recipe.name}: {source} do not fit {recipe.architecture}: {wrong}")
    model.load_state_dict(filled)
    return f"from {source}" + (f", {', '.join(recipe.fresh)} from scratch" if recipe.fresh else "")


def _mismatch(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Which tensors are missing, unknown or of another shape, in part of a sentence; empty where
    all fit.
    """
    kinds = {
        "missing": sorted(own.keys() - given.keys()),
        "unknown": sorted(given.keys() - own.keys()),
        "of another shape": sorted(
            f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
            for name in own.keys() & given.keys()
            if own[name].shape != given[name].shape
        ),
    }
    return "; ".join(
        f"{len(names)} tensor{'' if len(names) == 1 else 's'} {kind}, such as {names[0]}"
        for kind, names in kinds.items()
        if names
    )


def published_words(info: ModelInfo) -> str:
    """Published weights as the start of a run, in words: «the published weights net, 400 images
    in», all stages counted.
    """
    seen = sum(stage.get("pictures_seen", 0) for stage in stages_of(info))
    return f"the published weights {info.name}, {seen:,} images in"


def check_start(recipe: Recipe) -> None:
    """Check that what ``recipe`` starts from and learns from exists, can be read and fits, before
    images are read for minutes. Raises ``ConfigError`` or ``WeightsError``, in one sentence, where
    it does not.
    """
    find_teachers(recipe)
    source = recipe.start_from
    if source == "published":
        verify(find_weights(recipe.name))
    elif source not in ("", "imagenet") and not Path(source).is_file():
        raise WeightsMissingError(
            f"{recipe.name} starts from {source}, which is missing: name a file that exists under"
            " start_from"
        )
    # A network to throw away: only filling one shows that the file is sound and fits.
    load_initial(create_model(recipe.architecture, recipe.heads, **recipe.model), recipe)


def _no_imagenet(recipe: Recipe) -> ConfigError:
    *some, last = IMAGENET
    return ConfigError(
        f"{recipe.name}: ImageNet weights are for {', '.join(some)} and {last}, not for"
        f" {recipe.architecture}"
    )


@torch.no_grad()
def centre_years(model: nn.Module, targets: TargetBatch) -> None:
    """Let a linear head of one number for age start at the mean of the exact ages instead of at
    zero: behind batch norm only its bias and the shifts of that norm can carry such an offset, and
    at the rates of a short run they take hundreds of steps to.
    """
    known = targets.age_lo[targets.exact]
    for name, module in model.named_modules():
        if (
            name.endswith("heads.age")
            and isinstance(module, nn.Linear)
            and module.out_features == 1
            and len(known)
        ):
            module.bias.fill_(float(known.float().mean()))
