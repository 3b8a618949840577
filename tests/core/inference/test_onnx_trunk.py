"""EfficientNet-Lite0's trunk through ONNX Runtime gives what torch's layers give, and remains a
module like any other: copied, saved, given new weights, forked, differentiated.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from agegender_core.inference import onnx_trunk
from agegender_core.inference.forward import optimize_for_inference
from agegender_core.inference.model_zoo import find_weights, load_network
from agegender_core.inference.onnx_trunk import CHUNK, OnnxTrunk, graph_of
from agegender_core.models import create_model
from agegender_core.models.efficientnet_lite import LiteTrunk
from tests.support.networks import trained_like

HEADS = {"age": 101, "gender": 2}


def crops(side: int = 64, count: int = 3) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def age_logits(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(x).logits["age"]


def near(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


@pytest.fixture
def plain() -> nn.Module:
    """As it was trained: separate layers, batch norm."""
    return trained_like(create_model("efficientnet_lite0", HEADS)).eval()


@pytest.fixture
def network(plain: nn.Module) -> nn.Module:
    return optimize_for_inference(copy.deepcopy(plain))


def trunk_of(network: nn.Module) -> OnnxTrunk:
    trunk = network.get_submodule("trunk")
    assert isinstance(trunk, OnnxTrunk)
    return trunk


@pytest.mark.parametrize("side", [32, 33, 47, 64, 96])
def test_padding_that_depends_on_the_side(plain: nn.Module, network: nn.Module, side: int) -> None:
    assert near(age_logits(network, crops(side)), age_logits(plain, crops(side)))
    assert trunk_of(network)._session is not None


@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_any_number_of_images(plain: nn.Module, network: nn.Module, count: int) -> None:
    x = crops(32, count)
    found = age_logits(network, x)
    assert found.shape == (count, 101)
    if count:
        assert near(found, age_logits(plain, x))


def test_channels_last_is_the_same(network: nn.Module) -> None:
    x = crops()
    assert torch.equal(
        age_logits(network, x.contiguous(memory_format=torch.channels_last)),
        age_logits(network, x),
    )


def test_published_weights_answer_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    info = find_weights("efficientnet_lite0")
    quick = load_network(info)
    monkeypatch.setattr(onnx_trunk, "available", lambda: False)
    layers = load_network(info)
    assert not isinstance(layers.get_submodule("trunk"), OnnxTrunk)
    x = crops(info.input.size, 8).clamp(-1, 1)
    difference = (age_logits(quick, x) - age_logits(layers, x)).abs().max()
    assert difference < 2e-5  # of logits; probabilities are shown with four digits


def test_gradients_come_from_the_layers(network: nn.Module) -> None:
    x = crops().requires_grad_()
    network(x).logits["age"].square().sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0
    assert trunk_of(network)._session is None


def test_copies_new_weights_and_other_types(plain: nn.Module, network: nn.Module) -> None:
    wanted = age_logits(network, crops())
    for again in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(age_logits(again, crops()), wanted)
    double = copy.deepcopy(network).double()
    assert near(age_logits(double, crops().double()).float(), wanted)
    assert near(age_logits(double.float(), crops()), wanted)
    other = optimize_for_inference(trained_like(create_model("efficientnet_lite0", HEADS)))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.5)
    assert not near(age_logits(other, crops()), wanted)
    other.load_state_dict(network.state_dict())
    assert torch.equal(age_logits(other, crops()), wanted)


def test_names_of_parameters_stay(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_trunk, "available", lambda: False)
    layers = optimize_for_inference(create_model("efficientnet_lite0", HEADS))
    assert list(network.state_dict()) == list(layers.state_dict())


def test_threads_share_a_network(network: nn.Module) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: age_logits(network, crops()), range(8)))
    assert all(torch.equal(one, found[0]) for one in found)


def _in_a_child(network: nn.Module, answers: multiprocessing.Queue) -> None:
    answers.put(age_logits(network, crops(count=2 * CHUNK + 1)).numpy())


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"
)
def test_a_forked_child_answers(network: nn.Module) -> None:
    """A session with threads of its own would wait for ever in the child, where they are not."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        wanted = age_logits(network, crops(count=2 * CHUNK + 1))
    finally:
        torch.set_num_threads(before)
    forking = multiprocessing.get_context("fork")
    answers = forking.Queue()
    child = forking.Process(target=_in_a_child, args=(network, answers))
    child.start()
    try:
        assert near(torch.from_numpy(answers.get(timeout=30)), wanted)
    finally:
        child.kill()
        child.join()


def test_batch_norm_that_was_not_folded_is_refused() -> None:
    with pytest.raises(TypeError, match="bn1 is BatchNorm2d"):
        graph_of(LiteTrunk().eval())
