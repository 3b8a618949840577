"""One labelled image of any dataset, and the arrays a loss needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agegender_core.labels import FAIRFACE_RACES, GENDERS, MAX_AGE, race_set


@dataclass(frozen=True, eq=False)
class FaceRecord:
    """Labels of one image in canonical form; what the dataset does not label is None.

    ``row``: position in the dataset's table. ``age``: whole years. ``age_range``: (low, high)
    years, both inclusive, for datasets that give a range. ``race`` in the dataset's own words and
    ``race_scheme`` («fairface7», «utkface5»), whose words these are.
    ``landmarks``: (5, 2) as fractions of the image's side.
    """

    dataset: str
    file: str
    row: int
    split: str
    age: int | None = None
    age_range: tuple[int, int] | None = None
    gender: str | None = None
    race: str | None = None
    race_scheme: str | None = None
    subject: str | None = None
    landmarks: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Targets:
    """Labels of N images as arrays. Unknown: ``age_lo`` -1, ``gender`` -1, a ``race`` row of zeros.

    ``age_lo``, ``age_hi``: (N,) int years, equal where the age is exact. ``gender``: (N,) index
    into ``GENDERS``.
    ``race``: (N, 7) float, 1 for each of ``FAIRFACE_RACES`` that the label may mean.
    """

    age_lo: np.ndarray
    age_hi: np.ndarray
    gender: np.ndarray
    race: np.ndarray


def labelled_targets(records: Sequence[FaceRecord]) -> Targets:
    """Arrays for the losses; ages above 100 count as 100."""
    count = len(records)
    age_lo, age_hi = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    gender = np.full(count, -1, np.int64)
    race = np.zeros((count, len(FAIRFACE_RACES)), np.float32)
    for index, record in enumerate(records):
        if record.age is not None:
            age_lo[index] = age_hi[index] = min(record.age, MAX_AGE)
        elif record.age_range is not None:
            age_lo[index], age_hi[index] = (min(age, MAX_AGE) for age in record.age_range)
        if record.gender is not None:
            gender[index] = GENDERS.index(record.gender)
        if record.race is not None and record.race_scheme is not None:
            race[index, list(race_set(record.race, record.race_scheme))] = 1
    return Targets(age_lo, age_hi, gender, race)
