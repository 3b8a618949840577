"""GRA_Net, the gated residual attention network of 33M parameters (Garain, Ray, Singh, Ahmadian,
Senu and Sarkar, «GRA_Net: A Deep Learning Model for Classification of Age and Gender From Facial
Images», IEEE Access 9, 2021).

Follows Section V (equations 3 to 6, Table 3) and the annex, which lists the residual block and the
gated attention block in Keras (p = 1, t = 2, r = 1). The layout between the blocks is a figure we
do not have; taken is the usual one of residual attention networks on 32x32 images (Wang et al.,
«Residual Attention Network for Image Classification», 2017), whose total is the paper's «33
million»:

    32x32  5x5 convolution to 32 channels, 2x2 max-pool
    16x16  residual block to 128, attention1 (mask branch pools twice)
     8x8   residual block to 256, stride 2, attention2 (pools once)
     4x4   residual block to 512, stride 2, attention3 (pools once)
     4x4   three residual blocks at 1024, global average pooling, one linear layer a head

Input: (N, 3, H, W) normalised RGB, 32x32 in the paper; any side of at least 16 px works. Output:
``ModelOutput`` with one (N, K) tensor a head and three ``AttentionBlock`` (masks at 1/2, 1/4 and
1/8 of the input's side). The paper trains one network a task: heads ``{"decade": 10}`` (or 11 to
reach ages above 99), ``{"digit": 1}`` and ``{"gender": 2}``; age = 10 x decade + digit. Heads of
one network may also be mixed freely, which is our own.

Deviations and choices:
* Equation 3 is O = (g + (1 - g) K) F, as in Table 3 and the annex; the sentence after it («with K
  approximating 0, O will approximate F») belongs to Wang et al.'s (1 + K) F and is wrong for it.
  The paper's letters O, K, F, P are set in several fonts; F of equation 3 is P of equation 1, the
  trunk's features.
* The paper calls the gate a trainable value in [0, 1], its annex does not bound it. Here it is
  the sigmoid of a free parameter. The annex starts it uniformly in [-0.05, 0.05]; ``gate_start`` is
  0.05, the mask at nearly full effect.
* Equation 5 alone gives values in [-1, 1], but the paper wants masks in [0, 1]. Section V-C puts a
  sigmoid layer after the two 1x1 convolutions, so X of equation 5 is taken as that layer's output:
  then it lies in [0, 1] and the mask has unit length over the channels of every position, which is
  what removes spatial information. (A sigmoid of equation 5 would only reach 0.27 to 0.73, and with
  128 to 512 channels hardly leave 0.5.) Equations 4 and 6 contain their sigmoid.
* The text has bilinear interpolation, the annex Keras' default, nearest neighbour. The text is
  followed.
* The two 1x1 convolutions of the mask follow each other without activation, as in the annex.
  Nothing normalises what reaches them there, and pre-activation blocks let their sums grow: trained
  like that, over nine tenths of the mask's values lie within 0.02 of 0 or 1 after a hundred steps
  and stay there (measured at half width with AdamW), so that masks no longer depend on the face.
  ``mask_norm=True`` puts batch norm and ReLU before them, as Wang et al.'s published network does.
  That keeps saturation low only at first: nothing normalises what comes out, and its drift grows
  with rate x channels. ``logit_norm=True`` puts batch norm after them, before the sigmoid, and
  keeps it low. Our own recipes use one of the two, the paper's neither.
* The annex projects the input of a residual block wherever its bottleneck width is not its output
  width, so in every block inside an attention block; without these projections the total would be
  30.9M.
* Convolutions that only meet batch norm next have no bias (about 0.03M less than in Keras).
* ``gated=False`` is the paper's comparison, the residual attention network: O = (1 + K) F, no
  gates.
* ``dropout`` before the heads is our own option, 0 in the paper. So is ``width``: 0.5 halves every
  channel count, for comparisons of gates and masks on a budget that would not train 33M parameters;
  1 is the paper's network.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, ItemsView, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from agegender_core.errors import ConfigError
from agegender_core.models.initialization import glorot
from agegender_core.models.registry import register
from agegender_core.types import AttentionBlock, ModelOutput

PAPER_PARAMETERS = 33e6

Intervention = Mapping[str, Tensor | float]
"""Values to put in place of the network's own, by «attention1.mask» or «attention1.gate». A mask
may be anything that broadcasts to it.
"""


def mixed_mask(x: Tensor) -> Tensor:
    """Equation 4, U1(x_ic) = 1 / (1 + exp(-x_ic)): every position and channel by itself. (N, C, H,
    W) to (N, C, H, W) in [0, 1].
    """
    return torch.sigmoid(x)


def channel_mask(x: Tensor) -> Tensor:
    """Equation 5, U2(x_ic) = x_ic / ||x_i||, norm over the channels c of position i. (N, C, H, W)
    to (N, C, H, W) in [0, 1].

    The x of the equation is the sigmoid of the argument: see the deviations above.
    """
    return functional.normalize(torch.sigmoid(x), dim=1)


def spatial_mask(x: Tensor) -> Tensor:
    """Equation 6, U3(x_ic) = 1 / (1 + exp(-(x_ic - mean_c) / std_c)), mean and deviation over the
    positions of one image's channel c.

    (N, C, H, W) to (N, C, H, W) in [0, 1].
    """
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)  # (N, C, 1, 1)
    # A constant map has no deviation to divide by.
    return torch.sigmoid((x - mean) * torch.rsqrt(variance + 1e-8))


def ones_mask(x: Tensor) -> Tensor:
    """No mask: 1 everywhere, the control of comparisons. (N, C, H, W) to (N, C, H, W); what leads
    to ``x`` learns nothing.
    """
    return torch.ones_like(x)


MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "mixed": mixed_mask,
    "channel": channel_mask,
    "spatial": spatial_mask,
}
"""The paper's three kinds."""
CONTROLS: dict[str, Callable[[Tensor], Tensor]] = {"ones": ones_mask}
"""Ours, for comparisons: masks without information."""


