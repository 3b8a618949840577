"""Multi-task CNN of about 0.9M parameters (Vu, Phung, Wang and Wang, «Age and Gender Recognition
Using Multi-task CNN», 2019).

Follows Section III-B and Table I: three plain convolutions with max-pooling, four depthwise
separable convolutions, global average pooling, one 512-unit layer.

Input: (N, 3, H, W) normalised RGB, 64x64 in the paper; any side of at least 32 px works because of
the global pooling. Output: ``ModelOutput`` with one (N, K) tensor a head, no attention masks.

Deviations and choices:
* Table I's last row names 256 filters but an output of 2x2x512. 512 is used: with it the total is
  the abstract's 0.9M, with 256 it is 0.66M.
* «same» padding at stride 2 pads one pixel on every side here; the authors' framework pads right
  and bottom only.
* The paper drops 25 % of the units; where exactly is left open. ``dropout`` acts on the 512-unit
  layer, ``conv_dropout`` after each pooling; the ``paper`` recipe sets both to 0.25.
* The paper has one output layer of two values (age group index, gender): head ``{"targets": 2}``.
  Other heads are our own.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from agegender_core.models.initialization import glorot
from agegender_core.models.registry import register
from agegender_core.types import ModelOutput

PAPER_PARAMETERS = 0.9e6


class ConvPool(nn.Sequential):
    """Convolution, batch norm, 2x2 max-pool, ReLU, dropout: halves the side.

    Pooling before ReLU gives the same numbers as after it (both are monotone), on a quarter of the
    values.
    """

    def __init__(self, cin: int, cout: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(cin, cout, 3, padding=1, bias=False),
            nn.BatchNorm2d(cout),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 and pointwise 1x1 convolution, batch norm and ReLU6 after each."""

    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(cin, cin, 3, stride=stride, padding=1, groups=cin, bias=False),
            nn.BatchNorm2d(cin),
            nn.ReLU6(inplace=True),
            nn.Conv2d(cin, cout, 1, bias=False),
            nn.BatchNorm2d(cout),
            nn.ReLU6(inplace=True),
        )


@register("multitask_cnn", paper="Vu et al. 2019", paper_parameters=PAPER_PARAMETERS)
class MultitaskCNN(nn.Module):
    """Trunk shared by all heads, then one linear layer a head.

    ``heads``: output size by head name, such as ``{"age": 101, "gender": 2, "race": 7}``.
    ``dropout``, ``conv_dropout``: rates in [0, 1).
    """

    def __init__(
        self, heads: Mapping[str, int], dropout: float = 0.25, conv_dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvPool(3, 32, conv_dropout),
            ConvPool(32, 64, conv_dropout),
            ConvPool(64, 128, conv_dropout),
            SeparableConv(128, 256, stride=1),
            SeparableConv(256, 256, stride=2),
            SeparableConv(256, 512, stride=1),
            SeparableConv(512, 512, stride=2),
        )
        self.neck = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(512, 512),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.heads = nn.ModuleDict({name: nn.Linear(512, size) for name, size in heads.items()})
        self.apply(glorot)

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 512) features."""
        x = self.features(x)  # (N, 512, H/32, W/32)
        return self.neck(x)  # (N, 512)

    def forward_head(self, features: Tensor) -> ModelOutput:
        """(N, 512) features to logits by head."""
        return ModelOutput({name: head(features) for name, head in self.heads.items()})

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head."""
        return self.forward_head(self.forward_features(x))
