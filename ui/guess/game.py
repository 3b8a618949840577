"""Who guesses ages better: errors, their difference with its interval, and the words for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agegender_core.types import AgeEstimate

LEAST = 5
"""Faces from which on the difference has an interval."""
CLOSE = 0.05
"""Years within which two errors are shown as the same."""


@dataclass(frozen=True, eq=False)
class Played:
    """One guessed face: its ``label``, the visitor's ``guess`` and the model's answer ``age``.
    ``person``: who it is, where the dataset says so.
    """

    label: int
    guess: int
    age: AgeEstimate
    person: str | None = None

    @property
    def yours(self) -> float:
        """By how many years the visitor is off."""
        return float(abs(self.guess - self.label))

    @property
    def answer(self) -> float:
        """The model's age as it is shown, to a tenth of a year: all that is said of it counts from
        here, so that a visitor who calculates gets the same.
        """
        return round(self.age.years, 1)

    @property
    def models(self) -> float:
        """By how many years the model is off."""
        return abs(self.answer - self.label)


@dataclass(frozen=True)
class Score:
    """Over ``n`` faces: mean errors of visitor and model in years, and the interval of their
    difference (visitor less model), None below ``LEAST`` faces.
    """

    n: int
    yours: float
    models: float
    interval: tuple[float, float] | None = None

    @property
    def leader(self) -> str:
        """«you», «model», or empty where the interval spans 0 or is not known yet."""
        if self.interval is None:
            return ""
        low, high = self.interval
        return "you" if high < 0 else "model" if low > 0 else ""


def score(played: Sequence[Played]) -> Score | None:
    """None before the first face. The interval is Student's of the mean difference over faces, or
    over people where the dataset shows the same ones again and again.
    """
    if not played:
        return None
    yours, models = (
        np.array([getattr(one, name) for one in played], float) for name in ("yours", "models")
    )
    interval = None
    if len(played) >= LEAST:
        from agegender_core.evaluation.statistics import group_means, sums  # scipy, when needed

        found = sums(yours - models, np.zeros(len(played), int), 1, _people(played))
        mean = group_means(found, share=False)
        low, high = float(mean.low[0]), float(mean.high[0])
        interval = None if np.isnan(low) else (low, high)
    return Score(len(played), float(yours.mean()), float(models.mean()), interval)


def _people(played: Sequence[Played]) -> np.ndarray | None:
    """(N,) number of the person on each face; None where nobody is known."""
    names = [one.person for one in played]
    if any(name is None for name in names):
        return None
    return np.unique(np.array(names, dtype=str), return_inverse=True)[1]


def score_words(found: Score) -> str:
    """«You are 4.2 years off on average, the model 3.9, over 12 faces.»"""
    faces = "1 face" if found.n == 1 else f"{found.n} faces"
    return (
        f"You are {found.yours:.1f} years off on average, the model {found.models:.1f},"
        f" over {faces}."
    )


def lead_words(found: Score) -> str:
    """Who leads, in a few words."""
    if found.interval is None:
        missing = max(LEAST - found.n, 1)
        return f"Who leads? {'One more face' if missing == 1 else f'{missing} more faces'} to go."
    return {"you": "You lead.", "model": "The model leads."}.get(found.leader, "Too close to call.")


def interval_words(found: Score) -> str:
    """The difference with its interval; empty where there is none yet."""
    if found.interval is None:
        return ""
    low, high = map(signed, found.interval)
    difference = round(found.yours, 1) - round(found.models, 1)  # of the means as they are shown
    return (
        f"Your error less the model's: {signed(difference)} years a face"
        f" (95 % interval {low} to {high})."
    )


def signed(value: float) -> str:
    """«+0.3», «−1.2», «0.0»."""
    text = f"{abs(value):.1f}"
    return text if text == "0.0" else f"{'+' if value > 0 else '−'}{text}"


def off_words(error: float) -> str:
    """«spot on», «2.1 years too old», «1.0 year too young»."""
    text = f"{abs(error):.1f}".removesuffix(".0")
    if text == "0":
        return "spot on"
    return f"{text} year{'' if text == '1' else 's'} too {'old' if error > 0 else 'young'}"


def verdict(one: Played) -> str:
    """Who was closer on this face."""
    gap = one.models - one.yours
    if abs(gap) < CLOSE:
        return "A draw."
    return "You were closer." if gap > 0 else "The model was closer."
