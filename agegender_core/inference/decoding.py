"""Logits to answers. The only place with a softmax.

Ages follow the datasets' labels: a label of n stands for n whole years, and the mass of age n is
spread evenly over [n - 0.5, n + 0.5].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agegender_core.labels import (
    AGE_GROUP_SETS,
    FAIRFACE_GROUPS,
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


AgeKind = Literal["distribution", "groups", "regression", "decade_digit", "two_values"]


def decoding_kind(heads: Mapping[str, int]) -> AgeKind:
    """How ages are read from ``heads`` (output size by name). Raises ``ValueError`` where they
    cannot be.

    «distribution»: age 101; «groups»: age of another size above 1, classes of an age group set;
    «regression»: age 1, years; «decade_digit»: decade classes and the last digit as a number;
    «two_values»: targets 2, age group index and gender as numbers.
    """
    if "targets" in heads:
        return "two_values"
    if "gender" not in heads or not ("age" in heads or {"decade", "digit"} <= set(heads)):
        raise ValueError(
            f"heads {sorted(heads)}: expected gender and age, or gender, decade and digit, or"
            " targets"
        )
    if "age" not in heads:
        return "decade_digit"
    if heads["age"] == MAX_AGE + 1:
        return "distribution"
    return "regression" if heads["age"] == 1 else "groups"


def first_spec(heads: Mapping[str, int], two_value_groups: str) -> DecodingSpec:
    """How to read ``heads`` before anything is fitted."""
    kind = decoding_kind(heads)
    return DecodingSpec(kind=kind, groups=two_value_groups if kind == "two_values" else "fairface9")


@dataclass(frozen=True)
class DecodingSpec:
    """How a network's logits are read; fitted on a validation split, never on a test split.

    ``kind``: what the heads estimate of age, see ``decoding_kind``.
    ``readout``: point estimate of a distribution. ``age_temperature``, ``gender_temperature``,
    ``race_temperature``: logits are divided by them. ``coverage``: share of true ages the interval
    is meant to contain, None where it was not calibrated. ``margins``: (answered age from which it
    applies, years the interval's lower end moves down, years its upper end moves up), by rising
    age, the first from 0: see ``widened``. Without a distribution the interval starts as the
    answered age itself; without margins there is none then. ``groups``: key of ``AGE_GROUP_SETS``.
    """

    kind: AgeKind = "distribution"
    readout: Literal["mean", "median"] = "mean"
    age_temperature: float = 1.0
    gender_temperature: float = 1.0
    race_temperature: float = 1.0
    coverage: float | None = None
    margins: tuple[tuple[float, float, float], ...] = ()
    groups: str = "fairface9"


def decoding_dict(spec: DecodingSpec) -> dict[str, Any]:
    """``spec`` as JSON and TOML store it, without what is None."""
    found = {name: value for name, value in dataclasses.asdict(spec).items() if value is not None}
    found.pop("margins")
    return found | ({"margins": [list(row) for row in spec.margins]} if spec.margins else {})


@dataclass(frozen=True, eq=False)
class Answers:
    """Read-out of N faces as arrays; None where the network has no such head.

    ``years`` (N,); ``low``, ``high`` (N,) interval ends; ``age_probs`` (N, 101); ``gender`` (N,)
    index into ``GENDERS``; ``gender_probs`` (N, 2); ``race_probs`` (N, 7); ``group`` (N,) index of
    the benchmark's age group for «groups» and «two_values»; ``range_probs`` (N, G) probabilities of
    all groups for «groups».
    """

    years: np.ndarray
    gender: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    age_probs: np.ndarray | None = None
    gender_probs: np.ndarray | None = None
    race_probs: np.ndarray | None = None
    group: np.ndarray | None = None
    range_probs: np.ndarray | None = None


def softmax(logits: torch.Tensor, temperature: float = 1.0) -> np.ndarray:
    """(N, K) logits to (N, K) probabilities, float64."""
    return (logits.detach().double().cpu() / temperature).softmax(dim=1).numpy()


def mean_age(probs: np.ndarray) -> np.ndarray:
    """(N, 101) to (N,) years: the expectation."""
    return probs @ AGES


def age_quantile(probs: np.ndarray, q: float) -> np.ndarray:
    """(N, 101) and ``q`` in (0, 1) to (N,) years below which a share ``q`` of the mass lies,
    clipped to 0..100.
    """
    cumulative = np.concatenate(
        [np.zeros((len(probs), 1)), np.cumsum(probs, axis=1)], axis=1
    )  # (N, 102)
    cumulative /= cumulative[:, -1:]
    index = np.clip((cumulative < q).sum(axis=1) - 1, 0, MAX_AGE)  # year that contains the quantile
    rows = np.arange(len(probs))
    below, mass = cumulative[rows, index], cumulative[rows, index + 1] - cumulative[rows, index]
    return np.clip(index - 0.5 + (q - below) / np.maximum(mass, 1e-12), 0, MAX_AGE)


def group_probs(probs: np.ndarray, groups: tuple[AgeGroup, ...]) -> np.ndarray:
    """(N, 101) to (N, G): mass in each group; mass in the gaps between groups is in none."""
    return probs @ group_membership(groups).T


def read_out(logits: Mapping[str, torch.Tensor], spec: DecodingSpec) -> Answers:
    """Logits by head, (N, K) each, to arrays of answers."""
    readers = {"distribution": _distribution, "groups": _groups, "two_values": _two_values}
    ages = readers.get(spec.kind, _years)(logits, spec)
    if spec.margins:
        ages |= widened(ages, spec.margins)
    if "targets" in logits:
        return Answers(gender=(_numbers(logits["targets"])[:, 1] >= 0.5).astype(np.int64), **ages)
    gender = softmax(two_class(logits["gender"]), spec.gender_temperature)
    race = softmax(logits["race"], spec.race_temperature) if "race" in logits else None
    return Answers(gender=gender.argmax(axis=1), gender_probs=gender, race_probs=race, **ages)


def fairface_ranges(answers: Answers, spec: DecodingSpec) -> np.ndarray | None:
    """(N,) index of FairFace's range, or None for a model without ranges."""
    if answers.age_probs is not None:
        return group_probs(answers.age_probs, FAIRFACE_GROUPS).argmax(axis=1)
    return answers.group if spec.groups == "fairface9" else None


def widened(
    ages: Mapping[str, np.ndarray], margins: tuple[tuple[float, float, float], ...]
) -> dict[str, np.ndarray]:
    """«low» and «high», (N,) years each, moved outwards by the margins of the band that «years»
    lies in; a negative margin moves inwards, never past the answer itself (conformalised quantiles,
    Romano, Patterson and Candès, NeurIPS 2019).
    """
    years = ages["years"]
    table = np.array(margins)  # (B, 3)
    band = np.clip(np.searchsorted(table[:, 0], years, side="right") - 1, 0, None)
    low = np.minimum(ages.get("low", years) - table[band, 1], years)
    high = np.maximum(ages.get("high", years) + table[band, 2], years)
    return {"low": np.clip(low, 0, MAX_AGE), "high": np.clip(high, 0, MAX_AGE)}


def two_class(gender: torch.Tensor) -> torch.Tensor:
    """(N, 2) logits as they are; (N, 1), the logit of the second label, as (N, 2): a softmax over 0
    and z is a sigmoid of z.
    """
    return gender if gender.shape[1] == 2 else (gender * gender.new_tensor([[0.0, 1.0]]))


def _numbers(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()


def _distribution(logits: Mapping[str, torch.Tensor], spec: DecodingSpec) -> dict[str, np.ndarray]:
    probs = softmax(logits["age"], spec.age_temperature)
    ages = {
        "age_probs": probs,
        "years": mean_age(probs) if spec.readout == "mean" else age_quantile(probs, 0.5),
    }
    if spec.coverage is not None:
        tail = (1 - spec.coverage) / 2
        ages |= {"low": age_quantile(probs, tail), "high": age_quantile(probs, 1 - tail)}
    return ages


def group_centres(groups: tuple[AgeGroup, ...]) -> np.ndarray:
    """(G,) years in the middle of each group; the open last one's middle is not known: ten years
    past its start is taken.
    """
    return np.array([*(group.centre for group in groups[:-1]), groups[-1].lo + 10.0])


def _groups(logits: Mapping[str, torch.Tensor], spec: DecodingSpec) -> dict[str, np.ndarray]:
    """Likeliest group; years are the expectation over the groups' middles."""
    probs = softmax(logits["age"], spec.age_temperature)  # (N, G)
    return {
        "years": probs @ group_centres(AGE_GROUP_SETS[spec.groups]),
        "group": probs.argmax(axis=1),
        "range_probs": probs,
    }


def _years(logits: Mapping[str, torch.Tensor], spec: DecodingSpec) -> dict[str, np.ndarray]:
    """One number; or 10 x decade + last digit, as GRA_Net's authors put it together."""
    if spec.kind == "regression":
        years = _numbers(logits["age"])[:, 0]
    else:
        digit = np.clip(np.rint(_numbers(logits["digit"])[:, 0]), 0, 9)
        years = 10.0 * _numbers(logits["decade"]).argmax(axis=1) + digit
    return {"years": np.clip(years, 0, MAX_AGE)}


def _two_values(logits: Mapping[str, torch.Tensor], spec: DecodingSpec) -> dict[str, np.ndarray]:
    """Nearest group; years by interpolating between the middles of neighbouring groups."""
    groups = AGE_GROUP_SETS[spec.groups]
    index = np.clip(_numbers(logits["targets"])[:, 0], 0, len(groups) - 1)
    return {
        "years": np.interp(index, np.arange(len(groups)), group_centres(groups)),
        "group": np.rint(index).astype(np.int64),
    }


def decode(
    output: ModelOutput, spec: DecodingSpec
) -> list[tuple[AgeEstimate, Categorical, Categorical | None]]:
    """(age, gender, race or None) of each of N faces."""
    answers = read_out(output.logits, spec)
    return [_one(answers, index, spec) for index in range(len(answers.years))]


def _one(
    answers: Answers, index: int, spec: DecodingSpec
) -> tuple[AgeEstimate, Categorical, Categorical | None]:
    groups = AGE_GROUP_SETS[spec.groups]
    interval = None
    if answers.low is not None and answers.high is not None:
        interval = (float(answers.low[index]), float(answers.high[index]))
    probs = None if answers.age_probs is None else answers.age_probs[index]
    group = None if answers.group is None else group_names(groups)[answers.group[index]]
    if group is None:
        chosen = group_index(round(float(answers.years[index])), groups)
        group = None if chosen is None else groups[chosen].name
    ranges = None
    if answers.range_probs is not None and answers.group is not None:
        ranges = _categorical(
            group_names(groups), answers.range_probs, index, int(answers.group[index])
        )
    age = AgeEstimate(
        float(answers.years[index]),
        interval,
        spec.coverage if interval else None,
        probs,
        group,
        ranges,
    )
    gender = _categorical(GENDERS, answers.gender_probs, index, int(answers.gender[index]))
    race = None
    if answers.race_probs is not None:
        race = _categorical(
            FAIRFACE_RACES, answers.race_probs, index, int(answers.race_probs[index].argmax())
        )
    return age, gender, race


def _categorical(
    labels: tuple[str, ...], probs: np.ndarray | None, row: int, chosen: int
) -> Categorical:
    return Categorical(
        labels, chosen, None if probs is None else tuple(float(value) for value in probs[row])
    )
