"""Shapes, parameter counts against the paper, and equivalences the code relies on."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from agegender_core.errors import ConfigError
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.models import architectures, count_parameters, create_model
from agegender_core.models.multitask_cnn import PAPER_PARAMETERS, ConvPool
from agegender_core.models.registry import register
from tests.support.networks import trained_like


def test_parameter_count_is_the_papers() -> None:
    paper = count_parameters(create_model("multitask_cnn", {"targets": 2}))
    assert paper == 864_418 and abs(paper - PAPER_PARAMETERS) / PAPER_PARAMETERS < 0.05
    # Table I by hand: convolutions and batch norms of the trunk, the dense layer, the two outputs.
    trunk = 3 * 9 * 32 + 32 * 9 * 64 + 64 * 9 * 128
    separable = sum(
        cin * 9 + cin * cout for cin, cout in ((128, 256), (256, 256), (256, 512), (512, 512))
    )
    norms = 2 * (32 + 64 + 128) + 2 * sum(
        cin + cout for cin, cout in ((128, 256), (256, 256), (256, 512), (512, 512))
    )
    assert trunk + separable + norms + 512 * 513 + 513 * 2 == paper


def test_output_sizes_of_table_one() -> None:
    model = create_model("multitask_cnn", {"age": 101, "gender": 2})
    x, sides = torch.zeros(2, 3, 64, 64), []
    for stage in model.eval().features:
        x = stage(x)
        sides.append((x.shape[1], x.shape[2]))
    assert sides == [(32, 32), (64, 16), (128, 8), (256, 8), (256, 4), (512, 4), (512, 2)]
    logits = model(torch.zeros(3, 3, 64, 64)).logits
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "age": (3, 101),
        "gender": (3, 2),
    }


def test_pooling_before_relu_changes_nothing() -> None:
    block = ConvPool(3, 8, 0.0).eval()
    x = torch.randn(2, 3, 16, 16)
    convolution, norm, pool, relu, _ = block
    assert torch.equal(block(x), pool(relu(norm(convolution(x)).clone())))


def test_folding_batch_norm_keeps_the_answers() -> None:
    model = trained_like(create_model("multitask_cnn", {"age": 101, "gender": 2}))
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model(x).logits
    prepared = optimize_for_inference(copy.deepcopy(model))
    after = run_network(prepared, x, flip=False).logits
    assert not any(isinstance(module, nn.BatchNorm2d) for module in prepared.modules())
    for name, value in before.items():
        assert torch.allclose(value, after[name], atol=1e-3, rtol=1e-3)


def test_flip_averages_the_two_views() -> None:
    model = optimize_for_inference(trained_like(create_model("multitask_cnn", {"age": 101})))
    x = torch.randn(3, 3, 64, 64)
    one, mirrored = (run_network(model, view, flip=False).logits["age"] for view in (x, x.flip(3)))
    assert torch.allclose(
        run_network(model, x, flip=True).logits["age"], (one + mirrored) / 2, atol=1e-4
    )
    assert torch.allclose(
        run_network(model, x.flip(3), flip=True).logits["age"], (one + mirrored) / 2, atol=1e-4
    )


def test_answers_do_not_depend_on_the_batch() -> None:
    model = optimize_for_inference(trained_like(create_model("multitask_cnn", {"age": 101})))
    x = torch.randn(5, 3, 64, 64)
    together = run_network(model, x, flip=True).logits["age"]
    alone = torch.cat(
        [run_network(model, x[index : index + 1], flip=True).logits["age"] for index in range(5)]
    )
    assert torch.allclose(together, alone, atol=1e-4)


def test_registry_refuses_doubles_and_unknown_names() -> None:
    assert "multitask_cnn" in architectures()
    with pytest.raises(ValueError, match="twice"):
        register("multitask_cnn", paper="", paper_parameters=0)(nn.Module)
    with pytest.raises(ConfigError, match="unknown architecture"):
        create_model("resnet9000", {"age": 1})
    with pytest.raises(ConfigError, match="does not take"):
        create_model("multitask_cnn", {"age": 1}, depth=7)
