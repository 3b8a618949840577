"""Whether masks differ from face to face, and whether answers depend on them: measured over many
faces, whatever the masks point at.

Two questions before faithfulness. A mask whose values lie within ``EDGE`` of 0 or 1 and are the
same for every face selects channels, not places. And a network whose errors stay the same when its
masks are flattened or shuffled does not need them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from agegender_core.evaluation.metrics import stored_mean
from agegender_core.evaluation.report_store import EDGE
from agegender_core.evaluation.report_types import ALL_BLOCKS, ChangeEffect, MaskActivity
from agegender_core.explain.attention import CHANGES, Change, intervention
from agegender_core.inference.decoding import Answers, DecodingSpec, read_out
from agegender_core.inference.forward import mean_of_views, mirrored_views
from agegender_core.types import AttentionBlock, InputSpec
from agegender_core.vision.preprocessing import normalise, to_uint8

SINGLE = 3
"""Up to this number, blocks are also changed one by one."""
BATCH = 128


class Reading(Protocol):
    """What of a ``ModelInfo`` is needed to ask a network."""

    @property
    def input(self) -> InputSpec: ...

    @property
    def flip(self) -> bool: ...

    @property
    def decoding(self) -> DecodingSpec: ...


@dataclass
class _Sums:
    """Of one block over the faces seen so far. ``values``, ``squares``: (C, h, w) float64 sums over
    faces.
    """

    faces: int
    saturated: float
    over_face: float
    values: Tensor
    squares: Tensor


class Activity:
    """Gathers how alive the masks of a network are, batch by batch."""

    def __init__(self) -> None:
        self._sums: dict[str, _Sums] = {}

    def add(self, blocks: Iterable[AttentionBlock]) -> None:
        """Count the (N, C, h, w) masks of a batch in."""
        for block in blocks:
            mask = block.mask.double()
            new = _Sums(
                len(mask),
                float(((mask < EDGE) | (mask > 1 - EDGE)).double().mean()) * len(mask),
                float(mask.std(dim=(2, 3), correction=0).mean()) * len(mask),
                mask.sum(dim=0),
                mask.square().sum(dim=0),
            )
            old = self._sums.get(block.name)
            if old is not None:
                new = _Sums(
                    *(
                        getattr(old, name) + getattr(new, name)
                        for name in ("faces", "saturated", "over_face", "values", "squares")
                    )
                )
            self._sums[block.name] = new

    def found(self) -> dict[str, MaskActivity]:
        """By block."""
        result = {}
        for name, sums in self._sums.items():
            mean = sums.values / sums.faces
            spread = (sums.squares / sums.faces - mean.square()).clamp_min(0).sqrt().mean()
            result[name] = MaskActivity(
                saturated=round(sums.saturated / sums.faces, 4),
                over_face=round(sums.over_face / sums.faces, 4),
                between_faces=round(float(spread), 4),
            )
        return result


@torch.inference_mode()
def changed_answers(
    network: nn.Module,
    info: Reading,
    crops: np.ndarray,
    progress: Callable[[int], object] | None = None,
    activity: Activity | None = None,
) -> tuple[Answers, dict[tuple[str, Change], Answers]]:
    """Answers for (N, H, W, 3) uint8 crops by the network as it is, and by block (or
    ``ALL_BLOCKS``) and change of its masks.

    Blocks are changed one by one where there are no more than ``SINGLE``, and all at once in any
    case. ``progress``: gets the number of crops done. ``activity``: gets the masks as they are.
    """
    logits: dict[Any, dict[str, list[Tensor]]] = {}
    for start in range(0, len(crops), BATCH):
        images = normalise(to_uint8(crops[start : start + BATCH]), info.input)
        views = mirrored_views(images, info.flip)
        own = network(views)
        if activity is not None:
            activity.add(own.attention)
        _keep(logits.setdefault(None, {}), own.logits, info.flip)
        for name, change in variants([block.name for block in own.attention]):
            changes = {
                block.name: change for block in own.attention if name in (ALL_BLOCKS, block.name)
            }
            _keep(
                logits.setdefault((name, change), {}),
                network(views, intervention(own, changes)).logits,
                info.flip,
            )
        if progress:
            progress(start + len(images))
    answers = {
        variant: read_out(
            {head: torch.cat(batches) for head, batches in parts.items()}, info.decoding
        )
        for variant, parts in logits.items()
    }
    return answers.pop(None), answers


def variants(blocks: list[str]) -> list[tuple[str, Change]]:
    """The changes ``changed_answers`` makes to a network with these blocks."""
    names = [*(blocks if len(blocks) <= SINGLE else []), *([ALL_BLOCKS] if blocks else [])]
    return [(name, change) for name in names for change in CHANGES if change != "own"]


def _keep(parts: dict[str, list[Tensor]], logits: Mapping[str, Tensor], flip: bool) -> None:
    """Add a batch's logits, the mean of both views where there are two."""
    for head, value in logits.items():
        parts.setdefault(head, []).append(mean_of_views(value, flip))


def effects(
    own: Answers,
    changed: Mapping[tuple[str, Change], Answers],
    ages: np.ndarray,
    genders: np.ndarray,
) -> tuple[ChangeEffect, ...]:
    """What each change does, with paired 95 % bootstrap intervals. ``ages``: (N,) true years, nan
    where unknown; ``genders``: (N,) true index, -1 where unknown.
    """
    exact, known = ~np.isnan(ages), genders >= 0
    error, right = np.abs(own.years - ages), (own.gender == genders).astype(float)
    rows = []
    for (block, change), answers in changed.items():
        rows.append(
            ChangeEffect(
                block=block,
                change=change,
                moved=round(float(np.abs(answers.years - own.years).mean()), 4),
                mae=stored_mean((np.abs(answers.years - ages) - error)[exact]),
                gender_accuracy=stored_mean(
                    ((answers.gender == genders).astype(float) - right)[known]
                ),
            )
        )
    return tuple(rows)
