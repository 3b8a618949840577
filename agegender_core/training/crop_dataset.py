"""All crops of a run as one uint8 tensor in memory: the whole of our data is under two
gigabytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from agegender_core.datasets import FaceRecord, labelled_targets, read_records
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.datasets.protocols import PAPER_COUNT, stratified_age_bins
from agegender_core.errors import DatasetError
from agegender_core.training.config import DataConfig, Recipe
from agegender_core.training.losses import TargetBatch, two_value_targets

WIDE = 1.5
"""Side of the stored crop, as a multiple of the network's input: the border is what augmentation
moves into view.
"""


@dataclass(frozen=True, eq=False)
class CropDataset:
    """``wide``: (N, 3, W, W) uint8, channels last in memory. ``view``: share of W that the
    network's input spans.

    ``teacher``: a teacher's logits, (N, K) by head, empty where the recipe has none.
    """

    wide: Tensor
    view: float
    targets: TargetBatch
    records: tuple[FaceRecord, ...]
    teacher: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records)

    def some(self, count: int) -> CropDataset:
        """``count`` of the crops, or all, always the same draw, without a teacher's
        logits.
        """
        chosen = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:count]
        records = tuple(self.records[index] for index in chosen.tolist())
        rows = chosen.to(self.wide.device)
        return CropDataset(
            self.wide[rows], self.view, self.targets.each(lambda tensor: tensor[rows]), records
        )

    def to(self, device: torch.device) -> CropDataset:
        """The same on ``device``."""
        return CropDataset(
            self.wide.to(device),
            self.view,
            self.targets.each(lambda tensor: tensor.to(device)),
            self.records,
            {name: value.to(device) for name, value in self.teacher.items()},
        )


def load_split(
    recipe: Recipe, split: str, report: Callable[[str], None] = lambda text: None
) -> CropDataset:
    """Crops and labels of ``split`` of all the recipe's datasets. Images without labels for the
    heads are left out. ``report`` gets a line about each dataset.

    Raises ``DatasetError`` where a dataset is absent or has no usable image.
    """
    wide_spec = recipe.input.widened(round(recipe.input.size * WIDE))
    records: list[FaceRecord] = []
    parts: list[np.ndarray] = []
    for name in recipe.data.sets:
        found = split_records(recipe.data, name, split)
        usable = [
            record for record, keep in zip(found, usable_rows(found, recipe), strict=True) if keep
        ]
        if not usable:
            raise DatasetError(
                f"dataset {name!r} has no image in split {split!r} with labels for the heads"
                f" {sorted(recipe.heads)}"
            )
        report(f"{name} {split}: {len(usable)} of {len(found)} images")
        parts.append(load_crops(usable, wide_spec))
        records.extend(usable)
    wide = torch.from_numpy(np.concatenate(parts)).permute(0, 3, 1, 2)  # (N, 3, W, W)
    return CropDataset(
        wide,
        recipe.input.size / wide_spec.size,
        TargetBatch.of(labelled_targets(records)),
        tuple(records),
    )


def split_records(data: DataConfig, name: str, split: str) -> list[FaceRecord]:
    """Records of one split of one dataset: its own splits or, where ``data.resplit`` asks for it,
    new ones (always the same).
    """
    if not data.resplit:
        return read_records(name, split)
    records = read_records(name)
    if data.resplit == "stratified_age_bins":
        (fold,) = stratified_age_bins(records, count=PAPER_COUNT)
        return [dataclasses.replace(records[index], split=split) for index in fold.parts[split]]
    names = np.array([record.split for record in records])
    dealt = np.random.default_rng(0).permutation(names)
    return [
        dataclasses.replace(record, split=split)
        for record, new_split in zip(records, dealt, strict=True)
        if new_split == split
    ]


def usable_rows(records: Sequence[FaceRecord], recipe: Recipe) -> np.ndarray:
    """(N,) bool: which images have labels for the heads."""
    targets = TargetBatch.of(labelled_targets(records))
    if "targets" in recipe.heads:
        return two_value_targets(targets, recipe.loss.groups)[1].numpy()
    return ((targets.age_lo >= 0) | (targets.gender >= 0)).numpy()
