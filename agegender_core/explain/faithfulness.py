"""Does a map show what the answer depends on? Deletion and insertion curves (Petsiuk et al. 2018,
RISE), for ages and genders.

Deletion takes pixels away, those the map calls most important first, and insertion puts them back
in the same order; a good map makes the score fall early and rise early. A removed pixel has the
value of a heavily blurred copy of the crop. The score is the share of the undisturbed answer that
is left, in [0, 1]: for gender its probability; for age the probability within five years of it, or,
where a network has no distribution, exp(-|years - undisturbed years| / 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional

from agegender_core.evaluation.evaluate import crop_logits
from agegender_core.explain.saliency import Target, answered_gender, target_values
from agegender_core.inference.decoding import AGES, DecodingSpec, read_out
from agegender_core.inference.model_zoo import ModelInfo

Kind = Literal["deletion", "insertion"]
KINDS: dict[Kind, str] = {
    "deletion": (
        "how much of the answer is left while the most important pixels are removed; lower is"
        " better"
    ),
    "insertion": (
        "how much of the answer is back while the most important pixels return; higher is better"
    ),
}
"""The two curves, in words."""
STEPS = 16
YEARS = 5.0
"""Tolerance of the score for age."""
BLUR = 1 / 8
"""Standard deviation of the blur as a share of the crop's side."""


def curve(
    network: nn.Module,
    info: ModelInfo,
    crop: Image.Image,
    map: np.ndarray,
    kind: Kind,
    target: Target,
    steps: int = STEPS,
) -> np.ndarray:
    """(steps + 1,) scores in [0, 1] after each share 0, 1 / steps, ... 1 of the pixels. ``crop``:
    RGB of the network's input size.

    ``map``: (h, w) of any size, higher for more important. Raises ``ValueError`` for another
    ``kind`` or a map of another shape.
    """
    if kind not in KINDS:
        raise ValueError(f"no curve {kind!r}: choose one of {', '.join(KINDS)}")
    return curves(network, info, crop, {"map": map}, (target,), steps, (kind,))[target]["map"][kind]


