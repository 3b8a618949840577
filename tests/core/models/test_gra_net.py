"""GRA_Net against the paper: parameter count, equations 3 to 6, Table 3, and what its masks and
gates promise.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agegender_core.errors import ConfigError
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.models import count_parameters, create_model
from agegender_core.models.gra_net import MASKS, PAPER_PARAMETERS, GatedAttention, GRANet
from tests.support.networks import trained_like

HEADS = {"age": 101, "gender": 2, "race": 7}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """The whole network with batch-norm statistics as after training; nobody changes it."""
    torch.manual_seed(0)
    return trained_like(create_model("gra_net", HEADS))


@pytest.fixture(scope="module")
def faces() -> Tensor:
    """(2, 3, 32, 32) stand-ins for images."""
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def small_block(
    mask: str = "mixed",
    gated: bool = True,
    depth: int = 2,
    mask_norm: bool = False,
    logit_norm: bool = False,
) -> GatedAttention:
    torch.manual_seed(1)
    return trained_like(
        GatedAttention("attention1", 16, depth, mask, gated, 0.05, mask_norm, logit_norm)
    )


def on_meta(**options: object) -> nn.Module:
    """A network without memory, for counting."""
    with torch.device("meta"):
        return create_model("gra_net", **{"heads": {"gender": 2}, **options})


def block_size(cin: int, cout: int, width: int, projected: bool) -> int:
    """Annex, ``residual_block``: three convolutions, three batch norms, the projection."""
    return (
        cin * width + 9 * width**2 + width * cout + 2 * (cin + 2 * width) + projected * cin * cout
    )


def attention_size(channels: int, depth: int) -> int:
    """Annex, ``attention_block`` with p = 1, t = 2, r = 1: residual blocks, the mask's two
    convolutions, the gate.
    """
    blocks = 1 + 2 + 1 + depth + (depth - 1) + depth  # first, trunk, last, down, skips, up
    return (
        blocks * block_size(channels, channels, channels // 4, True)
        + 2 * (channels**2 + channels)
        + 1
    )


def test_parameter_count_is_the_papers() -> None:
    counted = count_parameters(on_meta())
    assert counted == 32_994_789 and abs(counted - PAPER_PARAMETERS) / PAPER_PARAMETERS < 0.002
    widening = (
        block_size(32, 128, 32, True)
        + block_size(128, 256, 128, True)
        + block_size(256, 512, 256, True)
    )
    attention = attention_size(128, 2) + attention_size(256, 1) + attention_size(512, 1)
    tail = block_size(512, 1024, 512, True) + 2 * block_size(1024, 1024, 1024, False) + 2 * 1024
    assert 3 * 25 * 32 + 2 * 32 + widening + attention + tail + 1025 * 2 == counted


def test_width_scales_every_channel_count_and_keeps_the_masks_sides() -> None:
    half = create_model("gra_net", HEADS, width=0.5)
    assert [mask.mask.shape[1:] for mask in half(torch.zeros(2, 3, 32, 32)).attention] == [
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
    ]
    assert 0.24 < count_parameters(half) / count_parameters(on_meta(heads=HEADS)) < 0.26
    assert count_parameters(on_meta(width=1.0)) == count_parameters(on_meta())
    with pytest.raises(ConfigError, match="width"):
        create_model("gra_net", HEADS, width=2)


def test_options_cost_no_parameters_but_the_gates() -> None:
    counted = count_parameters(on_meta())
    assert {count_parameters(on_meta(mask=mask)) for mask in MASKS} == {counted}
    assert count_parameters(on_meta(gated=False)) == counted - 3
    assert count_parameters(on_meta(mask_norm=True)) == counted + 2 * (128 + 256 + 512), (
        "the mask branch's own batch norm"
    )
    assert count_parameters(on_meta(logit_norm=True)) == counted + 2 * (128 + 256 + 512), (
        "batch norm on the logits"
    )
    assert (
        count_parameters(on_meta(heads={"decade": 11}))
        - count_parameters(on_meta(heads={"digit": 1}))
        == 1025 * 10
    )


@pytest.mark.parametrize("side", [32, 64])
def test_shapes_of_logits_masks_and_gates(network: nn.Module, side: int) -> None:
    with torch.inference_mode():
        output = network(torch.randn(2, 3, side, side))
    assert {name: tuple(value.shape) for name, value in output.logits.items()} == {
        "age": (2, 101),
        "gender": (2, 2),
        "race": (2, 7),
    }
    assert [block.name for block in output.attention] == ["attention1", "attention2", "attention3"]
    shapes = [tuple(block.mask.shape) for block in output.attention]
    assert shapes == [
        (2, 128, side // 2, side // 2),
        (2, 256, side // 4, side // 4),
        (2, 512, side // 8, side // 8),
    ]
    for block in output.attention:
        assert (
            block.gate is not None
            and block.gate.shape == ()
            and float(block.gate) == pytest.approx(0.05)
        )
        assert block.mask.min() >= 0 and block.mask.max() <= 1


def test_odd_sides_work(network: nn.Module) -> None:
    with torch.inference_mode():
        output = network(torch.randn(1, 3, 45, 45))
    assert [block.mask.shape[2] for block in output.attention] == [22, 11, 6]


def test_gradient_reaches_every_parameter(faces: Tensor) -> None:
    for options in ({}, {"mask": "channel", "gated": False}):
        model = create_model("gra_net", {"decade": 10}, **options).train()
        logits = model(faces).logits["decade"]
        (logits * torch.randn_like(logits)).sum().backward()
        assert not [
            name
            for name, value in model.named_parameters()
            if value.grad is None or not value.grad.any()
        ]


def test_equations_4_to_6() -> None:
    x = torch.randn(2, 16, 12, 12) * 3
    for name in MASKS:
        block = small_block(name)
        with torch.inference_mode():
            raw = (
                block.mask_branch(block.before(x)).double().numpy()
            )  # (N, C, H, W) before normalisation
            mask = block(x, {})[1].mask.numpy()
        sigmoid = 1 / (1 + np.exp(-raw))
        if name == "mixed":
            wanted = sigmoid
        elif name == "channel":
            wanted = sigmoid / np.sqrt((sigmoid**2).sum(axis=1, keepdims=True))
        else:
            wanted = 1 / (
                1
                + np.exp(
                    -(raw - raw.mean(axis=(2, 3), keepdims=True))
                    / raw.std(axis=(2, 3), keepdims=True)
                )
            )
        assert np.allclose(mask, wanted, atol=1e-4), name
        assert mask.min() >= 0 and mask.max() <= 1, name


def test_a_normalised_mask_branch_does_not_saturate_however_large_its_sums() -> None:
    """What the annex leaves open: sums that grew during training saturate the mask unless something
    normalises them.
    """
    x = torch.randn(8, 16, 12, 12)
    for mask_norm in (False, True):
        block = small_block(mask_norm=mask_norm).train()
        with torch.inference_mode():
            for last in block.mask_branch.up:
                last.body[-1].weight.mul_(1e4)
                last.skip.weight.mul_(1e4)
            mask = block(x, {})[1].mask
        saturated = ((mask < 0.02) | (mask > 0.98)).float().mean()
        assert (
            (saturated == 0 and mask.std(dim=(2, 3)).mean() > 0.02)
            if mask_norm
            else saturated > 0.95
        )


def test_batch_norm_on_the_logits_holds_them_whatever_the_last_convolutions_do() -> None:
    """``mask_norm`` alone does not: the drift it leaves open is that of the two 1x1 convolutions
    after it.
    """
    x = torch.randn(8, 16, 12, 12)
    for logit_norm in (False, True):
        block = small_block(mask_norm=True, logit_norm=logit_norm).train()
        with torch.inference_mode():
            for layer in block.mask_branch.out[:2]:
                layer.weight.mul_(1e2)
            mask = block(x, {})[1].mask
        saturated = ((mask < 0.02) | (mask > 0.98)).float().mean()
        assert (
            (saturated < 0.01 and mask.std(dim=(2, 3)).mean() > 0.02)
            if logit_norm
            else saturated > 0.9
        )


def test_the_control_s_masks_are_held_at_one(faces: Tensor) -> None:
    model = create_model(
        "gra_net", {"gender": 2}, width=0.125, mask="ones", logit_norm=True
    ).train()
    output = model(faces)
    assert all(
        bool((block.mask == 1).all()) and torch.equal(block.output, block.features)
        for block in output.attention
    )
    output.logits["gender"].sum().backward()
    without = {
        name
        for name, value in model.named_parameters()
        if value.grad is None or not value.grad.any()
    }
    assert all("mask_branch" in name or "gate_logit" in name for name in without) and any(
        "mask_branch" in name for name in without
    )


def test_batch_norm_on_the_logits_is_folded_for_inference(faces: Tensor) -> None:
    torch.manual_seed(0)
    model = trained_like(create_model("gra_net", HEADS, width=0.125, logit_norm=True))
    with torch.inference_mode():
        before = model(faces)
        prepared = optimize_for_inference(copy.deepcopy(model))
        after = prepared(faces)
    assert isinstance(prepared.attention[0].mask_branch.out[2], nn.Identity)
    assert torch.allclose(before.logits["age"], after.logits["age"], rtol=1e-3, atol=1e-3)
    assert torch.allclose(before.attention[0].mask, after.attention[0].mask, atol=1e-4)


def test_masks_stay_in_range_for_any_input() -> None:
    extremes = torch.tensor([-1e4, -1.0, 0.0, 1.0, 1e4]).repeat(2, 3, 5, 1)
    for x in (
        extremes,
        torch.zeros(1, 4, 3, 3),
        torch.full((1, 4, 1, 1), 7.0),
        torch.randn(1, 512, 4, 4),
    ):
        for name, normalise in MASKS.items():
            mask = normalise(x)
            assert (
                mask.shape == x.shape
                and mask.isfinite().all()
                and mask.min() >= 0
                and mask.max() <= 1 + 1e-6
            ), name


def test_channel_masks_remove_space_and_spatial_masks_level_channels() -> None:
    x = torch.randn(2, 8, 6, 6) * torch.rand(1, 8, 1, 1) * 9
    assert torch.allclose(MASKS["channel"](x).norm(dim=1), torch.ones(2, 6, 6), atol=1e-5)
    shifted = x * torch.rand(1, 8, 1, 1).add(0.5) + torch.randn(1, 8, 1, 1)
    assert torch.allclose(MASKS["spatial"](x), MASKS["spatial"](shifted), atol=1e-3)


def test_table_three_the_gate_at_its_ends() -> None:
    block = small_block()
    x = torch.randn(2, 16, 12, 12)
    with torch.inference_mode():
        features = block.trunk(block.before(x))
        mask = block(x, {})[1].mask
        untouched, masked = (
            block(x, {"attention1.gate": 1.0})[0],
            block(x, {"attention1.gate": 0.0})[0],
        )
        assert torch.allclose(untouched, block.after(features), atol=1e-6)
        assert torch.allclose(masked, block.after(mask * features), atol=1e-6)
        assert not torch.allclose(untouched, masked, atol=1e-2)


def test_equation_3_between_the_ends_and_the_baseline_without_gate() -> None:
    x = torch.randn(2, 16, 12, 12)
    for gated in (True, False):
        block = small_block(gated=gated)
        with torch.inference_mode():
            out, what = block(x, {})
            weight = 1 + what.mask if what.gate is None else what.gate + (1 - what.gate) * what.mask
            assert torch.allclose(
                out, block.after(weight * block.trunk(block.before(x))), atol=1e-6
            )
        assert (what.gate is None) is not gated


@pytest.mark.parametrize("raw", [-1e6, -30.0, 0.0, 30.0, 1e6])
def test_gates_cannot_leave_their_range(raw: float) -> None:
    block = small_block()
    nn.init.constant_(block.gate_logit, raw)
    with torch.inference_mode():
        gate = block(torch.randn(1, 16, 8, 8), {})[1].gate
    assert 0 <= float(gate) <= 1 and (raw != 0 or float(gate) == 0.5)


def test_interventions_replace_masks_and_gates(network: GRANet, faces: Tensor) -> None:
    assert network.intervention_points == tuple(
        f"attention{number}.{kind}" for number in (1, 2, 3) for kind in ("mask", "gate")
    )
    with torch.inference_mode():
        own = network(faces)
        same = network(faces, {"attention2.mask": own.attention[1].mask, "attention3.gate": 0.05})
        changed = network(faces, {"attention2.mask": own.attention[1].mask.flip(3)})
        opened = [
            network(faces, {"attention1.gate": 1.0, "attention1.mask": value}).logits["age"]
            for value in (0.0, 1.0)
        ]
    assert torch.allclose(same.logits["age"], own.logits["age"], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(changed.logits["age"], own.logits["age"], rtol=1e-3)
    assert torch.equal(opened[0], opened[1])
    with pytest.raises(ConfigError, match=r"attention4\.mask"):
        network(faces, {"attention4.mask": 1.0})
    with pytest.raises(ConfigError, match=r"attention1\.gate"):
        on_meta(gated=False)(torch.zeros(1, 3, 32, 32, device="meta"), {"attention1.gate": 1.0})


def test_folding_and_flip_keep_the_answers(network: nn.Module, faces: Tensor) -> None:
    with torch.inference_mode():
        before, mirrored = network(faces), network(faces.flip(3))
    prepared = optimize_for_inference(copy.deepcopy(network))
    plain, flipped = (
        run_network(prepared, faces, flip=False),
        run_network(prepared, faces, flip=True),
    )
    # First of each block, and the tail's.
    assert sum(isinstance(module, nn.BatchNorm2d) for module in prepared.modules()) == 28
    for name, value in before.logits.items():
        scale = value.abs().max()
        assert torch.allclose(value, plain.logits[name], atol=1e-4 * scale)
        assert torch.allclose(
            (value + mirrored.logits[name]) / 2, flipped.logits[name], atol=1e-4 * scale
        )
    for own, folded, both in zip(before.attention, plain.attention, flipped.attention, strict=True):
        assert torch.allclose(own.mask, folded.mask, atol=1e-4)
        assert torch.allclose(own.mask, both.mask, atol=1e-4)


def test_evaluation_is_deterministic_and_independent_of_the_batch(
    network: nn.Module, faces: Tensor
) -> None:
    with torch.inference_mode():
        first, second, alone = network(faces), network(faces), network(faces[:1])
    assert torch.equal(first.logits["age"], second.logits["age"])
    assert torch.allclose(first.logits["age"][:1], alone.logits["age"], rtol=1e-4, atol=1e-3)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="mixed, channel, spatial"):
        on_meta(mask="both")
    with pytest.raises(ConfigError, match="gate_start"):
        on_meta(gate_start=1.0)


def test_gates_start_where_asked() -> None:
    block = GatedAttention("attention1", 4, 1, "mixed", True, 0.5, True)
    assert float(torch.sigmoid(block.gate_logit.detach())) == pytest.approx(0.5)