class ResidualBlock(nn.Module):
    """Annex, ``residual_block``: pre-activation bottleneck of ``width`` channels. (N, cin, H, W) to
    (N, cout, H / stride, W / stride).
    """

    def __init__(self, cin: int, cout: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(cin),
            nn.ReLU(inplace=True),
            nn.Conv2d(cin, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, cout, 1, bias=False),
        )
        projected = width != cout or stride != 1  # the annex's own condition, see above
        self.skip = (
            nn.Conv2d(cin, cout, 1, stride=stride, bias=False) if projected else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H / stride, W / stride)."""
        return self.body(x) + self.skip(x)


def quarter_block(channels: int) -> ResidualBlock:
    """The residual block used inside attention blocks: bottleneck of a quarter of the channels."""
    return ResidualBlock(channels, channels, channels // 4)


class MaskBranch(nn.Module):
    """Bottom-up top-down branch, Section V-C: pools ``depth`` times and interpolates back. Gives
    the mask before its normalisation.

    ``norm``: batch norm and ReLU before the last two convolutions; ``logit_norm``: batch norm after
    them, see the deviations above.
    """

    def __init__(self, channels: int, depth: int, norm: bool, logit_norm: bool = False) -> None:
        super().__init__()
        self.down = nn.ModuleList(quarter_block(channels) for _ in range(depth))
        self.skips = nn.ModuleList(quarter_block(channels) for _ in range(depth - 1))
        self.up = nn.ModuleList(quarter_block(channels) for _ in range(depth))
        self.norm = (
            nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
            if norm
            else nn.Identity()
        )
        last = [nn.BatchNorm2d(channels)] if logit_norm else []
        self.out = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1), *last
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W) of any size of values."""
        sides, skips = [], []
        for level, block in enumerate(self.down):
            if level:
                skips.append(self.skips[level - 1](x))
            sides.append(x.shape[-2:])
            x = block(
                functional.max_pool2d(x, 2, ceil_mode=True)
            )  # (N, C, H / 2, W / 2), then a quarter
        for block in self.up:
            x = functional.interpolate(
                block(x), size=sides.pop(), mode="bilinear", align_corners=False
            )
            if skips:
                x = x + skips.pop()
        return self.out(self.norm(x))  # (N, C, H, W)


