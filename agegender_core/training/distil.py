"""Learning from a teacher: its logits for every training image, computed once, and the loss
that follows them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from agegender_core.errors import ConfigError, WeightsError
from agegender_core.inference.forward import run_network
from agegender_core.inference.model_zoo import ModelInfo, find_weights, load_network
from agegender_core.models.ensemble import log_mean
from agegender_core.training.augmentation import centre
from agegender_core.training.config import DistilConfig, Recipe
from agegender_core.training.crop_dataset import CropDataset
from agegender_core.vision.preprocessing import normalise

TAUGHT = ("age", "gender")
BATCH = 200


def find_teachers(recipe: Recipe) -> list[ModelInfo]:
    """The installed weights that ``recipe`` learns from, none where it has no teacher.

    Raises ``ConfigError``, in one sentence, for a teacher that is not installed, whose heads for
    age and gender have other sizes or are missing, or that uses another margin around faces; also
    for a head of one number, which has no distribution to learn.
    """
    return [_find_teacher(recipe, name) for name in recipe.distil.teachers]


def teacher_digests(recipe: Recipe) -> dict[str, str]:
    """sha256 of the teachers of ``recipe`` by name. Raises ``ConfigError`` as ``find_teachers``."""
    return {info.name: info.sha256 for info in find_teachers(recipe)}


def _find_teacher(recipe: Recipe, name: str) -> ModelInfo:
    try:
        info = find_weights(name)
    except WeightsError as error:
        raise ConfigError(f"{recipe.name}: its teacher cannot be used: {error}") from error
    if not info.installed:
        raise ConfigError(
            f"{recipe.name}: its teacher {name} is not installed: train and publish it, or name"
            " another one under distil.teacher"
        )
    for head in TAUGHT:
        if not getattr(recipe.distil, head):
            continue
        if recipe.heads.get(head, 0) < 2 and info.heads.get(head) == recipe.heads.get(head):
            raise ConfigError(
                f"{recipe.name}: it and its teacher {name} both have"
                f" {head_size(info.heads, head)}, so that there is no distribution to learn: write"
                f" 0 under distil.{head}, or use heads of two or more classes"
            )
        if info.heads.get(head) != recipe.heads.get(head):
            raise ConfigError(
                f"{recipe.name}: its teacher {name} has {head_size(info.heads, head)}, the"
                f" recipe has {head_size(recipe.heads, head)}: name a teacher with the same heads"
                " under distil.teacher"
            )
    if abs(info.input.margin - recipe.input.margin) > 1e-6:
        raise ConfigError(
            f"{recipe.name}: its teacher {name} sees faces with margin {info.input.margin}, the "
            f"recipe with {recipe.input.margin}: both must be the same"
        )
    return info


def head_size(heads: Mapping[str, int], head: str) -> str:
    """«age = 101», or «no head age»."""
    return f"{head} = {heads[head]}" if head in heads else f"no head {head}"


def teacher_logits(
    recipe: Recipe, crops: CropDataset, out: Path, report: Callable[[str], None]
) -> dict[str, Tensor]:
    """(N, K) half-precision logits by head of the teacher of ``recipe`` for ``crops``, without
    augmentation, the mean of the crop and its mirror image; of several teachers the logarithm of
    their mean probabilities. Empty where there is no teacher.

    Cached in ``out``, a file for each teacher, for resumed runs. Raises ``ConfigError`` as
    ``find_teachers`` does, ``WeightsError`` for damaged weights.
    """
    found = []
    for info in find_teachers(recipe):
        path, key = out / f"teacher-{info.name}.safetensors", _key(info, crops)
        cached = _load_cached(path, key)
        if cached is None:
            report(f"running the teacher {info.name} on {len(crops):,} images")
            cached = _compute(info, crops)
            save_file(cached | {"key": key}, path)
        found.append(cached)
    if not found:
        return {}
    wanted = [name for name in TAUGHT if getattr(recipe.distil, name)]
    return {name: value.to(crops.wide.device) for name, value in _mean(found, wanted).items()}


def _mean(found: Sequence[Mapping[str, Tensor]], heads: Sequence[str]) -> dict[str, Tensor]:
    """What several teachers say, as one: for each of ``heads``, the logarithm of their mean
    probabilities.
    """
    if len(found) == 1:
        return dict(found[0])
    return {name: log_mean([one[name] for one in found]).half() for name in heads}


def _key(info: ModelInfo, crops: CropDataset) -> Tensor:
    """(8,) What the cached logits belong to: these weights and these images, in this order."""
    rows = [(record.dataset, record.row) for record in crops.records]
    digest = hashlib.sha256(repr((info.sha256, tuple(crops.wide.shape), rows)).encode()).digest()
    return torch.tensor(list(digest[:8]), dtype=torch.uint8)


def _load_cached(path: Path, key: Tensor) -> dict[str, Tensor] | None:
    try:
        found = load_file(path)
    except (OSError, SafetensorError):
        return None
    return found if torch.equal(found.pop("key", key[:0]), key) else None


@torch.inference_mode()
def _compute(info: ModelInfo, crops: CropDataset) -> dict[str, Tensor]:
    device = crops.wide.device
    model = load_network(info).to(device)
    parts: list[dict[str, Tensor]] = []
    for wide in crops.wide.split(BATCH):
        images = normalise(centre(wide, info.input.size, crops.view), info.input)
        logits = run_network(model, images, flip=True).logits
        parts.append({name: logits[name].half().cpu() for name in TAUGHT if name in logits})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def distillation_loss(
    logits: Mapping[str, Tensor], taught: Mapping[str, Tensor], config: DistilConfig
) -> Tensor:
    """Scalar: weighted sum over the heads of KL(teacher ‖ student), mean over images.

    ``logits`` and ``taught``: (N, K) by head. Times the square of the temperature, so that
    gradients keep their size (Hinton, Vinyals and Dean 2015).
    """
    heat = config.temperature
    total = torch.zeros((), device=next(iter(logits.values())).device)
    for name, weight in (("age", config.age), ("gender", config.gender)):
        if weight and name in taught:
            student = functional.log_softmax(logits[name] / heat, dim=1)
            teacher = functional.log_softmax(taught[name] / heat, dim=1)
            divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
            total = total + weight * heat**2 * divergence
    return total
