"""Small networks to look into: without files for the core's tests, with files for those of the
Attention page; and a toy whose right map is known.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agegender_core.explain.attention import AttentionNetwork
from agegender_core.inference.decoding import DecodingSpec, decoding_kind
from agegender_core.inference.forward import optimize_for_inference
from agegender_core.inference.model_zoo import ModelInfo, sha256, write_manifest
from agegender_core.inference.quantization import pack, unpack
from agegender_core.models import create_model
from agegender_core.types import InputSpec, ModelOutput
from tests.support.networks import trained_like, write_network

HEADS = {"age": 101, "gender": 2}
SMALL: dict[str, Any] = {"input": InputSpec(size=32), "flip": True}


def card_of(
    architecture: str, heads: dict[str, int], size: int, flip: bool = False, **options: object
) -> ModelInfo:
    """An entry without a file."""
    spec = DecodingSpec(
        kind=decoding_kind(heads), groups="adience8" if "targets" in heads else "fairface9"
    )
    fixed = {
        "title": "",
        "summary": "",
        "files": (),
        "sha256": "",
        "paper": "",
        "terms": "",
        "folder": Path(),
    }
    info = {
        "architecture": architecture,
        "heads": heads,
        "options": options,
        "input": InputSpec(size=size),
        "flip": flip,
    }
    return ModelInfo(name="made up", decoding=spec, **fixed, **info)


def network_of(info: ModelInfo) -> torch.nn.Module:
    """Ready for inference, its answers differing from face to face."""
    torch.manual_seed(0)
    return optimize_for_inference(
        trained_like(create_model(info.architecture, info.heads, **info.options))
    )


def crop_of(size: int, seed: int = 0) -> Image.Image:
    """A smooth stand-in for a face."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def small(
    architecture: str = "gra_net",
    heads: dict[str, int] = HEADS,
    flip: bool = False,
    **options: object,
) -> AttentionNetwork:
    info = card_of(architecture, heads, 32, flip, **{"width": 0.125, "gate_start": 0.3, **options})
    return AttentionNetwork(info, network_of(info))


class Corner(nn.Module):
    """Years: 100 times the mean red of the upper left quarter; gender: the same, as a logit of
    Male. Looks at nothing else.
    """

    def __init__(self, scale: float = 100.0) -> None:
        super().__init__()
        self.red = nn.Conv2d(3, 1, 1, bias=False)
        with torch.no_grad():
            self.red.weight.copy_(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))
        self.scale = scale
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> ModelOutput:
        half = x.shape[2] // 2
        red = (self.red(x) * 0.25 + 0.5)[:, 0, :half, :half].mean(
            dim=(1, 2)
        )  # (N,), the card's normalisation undone
        return ModelOutput({"age": red[:, None] * self.scale, "gender": (red[:, None] - 0.3) * 8})


CORNER = card_of("corner", {"age": 1, "gender": 1}, 32)


def write(
    folder: Path,
    name: str,
    architecture: str,
    heads: dict[str, int],
    change: Callable[[dict], None],
    **changes: Any,
) -> ModelInfo:
    """A small network whose tensors are changed by hand after they were made."""
    made = write_network(folder, name, architecture, heads, title=f"Network {name}", **changes)
    tensors = unpack(load_file(folder / made.files[0]))
    change(tensors)
    save_file(pack(tensors, "half"), folder / made.files[0])
    return dataclasses.replace(made, sha256=sha256(folder / made.files[0]))


def lively(tensors: dict[str, torch.Tensor]) -> None:
    """Heads that answer by what they see, and masks that vary much."""
    generator = torch.Generator().manual_seed(1)
    for name, value in tensors.items():
        if re.search(r"heads\.\w+\.weight$", name):
            value.copy_(torch.randn(value.shape, generator=generator) * 0.4)
        if "mask_branch.out" in name and name.endswith("weight"):
            value.mul_(2)


def flat(tensors: dict[str, torch.Tensor]) -> None:
    """Masks that are a half everywhere."""
    for name, value in tensors.items():
        if "mask_branch.out" in name:
            value.zero_()


def write_attention(folder: Path) -> dict[str, ModelInfo]:
    """A network of each kind the page tells apart, by name."""
    gra: dict[str, Any] = {**SMALL, "options": {"width": 0.125, "gate_start": 0.3}}
    entries = [
        write(folder, "gated", "gra_net", HEADS, lively, **gra, default=True),
        write(
            folder,
            "open",
            "gra_net",
            HEADS,
            lively,
            **{**SMALL, "options": {"width": 0.125, "gated": False}},
        ),
        write(folder, "flat", "gra_net", HEADS, flat, **gra),
        write(
            folder, "trio", "gra_net_trio", {"decade": 10, "digit": 1, "gender": 2}, lively, **gra
        ),
        write(folder, "plain", "multitask_cnn", {"age": 9, "gender": 2}, lively),
    ]
    write_manifest(entries, folder)
    return {info.name: info for info in entries}
