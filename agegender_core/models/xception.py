"""Model B: Xception with the two joined branches of model A on top («Age Estimation & Gender
Classification With Convolutional Neural Networks», student report, Group A, 2022, Section 3;
Chollet, «Xception: Deep Learning with Depthwise Separable Convolutions», 2017).

The trunk follows Chollet's Figure 5: entry flow, eight times the middle flow, exit flow; 22,855,952
parameters with its layer of 1000 classes (his Table 3), 20.8M without. Names of its tensors are
those of timm's «legacy_xception», so that its ImageNet weights load as they are: ``load_imagenet``.
Without them it is trained from scratch.

Input: (N, 3, H, W) normalised RGB; ImageNet weights expect mean and std 0.5 and were trained at
299x299. Any side of at least 64 px works because of the global pooling. Output: ``ModelOutput``
with one (N, K) tensor a head, no attention masks. Heads as in ``two_branch_cnn``: «gender» on the
gender branch, all others on the age branch; the paper's are ``{"age": 1, "gender": 1}``.

Deviations and choices:
* «Except for the hidden layer, both the age and gender branch are the same»: both branches start
  from the same features. These are taken by global average pooling; the report does not say whether
  it pooled or flattened.
* Which layers the report fine-tuned is not stated; here all of them can be.
* «same» padding at stride 2 pads all sides, and batch norm has PyTorch's epsilon, as in timm's port
  of the Keras weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from agegender_core.errors import WeightsMissingError
from agegender_core.models.initialization import load_trunk, read_pretrained
from agegender_core.models.registry import register
from agegender_core.models.two_branch_cnn import JoinedHeads
from agegender_core.types import ModelOutput

PAPER_PARAMETERS = 22_855_952
"""Chollet's Table 3, with the layer of 1000 classes; the report gives no count."""
FEATURES = 2048
REMEDY = "give the path of timm's legacy_xception file, or none at all"
OTHERWISE = (
    "pip install timm, name a file of its legacy_xception under start_from, or leave start_from"
    " empty to train from scratch"
)


class SeparableConv2d(nn.Module):
    """Depthwise 3x3 and pointwise 1x1 convolution with nothing between them."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cin, 3, padding=1, groups=cin, bias=False)
        self.pointwise = nn.Conv2d(cin, cout, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, cin, H, W) to (N, cout, H, W)."""
        return self.pointwise(self.conv1(x))


