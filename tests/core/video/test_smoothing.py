"""Many looks at a face, one answer: it stands where the face does, says when it is unsure, and
moves where there is evidence.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from agegender_core.labels import GENDERS
from agegender_core.types import AgeEstimate, Categorical
from agegender_core.video.smoothing import Smoother, observation_weight
from tests.support.video_scenes import face_at, prediction


def watched(
    years: list[float], women: list[float] | None = None, every: float = 0.25, value: float = 1.0
) -> Smoother:
    """A smoother after one look every ``every`` seconds."""
    smoother = Smoother()
    for index, age in enumerate(years):
        smoother.add(prediction(age, 0.9 if women is None else women[index]), index * every, value)
        smoother.answer()
    return smoother


def test_a_still_faces_age_stands() -> None:
    rng = np.random.default_rng(3)
    looks, shown, smoother = 34 + rng.normal(0, 4, 120), [], Smoother()
    for index, years in enumerate(looks):
        smoother.add(prediction(float(years)), index * 0.25, 1.0)
        if (answer := smoother.answer()) is not None:
            shown.append(answer.years)
    settled = np.array(shown[8:])
    assert np.abs(settled - 34).max() <= 3
    assert np.abs(np.diff(settled)).mean() < 0.1 * np.abs(np.diff(looks)).mean()
    assert np.abs(np.diff(shown)).max() <= 3


def test_an_answer_needs_evidence() -> None:
    assert Smoother().answer() is None
    assert watched([30]).answer() is None
    assert watched([30, 30]).answer().years == 30
    assert watched([30] * 5, value=0.2).answer() is None
    assert watched([30] * 12, value=0.2).answer().observations == 12


def test_the_interval_says_how_sure_it_is() -> None:
    def width(smoother: Smoother) -> float:
        low, high = smoother.answer().age.interval
        return high - low

    few, many, apart = watched([34, 34]), watched([34] * 20), watched([24, 44] * 10)
    assert width(many) < width(few) < width(apart)
    single = prediction(34).age.interval
    assert width(many) == pytest.approx(single[1] - single[0], rel=0.15)
    answer = many.answer()
    assert answer.age.coverage is None
    assert all(
        abs(shown - end) <= 1
        for shown, end in zip((answer.low, answer.high), answer.age.interval, strict=True)
    ), "bounds stick"


def test_the_interval_keeps_the_margins_of_its_looks() -> None:
    """Calibration moves an interval's ends away from the distribution's quantiles: many alike looks
    must not undo that.
    """
    smoother = Smoother()
    look = prediction(34)
    moved = (look.age.interval[0] - 6, look.age.interval[1] + 2)
    for index in range(40):
        smoother.add(
            dataclasses.replace(look, age=dataclasses.replace(look.age, interval=moved)),
            index * 0.25,
            1.0,
        )
    low, high = smoother.answer().age.interval
    assert low == pytest.approx(moved[0], abs=0.8) and high == pytest.approx(moved[1], abs=0.8)


def test_one_contradiction_moves_little_and_many_move_it_all_the_way() -> None:
    smoother = watched([34] * 20)
    smoother.add(prediction(70), 5.0, 1.0)
    assert abs(smoother.answer().years - 34) <= 2
    for index in range(100):
        smoother.add(prediction(70), 5.25 + 0.25 * index, 1.0)
        smoother.answer()
    assert smoother.answer().years >= 68


def test_gender_is_named_when_it_is_probable_and_not_in_between() -> None:
    assert watched([30] * 4, [0.9] * 4).answer().undecided is False
    near_even = watched([30] * 8, [0.52, 0.46] * 4).answer()
    assert near_even.undecided and near_even.gender.confidence < 0.6
    smoother, undecided = watched([30] * 8, [0.9] * 8), []
    for index in range(40):
        smoother.add(prediction(30, 0.69 + 0.02 * (-1) ** index), 2 + 0.25 * index, 1.0)
        undecided.append(smoother.answer().undecided)
    assert not any(undecided)  # it stays named between the two limits
    assert watched([30] * 8, [0.1] * 8).answer().gender.label == GENDERS[1]


def test_size_and_pose_decide_what_a_look_is_worth() -> None:
    frontal = face_at((100, 100), 100)
    turned = frontal.landmarks.copy()
    turned[2, 0] += 20  # the nose towards one eye
    assert observation_weight(frontal) > 0.9
    assert observation_weight(replace(frontal, landmarks=turned)) < 0.6 * observation_weight(
        frontal
    )
    assert observation_weight(face_at((100, 100), 16)) < 0.3
    assert 0 < observation_weight(replace(frontal, landmarks=None)) < observation_weight(frontal)
    assert (
        0
        < observation_weight(replace(frontal, landmarks=np.zeros((5, 2))))
        < observation_weight(frontal)
    )


def test_networks_without_a_distribution_keep_an_honest_interval() -> None:
    def say(smoother: Smoother, years: float, index: int) -> None:
        gender = Categorical(GENDERS, 1, None)
        age = AgeEstimate(years, (years - 8, years + 8), 0.8, None, "30-39")
        smoother.add(replace(prediction(years), age=age, gender=gender), 0.25 * index, 1.0)

    calm, torn = Smoother(), Smoother()
    for index in range(20):
        say(calm, 35, index)
        say(torn, 35 + 12 * (-1) ** index, index)
    answer = calm.answer()
    assert answer.age.probs is None and answer.age.group == "30-39" and answer.years == 35
    assert (
        answer.gender.label == GENDERS[1] and answer.gender.probs is None and not answer.undecided
    )
    assert torn.answer().high - torn.answer().low > answer.high - answer.low + 8


def test_networks_of_ranges_name_one_and_do_not_waver() -> None:
    smoother, named = Smoother(), set()
    for index in range(20):
        first = 0.5 + 0.02 * (-1) ** index
        ranges = Categorical(("20-29", "30-39"), int(first < 0.5), (first, 1 - first))
        age = AgeEstimate(30.0, None, None, None, ranges.label, ranges)
        smoother.add(replace(prediction(30), age=age), 0.25 * index, 1.0)
        if (answer := smoother.answer()) is not None:
            named.add(answer.age.ranges.label)
            assert answer.low is None and sum(answer.age.ranges.probs) == pytest.approx(1)
    assert len(named) == 1


def test_its_size_does_not_grow() -> None:
    short, long = watched([30] * 4), watched([30] * 400)
    assert {name: np.shape(value) for name, value in vars(short)["_sums"].items()} == {
        name: np.shape(value) for name, value in vars(long)["_sums"].items()
    }
    assert long.evidence < 20
