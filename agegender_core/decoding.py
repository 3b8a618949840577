"""Logits to answers. The only place with a softmax.

Ages follow the sets' labels: a label of n stands for n whole years, and the mass of age n is spread evenly over [n - 0.5, n + 0.5].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from agegender_core.labels import (
    AGE_GROUP_SETS,
    FAIRFACE_RACES,
    GENDERS,
    MAX_AGE,
    AgeGroup,
    group_index,
    group_membership,
    group_names,
)
from agegender_core.types import AgeEstimate, Categorical, ModelOutput

if TYPE_CHECKING:
    import torch

AGES = np.arange(MAX_AGE + 1, dtype=np.float64)


@dataclass(frozen=True)
class DecodingSpec:
    """How a network's logits are read; fitted on a validation split, never on a test split.

    ``kind``: «distribution» (heads age, gender, race) or «two_values» (head targets: age group index and gender as numbers).
    ``readout``: point estimate of a distribution. ``age_temperature``, ``gender_temperature``, ``race_temperature``: logits are divided
    by them. ``coverage``: share of true ages the interval is meant to hold, None where it was not calibrated.
    ``half_width``: half of the interval in years for heads without a distribution. ``groups``: key of ``AGE_GROUP_SETS``.
    """

    kind: Literal["distribution", "two_values"] = "distribution"
    readout: Literal["mean", "median"] = "mean"
    age_temperature: float = 1.0
    gender_temperature: float = 1.0
    race_temperature: float = 1.0
    coverage: float | None = None
    half_width: float | None = None
    groups: str = "fairface9"


@dataclass(frozen=True, eq=False)
class Answers:
    """Read-out of N faces as arrays; None where the network has no such head.

    ``years`` (N,); ``low``, ``high`` (N,) interval ends; ``age_probs`` (N, 101); ``gender`` (N,) index into ``GENDERS``;
    ``gender_probs`` (N, 2); ``race_probs`` (N, 7); ``group`` (N,) index of the benchmark's age group for ``two_values``.
    """

    years: np.ndarray
    gender: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    age_probs: np.ndarray | None = None
    gender_probs: np.ndarray | None = None
    race_probs: np.ndarray | None = None
    group: np.ndarray | None = None


def softmax(logits: torch.Tensor, temperature: float = 1.0) -> np.ndarray:
    """(N, K) logits to (N, K) probabilities, float64."""
    return (logits.detach().double().cpu() / temperature).softmax(dim=1).numpy()


def mean_age(probs: np.ndarray) -> np.ndarray:
    """(N, 101) to (N,) years: the expectation."""
    return probs @ AGES


def age_quantile(probs: np.ndarray, q: float) -> np.ndarray:
    """(N, 101) and ``q`` in (0, 1) to (N,) years below which a share ``q`` of the mass lies, kept within 0..100."""
    cumulative = np.concatenate([np.zeros((len(probs), 1)), np.cumsum(probs, axis=1)], axis=1)  # (N, 102)
    cumulative /= cumulative[:, -1:]
    index = np.clip((cumulative < q).sum(axis=1) - 1, 0, MAX_AGE)  # year that holds the quantile
    rows = np.arange(len(probs))
    below, mass = cumulative[rows, index], cumulative[rows, index + 1] - cumulative[rows, index]
    return np.clip(index - 0.5 + (q - below) / np.maximum(mass, 1e-12), 0, MAX_AGE)


def group_probs(probs: np.ndarray, groups: tuple[AgeGroup, ...]) -> np.ndarray:
    """(N, 101) to (N, G): mass in each group; mass in the gaps between groups is in none."""
    return probs @ group_membership(groups).T


def read_out(logits: Mapping[str, torch.Tensor], spec: DecodingSpec) -> Answers:
    """Logits by head, (N, K) each, to arrays of answers."""
    return _two_values(logits["targets"], spec) if spec.kind == "two_values" else _distribution(logits, spec)


def _distribution(logits: Mapping[str, torch.Tensor], spec: DecodingSpec) -> Answers:
    probs = softmax(logits["age"], spec.age_temperature)
    gender = softmax(logits["gender"], spec.gender_temperature)
    low = high = None
    if spec.coverage is not None:
        tail = (1 - spec.coverage) / 2
        low, high = age_quantile(probs, tail), age_quantile(probs, 1 - tail)
    return Answers(
        years=mean_age(probs) if spec.readout == "mean" else age_quantile(probs, 0.5),
        gender=gender.argmax(axis=1),
        low=low,
        high=high,
        age_probs=probs,
        gender_probs=gender,
        race_probs=softmax(logits["race"], spec.race_temperature) if "race" in logits else None,
    )


def _two_values(values: torch.Tensor, spec: DecodingSpec) -> Answers:
    """Nearest group and gender; years by interpolating between the middles of neighbouring groups."""
    groups = AGE_GROUP_SETS[spec.groups]
    numbers = values.detach().double().cpu().numpy()  # (N, 2)
    index = np.clip(numbers[:, 0], 0, len(groups) - 1)
    # The middle of an open last group is not known: ten years past its start is about where the labelled ages lie.
    centres = [group.centre for group in groups[:-1]] + [groups[-1].lo + 10.0]
    years = np.interp(index, np.arange(len(groups)), centres)
    half = spec.half_width
    return Answers(
        years=years,
        gender=(numbers[:, 1] >= 0.5).astype(np.int64),
        low=None if half is None else np.clip(years - half, 0, MAX_AGE),
        high=None if half is None else np.clip(years + half, 0, MAX_AGE),
        group=np.rint(index).astype(np.int64),
    )


def decode(output: ModelOutput, spec: DecodingSpec) -> list[tuple[AgeEstimate, Categorical, Categorical | None]]:
    """(age, gender, race or None) of each of N faces."""
    answers = read_out(output.logits, spec)
    return [_one(answers, index, spec) for index in range(len(answers.years))]


def _one(answers: Answers, index: int, spec: DecodingSpec) -> tuple[AgeEstimate, Categorical, Categorical | None]:
    groups = AGE_GROUP_SETS[spec.groups]
    interval = None
    if answers.low is not None and answers.high is not None:
        interval = (float(answers.low[index]), float(answers.high[index]))
    probs = None if answers.age_probs is None else answers.age_probs[index]
    group = None if answers.group is None else group_names(groups)[answers.group[index]]
    if probs is not None:
        chosen = group_index(round(float(answers.years[index])), groups)
        group = None if chosen is None else groups[chosen].name
    age = AgeEstimate(float(answers.years[index]), interval, spec.coverage if interval else None, probs, group)
    gender = _categorical(GENDERS, answers.gender_probs, index, int(answers.gender[index]))
    race = None
    if answers.race_probs is not None:
        race = _categorical(FAIRFACE_RACES, answers.race_probs, index, int(answers.race_probs[index].argmax()))
    return age, gender, race


def _categorical(labels: tuple[str, ...], probs: np.ndarray | None, row: int, chosen: int) -> Categorical:
    return Categorical(labels, chosen, None if probs is None else tuple(float(value) for value in probs[row]))