class GatedAttention(nn.Module):
    """Annex, ``attention_block``: trunk of two residual blocks, softly weighted by the mask through
    the gate; one block before, one after.

    ``depth``: poolings of the mask branch. ``mask``: key of ``MASKS`` or ``CONTROLS``. ``gated``:
    False for the residual attention network's form. ``mask_norm``, ``logit_norm``: normalise the
    mask branch before and after its last convolutions.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        depth: int,
        mask: str,
        gated: bool,
        gate_start: float,
        mask_norm: bool,
        logit_norm: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.normalise = (MASKS | CONTROLS)[mask]
        self.before = quarter_block(channels)
        self.trunk = nn.Sequential(quarter_block(channels), quarter_block(channels))
        self.mask_branch = MaskBranch(channels, depth, mask_norm, logit_norm)
        self.after = quarter_block(channels)
        start = math.log(gate_start / (1 - gate_start))
        self.gate_logit = nn.Parameter(torch.tensor(start)) if gated else None

    def forward(self, x: Tensor, intervene: Intervention) -> tuple[Tensor, AttentionBlock]:
        """(N, C, H, W) to (N, C, H, W) and what was done, after ``intervene``."""
        x = self.before(x)
        features = self.trunk(x)  # F, (N, C, H, W)
        # K, (N, C, H, W)
        mask = _chosen(intervene, f"{self.name}.mask", self.normalise(self.mask_branch(x)))
        if self.gate_logit is None:
            weighted = (1 + mask) * features
            return self.after(weighted), AttentionBlock(self.name, mask, None, features, weighted)
        gate = _chosen(intervene, f"{self.name}.gate", torch.sigmoid(self.gate_logit))  # g, ()
        weighted = (gate + (1 - gate) * mask) * features  # equation 3
        return self.after(weighted), AttentionBlock(self.name, mask, gate, features, weighted)


def _chosen(intervene: Intervention, key: str, own: Tensor) -> Tensor:
    if key not in intervene:
        return own
    return torch.as_tensor(intervene[key], dtype=own.dtype, device=own.device).expand_as(own)


@register("gra_net", paper="Garain et al. 2021", paper_parameters=PAPER_PARAMETERS)
class GRANet(nn.Module):
    """Three gated attention blocks between residual blocks, then one linear layer a head.

    ``heads``: output size by head name. ``mask``: «mixed», «channel» or «spatial», equations 4 to
    6, or «ones», none.
    ``gated``: False for the residual attention network. ``gate_start``: gates before training, in
    (0, 1). ``dropout``: rate before the heads, in [0, 1). ``width``: factor of all channel counts,
    in [1/8, 1]. ``mask_norm``, ``logit_norm``: normalise the mask branch before and after its last
    convolutions.
    """

    def __init__(
        self,
        heads: Mapping[str, int],
        mask: str = "mixed",
        gated: bool = True,
        gate_start: float = 0.05,
        dropout: float = 0.0,
        width: float = 1.0,
        mask_norm: bool = False,
        logit_norm: bool = False,
    ) -> None:
        super().__init__()
        if mask not in MASKS | CONTROLS:
            raise ConfigError(
                f"gra_net has no mask {mask!r}: choose one of {', '.join(MASKS | CONTROLS)}"
            )
        if not 0 < gate_start < 1:
            raise ConfigError(f"gra_net: gate_start must lie between 0 and 1, got {gate_start}")
        if not 1 / 8 <= width <= 1:
            raise ConfigError(f"gra_net: width must lie between 1/8 and 1, got {width}")
        first, one, two, three, last = (
            4 * round(channels * width / 4) for channels in (32, 128, 256, 512, 1024)
        )
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, 5, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
        )
        self.widen = nn.ModuleList(
            (
                ResidualBlock(first, one, first),
                ResidualBlock(one, two, one, stride=2),
                ResidualBlock(two, three, two, stride=2),
            )
        )
        self.attention = nn.ModuleList(
            GatedAttention(
                f"attention{number}",
                channels,
                depth,
                mask,
                gated,
                gate_start,
                mask_norm,
                logit_norm,
            )
            for number, channels, depth in ((1, one, 2), (2, two, 1), (3, three, 1))
        )
        self.tail = nn.Sequential(
            ResidualBlock(three, last, three),
            ResidualBlock(last, last, last),
            ResidualBlock(last, last, last),
            nn.BatchNorm2d(last),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(last, size) for name, size in heads.items()})
        self.apply(glorot)

    @property
    def intervention_points(self) -> tuple[str, ...]:
        """What ``intervene`` may name: «attention1.mask», «attention1.gate» and so on."""
        return tuple(
            f"{block.name}.{kind}"
            for block in self._blocks()
            for kind in (("mask",) if block.gate_logit is None else ("mask", "gate"))
        )

    @property
    def gates(self) -> dict[str, float]:
        """Learned gate of each block by its name, in [0, 1]; empty without gates."""
        return {
            block.name: float(torch.sigmoid(block.gate_logit.detach()))
            for block in self._blocks()
            if block.gate_logit is not None
        }

    def _blocks(self) -> Iterator[GatedAttention]:
        return cast("Iterator[GatedAttention]", iter(self.attention))

    def forward_features(
        self, x: Tensor, intervene: Intervention | None = None
    ) -> tuple[Tensor, tuple[AttentionBlock, ...]]:
        """(N, 3, H, W) to (N, 1024) features and what the attention blocks did."""
        unknown = sorted(set(intervene or ()) - set(self.intervention_points))
        if unknown:
            raise ConfigError(
                f"gra_net has no {', '.join(unknown)} to intervene on; it has"
                f" {', '.join(self.intervention_points)}"
            )
        x = self.stem(x)  # (N, 32, H/2, W/2)
        blocks = []
        for widen, attention in zip(self.widen, self.attention, strict=True):
            x, block = attention(
                widen(x), intervene or {}
            )  # (N, 128, H/2, W/2), (N, 256, H/4, W/4), (N, 512, H/8, W/8)
            blocks.append(block)
        return self.tail(x), tuple(blocks)  # (N, 1024)

    def forward_head(self, features: Tensor) -> dict[str, Tensor]:
        """(N, 1024) features to logits by head."""
        return {name: head(features) for name, head in self.heads.items()}

    def forward(self, x: Tensor, intervene: Intervention | None = None) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head and masks.

        ``intervene``: masks or gates to use instead of the network's own, for experiments;
        raises ``ConfigError`` for unknown names.
        """
        features, blocks = self.forward_features(x, intervene)
        return ModelOutput(self.forward_head(features), blocks)


