"""Many observations of one face to one answer.

Distributions of age, probabilities of gender and race are averaged over the observations of the
last seconds, each with a weight: a small or turned face counts little, and so does one that
contradicts the others until it is confirmed. The average of distributions is wide where the
observations disagree, and so is the interval; where they are few it is stretched. The whole years
shown do not change until the answer has moved by most of a year.
"""

from __future__ import annotations

import math
from typing import overload

import numpy as np

from agegender_core.inference.decoding import age_quantile
from agegender_core.output.gender import LIVE_DECIDED, LIVE_UNDECIDED
from agegender_core.types import AgeEstimate, Categorical, Face, Prediction
from agegender_core.video.types import Answer
from agegender_core.vision.alignment import TEMPLATE

TIME_CONSTANT = 4.0
"""Seconds after which an observation counts a third."""
ENOUGH = 1.4
"""Evidence an answer needs: two good observations, or more poor ones."""
FULL_SIZE = 64.0
"""Shorter side in pixels above which a larger face adds nothing: networks see about as many."""
LEAST = 0.2
"""Least share of its weight that counts, however much an observation contradicts the others."""
STRETCH = 0.5
"""The interval of an evidence of 1 is wider by this share; more evidence, less."""
STILL = 0.8
"""Years the answer must move before the number shown does."""
MORE = 0.05
"""How much likelier another range of ages must be before it is named instead."""


def observation_weight(face: Face) -> float:
    """Weight of one observation of ``face``, in (0, 1]: by the detector's score, its size, and how
    far it is turned away.
    """
    size = min(max(min(face.width, face.height) / FULL_SIZE, 0.1), 1.0)
    return max(face.score, 0.1) * size * _frontal(face)


def _frontal(face: Face) -> float:
    """1 for a face seen from the front, down to 0.15 in profile: how far the nose is from where it
    belongs between the eyes.
    """
    if face.landmarks is None:
        return 0.5
    left, right, nose = (np.asarray(face.landmarks[index], dtype=float) for index in range(3))
    between = right - left
    length = float(between @ between)
    if length < 1e-6:
        return 0.15
    usual = (TEMPLATE[2, 0] - TEMPLATE[0, 0]) / (TEMPLATE[1, 0] - TEMPLATE[0, 0])
    off = abs(float((nose - left) @ between) / length - usual)
    return min(max(1.25 - 2.5 * off, 0.15), 1.0)


