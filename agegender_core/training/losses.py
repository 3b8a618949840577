"""Losses by head. Unknown labels are ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from agegender_core.datasets.records import Targets
from agegender_core.labels import AGE_BANDS, AGE_GROUP_SETS, FAIRFACE_GROUPS, MAX_AGE, AgeGroup
from agegender_core.training.config import LossConfig


@dataclass(frozen=True, eq=False)
class TargetBatch:
    """Labels of N images on the training device: see
    ``agegender_core.datasets.records.Targets``.
    """

    age_lo: Tensor
    age_hi: Tensor
    gender: Tensor
    race: Tensor

    @classmethod
    def of(cls, targets: Targets) -> TargetBatch:
        """Arrays as tensors on the CPU."""
        return cls(
            *(
                torch.from_numpy(array)
                for array in (targets.age_lo, targets.age_hi, targets.gender, targets.race)
            )
        )

    def each(self, change: Callable[[Tensor], Tensor]) -> TargetBatch:
        """The same labels after ``change``, such as a selection or a move to a device."""
        return TargetBatch(
            *(change(tensor) for tensor in (self.age_lo, self.age_hi, self.gender, self.race))
        )

    @property
    def exact(self) -> Tensor:
        """(N,) bool: whose age is known to the year."""
        return (self.age_lo >= 0) & (self.age_lo == self.age_hi)


def validation_loss(
    logits: Mapping[str, Tensor], targets: TargetBatch, config: LossConfig
) -> float:
    """``total_loss`` with all images alike, whatever training weighs more: the number by which
    weights are compared.
    """
    return float(total_loss(logits, targets, replace(config, age_bands=())))


def total_loss(logits: Mapping[str, Tensor], targets: TargetBatch, config: LossConfig) -> Tensor:
    """Scalar to minimise for a batch: the weighted sum over heads, (N, K) logits each."""
    if "targets" in logits:
        return two_value_loss(logits["targets"], targets, config)
    weights = {
        "age": config.age,
        "decade": config.age,
        "digit": config.age,
        "gender": config.gender,
        "race": config.race,
    }
    if "decade" in logits:  # ages beyond its last decade count as its last year
        oldest = 10 * logits["decade"].shape[1] - 1
        exact = targets.exact
        targets = replace(
            targets,
            age_lo=torch.where(exact, targets.age_lo.clamp(max=oldest), targets.age_lo),
            age_hi=torch.where(exact, targets.age_hi.clamp(max=oldest), targets.age_hi),
        )
    parts = [
        weights[name] * head_loss(name, values, targets, config)
        for name, values in logits.items()
        if weights[name]
    ]
    return torch.stack(parts).sum()


def head_loss(name: str, values: Tensor, targets: TargetBatch, config: LossConfig) -> Tensor:
    """Loss of one head, chosen by its name and size, (N, K)."""
    size = values.shape[1]
    if name == "age" and size == MAX_AGE + 1:
        return age_distribution_loss(values, targets, config)
    if name == "age" and size == 1:
        return number_loss(values[:, 0], targets.age_lo, targets.exact)
    if name == "age":
        return class_loss(values, group_targets(targets, FAIRFACE_GROUPS))
    if name == "decade":
        return class_loss(values, torch.where(targets.exact, targets.age_lo // 10, -1))
    if name == "digit":
        return number_loss(values[:, 0], targets.age_lo % 10, targets.exact)
    if name == "gender":
        both = torch.cat([torch.zeros_like(values), values], dim=1) if size == 1 else values
        return class_loss(both, targets.gender, config.gender_smoothing)
    return race_loss(values, targets.race)


def class_loss(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy over the images whose label is not -1, (N, K) logits and (N,) labels. Two
    classes 0 and z: that of a sigmoid of z.
    """
    total = functional.cross_entropy(
        logits, labels, ignore_index=-1, label_smoothing=smoothing, reduction="sum"
    )
    return total / (labels >= 0).sum().clamp(min=1)


