"""An ensemble gives the mean of its members' probabilities, each asked as it was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from agegender_core.errors import ConfigError
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.inference.onnx_trunk import OnnxTrunk, available
from agegender_core.models import create_model
from agegender_core.models.ensemble import INPUT_MEAN, INPUT_STD, Ensemble
from agegender_core.types import InputSpec
from agegender_core.vision.preprocessing import normalise
from tests.support.networks import ENSEMBLE, trained_like

HEADS = {"age": 101, "gender": 2}
SPEC = InputSpec(64, mean=INPUT_MEAN, std=INPUT_STD)


def images(count: int = 3, side: int = 64) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(0)
    ).float()


def made() -> Ensemble:
    model = trained_like(create_model("ensemble", HEADS, **ENSEMBLE)).eval()
    assert isinstance(model, Ensemble)
    return model


@torch.inference_mode()
def test_probabilities_are_the_members_mean() -> None:
    model, x = made(), images()
    logits = model(normalise(x, SPEC)).logits
    for name, value in logits.items():
        assert torch.allclose(value.exp().sum(dim=1), torch.ones(3), atol=1e-5)
        members = []
        for member, card in zip(model.members, model.cards, strict=True):
            side = card.input.size
            seen = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
            members.append(member(normalise(seen, card.input)).logits[name].softmax(dim=1))
        assert torch.allclose(value.exp(), sum(members) / 2, atol=1e-5)
        assert not torch.allclose(members[0], members[1], atol=1e-3), "members differ"


@torch.inference_mode()
def test_ready_for_inference_it_answers_the_same() -> None:
    model, x = made(), normalise(images(), SPEC)
    before = model(x).logits
    ready = optimize_for_inference(model)
    assert any(isinstance(module, OnnxTrunk) for module in ready.modules()) == available()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in ready.modules())
    after = run_network(ready, x, flip=False).logits
    for name, value in before.items():
        assert torch.allclose(value, after[name], atol=1e-3, rtol=1e-3)
    alone = [run_network(ready, x[i : i + 1], flip=True).logits["age"] for i in range(3)]
    together = run_network(ready, x, flip=True).logits["age"]
    assert np.allclose(torch.cat(alone), together, atol=1e-4)


@pytest.mark.parametrize(
    ("heads", "members", "words"),
    [
        (HEADS, (), "made of two published weights or more"),
        (HEADS, ENSEMBLE["members"][:1], "made of two published weights or more"),
        (HEADS, [{"weights": "a"}, {"weights": "b"}], "agegender weights join"),
        ({"age": 1}, ENSEMBLE["members"], "head age has one number"),
        (HEADS, [{"weight": "a"}, {"weights": "b"}], "member 1: unknown key weight"),
        (HEADS, [{"weights": "a", "architecture": "vgg"}] * 2, "unknown architecture 'vgg'"),
        (HEADS, "ab", "member 1: expected a table"),
    ],
)
def test_what_cannot_be_joined_is_one_sentence(
    heads: dict[str, int], members: Any, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        create_model("ensemble", heads, members=members)
