"""Convolutions with their activation in one call give what the separate layers give, and remain
layers like any other: copied, saved, differentiated.
"""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from agegender_core.inference import fused_convolution, onnx_trunk
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.inference.fused_convolution import FusedConv2d
from agegender_core.models import create_model
from tests.support.networks import ENSEMBLE, trained_like

CASES = {
    "efficientnet_lite0": ({"age": 101, "gender": 2}, 64, {}, 49),
    "efficientnet_lite2": ({"age": 101, "gender": 2}, 64, {}, 64),
    "ensemble": ({"age": 101, "gender": 2}, 64, ENSEMBLE, 60),
    "gra_net": ({"age": 101, "gender": 2}, 32, {"width": 0.125}, 113),
    "multitask_cnn": ({"age": 101, "gender": 2}, 64, {}, 11),
    "residual_cnn": ({"age": 9, "gender": 2}, 32, {"side": 32, "hidden": 16}, 15),
    "two_branch_cnn": ({"age": 1, "gender": 1}, 48, {"side": 48}, 8),
}
"""Heads, crop size, options and number of convolutions, by architecture."""

pytestmark = pytest.mark.skipif(
    not fused_convolution.available(), reason="this torch has no such operator"
)


@pytest.fixture(autouse=True)
def without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed: torch computes the trunk of EfficientNet-Lite0, too."""
    monkeypatch.setattr(onnx_trunk, "available", lambda: False)


def convolutions(network: nn.Module) -> list[FusedConv2d]:
    return [module for module in network.modules() if isinstance(module, FusedConv2d)]


def crops(side: int, count: int = 3) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def logits_of(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode():
        return dict(network(x).logits)


@pytest.mark.parametrize("architecture", CASES)
def test_answers_stay_with_and_without_gradients(architecture: str) -> None:
    heads, side, options, count = CASES[architecture]
    network = trained_like(create_model(architecture, heads, **options)).eval()
    wanted, x = logits_of(network, crops(side)), crops(side)
    prepared = optimize_for_inference(copy.deepcopy(network))
    assert len(convolutions(prepared)) == count
    short = run_network(prepared, x, flip=False).logits
    assert all(layer._packed is not None for layer in convolutions(prepared))
    x.requires_grad_()
    long = prepared(x).logits
    sum(value.square().sum() for value in long.values()).backward()
    assert x.grad is not None and x.grad.abs().max() > 0
    for name, value in wanted.items():
        near = {"rtol": 1e-3, "atol": 1e-4 * float(value.abs().max())}
        assert torch.allclose(short[name], value, **near)
        assert torch.allclose(long[name], value, **near)


def test_efficientnet_has_no_batch_norm_left() -> None:
    network = optimize_for_inference(create_model("efficientnet_lite0", {"age": 101}))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert sum(layer.kind == "hardtanh" for layer in convolutions(network)) == 33


@pytest.mark.parametrize("side", [32, 33, 47, 64])
def test_padding_that_depends_on_the_side(side: int) -> None:
    network = trained_like(create_model("efficientnet_lite0", {"age": 101})).eval()
    wanted = logits_of(network, crops(side))["age"]
    found = logits_of(optimize_for_inference(network), crops(side))["age"]
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def test_an_activation_that_others_wait_for_is_left_alone() -> None:
    """Between the convolution and the activation lies something that is not monotonic."""
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(2), nn.ReLU())
    wanted = layers(crops(16))
    network = optimize_for_inference(layers)
    (layer,) = convolutions(network)
    assert layer.kind == "none"
    with torch.inference_mode():
        assert torch.allclose(network(crops(16)), wanted, atol=1e-6)


def test_activations_are_the_same_twice() -> None:
    x = 20 * torch.randn(1000)
    for kind in fused_convolution.ACTIVATIONS:
        once = kind()(x)
        assert torch.equal(kind()(once), once)
        order = torch.sort(x).values
        assert all(one <= other for one, other in pairwise(kind()(order).tolist()))


def test_copies_new_weights_and_other_types() -> None:
    network = optimize_for_inference(trained_like(create_model("multitask_cnn", {"age": 101})))
    wanted = logits_of(network, crops(64))["age"]
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(logits_of(again, crops(64))["age"], wanted)
    double = copy.deepcopy(network).double()
    near = {"rtol": 1e-3, "atol": 1e-3}
    assert torch.allclose(logits_of(double, crops(64).double())["age"].float(), wanted, **near)
    assert torch.allclose(logits_of(double.float(), crops(64))["age"], wanted, **near)
    other = optimize_for_inference(trained_like(create_model("multitask_cnn", {"age": 101})))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    logits_of(other, crops(64))
    other.load_state_dict(network.state_dict())
    assert torch.equal(logits_of(other, crops(64))["age"], wanted)


def test_threads_share_a_network() -> None:
    network = optimize_for_inference(trained_like(create_model("multitask_cnn", {"age": 101})))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: logits_of(network, crops(64))["age"], range(8)))
    assert all(torch.equal(one, found[0]) for one in found)


def test_a_large_network_does_not_take_its_memory_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_convolution, "MOST_BYTES", 1000)
    network = optimize_for_inference(create_model("multitask_cnn", {"age": 101}))
    assert not convolutions(network)


def test_without_the_operator_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_convolution, "available", lambda: False)
    network = trained_like(create_model("efficientnet_lite0", {"age": 101})).eval()
    wanted = logits_of(network, crops(64))["age"]
    prepared = optimize_for_inference(network)
    assert not convolutions(prepared)
    near = {"rtol": 1e-3, "atol": 1e-4 * float(wanted.abs().max())}
    assert torch.allclose(logits_of(prepared, crops(64))["age"], wanted, **near)
