"""Deletion and insertion on networks whose answer hangs on one quarter of the crop, by hand and
against random maps.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from agegender_core.explain import faithfulness
from agegender_core.explain.faithfulness import (
    KINDS,
    area,
    blurred,
    centre_map,
    compare,
    curve,
    curves,
    disturbed,
    pixel_order,
    random_map,
    scores,
)
from agegender_core.inference.decoding import DecodingSpec
from agegender_core.types import ModelOutput
from tests.support.attention_networks import CORNER, Corner, card_of, crop_of, small

RIGHT = np.zeros((32, 32), np.float32)
RIGHT[:16, :16] = 1


class CornerDistribution(nn.Module):
    """Age distribution: ages around 100 times the mean red of the upper left quarter."""

    def forward(self, x: Tensor) -> ModelOutput:
        red = (x[:, 0] * 0.25 + 0.5)[:, : x.shape[2] // 2, : x.shape[3] // 2].mean(dim=(1, 2))
        age = -0.5 * ((torch.arange(101) - 100 * red[:, None]) / 4) ** 2
        return ModelOutput({"age": age, "gender": torch.zeros(len(x), 2)})


@pytest.fixture
def half_red() -> Image.Image:
    """Upper left quarter at red 128 of 255: about 50 years."""
    image = np.full((32, 32, 3), 90, np.uint8)
    image[:16, :16] = (128, 10, 10)
    return Image.fromarray(image)


@pytest.fixture
def black(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels that are away are black, so that curves can be worked out by hand."""
    monkeypatch.setattr(faithfulness, "blurred", lambda crop: Image.new("RGB", crop.size))


def test_areas_by_hand() -> None:
    assert area(np.array([1.0, 0.5, 0.0])) == 0.5 and area(np.ones(17)) == 1
    assert area(np.array([1, 0, 0, 0, 0])) == pytest.approx(1 / 8)


def test_curves_by_hand(half_red: Image.Image, black: None) -> None:
    # 16 steps of 64 pixels: the quarter's 256 are gone after four, and each takes a quarter of its
    # red with it.
    shares = np.array([0, 0.25, 0.5, 0.75, *[1.0] * 13])
    years = 100 * 128 / 255
    deletion = curve(Corner(), CORNER, half_red, RIGHT, "deletion", "age")
    assert deletion.shape == (17,) and np.allclose(deletion, np.exp(-years * shares / 5), atol=1e-5)
    insertion = curve(Corner(), CORNER, half_red, RIGHT, "insertion", "age")
    assert np.allclose(insertion, np.exp(-years * (1 - shares) / 5), atol=1e-5)
    red = 128 / 255
    male = 1 / (1 + np.exp(-8 * (red * (1 - shares) - 0.3)))  # 0.84: the undisturbed answer
    assert np.allclose(
        curve(Corner(), CORNER, half_red, RIGHT, "deletion", "gender"), male, atol=1e-5
    )
    wrong = curve(Corner(), CORNER, half_red, 1 - RIGHT, "deletion", "age")
    assert np.allclose(wrong[:13], 1, atol=1e-5) and np.allclose(
        wrong[12:], np.exp(-years * shares[:5] / 5), atol=1e-5
    )
    assert np.allclose(
        curve(Corner(), CORNER, half_red, RIGHT, "deletion", "age", steps=4),
        np.exp(-years * np.array([0, 1, 1, 1, 1]) / 5),
    )


def test_a_flipped_answer_loses_its_probability(half_red: Image.Image, black: None) -> None:
    last = curve(Corner(), CORNER, half_red, RIGHT, "deletion", "gender")[-1]
    assert last == pytest.approx(1 / (1 + np.exp(2.4)), abs=1e-5), (
        "Male is what is asked about though Female is answered now"
    )


def test_distributions_count_what_is_within_five_years() -> None:
    probs = np.full((3, 101), 1e-12)
    probs[0, 30] = probs[1, 34] = 1
    probs[2, [25, 35, 36]] = 0.5, 0.25, 0.25
    spec = DecodingSpec()
    found = scores({"age": torch.from_numpy(probs).log(), "gender": torch.zeros(3, 2)}, spec, "age")
    # The answer is 30.0, the mass of 25 lies in 24.5 to 25.5, and so on: half of 25 and of 35 are
    # within five years, all of 34.
    assert np.allclose(found, [1, 1, 0.25 + 0.125], atol=1e-6)


def test_two_values_and_groups_have_scores_too() -> None:
    values = {"targets": torch.tensor([[2.0, 0.9], [2.0, 1.3], [7.0, -0.2]])}
    spec = DecodingSpec(kind="two_values", groups="adience8")
    assert np.allclose(scores(values, spec, "gender"), [0.9, 1, 0], atol=1e-6)
    ages = scores(values, spec, "age")
    assert ages[:2].tolist() == [1, 1] and ages[2] < 1e-3
    female = {"targets": torch.tensor([[2.0, 0.2], [2.0, 0.7]])}
    assert np.allclose(scores(female, spec, "gender"), [0.8, 0.3], atol=1e-6)


