"""Model A: layers as listed, the join, heads on their branches, sizes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from agegender_core.errors import ConfigError
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.models import count_parameters, create_model
from tests.support.networks import trained_like

PAPER_HEADS = {"age": 1, "gender": 1}
HEADS = {"age": 101, "gender": 2, "race": 7}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """The network with our own heads and statistics as after training; nobody changes it."""
    torch.manual_seed(0)
    return trained_like(create_model("two_branch_cnn", HEADS))


@pytest.fixture(scope="module")
def faces() -> Tensor:
    """(3, 3, 96, 96) stand-ins for images."""
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def test_parameter_count_follows_from_the_list_of_layers() -> None:
    """The paper gives no total; ours is recounted from its list."""
    counted = count_parameters(create_model("two_branch_cnn", PAPER_HEADS))
    branch = sum(
        cin * kernel**2 * cout + cout + 2 * cout
        for cin, cout, kernel in ((3, 64, 5), (64, 32, 5), (32, 32, 3), (32, 16, 3))
    )
    flat = 16 * 4 * 4
    gender = (flat + 1) * 256 + 2 * 256 + 257 * 128 + 2 * 128 + 129
    age = 2 * flat + (flat + 128 + 1) * 256 + 2 * 256 + 257 * 128 + 2 * 128 + 129
    assert counted == 2 * branch + gender + age == 372_962


def test_branches_are_the_four_blocks_of_the_list(network: nn.Module, faces: Tensor) -> None:
    x, sizes = faces, []
    with torch.inference_mode():
        for stage in network.age_features:
            x = stage(x)
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(64, 32, 32), (32, 16, 16), (32, 8, 8), (16, 4, 4), (16, 4, 4), (256,)]
    kinds = [type(layer) for layer in network.gender_features[0]]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.MaxPool2d, nn.Dropout]


@pytest.mark.parametrize("heads", [PAPER_HEADS, HEADS, {"age": 101}])
def test_shapes_and_gradient_to_every_parameter(heads: dict[str, int]) -> None:
    model = create_model("two_branch_cnn", heads).train()
    logits = model(torch.randn(4, 3, 96, 96)).logits
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


def test_gender_joins_the_age_branch_and_not_the_other_way(
    network: nn.Module, faces: Tensor
) -> None:
    gender, age = (features.detach() for features in network.forward_features(faces))
    with torch.inference_mode():
        own = network.ends(gender, age)
        other_gender, other_age = network.ends(gender + 1, age), network.ends(gender, age + 1)
    assert not torch.allclose(own["age"], other_gender["age"]) and not torch.allclose(
        own["race"], other_gender["race"]
    )
    assert not torch.allclose(own["age"], other_age["age"])
    assert torch.equal(own["gender"], other_age["gender"])


@pytest.mark.parametrize("side", [64, 96, 128])
def test_other_sides_are_pooled_to_the_same_grid(network: nn.Module, side: int) -> None:
    with torch.inference_mode():
        assert network(torch.randn(2, 3, side, side)).logits["age"].shape == (2, 101)
        assert create_model("two_branch_cnn", HEADS, side=side).eval()(
            torch.randn(2, 3, side, side)
        ).logits["race"].shape == (2, 7)


def test_pooling_to_the_grid_is_the_identity_at_the_networks_own_side(
    network: nn.Module, faces: Tensor
) -> None:
    *blocks, pool, flatten = network.gender_features
    with torch.inference_mode():
        assert torch.equal(
            flatten(nn.Sequential(*blocks)(faces)), flatten(pool(nn.Sequential(*blocks)(faces)))
        )


def test_prepared_network_and_flip_keep_the_answers(network: nn.Module, faces: Tensor) -> None:
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
    assert plain.attention == ()
    for name, value in before.items():
        assert torch.equal(value, again[name])
        assert torch.allclose(value, plain.logits[name], rtol=1e-3, atol=1e-4)
        assert torch.allclose(
            (value + mirrored[name]) / 2, flipped.logits[name], rtol=1e-3, atol=1e-4
        )


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="beside «gender»"):
        create_model("two_branch_cnn", {"gender": 2})
    with pytest.raises(ConfigError, match="at least 24"):
        create_model("two_branch_cnn", PAPER_HEADS, side=16)
