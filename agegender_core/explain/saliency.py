"""Saliency: where any network's answer comes from, measured from outside. Not to be mistaken for a
network's own attention mask.

Grad-CAM follows Selvaraju et al. 2017, occlusion Zeiler and Fergus 2014, both as captum has them.
Where the weights average the crop and its mirror image, so does the answer that is asked about, and
Grad-CAM's two maps are laid over each other.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from agegender_core.inference.decoding import AGES, DecodingSpec, group_centres, two_class
from agegender_core.inference.forward import mean_of_views, mirrored_views
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.labels import AGE_GROUP_SETS
from agegender_core.models.ensemble import Ensemble
from agegender_core.vision.preprocessing import normalise, to_batch

Target = Literal["age", "gender"]
METHODS = {
    "grad_cam": (
        "Grad-CAM: which places of the last feature map speak for a higher age, or for the answered"
        " gender"
    ),
    "occlusion": "Occlusion: how far the answer moves when a grey patch covers the place",
}
"""Ways to a saliency map, in words."""

LAYERS: Mapping[str, Mapping[Target, tuple[str, ...]]] = {
    "gra_net": {"age": ("tail.4",), "gender": ("tail.4",)},
    "gra_net_trio": {
        "age": ("networks.decade.tail.4", "networks.digit.tail.4"),
        "gender": ("networks.gender.tail.4",),
    },
    "multitask_cnn": {"age": ("features.5",), "gender": ("features.5",)},
    "residual_cnn": {"age": ("features.2",), "gender": ("features.2",)},
    "two_branch_cnn": {
        "age": ("age_features.3.2", "gender_features.3.2"),
        "gender": ("gender_features.3.2",),
    },
    "xception": {"age": ("trunk.block11",), "gender": ("trunk.block11",)},
    "efficientnet_lite0": {"age": ("trunk.blocks.4",), "gender": ("trunk.blocks.4",)},
    "efficientnet_lite2": {"age": ("trunk.blocks.4",), "gender": ("trunk.blocks.4",)},
}
"""By architecture: the layers whose maps Grad-CAM weighs, the last ones with at least 4x4 cells at
the size of our recipes. Several where an answer comes from several branches: their maps add up, as
do those of an ensemble's members. An architecture that is not here is asked at its last
convolution.
"""

GREY = 128.0
"""Value of the occluding patch, of 0 to 255, all channels alike."""
CELLS = 8
"""Window positions of occlusion along one side. Windows lie side by side, so a cell is one window;
the last may be cut off by the edge.
"""
BATCH = 32
"""Occluded crops that go through the network at once."""


def saliency_map(
    network: nn.Module, info: ModelInfo, crop: Image.Image, method: str, target: Target
) -> np.ndarray:
    """(h, w) float32 of at least 0 at its own resolution, not normalised.

    ``network``: from ``load_network(card)``; it is left as it is, other threads may go on using it.
    ``crop``: RGB of the network's input size. ``method``: key of ``METHODS``: «grad_cam» gives the
    positive part at the resolution of the layer, «occlusion» one cell a window position with the
    absolute change of the target, in years for age. ``target``: see ``target_values``. Raises
    ``ValueError`` for another method, target or crop.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}: choose one of {', '.join(METHODS)}")
    if target not in get_args(Target):
        raise ValueError(f"no target {target!r}: choose one of {', '.join(get_args(Target))}")
    batch = to_batch([crop], info.input)  # (1, 3, H, W)
    make = {"grad_cam": _grad_cam, "occlusion": _occlusion}[method]
    with torch.inference_mode(False):  # inside it no gradients can be had
        return make(network, info, batch.clone(), target).astype(np.float32)


def target_values(
    logits: Mapping[str, Tensor], spec: DecodingSpec, target: Target, answered: int
) -> Tensor:
    """Logits by head, (N, K) each, to the (N,) numbers saliency is about; gradients pass through.

    «age»: expected years (over ages, over the middles of age groups, or 10 x expected decade +
    digit), the number itself of a regression, the first of two values. «gender»: probability of the
    gender ``answered``, an index into ``GENDERS``; of two values the second, or one minus it where
    Female was answered. Not rounded, clipped or read by the likeliest class as answers may be: that
    has no gradient.
    """
    if "targets" in logits:
        group, male = logits["targets"].unbind(dim=1)  # (N,) each
        return group if target == "age" else (male if answered else 1 - male)
    if target == "gender":
        return (two_class(logits["gender"]) / spec.gender_temperature).softmax(dim=1)[:, answered]
    if spec.kind == "regression":
        return logits["age"][:, 0]
    if spec.kind == "decade_digit":
        decades = np.arange(logits["decade"].shape[1])
        return 10 * _expected(logits["decade"], decades) + logits["digit"][:, 0]
    values = AGES if spec.kind == "distribution" else group_centres(AGE_GROUP_SETS[spec.groups])
    return _expected(logits["age"] / spec.age_temperature, values)


