"""Networks nobody trained, in a weights folder of their own: a small one for every way of reading
an age, with answers set by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from agegender_core.inference.decoding import DecodingSpec, decoding_kind
from agegender_core.inference.model_zoo import ModelInfo, sha256, write_manifest
from agegender_core.inference.quantization import pack
from agegender_core.labels import MAX_AGE
from agegender_core.models import count_parameters, create_model
from agegender_core.training.config import load_recipe
from agegender_core.types import InputSpec
from tests.support import CONFIGS

RANGE_PROBS = (0.01, 0.02, 0.07, 0.22, 0.46, 0.15, 0.05, 0.017, 0.003)
YEARS = 36
HEADS: dict[str, dict[str, int]] = {
    "distribution": {"age": 101, "gender": 2, "race": 7},
    "groups": {"age": 9, "gender": 2, "race": 7},
    "regression": {"age": 1, "gender": 1},
    "decade_digit": {"decade": 10, "digit": 1, "gender": 2},
    "two_values": {"targets": 2},
}
"""Heads that are read as each kind of age."""
ENSEMBLE: dict[str, Any] = {
    "members": [
        {
            "weights": "lite",
            "architecture": "efficientnet_lite0",
            "input": {"size": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        },
        {"weights": "cnn", "architecture": "multitask_cnn", "input": {"size": 32}},
    ]
}
"""Options of an ensemble of two, at the side of the first."""
HALF_WIDTH = {"regression": 9.0, "decade_digit": 10.5, "two_values": 11.0}
TRAINING = {
    "sets": ["utkface", "fairface"],
    "split": "train",
    "pictures": 64038,
    "minutes": 42.0,
    "device": "CPU, 1 thread",
    "recipe": "r",
}
MEASURED = {
    "utkface test": {
        "n": 3134,
        "mae": 4.9123,
        "fairface9_accuracy": 0.6012,
        "gender_accuracy": 0.9375,
    },
    "fairface test": {"n": 2478, "fairface9_accuracy": 0.5634, "gender_accuracy": 0.9021},
    "fgnet all": {"n": 1002, "mae": 5.1, "fairface9_accuracy": 0.55},
}


def write_networks(folder: Path) -> list[ModelInfo]:
    """One small network of each kind under its kind's name, the distribution first and default."""
    entries = [
        write_network(folder, kind, "multitask_cnn", heads, default=kind == "distribution")
        for kind, heads in HEADS.items()
    ]
    write_manifest(entries, folder)
    return entries


def write_recipes(folder: Path, names: Sequence[str]) -> list[ModelInfo]:
    """The networks of recipes in their true size, with their cards' words; the first is the
    default.
    """
    entries = []
    for name in names:
        recipe = load_recipe(CONFIGS / f"{name}.toml")
        card = recipe.card
        words = {
            "title": card.title or name,
            "summary": card.summary,
            "paper": card.paper,
            "caveats": card.caveats,
            "flip": card.flip,
        }
        more = {
            "options": recipe.model,
            "input": recipe.input,
            "storage": card.storage,
            "default": not entries,
        }
        entries.append(
            write_network(folder, name, recipe.architecture, recipe.heads, **words, **more)
        )
    write_manifest(entries, folder)
    return entries


def write_network(
    folder: Path, name: str, architecture: str, heads: Mapping[str, int], **changes: Any
) -> ModelInfo:
    """Weights file of one network, and its entry for the manifest. ``changes``: of the entry."""
    torch.manual_seed(0)
    options = changes.pop("options", {})
    model = create_model(architecture, heads, **options)
    for head, size in heads.items():
        _answer(model, head, size)
    path = folder / f"{name}.safetensors"
    save_file(pack(model.state_dict(), changes.pop("storage", "half")), path)
    kind = decoding_kind(heads)
    half_width = HALF_WIDTH.get(kind)
    margins = ((0.0, half_width, half_width),) if half_width else ()
    decoding = DecodingSpec(
        kind=kind,
        coverage=0.8 if half_width or kind == "distribution" else None,
        margins=margins,
        groups="adience8" if kind == "two_values" else "fairface9",
    )
    fixed: dict[str, Any] = {
        "title": f"Network of {kind.replace('_', ' ')}",
        "summary": f"Answers by {kind}.",
        "paper": "Somebody, Somewhere (2019), Table 1",
        "terms": "UTKFace: research only.",
        "caveats": "Made up.",
        "input": InputSpec(),
        "training": TRAINING,
        "measured": MEASURED,
    }
    return ModelInfo(
        name=name,
        files=(path.name,),
        sha256=sha256(path),
        architecture=architecture,
        heads=dict(heads),
        folder=folder,
        decoding=decoding,
        options=options,
        parameters=count_parameters(model),
        **(fixed | changes),
    )


@torch.no_grad()
def _answer(model: nn.Module, head: str, size: int) -> None:
    """The last layer of ``head`` gives the same answer for every face: 36 years, in 30-39, rather
    male.
    """
    layers = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and head in name.split(".")
    ]
    layers[-1].weight.zero_()
    layers[-1].bias.copy_(torch.tensor(_bias(head, size), dtype=torch.float32))


def _bias(head: str, size: int) -> np.ndarray:
    if head == "age" and size == 1:
        return np.array([float(YEARS)])
    if head == "age" and size == MAX_AGE + 1:
        return -0.5 * ((np.arange(size) - YEARS) / 6.0) ** 2
    if head == "age":
        return np.log(np.array(RANGE_PROBS))
    if head == "digit":
        return np.array([YEARS % 10 + 0.2])
    if head == "targets":
        return np.array([5.0, 1.0])  # Adience's group 38-43, male
    scores = np.zeros(size)
    scores[{"decade": YEARS // 10, "gender": -1}.get(head, 0)] = 2.0
    return scores


def trained_like(model: nn.Module) -> nn.Module:
    """Batch-norm statistics other than their start, as after training."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    return model.eval()
