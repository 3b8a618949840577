"""Stored weights: what is lost is bounded, what is exact stays exact."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save

from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.inference.quantization import pack, unpack
from agegender_core.models import create_model


def test_eight_bits_err_by_half_a_step_of_their_channel() -> None:
    value = torch.randn(64, 32, 3, 3) * torch.logspace(-3, 1, 64).view(-1, 1, 1, 1)
    stored = pack({"w": value}, "int8")
    assert stored["w"].dtype == torch.int8 and stored["w::scale"].shape == (64,)
    error = (unpack(stored)["w"] - value).flatten(1).abs().amax(dim=1)
    assert (error <= stored["w::scale"] / 2 * 1.001).all()
    assert torch.equal(
        stored["w"].flatten(1).abs().amax(dim=1), torch.full((64,), 127, dtype=torch.int8)
    )


def test_small_tensors_counters_and_empty_channels_survive() -> None:
    tensors = {"b": torch.randn(64), "steps": torch.tensor(7), "w": torch.zeros(128, 64)}
    back = unpack(pack(tensors, "int8"))
    assert set(back) == set(tensors) and back["steps"] == 7 and back["steps"].dtype == torch.int64
    assert torch.allclose(back["b"], tensors["b"], atol=1e-2) and torch.equal(
        back["w"], tensors["w"]
    )


@pytest.mark.parametrize("storage,bits", [("int6", 6), ("int5", 5), ("int4", 4)])
def test_fewer_bits_pack_without_gaps_and_err_by_the_step_of_their_group(
    storage: str, bits: int
) -> None:
    # 175 values a channel: three groups, the last not full.
    value = torch.randn(40, 7, 5, 5) * torch.logspace(-3, 1, 40).view(-1, 1, 1, 1)
    stored = pack({"w": value}, storage)
    assert stored["w"].dtype == torch.uint8 and stored["w"].numel() == 40 * 3 * 64 * bits // 8
    assert stored["w::scale"].shape == (40, 3) and stored["w::scale"].dtype == torch.float16
    back = unpack(load(save(stored)))["w"]
    assert back.shape == value.shape
    relative = (
        (back - value).square().flatten(1).mean(dim=1) / value.square().flatten(1).mean(dim=1)
    ).sqrt()
    # A Gaussian's error is about 2^-bits times three.
    assert (relative < 1.2 * 2.0 ** (1 - bits)).all()
    assert (relative > 2.0 ** (-bits - 1)).all()


@pytest.mark.parametrize("storage", ["int6", "int5", "int4"])
def test_fewer_bits_keep_their_levels_exactly(storage: str) -> None:
    top = 2 ** (int(storage[3:]) - 1) - 1
    value = torch.randint(-top, top + 1, (64, 128)).float()
    # Every group spans its range, so a scale of 1 has no error.
    value[:, 0], value[:, 64] = (
        top,
        -top,
    )
    assert torch.equal(unpack(pack({"w": value}, storage))["w"], value)
    zeros = torch.zeros(64, 128)
    assert torch.equal(unpack(pack({"w": zeros}, storage))["w"], zeros)


@pytest.mark.parametrize(
    "storage,size,error",
    [
        ("half", 2.0, 2e-3),
        ("int8", 1.05, 5e-2),
        ("int6", 0.85, 0.1),
        ("int5", 0.72, 0.2),
        ("int4", 0.6, 0.4),
    ],
)
def test_networks_fit_and_answer_alike_after_a_file(
    storage: str, size: float, error: float
) -> None:
    torch.manual_seed(0)
    model = create_model("multitask_cnn", {"age": 101, "gender": 2}).eval()
    data = save(pack(model.state_dict(), storage))
    count = sum(value.numel() for value in model.state_dict().values())
    assert len(data) / count < size * 1.05
    other = create_model("multitask_cnn", {"age": 101, "gender": 2})
    other.load_state_dict(unpack(load(data)))
    x = torch.randn(4, 3, 64, 64)
    one, two = (
        run_network(optimize_for_inference(network), x, flip=False).logits["age"]
        for network in (model, other)
    )
    assert (one - two).norm() / one.norm() < error


@pytest.mark.parametrize("storage", ["half", "int8", "int4"])
def test_batch_norm_of_any_size_survives(storage: str) -> None:
    tensors = {"running_var": torch.tensor([1.4e7, 1e-9]), "weight": torch.randn(128, 64)}
    back = unpack(load(save(pack(tensors, storage))))
    assert (
        torch.equal(back["running_var"], tensors["running_var"])
        and torch.isfinite(back["weight"]).all()
    )