class Block(nn.Module):
    """Separable convolutions through ``widths`` with ReLU before and batch norm after each,
    max-pool at stride 2, and a shortcut.

    ``relu_first``: False where the input is activated already.
    """

    def __init__(self, widths: Sequence[int], stride: int = 1, relu_first: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (cin, cout) in enumerate(pairwise(widths)):
            if index or relu_first:
                # The first one's input also goes through the shortcut.
                layers.append(nn.ReLU(inplace=index > 0))
            layers += [SeparableConv2d(cin, cout), nn.BatchNorm2d(cout)]
        if stride != 1:
            layers.append(nn.MaxPool2d(3, stride, padding=1))
        self.rep = nn.Sequential(*layers)
        projected = stride != 1 or widths[0] != widths[-1]
        self.skip = (
            nn.Conv2d(widths[0], widths[-1], 1, stride=stride, bias=False)
            if projected
            else nn.Identity()
        )
        self.skipbn = nn.BatchNorm2d(widths[-1]) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, widths[0], H, W) to (N, widths[-1], H / stride, W / stride)."""
        return self.rep(x) + self.skipbn(self.skip(x))


class XceptionTrunk(nn.Module):
    """Xception without its last layer. Tensors are named as in timm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.block1 = Block((64, 128, 128), stride=2, relu_first=False)
        self.block2 = Block((128, 256, 256), stride=2)
        self.block3 = Block((256, 728, 728), stride=2)
        for number in range(4, 12):
            self.add_module(f"block{number}", Block((728, 728, 728, 728)))
        self.block12 = Block((728, 728, 1024), stride=2)
        self.conv3 = SeparableConv2d(1024, 1536)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = SeparableConv2d(1536, FEATURES)
        self.bn4 = nn.BatchNorm2d(FEATURES)
        self.apply(_he)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 2048, H/32, W/32)."""
        x = functional.relu(self.bn1(self.conv1(x)))  # (N, 32, H/2, W/2)
        x = functional.relu(self.bn2(self.conv2(x)))  # (N, 64, H/2, W/2)
        for number in range(1, 13):
            # Sides H/4, H/8, H/16 after blocks 1 to 3, H/32 after block 12.
            x = self.get_submodule(f"block{number}")(x)
        x = functional.relu(self.bn3(self.conv3(x)))  # (N, 1536, H/32, W/32)
        return functional.relu(self.bn4(self.conv4(x)))


@register(
    "xception", paper="Group A 2022, model B; Chollet 2017", paper_parameters=PAPER_PARAMETERS
)
class Xception(nn.Module):
    """Xception, global average pooling, then the joined branches of model A.

    ``heads``: output size by head name. ``dropout``: rate in the branches, in [0, 1). Starts from
    scratch: see ``load_imagenet``.
    """

    def __init__(self, heads: Mapping[str, int], dropout: float = 0.1) -> None:
        super().__init__()
        self.trunk = XceptionTrunk()
        self.ends = JoinedHeads(FEATURES, heads, dropout)

    def following(self) -> Iterator[tuple[str, str]]:
        """Names of each convolution and of the batch norm after it, which timm's names keep
        apart.
        """
        yield from (("trunk.conv1", "trunk.bn1"), ("trunk.conv2", "trunk.bn2"))
        yield from (("trunk.conv3.pointwise", "trunk.bn3"), ("trunk.conv4.pointwise", "trunk.bn4"))
        for name, block in self.trunk.named_children():
            if isinstance(block, Block):
                place = f"trunk.{name}"
                yield f"{place}.skip", f"{place}.skipbn"
                for number, layer in enumerate(block.rep):
                    if isinstance(layer, SeparableConv2d):
                        yield f"{place}.rep.{number}.pointwise", f"{place}.rep.{number + 1}"

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 2048) features."""
        return self.trunk(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head."""
        features = self.forward_features(x)
        return ModelOutput(self.ends(features, features))


def load_imagenet(model: Xception, path: Path | None = None) -> str:
    """Put ImageNet weights into the trunk of ``model``, leave the branches as they are, and return
    in words what was done.

    ``path``: a .safetensors or .pth file with timm's names, its layer of classes is left out. None:
    timm's own, downloaded by timm. Raises ``WeightsMissingError`` where timm is not installed or
    cannot get them or the file is absent, ``WeightsCorruptError`` or ``WeightsMismatchError`` for a
    file that is unreadable or does not fit.
    """
    if path is not None:
        _fill(model.trunk, read_pretrained(path, REMEDY), str(path))
        return f"from the file {path.name}"
    try:
        from agegender_core.vision._torchvision_nms import ensure_torchvision

        ensure_torchvision()
        import timm
    except ImportError as error:
        missing = error.name or "torchvision"
        raise WeightsMissingError(
            f"the ImageNet weights of xception cannot be had, as {missing} is not installed:"
            f" {OTHERWISE}"
        ) from error
    try:
        tensors = timm.create_model("legacy_xception", pretrained=True).state_dict()
    except Exception as error:  # whatever a download may raise: no network, no such model, no room
        raise WeightsMissingError(
            f"timm could not get the ImageNet weights of xception ({error}): {OTHERWISE}"
        ) from error
    _fill(model.trunk, tensors, "timm's legacy_xception")
    return "from ImageNet weights (timm's legacy_xception)"


def _fill(trunk: XceptionTrunk, tensors: Mapping[str, Tensor], source: str) -> None:
    trunk_tensors = {name: value for name, value in tensors.items() if not name.startswith("fc.")}
    load_trunk(trunk, trunk_tensors, source, "Xception", REMEDY)


def _he(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