class Smoother:
    """The observations of one face, as running sums: its size does not grow with the video."""

    def __init__(self) -> None:
        self._evidence = 0.0
        self._sums: dict[str, np.ndarray] = {}
        self._groups: dict[str, float] = {}
        self._last: Prediction | None = None
        self._when = 0.0
        self._shown: tuple[int, int | None, int | None] | None = None
        self._range: int | None = None
        self._undecided = True
        self.observations = 0

    @property
    def evidence(self) -> float:
        """Sum of the observations' weights now; the older, the less."""
        return self._evidence

    def add(self, prediction: Prediction, seconds: float, value: float) -> None:
        """One more observation of weight ``value``; ``seconds`` on any clock that only grows."""
        fade = (
            math.exp(-max(seconds - self._when, 0.0) / TIME_CONSTANT) if self.observations else 0.0
        )
        value *= self._agreement(prediction)
        self._evidence = self._evidence * fade + value
        for name, numbers in _numbers(prediction).items():
            self._sums[name] = self._sums.get(name, 0.0) * fade + value * numbers
        if prediction.age.group is not None:
            self._groups = {name: weight * fade for name, weight in self._groups.items()}
            self._groups[prediction.age.group] = self._groups.get(prediction.age.group, 0.0) + value
        self._last, self._when, self.observations = prediction, seconds, self.observations + 1

    def answer(self) -> Answer | None:
        """The answer of all observations together; None before there is enough evidence."""
        if self._last is None or (self._evidence < ENOUGH and self._shown is None):
            return None
        age = self._age(self._last.age)
        gender, race = (
            self._choice("gender", self._last.gender),
            self._choice("race", self._last.race),
        )
        if gender is not None and gender.confidence is not None:
            self._undecided = gender.confidence < (
                LIVE_DECIDED if self._undecided else LIVE_UNDECIDED
            )
        else:
            self._undecided = False
        years, low, high = self._whole_years(age)
        return Answer(age, gender, race, years, low, high, self._undecided, self.observations)

    def _mean(self, name: str) -> np.ndarray | None:
        return self._sums[name] / max(self._evidence, 1e-9) if name in self._sums else None

    def _agreement(self, prediction: Prediction) -> float:
        """How far the observation's age agrees with those before it, in [LEAST, 1]; 1 where they
        cannot be compared.
        """
        before, now = self._mean("age"), prediction.age.probs
        if before is None or now is None or self._evidence < ENOUGH:
            return 1.0
        return max(LEAST, float(np.sqrt(np.maximum(before * now, 0)).sum()))

    def _age(self, last: AgeEstimate) -> AgeEstimate:
        probs = self._mean("age")
        years, squares = self._sums["years"] / max(self._evidence, 1e-9)
        ranges = self._ranges(last.ranges)
        group = (
            ranges.label
            if ranges is not None
            else max(self._groups, key=self._groups.__getitem__, default=last.group)
        )
        interval: tuple[float, float] | None = None
        if (
            last.interval is not None
            and last.coverage is not None
            and probs is not None
            and last.probs is not None
        ):
            tail = (1 - last.coverage) / 2
            own, of_last = (
                [float(age_quantile(one[None], q)[0]) for q in (tail, 1 - tail)]
                for one in (probs, last.probs)
            )
            low, high = (
                end + stated - bare
                for end, stated, bare in zip(own, last.interval, of_last, strict=True)
            )
            interval = (low, high)
        elif (ends := self._mean("interval")) is not None:
            # The observations' own spread: 80 % of a normal one.
            between = 1.28 * math.sqrt(max(squares - years**2, 0.0))
            half = math.hypot((ends[1] - ends[0]) / 2, between)
            interval = (years - half, years + half)
        return AgeEstimate(
            float(years),
            None if interval is None else self._stretched(interval, float(years)),
            None,
            probs,
            group,
            ranges,
        )

    def _stretched(self, interval: tuple[float, float], years: float) -> tuple[float, float]:
        factor = 1 + STRETCH / max(self._evidence, 1.0)
        low, high = (years + factor * (end - years) for end in interval)
        return max(low, 0.0), min(high, 100.0)

    def _ranges(self, last: Categorical | None) -> Categorical | None:
        """Probabilities of the ranges; another is named when it is likelier than the one before by
        ``MORE``.
        """
        mean = self._mean("ranges")
        if last is None or mean is None:
            return None
        best = int(mean.argmax())
        if self._range is None or mean[best] > mean[self._range] + MORE:
            self._range = best
        return Categorical(last.labels, self._range, tuple(map(float, mean)))

    def _choice(self, name: str, last: Categorical | None) -> Categorical | None:
        mean = self._mean(name)
        if last is None or mean is None:
            return None
        return Categorical(
            last.labels, int(mean.argmax()), None if last.probs is None else tuple(map(float, mean))
        )

    def _whole_years(self, age: AgeEstimate) -> tuple[int, int | None, int | None]:
        before, (low, high) = self._shown or (None, None, None), age.interval or (None, None)
        self._shown = (
            _hysteresis(before[0], age.years),
            _hysteresis(before[1], low),
            _hysteresis(before[2], high),
        )
        return self._shown


@overload
def _hysteresis(old: int | None, new: float) -> int: ...
@overload
def _hysteresis(old: int | None, new: None) -> None: ...
@overload
def _hysteresis(old: int | None, new: float | None) -> int | None: ...
def _hysteresis(old: int | None, new: float | None) -> int | None:
    if new is None:
        return None
    return old if old is not None and abs(new - old) < STILL else round(new)


def _numbers(prediction: Prediction) -> dict[str, np.ndarray]:
    """What is averaged of one observation. A head without probabilities votes for its choice."""
    age = prediction.age
    numbers = {"years": np.array([age.years, age.years**2])}
    if age.probs is not None:
        numbers["age"] = np.asarray(age.probs, dtype=float)
    if age.interval is not None:
        numbers["interval"] = np.array(age.interval)
    for name, choice in (
        ("ranges", age.ranges),
        ("gender", prediction.gender),
        ("race", prediction.race),
    ):
        if choice is not None:
            votes = np.eye(len(choice.labels))[choice.index]
            numbers[name] = votes if choice.probs is None else np.array(choice.probs)
    return numbers