@register("gra_net_trio", paper="Garain et al. 2021", paper_parameters=3 * PAPER_PARAMETERS)
class GRANetTrio(nn.Module):
    """The paper's three networks side by side, one a head, sharing nothing: decade, last digit,
    gender.

    Trained together they learn exactly what they would learn one after the other on the same
    batches. ``options``: those of ``GRANet``.
    """

    def __init__(self, heads: Mapping[str, int], **options: Any) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(
            {name: GRANet({name: size}, **options) for name, size in heads.items()}
        )

    @property
    def gates(self) -> dict[str, float]:
        """Learned gates of all three networks, named «decade.attention1» and so on."""
        return {
            f"{name}.{block}": gate
            for name, network in self._named_networks()
            for block, gate in network.gates.items()
        }

    @property
    def intervention_points(self) -> tuple[str, ...]:
        """What ``intervene`` may name: «decade.attention1.mask» and so on."""
        return tuple(
            f"{name}.{point}"
            for name, network in self._named_networks()
            for point in network.intervention_points
        )

    def _named_networks(self) -> ItemsView[str, GRANet]:
        return cast("ItemsView[str, GRANet]", self.networks.items())

    def forward(self, x: Tensor, intervene: Intervention | None = None) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head; blocks are called «decade.attention1» and
        so on.

        ``intervene``: as in ``GRANet``, with the head's name before the block's. Raises
        ``ConfigError`` for unknown names.
        """
        if unknown := sorted(set(intervene or ()) - set(self.intervention_points)):
            raise ConfigError(
                f"gra_net_trio has no {', '.join(unknown)} to intervene on; it has"
                f" {', '.join(self.intervention_points)}"
            )
        logits, blocks = {}, []
        for name, network in self._named_networks():
            prefix = f"{name}."
            own = {
                key.removeprefix(prefix): value
                for key, value in (intervene or {}).items()
                if key.startswith(prefix)
            }
            output = network(x, own)
            logits[name] = output.logits[name]
            blocks += [
                dataclasses.replace(block, name=prefix + block.name) for block in output.attention
            ]
        return ModelOutput(logits, tuple(blocks))
