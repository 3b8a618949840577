"""Several trained networks that answer as one: the mean of their probabilities.

Lakshminarayanan, Pritzel and Blundell, «Simple and Scalable Predictive Uncertainty Estimation using
Deep Ensembles», NeurIPS 2017: networks err differently, so their mean errs less than each of them
and its probabilities are more honest. Nothing is trained: ``agegender weights join`` makes an
ensemble of published weights.

Input: (N, 3, H, W) RGB in [0, 1], of the side of the member with the largest crop; each member
scales and normalises it as it was trained. Output: ``ModelOutput`` with one (N, K) tensor a head,
the logarithm of the members' mean probabilities, no attention blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from agegender_core.errors import ConfigError
from agegender_core.models.registry import create_model, register
from agegender_core.toml_tables import read_table
from agegender_core.types import InputSpec, ModelOutput

NAME = "ensemble"
INPUT_MEAN, INPUT_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
"""Of an ensemble's input: members normalise by themselves."""


@dataclass(frozen=True)
class Member:
    """A network of an ensemble. ``weights``: name of the published weights it comes from, with
    their ``sha256``; ``architecture``, ``options``: what ``create_model`` takes; ``input``: what
    it was trained on.
    """

    weights: str
    sha256: str = ""
    architecture: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    input: InputSpec = InputSpec()


def read_members(tables: Sequence[Any]) -> tuple[Member, ...]:
    """Members as a recipe or the manifest writes them. Raises ``ConfigError``."""
    return tuple(
        read_table(Member, table, f"{NAME}: member {number}")
        for number, table in enumerate(tables, start=1)
    )


@register(NAME, paper="Lakshminarayanan, Pritzel and Blundell 2017", paper_parameters=0)
class Ensemble(nn.Module):
    """Networks whose mean probabilities are the answer.

    ``heads``: output size by head name, two classes or more each, the same for all members: a mean
    of single numbers is no mean of probabilities. ``members``: two or more, see ``Member``. Raises
    ``ConfigError``.
    """

    def __init__(self, heads: Mapping[str, int], members: Sequence[Any] = ()) -> None:
        super().__init__()
        if single := sorted(name for name, size in heads.items() if size < 2):
            raise ConfigError(
                f"{NAME}: the head {single[0]} has one number and no probabilities: members need"
                " heads of two classes or more"
            )
        self.cards = read_members(members)
        if len(self.cards) < 2 or not all(card.architecture for card in self.cards):
            raise ConfigError(
                "an ensemble is made of two published weights or more, by «agegender weights join"
                " RECIPE»; it is not trained"
            )
        self.members = nn.ModuleList(
            create_model(card.architecture, heads, **card.options) for card in self.cards
        )
        for index, card in enumerate(self.cards):
            for name, values in (("mean", card.input.mean), ("std", card.input.std)):
                value = torch.tensor(values).view(1, 3, 1, 1)
                self.register_buffer(f"{name}{index}", value, persistent=False)

    def following(self) -> Iterator[tuple[str, str]]:
        """Neighbours that members name, see ``inference.forward``."""
        for index, member in enumerate(self.members):
            pairs = getattr(member, "following", None)
            for first, second in () if pairs is None else pairs():
                yield f"members.{index}.{first}", f"members.{index}.{second}"

    def prepared(self, x: Tensor, index: int) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] to what member ``index`` sees, (N, 3, h, w)."""
        side = self.cards[index].input.size
        if x.shape[-1] != side:
            x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
        mean, std = (getattr(self, f"{name}{index}") for name in ("mean", "std"))
        return (x - mean) / std

    def forward(self, x: Tensor) -> ModelOutput:
        """(N, 3, H, W) RGB in [0, 1] to the logarithm of mean probabilities by head."""
        found = [
            member(self.prepared(x, index)).logits for index, member in enumerate(self.members)
        ]
        return ModelOutput(
            {name: log_mean([logits[name] for logits in found]) for name in found[0]}
        )


def log_mean(logits: Sequence[Tensor]) -> Tensor:
    """(N, K) logits each to the (N, K) logarithm of their mean probabilities."""
    logs = torch.stack([functional.log_softmax(one.float(), dim=1) for one in logits])
    return logs.logsumexp(dim=0) - math.log(len(logits))
