"""Explaining gated residual attention networks: their masks and gates, and how the answer changes
when these are changed.

``attention_maps(image)`` does everything for one face. ``AttentionNetwork`` is for many questions
about the same face: ``explain`` once, then ``answer`` with masks switched off, flattened
or shuffled, or with a patch over the face.

A block's output is (g + (1 - g) K) F by equation 3 of GRA_Net, or (1 + K) F without a gate: K the
mask, F the trunk's features, g the gate.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from agegender_core.errors import NoFaceError, WeightsMissingError
from agegender_core.evaluation.report_types import DEVIATION, EFFECT, TRUNK
from agegender_core.explain.attention_models import ARCHITECTURES, attention_entries
from agegender_core.inference.decoding import decode
from agegender_core.inference.forward import mean_of_views, mirrored_views
from agegender_core.inference.model_zoo import ModelInfo, find_weights
from agegender_core.inference.predictor import Source, load_predictor
from agegender_core.models.gra_net import GRANet, GRANetTrio
from agegender_core.types import AgeEstimate, Categorical, Face, ModelOutput, scale_of
from agegender_core.vision.alignment import align
from agegender_core.vision.image_io import load_image
from agegender_core.vision.preprocessing import to_batch

Change = Literal["own", "off", "mean", "shuffled"]
CHANGES: dict[Change, str] = {
    "own": "its own mask",
    "off": "no mask: the trunk's features pass untouched",
    "mean": "each channel's mean everywhere: no position is preferred",
    "shuffled": "its own values at random places: the same histogram, no face in it",
}
"""What a block's mask can be changed to, in words."""


GREY = 128
"""Value of covered pixels, of 0 to 255, all channels alike."""


@dataclass(frozen=True, eq=False)
class BlockMaps:
    """One block on one face. ``mask`` (C, h, w) in [0, 1]; ``gate`` in [0, 1] or None; ``features``
    and ``output`` (C, h, w).
    """

    name: str
    mask: np.ndarray
    gate: float | None
    features: np.ndarray
    output: np.ndarray

    @property
    def side(self) -> int:
        """Cells of the mask along one side: what it can resolve."""
        return self.mask.shape[-1]

    def mean(self) -> np.ndarray:
        """(h, w): mean over the channels."""
        return self.mask.mean(axis=0)

    def maximum(self) -> np.ndarray:
        """(h, w): maximum over the channels."""
        return self.mask.max(axis=0)

    def deviation(self) -> np.ndarray:
        """(h, w): how far the channels' masks lie from their own means, see ``mask_deviation``."""
        return mask_deviation(self.mask)

    def effect(self) -> np.ndarray:
        """(h, w): what the mask changes, see ``mask_effect``."""
        return mask_effect(self.factor(), self.features, self.output)

    def by_activity(self) -> np.ndarray:
        """(C,) channels from the one whose mask varies most over the face to the flattest."""
        return np.argsort(-self.mask.std(axis=(1, 2)), kind="stable")

    def factor(self) -> np.ndarray:
        """(C, h, w): what the trunk's features are multiplied by."""
        return mask_factor(self.mask, self.gate)

    def judged(self) -> dict[str, np.ndarray]:
        """The (h, w) maps of the block whose faithfulness is judged, by name: see
        ``judged_maps``.
        """
        return judged_maps(self.name, self.mask, self.gate, self.features, self.output)

    def gate_words(self) -> str:
        """What the gate lets through, for people."""
        if self.gate is None:
            return "No gate: the mask can only amplify features, up to twice."
        return (
            f"Gate {self.gate:.2f}: the mask can suppress features by up to"
            f" {100 * (1 - self.gate):.0f} %."
        )


def mask_factor(mask: np.ndarray, gate: float | None) -> np.ndarray:
    """What a block's features are multiplied by: equation 3, or 1 + K without a gate."""
    return 1 + mask if gate is None else gate + (1 - gate) * mask


def judged_maps(
    name: str, mask: np.ndarray, gate: float | None, features: np.ndarray, output: np.ndarray
) -> dict[str, np.ndarray]:
    """The (..., h, w) maps of the block ``name`` whose faithfulness is judged, by name: the mask's
    mean, its deviation and effect, and the trunk as their control. Arrays: (..., C, h, w).
    """
    return {
        name: mask.mean(axis=-3),
        name + DEVIATION: mask_deviation(mask),
        name + EFFECT: mask_effect(mask_factor(mask, gate), features, output),
        name + TRUNK: np.abs(features).mean(axis=-3),
    }


def mask_deviation(mask: np.ndarray) -> np.ndarray:
    """(..., h, w) in [0, 1]: the mean over the channels of |mask - its mean over the places|.

    It is made of the mask alone. The mean of a mask over its channels shows less: where channels
    prefer different places, they cancel.
    """
    return np.abs(mask - mask.mean(axis=(-2, -1), keepdims=True)).mean(axis=-3)