def number_loss(values: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Mean squared error over the ``known`` images, all (N,)."""
    return (((values - labels) ** 2) * known).sum() / known.sum().clamp(min=1)


def group_targets(targets: TargetBatch, groups: tuple[AgeGroup, ...]) -> Tensor:
    """(N,) index of the group that contains the whole age or range; -1 where none does: a gap, a
    range across groups, an unknown age.
    """
    table = targets.age_lo.new_full((MAX_AGE + 1,), -1)
    for index, group in enumerate(groups):
        table[group.lo : group.hi + 1] = index
    lo, hi = table[targets.age_lo.clamp(min=0)], table[targets.age_hi.clamp(min=0)]
    return torch.where((targets.age_lo >= 0) & (lo == hi), lo, -1)


def gaussian_labels(age: Tensor, sigma: float) -> Tensor:
    """(N,) years to (N, 101) label distributions: a Gaussian of ``sigma`` years cut to 0..100 (Gao
    et al., DLDL-v2, 2018).
    """
    years = torch.arange(MAX_AGE + 1, device=age.device)
    return functional.softmax(-((years - age[:, None]) ** 2) / (2 * sigma**2), dim=1)


def age_distribution_loss(logits: Tensor, targets: TargetBatch, config: LossConfig) -> Tensor:
    """Mean over labelled images, (N, 101) logits.

    Exact ages: divergence from the Gaussian label plus ``mean_l1`` times the mean's error in years.
    Ranges: an age known only to lie in [lo, hi] is an interval-censored label, whose likelihood is
    the probability inside the range. ``age_bands``: the mean is weighted.
    """
    known, exact = targets.age_lo >= 0, targets.exact
    weights = band_weights(targets, config.age_bands)
    ranged = known & ~exact
    log_probs = functional.log_softmax(logits, dim=1)  # (N, 101)
    years = torch.arange(MAX_AGE + 1, device=logits.device)
    inside = (years >= targets.age_lo[:, None]) & (years <= targets.age_hi[:, None])
    censored = -log_probs.masked_fill(~inside, -torch.inf)[ranged].logsumexp(dim=1)
    label = gaussian_labels(targets.age_lo[exact], config.sigma)
    divergence = functional.kl_div(log_probs[exact], label, reduction="none").sum(dim=1)
    mean = (log_probs[exact].exp() * years).sum(dim=1)
    distance = (mean - targets.age_lo[exact]).abs()
    total = (weights[exact] * (divergence + config.mean_l1 * distance)).sum()
    total = total + (weights[ranged] * censored).sum()
    return total / weights[known].sum().clamp(min=1e-6)


def band_weights(targets: TargetBatch, bands: Sequence[float]) -> Tensor:
    """(N,) weight of each image by the band of its age, or of its range's middle; 1 without
    ``bands``.
    """
    if not bands:
        return torch.ones(len(targets.age_lo), device=targets.age_lo.device)
    starts = targets.age_lo.new_tensor([band.lo for band in AGE_BANDS])
    middle = (targets.age_lo + targets.age_hi.clamp(max=MAX_AGE)) // 2
    index = torch.searchsorted(starts, middle.clamp(min=0), right=True) - 1
    return torch.tensor(bands, device=targets.age_lo.device)[index]


def race_loss(logits: Tensor, race: Tensor) -> Tensor:
    """Negative log of the probability of the set of races a label may mean, (N, 7) logits and 0/1
    sets.
    """
    known = race.any(dim=1)
    log_probs = functional.log_softmax(logits, dim=1).masked_fill(race == 0, -torch.inf)
    return -log_probs[known].logsumexp(dim=1).sum() / known.sum().clamp(min=1)


def two_value_targets(targets: TargetBatch, groups: str) -> tuple[Tensor, Tensor]:
    """(N, 2) vector of age-group index and gender, and (N,) which images have both.

    Exact ages in a gap between groups have no index, as in the benchmark; so have ranges that lie
    in no single group.
    """
    index = group_targets(targets, AGE_GROUP_SETS[groups])
    usable = (index >= 0) & (targets.gender >= 0)
    return torch.stack([index, targets.gender], dim=1).float(), usable


def two_value_loss(values: Tensor, targets: TargetBatch, config: LossConfig) -> Tensor:
    """Paper's equation 5: squared L2 distance to (age group index, gender), mean over images that
    have both. (N, 2) values.
    """
    wanted, usable = two_value_targets(targets, config.groups)
    squared = ((values - wanted) ** 2).sum(dim=1)
    return (squared * usable).sum() / usable.sum().clamp(min=1)