def area(curve: np.ndarray) -> float:
    """Area under a curve over the share of pixels, in [0, 1], by trapezoids."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def compare(
    network: nn.Module,
    info: ModelInfo,
    crop: Image.Image,
    maps: Mapping[str, np.ndarray],
    target: Target,
    steps: int = STEPS,
) -> dict[str, dict[str, np.ndarray | float]]:
    """For each of ``maps`` «deletion» and «insertion», (steps + 1,) curves, and «deletion_area» and
    «insertion_area», as in ``curve``.
    """
    found = curves(network, info, crop, maps, (target,), steps)[target]
    return {
        name: {kind: values for kind, values in both.items()}
        | {f"{kind}_area": area(values) for kind, values in both.items()}
        for name, both in found.items()
    }


def curves(
    network: nn.Module,
    info: ModelInfo,
    crop: Image.Image,
    maps: Mapping[str, np.ndarray],
    targets: Sequence[Target],
    steps: int = STEPS,
    kinds: Sequence[Kind] = tuple(KINDS),
) -> dict[Target, dict[str, dict[Kind, np.ndarray]]]:
    """Curves by target, map and kind, all from one run over the disturbed crops, with the crop and
    its blurred copy answered once.
    """
    away = blurred(crop)
    asked = [(name, kind) for name in maps for kind in kinds]
    between = [
        disturbed(crop, away, maps[name], kind, steps)[1:-1] for name, kind in asked
    ]  # (steps - 1, H, W, 3) each
    images = np.concatenate([np.stack([np.asarray(crop), np.asarray(away)]), *between])
    logits = crop_logits(network, images, info.input, info.flip)
    found: dict[Target, dict[str, dict[Kind, np.ndarray]]] = {}
    for target in targets:
        values = scores(logits, info.decoding, target)
        whole, nothing = values[:1], values[1:2]
        found[target] = {name: {} for name in maps}
        for (name, kind), part in zip(
            asked, values[2:].reshape(len(asked), steps - 1), strict=True
        ):
            first, last = (whole, nothing) if kind == "deletion" else (nothing, whole)
            found[target][name][kind] = np.concatenate([first, part, last])
    return found


def scores(logits: Mapping[str, Tensor], spec: DecodingSpec, target: Target) -> np.ndarray:
    """Logits by head, (N, K) each, to (N,) scores in [0, 1]: how much is left of the answer for the
    first of the N.
    """
    if target == "gender":
        return (
            target_values(logits, spec, "gender", answered_gender(logits))
            .double()
            .clamp(0, 1)
            .cpu()
            .numpy()
        )
    answers = read_out(logits, spec)
    if answers.age_probs is None:
        return np.exp(-np.abs(answers.years - answers.years[0]) / YEARS)
    low, high = answers.years[0] - YEARS, answers.years[0] + YEARS
    share = np.clip(
        np.minimum(AGES + 0.5, high) - np.maximum(AGES - 0.5, low), 0, 1
    )  # (101,), of each year's mass inside
    return answers.age_probs @ share


def blurred(crop: Image.Image) -> Image.Image:
    """What stands in for pixels that are away: the crop, blurred until hardly more than its colours
    are left.
    """
    return crop.filter(ImageFilter.GaussianBlur(crop.width * BLUR))


def disturbed(
    crop: Image.Image, away: Image.Image, map: np.ndarray, kind: Kind, steps: int
) -> np.ndarray:
    """(steps + 1, H, W, 3) uint8 from the crop to ``away`` for «deletion», the other way round for
    «insertion».
    """
    order = pixel_order(map, crop.height, crop.width)
    count = np.rint(np.linspace(0, order.size, steps + 1))  # pixels changed by each step
    rank = np.empty(order.size)
    rank[order] = np.arange(order.size)
    changed = rank.reshape(1, crop.height, crop.width, 1) < count.reshape(
        -1, 1, 1, 1
    )  # (steps + 1, H, W, 1)
    before, after = (
        (np.asarray(crop), np.asarray(away))
        if kind == "deletion"
        else (np.asarray(away), np.asarray(crop))
    )
    return np.where(changed, after, before)


def pixel_order(map: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height x width,) pixel numbers from the most to the least important, the map interpolated to
    pixels bilinearly.

    Equal values come in a fixed random order: row by row would favour the top. Raises
    ``ValueError`` unless ``map`` is (h, w) and finite.
    """
    if map.ndim != 2 or not np.isfinite(map).all():
        raise ValueError(f"expected a finite map (h, w), got shape {map.shape}")
    values = np.asarray(map, dtype=np.float64)
    values = (values - values.min()) / (np.ptp(values) or 1)
    cells = torch.from_numpy(values)[None, None]
    pixels = (
        functional.interpolate(cells, size=(height, width), mode="bilinear", align_corners=False)[
            0, 0
        ]
        .numpy()
        .ravel()
    )
    ties = np.random.default_rng(0).permutation(pixels.size)
    # Rounded: interpolation between equal values leaves dust.
    return np.lexsort((ties, -pixels.round(9)))


def random_map(side: int, *seed: int) -> np.ndarray:
    """(side, side) float32, uniform in [0, 1): the map that knows nothing, to beat. The same for
    the same whole numbers ``seed``.
    """
    return np.random.default_rng(seed).random((side, side), dtype=np.float32)


def centre_map(side: int) -> np.ndarray:
    """(side, side) float32, higher towards the middle: the map that knows where a crop has its face
    and nothing of the face itself. Its highest value is near 1, its corners' is 0.
    """
    away = np.abs(np.arange(side, dtype=np.float32) - (side - 1) / 2)
    distance = np.hypot(away[:, None], away[None])
    return 1 - distance / max(float(distance.max()), 1e-12)