def answered_gender(logits: Mapping[str, Tensor]) -> int:
    """Index into ``GENDERS`` of the answer for the first crop of ``logits`` by head."""
    if "targets" in logits:
        return int(logits["targets"][0, 1] >= 0.5)
    return int(two_class(logits["gender"])[0].argmax())


def normalised(values: np.ndarray) -> np.ndarray:
    """A map for showing: divided by its largest value, in [0, 1]; what is negative becomes 0, and
    so does a map without anything above.
    """
    positive = np.clip(values, 0, None)
    highest = positive.max(initial=0)
    return (positive / highest if highest > 0 else np.zeros_like(positive)).astype(np.float32)


def _expected(logits: Tensor, values: np.ndarray) -> Tensor:
    return logits.softmax(dim=1) @ torch.as_tensor(values, dtype=logits.dtype, device=logits.device)


def _logits(network: nn.Module, batch: Tensor, flip: bool) -> dict[str, Tensor]:
    """As ``run_network``, but gradients pass through."""
    logits = network(mirrored_views(batch, flip)).logits
    return {name: mean_of_views(value, flip) for name, value in logits.items()}


def _score(
    network: nn.Module, info: ModelInfo, batch: Tensor, target: Target
) -> Callable[[Tensor], Tensor]:
    """(N, 3, H, W) to the (N,) target values; the answered gender is that for ``batch``."""
    with torch.no_grad():
        answered = answered_gender(_logits(network, batch, info.flip)) if target == "gender" else 0

    def score(inputs: Tensor) -> Tensor:
        return target_values(_logits(network, inputs, info.flip), info.decoding, target, answered)

    return score


def _grad_cam(network: nn.Module, info: ModelInfo, batch: Tensor, target: Target) -> np.ndarray:
    from captum.attr import LayerGradCam

    copied = _copied(network)
    score = _score(copied, info, batch, target)
    batch.requires_grad_()  # or an in-place activation after the layer would meet a leaf
    maps: list[Tensor] = []
    for layer in _layers(copied, info.architecture, target):
        found = LayerGradCam(score, layer).attribute(batch).detach()  # (views, 1, h, w)
        maps.append(found[0, 0] + found[1, 0].flip(1) if info.flip else found[0, 0])
    return functional.relu(_added(maps)).cpu().numpy()


def _added(maps: Sequence[Tensor]) -> Tensor:
    """The sum of (h, w) maps at the resolution of the finest: coarser ones are interpolated, and a
    cell of theirs, which stands for more of the face, is shared out among those it covers.
    """
    sides = max((tuple(one.shape) for one in maps), key=lambda shape: shape[0] * shape[1])
    total = torch.zeros(sides, device=maps[0].device)
    for one in maps:
        if tuple(one.shape) != sides:
            share = one.numel() / (sides[0] * sides[1])
            one = share * functional.interpolate(one[None, None], sides, mode="bilinear")[0, 0]
        total = total + one
    return total


def _copied(network: nn.Module) -> nn.Module:
    """New modules with the tensors of ``network``: captum hangs hooks on layers, and other threads
    may be using those of ``network``.
    """
    tensors = itertools.chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _layers(network: nn.Module, architecture: str, target: Target) -> Sequence[nn.Module]:
    if isinstance(network, Ensemble):
        pairs = zip(network.members, network.cards, strict=True)
        return [
            layer for member, card in pairs for layer in _layers(member, card.architecture, target)
        ]
    if architecture in LAYERS:
        return [network.get_submodule(name) for name in LAYERS[architecture][target]]
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ValueError(f"{architecture!r} has no convolution for Grad-CAM")
    return convolutions[-1:]


def _occlusion(network: nn.Module, info: ModelInfo, batch: Tensor, target: Target) -> np.ndarray:
    from captum.attr import Occlusion

    side = -(-batch.shape[-1] // CELLS)  # rounded up
    window = (batch.shape[1], side, side)
    grey = normalise(torch.full_like(batch, GREY), info.input)
    score = _score(network, info, batch, target)
    with torch.no_grad():
        change = Occlusion(score).attribute(
            batch, window, strides=window, baselines=grey, perturbations_per_eval=BATCH
        )
    # Every pixel of a window has its change.
    return change[0, 0, ::side, ::side].abs().cpu().numpy()
