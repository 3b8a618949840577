"""Fit how logits are read, on validation splits only: temperatures, the interval, the point estimate."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from agegender_core.data.records import Targets
from agegender_core.decoding import DecodingSpec, age_quantile, mean_age, read_out, softmax, two_class
from agegender_core.labels import AGE_GROUP_SETS, group_index

COVERAGE = 0.8
TEMPERATURES = np.geomspace(0.25, 4.0, 97)


@dataclass(frozen=True, eq=False)
class Validation:
    """Logits by head of N validation pictures and their labels."""

    logits: dict[str, torch.Tensor]
    targets: Targets


def fit(spec: DecodingSpec, validation: Validation) -> DecodingSpec:
    """``spec`` with everything that can be fitted filled in."""
    spec = dataclasses.replace(spec, coverage=COVERAGE, **_class_temperatures(validation))
    if spec.kind == "distribution":
        return _fit_distribution(spec, validation)
    if spec.kind == "groups":
        spec = dataclasses.replace(spec, age_temperature=_group_temperature(spec, validation))
    return _fit_half_width(spec, validation)


def _group_temperature(spec: DecodingSpec, validation: Validation) -> float:
    """Temperature of a head of age groups; pictures whose age, or the start of their range, lies in no group are left out."""
    groups = AGE_GROUP_SETS[spec.groups]
    found = [-1 if age < 0 or (index := group_index(int(age), groups)) is None else index for age in validation.targets.age_lo]
    return fit_temperature(validation.logits["age"], np.array(found, dtype=np.int64))


def _class_temperatures(validation: Validation) -> dict[str, float]:
    targets, found = validation.targets, {}
    if "gender" in validation.logits:
        found["gender_temperature"] = fit_temperature(two_class(validation.logits["gender"]), targets.gender)
    if "race" in validation.logits:
        single = targets.race.sum(axis=1) == 1
        found["race_temperature"] = fit_temperature(validation.logits["race"], np.where(single, targets.race.argmax(axis=1), -1))
    return found


def fit_temperature(logits: torch.Tensor, labels: np.ndarray) -> float:
    """Temperature with the least cross-entropy (Guo et al. 2017); labels -1 left out; 1 where none are known."""
    known = labels >= 0
    if not known.any():
        return 1.0
    chosen, truth = logits[torch.from_numpy(known)].double(), torch.from_numpy(labels[known])
    losses = [float(functional.cross_entropy(chosen / t, truth)) for t in TEMPERATURES]
    return round(float(TEMPERATURES[int(np.argmin(losses))]), 4)


def _fit_distribution(spec: DecodingSpec, validation: Validation) -> DecodingSpec:
    targets = validation.targets
    exact = (targets.age_lo >= 0) & (targets.age_lo == targets.age_hi)
    logits, age = validation.logits["age"][torch.from_numpy(exact)], targets.age_lo[exact]
    temperature = fit_interval_temperature(logits, age, COVERAGE)
    probs = softmax(logits, temperature)
    by_mean, by_median = (np.abs(years - age).mean() for years in (mean_age(probs), age_quantile(probs, 0.5)))
    return dataclasses.replace(spec, readout="mean" if by_mean <= by_median else "median", age_temperature=temperature)


def fit_interval_temperature(logits: torch.Tensor, age: np.ndarray, coverage: float) -> float:
    """Temperature at which the central interval of ``coverage`` holds that share of the true ages (N,), for (N, 101) logits."""
    tail = (1 - coverage) / 2

    def held(temperature: float) -> float:
        probs = softmax(logits, temperature)
        return float(((age >= age_quantile(probs, tail)) & (age <= age_quantile(probs, 1 - tail))).mean())

    gaps = [abs(held(float(t)) - coverage) for t in TEMPERATURES]
    return round(float(TEMPERATURES[int(np.argmin(gaps))]), 4)


def _fit_half_width(spec: DecodingSpec, validation: Validation) -> DecodingSpec:
    """One number has no distribution: the interval's half-width is the quantile of its absolute errors (split conformal).

    Sets that give only ranges have no errors in years: then there is no interval.
    """
    targets = validation.targets
    exact = (targets.age_lo >= 0) & (targets.age_lo == targets.age_hi)
    if not exact.any():
        return dataclasses.replace(spec, coverage=None)
    years = read_out(validation.logits, spec).years[exact]
    errors = np.sort(np.abs(years - targets.age_lo[exact]))
    rank = min(int(np.ceil((len(errors) + 1) * COVERAGE)) - 1, len(errors) - 1)
    return dataclasses.replace(spec, half_width=round(float(errors[rank]), 2))
