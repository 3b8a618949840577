"""Residual CNN: the paper's 35.3M parameters, its three branches, sizes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from agegender_core.errors import ConfigError
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.models import count_parameters, create_model
from agegender_core.models.residual_cnn import PAPER_PARAMETERS, ResidualBlock
from tests.support.networks import trained_like

PAPER_HEADS = {"age": 9, "gender": 2, "race": 7}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """The network with statistics as after training; nobody changes it."""
    torch.manual_seed(0)
    return trained_like(create_model("residual_cnn", PAPER_HEADS))


@pytest.fixture(scope="module")
def faces() -> Tensor:
    """(2, 3, 72, 72) stand-ins for images."""
    return torch.randn(2, 3, 72, 72, generator=torch.Generator().manual_seed(0))


def test_parameter_count_is_the_papers() -> None:
    with torch.device("meta"):
        counted = count_parameters(create_model("residual_cnn", PAPER_HEADS))
    assert counted == 35_332_690 and abs(counted - PAPER_PARAMETERS) / PAPER_PARAMETERS < 0.002
    convolutions = sum(9 * cin * cout + 2 * cout for cin, cout in ((3, 64), (64, 128), (128, 256)))
    residual = sum(2 * 2 * (9 * width**2 + 2 * width) for width in (64, 128, 256))
    branches = sum((9 * 9 * 256 + 1) * 512 + 513 * size for size in (9, 2, 7))
    assert convolutions + residual + branches == counted


def test_three_stages_halve_the_side(network: nn.Module, faces: Tensor) -> None:
    x, sizes = faces, []
    with torch.inference_mode():
        for stage in network.features:
            x = stage(x)
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(64, 36, 36), (128, 18, 18), (256, 9, 9), (256, 9, 9), (20_736,)]


def test_only_the_race_branch_has_alpha_dropout(network: nn.Module) -> None:
    kinds = {name: [type(layer) for layer in branch] for name, branch in network.heads.items()}
    assert kinds["race"] == [nn.Linear, nn.ReLU, nn.AlphaDropout, nn.Linear]
    assert kinds["age"] == kinds["gender"] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]


def test_residual_block_without_body_is_the_activation() -> None:
    block = ResidualBlock(4).eval()
    nn.init.zeros_(block.body[4].weight)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("heads", [PAPER_HEADS, {"age": 101, "gender": 2, "race": 7}])
def test_shapes_and_gradient_to_every_parameter(heads: dict[str, int]) -> None:
    model = create_model("residual_cnn", heads, side=32, hidden=32).train()
    logits = model(torch.randn(4, 3, 32, 32)).logits
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        name: (4, size) for name, size in heads.items()
    }
    torch.stack(
        [(value * torch.randn_like(value)).sum() for value in logits.values()]
    ).sum().backward()
    assert not [
        name
        for name, value in model.named_parameters()
        if value.grad is None or not value.grad.any()
    ]


@pytest.mark.parametrize("side", [48, 64, 100])
def test_other_sides_are_pooled_to_the_same_grid(network: nn.Module, side: int) -> None:
    with torch.inference_mode():
        assert network(torch.randn(1, 3, side, side)).logits["age"].shape == (1, 9)


def test_folding_and_flip_keep_the_answers(network: nn.Module, faces: Tensor) -> None:
    with torch.inference_mode():
        before, again, mirrored = (
            network(faces).logits,
            network(faces).logits,
            network(faces.flip(3)).logits,
        )
    prepared = optimize_for_inference(copy.deepcopy(network))
    plain, flipped = (
        run_network(prepared, faces, flip=False),
        run_network(prepared, faces, flip=True),
    )
    assert plain.attention == () and not any(
        isinstance(module, nn.BatchNorm2d) for module in prepared.modules()
    )
    for name, value in before.items():
        assert torch.equal(value, again[name])
        assert torch.allclose(value, plain.logits[name], rtol=1e-3, atol=1e-3)
        assert torch.allclose(
            (value + mirrored[name]) / 2, flipped.logits[name], rtol=1e-3, atol=1e-3
        )


def test_dropout_is_for_training_only() -> None:
    model = create_model("residual_cnn", PAPER_HEADS, side=16, hidden=64).train()
    x = torch.randn(2, 3, 16, 16)
    assert not torch.equal(model(x).logits["race"], model(x).logits["race"])
    with torch.inference_mode():
        model.eval()
        assert torch.equal(model(x).logits["race"], model(x).logits["race"])


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 8"):
        create_model("residual_cnn", PAPER_HEADS, side=4)
