"""How alive masks are and what they are worth, against arrays worked out by hand and networks with
a known answer.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from agegender_core.evaluation.report_types import ALL_BLOCKS, MaskActivity
from agegender_core.explain.attention import AttentionNetwork
from agegender_core.explain.mask_ablation import Activity, changed_answers, effects, variants
from agegender_core.inference.decoding import Answers
from agegender_core.models import create_model
from agegender_core.types import AttentionBlock
from tests.support.attention_networks import card_of
from tests.support.networks import trained_like


def block(mask: torch.Tensor) -> AttentionBlock:
    return AttentionBlock("attention1", mask, None, mask, mask)


def test_activity_is_that_of_all_faces_whatever_the_batches() -> None:
    masks = torch.rand(10, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    masks[:, 0] = 0.999  # one channel of four stands still
    activity = Activity()
    for part in masks.split(4):
        activity.add([block(part)])
    (found,) = activity.found().values()
    array = masks.double().numpy()
    assert found.saturated == pytest.approx(((array < 0.02) | (array > 0.98)).mean(), abs=1e-4)
    assert found.over_face == pytest.approx(array.std(axis=(2, 3)).mean(), abs=1e-4)
    assert found.between_faces == pytest.approx(array.std(axis=0).mean(), abs=1e-4)


def test_dead_masks_are_told_from_live_ones() -> None:
    dead, live = Activity(), Activity()
    dead.add([block(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(3, 2, 4, 4))])
    live.add([block(torch.linspace(0.1, 0.9, 96).view(3, 2, 4, 4))])
    assert dead.found()["attention1"] == MaskActivity(1.0, 0.0, 0.0)
    (found,) = live.found().values()
    assert found.saturated == 0 and min(dataclasses.astuple(found)) == 0 < found.over_face


@pytest.mark.parametrize("flip", [False, True])
def test_changed_answers_are_those_the_explorer_gives_for_one_face(flip: bool) -> None:
    torch.manual_seed(0)
    info = card_of("gra_net", {"age": 101, "gender": 2}, 32, flip, width=0.125, gate_start=0.3)
    network = trained_like(create_model(info.architecture, info.heads, **info.options)).eval()
    crops = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8)
    own, changed = changed_answers(network, info, crops)
    assert (
        list(changed) == variants(["attention1", "attention2", "attention3"]) and len(changed) == 12
    )
    explorer = AttentionNetwork(info, network)
    for index, crop in enumerate(crops):
        image = Image.fromarray(crop)
        assert explorer.answer(image)[0].years == pytest.approx(own.years[index], abs=1e-3)
        for name, change in (
            ("attention2", "off"),
            ("attention1", "mean"),
            ("attention3", "shuffled"),
        ):
            assert explorer.answer(image, {name: change})[0].years == pytest.approx(
                changed[name, change].years[index], abs=1e-3
            )
        everywhere = dict.fromkeys(("attention1", "attention2", "attention3"), "off")
        assert explorer.answer(image, everywhere)[0].years == pytest.approx(
            changed[ALL_BLOCKS, "off"].years[index], abs=1e-3
        )


def test_many_blocks_are_changed_together_only() -> None:
    assert {name for name, _ in variants([f"decade.attention{number}" for number in range(9)])} == {
        ALL_BLOCKS
    }
    assert variants([]) == []


def test_effects_by_hand() -> None:
    own = Answers(np.array([20.0, 30.0, 40.0]), np.array([0, 1, 1]))
    changed = {("attention1", "off"): Answers(np.array([22.0, 33.0, 40.0]), np.array([1, 1, 1]))}
    ages, genders = np.array([20.0, 33.0, np.nan]), np.array([0, 1, -1])
    (row,) = effects(own, changed, ages, genders)
    assert (row.block, row.change) == ("attention1", "off")
    assert row.moved == pytest.approx(5 / 3, abs=1e-4)
    assert row.mae.value == pytest.approx((2 - 3) / 2) and row.mae.n == 2, (
        "one got two years worse, one three better"
    )
    assert row.gender_accuracy.value == pytest.approx(-0.5)
    (row,) = effects(own, changed, np.full(3, np.nan), np.full(3, -1))
    assert row.mae is None and row.gender_accuracy is None