@pytest.mark.parametrize(
    "network,heads",
    [(Corner(), {"age": 1, "gender": 1}), (CornerDistribution(), {"age": 101, "gender": 2})],
)
def test_the_right_map_beats_random_ones(network: nn.Module, heads: dict[str, int]) -> None:
    image = np.random.default_rng(0).integers(0, 60, (32, 32, 3), dtype=np.uint8)
    image[:16, :16, 0] += 180
    coarse = np.array([[1.0, 0.0], [0.0, 0.0]])  # as coarse as a map can be that is right
    maps = {"right": RIGHT, "coarse": coarse, "wrong": 1 - RIGHT} | {
        f"random {seed}": random_map(8, seed) for seed in range(4)
    }
    found = compare(network, card_of("corner", heads, 32), Image.fromarray(image), maps, "age")
    assert set(found["right"]) == {"deletion", "insertion", "deletion_area", "insertion_area"}
    for random in (f"random {seed}" for seed in range(4)):
        for right in ("right", "coarse"):
            assert found[right]["deletion_area"] < found[random]["deletion_area"] - 0.02
            assert found[right]["insertion_area"] > found[random]["insertion_area"] + 0.02
        assert found["wrong"]["deletion_area"] > found[random]["deletion_area"]
    assert found["right"]["insertion"][-1] == pytest.approx(found["right"]["deletion"][0])
    assert found["right"]["deletion"][0] > 0.7 and found["right"]["deletion"][-1] < 0.3, (
        "the blur takes the answer away"
    )


@pytest.mark.parametrize("flip", [False, True])
def test_curves_together_are_curves_apart(flip: bool) -> None:
    network, crop = small(flip=flip), crop_of(32)
    maps = {"mask": network.explain(crop).block("attention1").mean(), "random": random_map(16, 0)}
    together = curves(network.network, network.info, crop, maps, ("age", "gender"), steps=5)
    for target, found in together.items():
        for name, both in found.items():
            for kind in KINDS:
                alone = curve(
                    network.network, network.info, crop, maps[name], kind, target, steps=5
                )
                assert (
                    alone.shape == (6,)
                    and np.allclose(both[kind], alone, atol=1e-4)
                    and alone.min() >= 0
                    and alone.max() <= 1
                )
    age, gender = network.answer(crop)
    near = age.probs[np.abs(np.arange(101) - age.years) <= 4.5].sum()
    assert together["gender"]["mask"]["deletion"][0] == pytest.approx(gender.confidence, abs=1e-5)
    assert near - 1e-5 <= together["age"]["mask"]["deletion"][0] <= 1


def test_the_centre_map_falls_off_evenly_from_the_middle() -> None:
    for side in (1, 4, 5, 40):
        found = centre_map(side)
        assert found.shape == (side, side) and found.dtype == np.float32
        for other in (found.T, found[::-1], found[:, ::-1]):
            assert np.array_equal(found, other)
        assert found.min() >= 0 and found.max() <= 1
    assert np.unravel_index(centre_map(5).argmax(), (5, 5)) == (2, 2) and centre_map(5)[0, 0] == 0
    assert (np.diff(centre_map(40)[20, 20:]) < 0).all()


def test_pixels_go_in_the_order_of_the_map() -> None:
    ramp = np.arange(64.0).reshape(8, 8)
    assert pixel_order(ramp, 8, 8).tolist() == list(range(63, -1, -1))
    order = pixel_order(np.array([[3.0, 0.0], [0.0, 1.0]]), 4, 4)
    assert order[0] == 0 and sorted(order) == list(range(16))
    # By hand.
    values = np.array(
        [[3, 2.25, 0.75, 0], [2.25, 1.75, 0.75, 0.25], [0.75, 0.75, 0.75, 0.75], [0, 0.25, 0.75, 1]]
    ).ravel()
    assert (np.diff(values[order]) <= 0).all()


def test_ties_favour_no_side() -> None:
    for flat in (np.full((7, 7), 0.3), np.zeros((4, 4)), np.full((5, 5), 1e9)):
        order = pixel_order(flat, 32, 32)
        assert np.array_equal(order, pixel_order(np.zeros((1, 1)), 32, 32)), (
            "flat maps are all alike"
        )
    rows, columns = np.divmod(order[:256], 32)
    assert abs(rows.mean() - 15.5) < 2 and abs(columns.mean() - 15.5) < 2


def test_disturbed_crops_go_from_one_end_to_the_other() -> None:
    crop = crop_of(32)
    away = blurred(crop)
    there, back = (disturbed(crop, away, RIGHT, kind, 4) for kind in KINDS)
    assert there.shape == back.shape == (5, 32, 32, 3) and there.dtype == np.uint8
    for images, first, last in ((there, crop, away), (back, away, crop)):
        assert np.array_equal(images[0], np.asarray(first)) and np.array_equal(
            images[4], np.asarray(last)
        )
    assert np.array_equal(there[1][:16, :16], np.asarray(away)[:16, :16]) and np.array_equal(
        there[1][16:], np.asarray(crop)[16:]
    )
    assert (
        np.asarray(away, float).std(axis=(0, 1)).max()
        < 0.6 * np.asarray(crop, float).std(axis=(0, 1)).max()
    )


def test_random_maps_are_the_same_for_the_same_seed() -> None:
    assert np.array_equal(random_map(8, 1), random_map(8, 1)) and not np.array_equal(
        random_map(8, 1), random_map(8, 2)
    )
    assert (
        random_map(4, 7, 4).shape == (4, 4)
        and 0 <= random_map(16, 3).min() <= random_map(16, 3).max() < 1
    )


def test_wrong_words_and_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="deletion, insertion"):
        curve(Corner(), CORNER, crop_of(32), RIGHT, "removal", "age")
    for bad in (np.zeros((2, 4, 4)), np.full((4, 4), np.nan)):
        with pytest.raises(ValueError, match="finite map"):
            curve(Corner(), CORNER, crop_of(32), bad, "deletion", "age")
