"""Read-out against hand-worked cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from agegender_core.inference.decoding import (
    DecodingSpec,
    age_quantile,
    decode,
    decoding_dict,
    decoding_kind,
    group_probs,
    mean_age,
    read_out,
    softmax,
)
from agegender_core.labels import ADIENCE_GROUPS, FAIRFACE_GROUPS
from agegender_core.types import ModelOutput


def one_hot(*ages: int) -> np.ndarray:
    return np.eye(101)[list(ages)]


def test_softmax_sums_to_one_and_survives_large_logits() -> None:
    probs = softmax(torch.tensor([[1000.0, 0.0], [0.0, 0.0]]))
    assert np.allclose(probs, [[1, 0], [0.5, 0.5]]) and np.allclose(probs.sum(axis=1), 1)
    assert softmax(torch.tensor([[2.0, 0.0]]), 2.0)[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_mean_and_quantiles_of_known_distributions() -> None:
    assert np.allclose(mean_age(one_hot(0, 37, 100)), [0, 37, 100])
    assert np.allclose(age_quantile(one_hot(37), 0.5), 37)
    assert np.allclose(age_quantile(one_hot(37), 0.1), 36.6) and np.allclose(
        age_quantile(one_hot(37), 0.9), 37.4
    )
    flat = np.full((1, 101), 1 / 101)
    assert np.allclose(age_quantile(flat, 0.5), 50) and np.allclose(age_quantile(flat, 0.1), 9.6)
    assert age_quantile(one_hot(0), 0.1)[0] == 0, "an interval never leaves 0..100"
    half = (one_hot(20) + one_hot(40)) / 2
    assert age_quantile(half, 0.25)[0] == pytest.approx(20) and age_quantile(half, 0.75)[
        0
    ] == pytest.approx(40)


def test_group_probs_leave_gap_mass_out() -> None:
    probs = (one_hot(1) + one_hot(3) + one_hot(5) + one_hot(70)) / 4
    assert np.allclose(group_probs(probs, ADIENCE_GROUPS)[0], [0.25, 0.25, 0, 0, 0, 0, 0, 0.25])
    assert np.allclose(group_probs(probs, FAIRFACE_GROUPS)[0], [0.25, 0.5, 0, 0, 0, 0, 0, 0, 0.25])


def test_distribution_head_gives_everything() -> None:
    age = torch.full((1, 101), -20.0)
    age[0, 30:41] = 0.0
    output = ModelOutput(
        {"age": age, "gender": torch.tensor([[2.0, 0.0]]), "race": torch.eye(7)[:1] * 5}
    )
    ((years, gender, race),) = decode(output, DecodingSpec(coverage=0.8))
    assert (
        years.years == pytest.approx(35, abs=0.01)
        and years.coverage == 0.8
        and years.group == "30-39"
    )
    assert years.interval == pytest.approx(
        (30.6, 39.4), abs=0.01
    ) and years.probs.sum() == pytest.approx(1)
    assert gender.label == "Female" and gender.confidence == pytest.approx(0.8808, abs=1e-3)
    assert race.label == "White"


def test_without_calibration_there_is_no_interval() -> None:
    output = ModelOutput({"age": torch.zeros(1, 101), "gender": torch.zeros(1, 2)})
    ((years, _, race),) = decode(output, DecodingSpec())
    assert years.interval is None and years.coverage is None and race is None


def test_two_values_give_group_years_and_no_distribution() -> None:
    spec = DecodingSpec(
        kind="two_values", groups="adience8", coverage=0.8, margins=((0.0, 6.0, 6.0),)
    )
    output = ModelOutput(
        {"targets": torch.tensor([[4.0, 0.2], [4.6, 0.9], [-3.0, 0.5], [99.0, 0.0]])}
    )
    ages, genders, _ = zip(*decode(output, spec), strict=True)
    assert [age.group for age in ages] == ["25-32", "38-43", "0-2", "60+"]
    assert [gender.label for gender in genders] == ["Female", "Male", "Male", "Female"]
    assert (
        ages[0].years == 28.5
        and ages[0].interval == (22.5, 34.5)
        and ages[0].probs is None
        and genders[0].probs is None
    )
    assert ages[1].years == pytest.approx(28.5 + 0.6 * 12) and ages[2].interval == (0, 7)


def test_margins_move_the_ends_by_the_answered_age() -> None:
    margins = ((0.0, 1.0, 2.0), (30.0, 5.0, -3.0))
    ages = {"age": torch.tensor([[10.0], [40.0], [-2.0], [99.5]]), "gender": torch.zeros(4, 2)}
    found = read_out(ages, DecodingSpec(kind="regression", coverage=0.8, margins=margins))
    assert found.low.tolist() == pytest.approx([9, 35, 0, 94.5]), "an interval never leaves 0..100"
    assert found.high.tolist() == pytest.approx([12, 40, 2, 99.5]), "nor its own answer"
    flat = {"age": torch.zeros(1, 101), "gender": torch.zeros(1, 2)}
    bare, moved = (
        read_out(flat, DecodingSpec(coverage=0.8, margins=given)) for given in ((), margins)
    )
    assert moved.low[0] == pytest.approx(bare.low[0] - 5) and moved.high[0] == pytest.approx(
        bare.high[0] - 3
    )
    stored = decoding_dict(DecodingSpec(kind="regression", coverage=0.8, margins=margins))
    assert json.loads(json.dumps(stored))["margins"] == [[0, 1, 2], [30, 5, -3]]
    assert "margins" not in decoding_dict(DecodingSpec())


def test_the_other_papers_heads_are_read() -> None:
    years = read_out(
        {"age": torch.tensor([[36.4], [-3.0]]), "gender": torch.tensor([[2.0], [-2.0]])},
        DecodingSpec(kind="regression", margins=((0.0, 5.0, 5.0),)),
    )
    assert (
        years.years.tolist() == pytest.approx([36.4, 0])
        and years.low[0] == pytest.approx(31.4)
        and years.gender.tolist() == [1, 0]
    )
    assert years.gender_probs[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))
    digits = {
        "decade": torch.eye(10)[[3, 0]],
        "digit": torch.tensor([[6.6], [-2.0]]),
        "gender": torch.zeros(2, 2),
    }
    assert read_out(digits, DecodingSpec(kind="decade_digit")).years.tolist() == [37, 0]
    ranges = read_out(
        {"age": torch.eye(9)[[3]] * 50, "gender": torch.zeros(1, 2)}, DecodingSpec(kind="groups")
    )
    assert (
        ranges.group.tolist() == [3]
        and ranges.years[0] == pytest.approx(24.5)
        and ranges.age_probs is None
        and ranges.low is None
    )


def test_heads_say_how_they_are_read() -> None:
    kinds = {
        "distribution": {"age": 101},
        "groups": {"age": 9},
        "regression": {"age": 1},
        "decade_digit": {"decade": 10, "digit": 1},
    }
    assert all(decoding_kind(heads | {"gender": 2}) == kind for kind, heads in kinds.items())
    assert decoding_kind({"targets": 2}) == "two_values"
    with pytest.raises(ValueError, match="expected"):
        decoding_kind({"age": 101})


def test_temperature_widens_the_interval_but_keeps_the_order() -> None:
    logits = {
        "age": torch.randn(4, 101, generator=torch.Generator().manual_seed(0)) * 3,
        "gender": torch.zeros(4, 2),
    }
    cold, hot = (
        read_out(logits, DecodingSpec(coverage=0.8, age_temperature=t)) for t in (0.5, 2.0)
    )
    assert (hot.high - hot.low > cold.high - cold.low).all()


def test_groups_keep_the_probability_of_every_range() -> None:
    probs = np.array([0.01, 0.02, 0.07, 0.22, 0.46, 0.15, 0.05, 0.017, 0.003])
    output = ModelOutput(
        {"age": torch.from_numpy(probs).log()[None], "gender": torch.zeros(1, 2)}, ()
    )
    ((age, _, _),) = decode(output, DecodingSpec(kind="groups"))
    assert age.ranges is not None and age.ranges.label == age.group == "30-39" and age.probs is None
    assert np.allclose(age.ranges.probs, probs) and list(
        age.as_dict()["group_probs"].values()
    ) == pytest.approx(probs.tolist())
    assert (
        "group_probs"
        not in decode(
            ModelOutput({"age": torch.zeros(1, 101), "gender": torch.zeros(1, 2)}, ()),
            DecodingSpec(),
        )[0][0].as_dict()
    )
