"""Residual CNN of 35.3M parameters (Khasanova and Sin, «Residual Blocks-Based Convolutional Neural
Network for Age, Gender, and Race Classification»).

Follows Section 3 and Table 1: convolution, pooling and residual blocks in three stages, then the
flattened features go into three fully connected branches. Each branch is a linear layer, ReLU,
dropout (the race branch: alpha dropout) and its classes.

Input: (N, 3, H, W) normalised RGB, H = W = ``side``; any side of at least 8 px works, see below.
Output: ``ModelOutput`` with one (N, K) tensor a head, no attention masks. The paper's heads are
``{"age": 9, "gender": 2, "race": 7}``, FairFace's ranges and groups; every head gets its own
branch, and the one called «race» has the alpha dropout.

Deviations and choices:
* Widths, depth, input size and the branches' width are in figures we do not have; only the total is
  stated. Chosen is the plain layout that gives it: widths 64, 128, 256, one convolution and two
  residual blocks of two 3x3 convolutions a stage, 72x72 px in (9x9x256 = 20,736 flattened),
  branches 512 wide: 35,332,690 with the paper's heads. It was the only one at 35.3M in a sweep of
  widths and branch widths that are powers of two, one to three residual blocks a stage and 13 sides
  from 32 to 224 px.
* Images of another side are pooled to the same 9x9 grid; at ``side`` itself nothing is pooled.
* Dropout rates are not stated: 0.5. Convolutions have no dropout, «dropout layers» is read as those
  of the branches.
* Pooling comes before ReLU, which gives the same numbers on a quarter of the values.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from agegender_core.errors import ConfigError
from agegender_core.models.registry import register
from agegender_core.types import ModelOutput

PAPER_PARAMETERS = 35.3e6
POOLED = 8
"""Product of the three pools: pixels of the input a cell of the last map stands for, along one
side.
"""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside an identity. (N, C, H, W) to (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W)."""
        return self.activation(self.body(x) + x)


class Stage(nn.Sequential):
    """Convolution, batch norm, 2x2 max-pool, ReLU, ``blocks`` residual blocks: halves the side."""

    def __init__(self, cin: int, cout: int, blocks: int) -> None:
        super().__init__(
            nn.Conv2d(cin, cout, 3, padding=1, bias=False),
            nn.BatchNorm2d(cout),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            *(ResidualBlock(cout) for _ in range(blocks)),
        )


class Branch(nn.Sequential):
    """Fully connected end of one head. ``alpha``: alpha dropout (Klambauer et al. 2017) instead of
    the plain one.
    """

    def __init__(self, features: int, hidden: int, size: int, dropout: float, alpha: bool) -> None:
        super().__init__(
            nn.Linear(features, hidden),
            nn.ReLU(inplace=True),
            nn.AlphaDropout(dropout) if alpha else nn.Dropout(dropout),
            nn.Linear(hidden, size),
        )


@register("residual_cnn", paper="Khasanova and Sin", paper_parameters=PAPER_PARAMETERS)
class ResidualCNN(nn.Module):
    """Three stages shared by all heads, then one fully connected branch a head.

    ``heads``: output size by head name. ``side``: of the square input in pixels. ``hidden``: width
    of the branches. ``dropout``: rate in [0, 1).
    """

    def __init__(
        self, heads: Mapping[str, int], side: int = 72, hidden: int = 512, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if side < POOLED:
            raise ConfigError(f"residual_cnn: side must be at least {POOLED} px, got {side}")
        grid = side // POOLED
        self.features = nn.Sequential(
            Stage(3, 64, blocks=2),  # (N, 64, H/2, W/2)
            Stage(64, 128, blocks=2),  # (N, 128, H/4, W/4)
            Stage(128, 256, blocks=2),  # (N, 256, H/8, W/8)
            nn.AdaptiveAvgPool2d(
                grid
            ),  # (N, 256, grid, grid), the identity at the network's own side
            nn.Flatten(),
        )
        width = 256 * grid * grid
        self.heads = nn.ModuleDict(
            {
                name: Branch(width, hidden, size, dropout, name == "race")
                for name, size in heads.items()
            }
        )

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, F) features, F = 256 (side // 8)^2."""
        return self.features(x)

    def forward_head(self, features: Tensor) -> ModelOutput:
        """(N, F) features to logits by head."""
        return ModelOutput({name: head(features) for name, head in self.heads.items()})

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head."""
        return self.forward_head(self.forward_features(x))