def mask_effect(factor: np.ndarray, features: np.ndarray, output: np.ndarray) -> np.ndarray:
    """(..., h, w), at least 0: how far a block's output lies from what it would be with a flat
    mask, place by place.

    The mean over the channels of |(factor - its mean over the places) x features|, as a share of
    the output's mean size: 0.1 where the mask moves what passes by a tenth of what passes on
    average. All (..., C, h, w); ``factor``: what the features are multiplied by, (g + (1 - g) K) or
    1 + K.

    It is the mask's doing and the trunk's: where no features are, a mask has nothing to change.
    """
    moved = np.abs((factor - factor.mean(axis=(-2, -1), keepdims=True)) * features).mean(axis=-3)
    passing = np.abs(output).mean(axis=(-3, -2, -1), keepdims=True)[..., 0]
    return moved / np.maximum(passing, 1e-12)


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """A network's answer and masks for one face: its ``crop`` (RGB, the network's own size),
    ``age`` and ``gender``, and its ``blocks``.
    """

    weights: str
    crop: Image.Image
    age: AgeEstimate
    gender: Categorical | None
    blocks: tuple[BlockMaps, ...]
    face: Face | None = None

    def block(self, name: str) -> BlockMaps:
        """The block called ``name``, such as «attention1». Raises ``KeyError``."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise KeyError(
            f"no block {name!r}; there are {', '.join(block.name for block in self.blocks)}"
        )

    def arrays(self) -> dict[str, Any]:
        """Raw arrays by name, as ``save_npz`` writes them: «attention1.mask» (C, h, w),
        «attention1.effect» (h, w), «attention1.gate» () and so on.
        """
        found: dict[str, Any] = {"crop": np.asarray(self.crop)}
        for block in self.blocks:
            found |= {
                f"{block.name}.mask": block.mask,
                f"{block.name}.features": block.features,
                f"{block.name}.output": block.output,
                f"{block.name}.effect": block.effect(),
            }
            if block.gate is not None:
                found[f"{block.name}.gate"] = np.float32(block.gate)
        return found


@dataclass(frozen=True, eq=False)
class AttentionNetwork:
    """A network with masks, ready for inference. Immutable and thread-safe. ``info``: manifest
    entry of its weights.
    """

    info: ModelInfo
    network: nn.Module

    def explain(self, crop: Image.Image, face: Face | None = None) -> AttentionMaps:
        """Masks and answer of one aligned crop of the network's input size. Masks are those of the
        crop as it is, not of its mirror image.
        """
        output = self.own(crop)
        age, gender, _ = self._decoded(output)
        blocks = tuple(
            BlockMaps(
                block.name,
                block.mask[0].float().cpu().numpy(),
                None if block.gate is None else float(block.gate),
                block.features[0].float().cpu().numpy(),
                block.output[0].float().cpu().numpy(),
            )
            for block in output.attention
        )
        return AttentionMaps(self.info.name, crop, age, gender, blocks, face)

    def own(self, crop: Image.Image) -> ModelOutput:
        """The unchanged network's output for ``crop`` and, where the weights use it, its mirror
        image behind it.
        """
        return self._run(self._views(crop))

    def answer(
        self,
        crop: Image.Image,
        changes: Mapping[str, Change] | None = None,
        seed: int = 0,
        own: ModelOutput | None = None,
    ) -> tuple[AgeEstimate, Categorical | None]:
        """The answer for ``crop`` with the masks of some blocks changed, by block name. ``seed``:
        of «shuffled».

        «mean» and «shuffled» start from the masks of the unchanged network: ``own``, if it is
        known, saves a pass. Raises ``KeyError`` for a block the network does not have and for a
        change that is not one of ``CHANGES``.
        """
        views = self._views(crop)
        assert isinstance(self.network, GRANet | GRANetTrio)
        points = self.network.intervention_points
        blocks = [point.removesuffix(".mask") for point in points if point.endswith(".mask")]
        chosen = {name: change for name, change in (changes or {}).items() if change != "own"}
        if unknown := sorted(set(changes or {}) - set(blocks)):
            raise KeyError(f"no block {', '.join(unknown)}; there are {', '.join(blocks)}")
        if unknown := sorted(set(chosen.values()) - set(CHANGES)):
            raise KeyError(f"no change {', '.join(unknown)}; there are {', '.join(CHANGES)}")
        values: dict[str, Tensor | float] = dict(
            _opened(name, f"{name}.gate" in points)
            for name, change in chosen.items()
            if change == "off"
        )
        if len(values) < len(chosen):  # the others start from the network's own masks
            values = intervention(own or self._run(views), chosen, seed)
        output = self._run(views, values)
        age, gender, _ = self._decoded(output)
        return age, gender

    def _views(self, crop: Image.Image) -> Tensor:
        return mirrored_views(to_batch([crop], self.info.input), self.info.flip)

    @torch.inference_mode()
    def _run(
        self, views: Tensor, intervene: Mapping[str, Tensor | float] | None = None
    ) -> ModelOutput:
        return self.network(views, intervene)

    def _decoded(
        self, output: ModelOutput
    ) -> tuple[AgeEstimate, Categorical | None, Categorical | None]:
        logits = {
            name: mean_of_views(value, self.info.flip) for name, value in output.logits.items()
        }
        return next(iter(decode(ModelOutput(logits, ()), self.info.decoding)))


def intervention(
    own: ModelOutput, changes: Mapping[str, Change], seed: int = 0
) -> dict[str, Tensor | float]:
    """What to hand to the network's ``intervene`` so that the blocks of ``own`` get ``changes``.

    «off» opens the gate fully, or empties the mask of a block without a gate: both leave the trunk
    as it is. «mean» is taken over the positions of each channel. «shuffled» moves the positions of
    all channels by one permutation, in all views alike; it depends on ``seed`` and the mask's size
    alone, not on what else is changed.
    """
    values: dict[str, Tensor | float] = {}
    for block in own.attention:
        change = changes.get(block.name, "own")
        if change == "off":
            values |= dict([_opened(block.name, block.gate is not None)])
        elif change == "mean":
            values[f"{block.name}.mask"] = block.mask.mean(dim=(2, 3), keepdim=True)
        elif change == "shuffled":
            flat = block.mask.flatten(2)  # (N, C, h w)
            order = torch.randperm(flat.shape[2], generator=torch.Generator().manual_seed(seed)).to(
                flat.device
            )
            values[f"{block.name}.mask"] = flat[:, :, order].view_as(block.mask)
    return values


def _opened(name: str, gated: bool) -> tuple[str, float]:
    """What to hand to ``intervene`` for «off», and the value."""
    return (f"{name}.gate", 1.0) if gated else (f"{name}.mask", 0.0)


def occluded(crop: Image.Image, left: float, top: float, side: float) -> Image.Image:
    """``crop`` with a grey square over it; position and side as shares of the crop's side, cut off
    at its edge.
    """
    size = crop.width
    x0, y0, x1, y1 = (
        min(max(round(size * value), 0), size) for value in (left, top, left + side, top + side)
    )
    covered = crop.copy()
    if x1 > x0 and y1 > y0:
        covered.paste((GREY, GREY, GREY), (x0, y0, x1, y1))
    return covered


def with_covered_pixels(crop: Image.Image, covered: np.ndarray) -> Image.Image:
    """``crop`` with grey wherever ``covered``, (H, W) bool of the crop's size, is True.

    Raises ``ValueError`` for an array of another shape.
    """
    if covered.shape != (crop.height, crop.width):
        raise ValueError(f"expected ({crop.height}, {crop.width}) pixels, got {covered.shape}")
    pixels = np.array(crop)
    pixels[covered] = GREY
    return Image.fromarray(pixels)


def find_attention(weights: str | None = None) -> ModelInfo:
    """Manifest entry of a network with masks by name; by default the first of
    ``attention_entries``.

    Raises ``WeightsMissingError`` where there is none or the named one has no masks.
    """
    entries = attention_entries()
    if weights is None:
        if not entries:
            raise WeightsMissingError(
                "no weights with attention masks are installed: train configs/gra_net_dist.toml and"
                " publish the run"
            )
        return entries[0]
    info = find_weights(weights)
    if info.architecture not in ARCHITECTURES:
        names = ", ".join(item.name for item in entries) or "none is installed"
        raise WeightsMissingError(
            f"{weights!r} has no attention masks; networks that have: {names}"
        )
    return info


def attention_maps(image: Source, weights: str | None = None, face: int = 0) -> AttentionMaps:
    """Masks of one face of an image: ``attention_maps("photo.jpg").block("attention1").mask``.

    ``image``: path, bytes, open binary file or Pillow image. ``face``: which one, from the largest;
    ``AttentionMaps.face`` is in pixels of the upright file. Raises ``NoFaceError``,
    ``InvalidImageError``, ``DetectorError`` or a ``WeightsError``.
    """
    predictor = load_predictor(find_attention(weights).name)
    upright = load_image(image)
    faces = predictor.find_faces(upright)
    if not 0 <= face < len(faces):
        found = {0: "no face was", 1: "1 face was"}.get(len(faces), f"{len(faces)} faces were")
        raise NoFaceError(
            f"face {face} was asked for (the largest is 0), but {found} found in the image"
        )
    crop = align(upright, faces[face], predictor.info.input)
    maps = AttentionNetwork(predictor.info, predictor.network).explain(crop, faces[face])
    return replace(maps, face=faces[face].scaled(scale_of(upright)))


def save_npz(maps: AttentionMaps, target: str | os.PathLike | BinaryIO) -> None:
    """Write ``maps.arrays()`` to a compressed NPZ file."""
    np.savez_compressed(target, **maps.arrays())
