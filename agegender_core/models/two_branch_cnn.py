"""Model A: two-branch CNN («Age Estimation & Gender Classification With Convolutional Neural
Networks», student report, Group A, 2022).

Follows Section 2: two branches of four convolution blocks each, one for gender and one for age; the
gender branch's features join the age branch, «so the model can make better-informed decisions for
age prediction based on gender».

Input: (N, 3, H, W) normalised RGB, H = W = ``side``; any side of at least 24 px works, see below.
Output: ``ModelOutput`` with one (N, K) tensor a head, no attention masks. The paper's heads are
``{"age": 1, "gender": 1}``: years, and the logit of the sigmoid. Head «gender» sits at the end of
the gender branch; every other head («age», «race») at the end of the age branch, which sees both.

Deviations and choices:
* The input size is not stated. 96 is chosen: all four pools (3, 2, 2, 2) come out even, and the
  flattened 4x4x16 = 256 features are as wide as the dense layer after them. Images of another side
  are pooled to the same 4x4 grid; at ``side`` itself nothing is pooled.
* Padding is not stated; convolutions keep the side, pools drop what is left over.
* «Concatenate both the age branch and gender branch»: joined are the 128 features of the gender
  branch's last hidden layer, what its answer is made of. The age loss trains the gender branch
  through the join, as nothing in the text says otherwise.
* Loss weights are not stated, but the losses printed epoch by epoch give them: total = age loss +
  150.0 x gender loss, to five digits, in both models. The recipe takes them.
* The paper counts «41 layers» and no parameters, so there is no figure to test ours against.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from agegender_core.errors import ConfigError
from agegender_core.models.initialization import glorot
from agegender_core.models.registry import register
from agegender_core.types import ModelOutput

PAPER_PARAMETERS = 0.0
"""The paper gives no count."""
POOLED = 24
"""Product of the four pools: pixels of the input a cell of the last map stands for, along one side.
"""


class ConvBlock(nn.Sequential):
    """Steps 1 to 4 of the list: convolution, ReLU, batch norm, max-pool, dropout. In this order, so
    nothing can be folded.
    """

    def __init__(self, cin: int, cout: int, kernel: int, pool: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(cin, cout, kernel, padding=kernel // 2),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(cout),
            nn.MaxPool2d(pool),
            nn.Dropout(dropout),
        )


class DenseBlock(nn.Sequential):
    """Dense layer, ReLU, batch norm, dropout."""

    def __init__(self, cin: int, cout: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(cin, cout), nn.ReLU(inplace=True), nn.BatchNorm1d(cout), nn.Dropout(dropout)
        )


class JoinedHeads(nn.Module):
    """Ends of both branches with their join; models A and B share them. ``features``: width of what
    each branch gives.

    Raises ``ConfigError`` for heads without one that sits on the age branch.
    """

    def __init__(self, features: int, heads: Mapping[str, int], dropout: float) -> None:
        super().__init__()
        if not set(heads) - {"gender"}:
            raise ConfigError(
                f"the age branch needs a head beside «gender», got heads {sorted(heads)}"
            )
        self.gender = nn.Sequential(
            DenseBlock(features, 256, dropout), DenseBlock(256, 128, dropout)
        )
        self.age = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(features))
        # The list has no dropout here.
        self.joined = nn.Sequential(
            DenseBlock(features + 128, 256, 0.0), DenseBlock(256, 128, dropout)
        )
        self.heads = nn.ModuleDict({name: nn.Linear(128, size) for name, size in heads.items()})
        self.apply(glorot)

    def forward(self, gender_features: Tensor, age_features: Tensor) -> dict[str, Tensor]:
        """Two times (N, features) to logits by head."""
        gender = self.gender(gender_features)  # (N, 128)
        age = self.joined(
            torch.cat([self.age(age_features), gender], dim=1)
        )  # (N, features + 128) to (N, 128)
        return {
            name: head(gender if name == "gender" else age) for name, head in self.heads.items()
        }


@register("two_branch_cnn", paper="Group A 2022, model A", paper_parameters=PAPER_PARAMETERS)
class TwoBranchCNN(nn.Module):
    """One branch of convolutions for gender, one for everything else, joined before the dense
    layers of the latter.

    ``heads``: output size by head name. ``side``: of the square input in pixels. ``dropout``: rate
    in [0, 1).
    """

    def __init__(self, heads: Mapping[str, int], side: int = 96, dropout: float = 0.1) -> None:
        super().__init__()
        if side < POOLED:
            raise ConfigError(f"two_branch_cnn: side must be at least {POOLED} px, got {side}")
        grid = side // POOLED
        self.gender_features = _branch(grid, dropout)
        self.age_features = _branch(grid, dropout)
        self.ends = JoinedHeads(16 * grid * grid, heads, dropout)
        self.apply(glorot)

    def forward_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to (N, F) features of the gender branch and of the age branch, F = 16 (side
        // 24)^2.
        """
        return self.gender_features(x), self.age_features(x)

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) normalised RGB to logits by head."""
        return ModelOutput(self.ends(*self.forward_features(x)))


def _branch(grid: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        ConvBlock(3, 64, 5, 3, dropout),  # (N, 64, H/3, W/3)
        ConvBlock(64, 32, 5, 2, dropout),  # (N, 32, H/6, W/6)
        ConvBlock(32, 32, 3, 2, dropout),  # (N, 32, H/12, W/12)
        ConvBlock(32, 16, 3, 2, dropout),  # (N, 16, H/24, W/24)
        nn.AdaptiveAvgPool2d(grid),  # (N, 16, grid, grid), the identity at the network's own side
        nn.Flatten(),
    )
