"""Xception: its own parameter count, timm's tensor names, and what ``load_imagenet`` says and
refuses.
"""

from __future__ import annotations

import copy
import hashlib
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from agegender_core.errors import (
    WeightsCorruptError,
    WeightsError,
    WeightsMismatchError,
    WeightsMissingError,
)
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.models import count_parameters, create_model
from agegender_core.models.xception import PAPER_PARAMETERS, Xception, XceptionTrunk, load_imagenet
from tests.support.networks import trained_like

HEADS = {"age": 101, "gender": 2, "race": 7}
TIMM_NAMES_AND_SHAPES = "ea7303c3a528fe30d25df673f4d69dc6b820fd43560e794f491ce11fc5c8f4e4"
"""sha256 of the lines «name shape» of timm 1.0.31's legacy_xception, sorted, without its layer of
classes.
"""


@pytest.fixture(scope="module")
def network() -> Xception:
    """The whole network with batch-norm statistics as after training; nobody changes it."""
    torch.manual_seed(0)
    return trained_like(create_model("xception", HEADS))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """What a file of timm's holds, with other values than the network's."""
    torch.manual_seed(1)
    state = dict(XceptionTrunk().state_dict())
    return {**state, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


@pytest.fixture
def fresh(network: Xception) -> Xception:
    """A copy that may be changed."""
    return copy.deepcopy(network)


def test_parameter_count_is_xceptions_own() -> None:
    with torch.device("meta"):
        trunk = count_parameters(XceptionTrunk())
        whole = count_parameters(create_model("xception", {"age": 1, "gender": 1}))
    assert trunk == 20_806_952 and trunk + 2049 * 1000 == PAPER_PARAMETERS
    entry = 3 * 9 * 32 + 2 * 32 + 32 * 9 * 64 + 2 * 64
    flows = [
        (64, 128, 128),
        (128, 256, 256),
        (256, 728, 728),
        *[(728,) * 4] * 8,
        (728, 728, 1024),
        (1024, 1536),
        (1536, 2048),
    ]
    separable = sum(
        9 * cin + cin * cout + 2 * cout for widths in flows for cin, cout in pairwise(widths)
    )
    shortcuts = sum(
        cin * cout + 2 * cout for cin, cout in ((64, 128), (128, 256), (256, 728), (728, 1024))
    )
    assert entry + separable + shortcuts == trunk
    gender = 2049 * 256 + 512 + 257 * 128 + 256 + 129
    age = 2 * 2048 + (2048 + 128 + 1) * 256 + 512 + 257 * 128 + 256 + 129
    assert whole == trunk + gender + age == 21_960_490


def test_tensors_are_named_as_in_timm() -> None:
    with torch.device("meta"):
        state = XceptionTrunk().state_dict()
    lines = "\n".join(f"{name} {tuple(value.shape)}" for name, value in sorted(state.items()))
    assert hashlib.sha256(lines.encode()).hexdigest() == TIMM_NAMES_AND_SHAPES


@pytest.mark.parametrize(("side", "last"), [(64, 2), (96, 3), (299, 10)])
def test_shapes(network: Xception, side: int, last: int) -> None:
    x = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        assert network.trunk(x).shape == (1, 2048, last, last)
        logits = network(x).logits
    assert {name: tuple(value.shape) for name, value in logits.items()} == {
        "age": (1, 101),
        "gender": (1, 2),
        "race": (1, 7),
    }


def test_gradient_reaches_every_parameter() -> None:
    model = create_model("xception", {"age": 1, "gender": 1}).train()
    logits = model(torch.randn(3, 3, 64, 64)).logits
    torch.stack(
        [(value * torch.randn_like(value)).sum() for value in logits.values()]
    ).sum().backward()
    assert not [
        name
        for name, value in model.named_parameters()
        if value.grad is None or not value.grad.any()
    ]


def test_prepared_network_and_flip_keep_the_answers(fresh: Xception) -> None:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, again, mirrored = fresh(x).logits, fresh(x).logits, fresh(x.flip(3)).logits
    prepared = optimize_for_inference(fresh)
    plain, flipped = (
        run_network(prepared, x, flip=False).logits,
        run_network(prepared, x, flip=True).logits,
    )
    for name, value in before.items():
        assert torch.equal(value, again[name])
        assert torch.allclose(value, plain[name], rtol=1e-3, atol=1e-3 * float(value.abs().max()))
        assert torch.allclose(
            (value + mirrored[name]) / 2,
            flipped[name],
            rtol=1e-3,
            atol=1e-3 * float(value.abs().max()),
        )


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_imagenet_weights_from_a_file(
    fresh: Xception, tensors: dict[str, Tensor], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"xception{suffix}"
    branches = copy.deepcopy(fresh.ends.state_dict())
    if suffix == ".pth":  # as old as the original: no batch counters
        torch.save(
            {
                name: value
                for name, value in tensors.items()
                if not name.endswith("num_batches_tracked")
            },
            path,
        )
    else:
        save_file(tensors, path)
    assert load_imagenet(fresh, path) == f"from the file xception{suffix}"
    assert all(
        torch.equal(value, tensors[name])
        for name, value in fresh.trunk.state_dict().items()
        if "num_batches" not in name
    )
    assert all(
        torch.equal(value, branches[name]) for name, value in fresh.ends.state_dict().items()
    )


def test_misfit_files_are_refused_and_change_nothing(
    fresh: Xception, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    before = copy.deepcopy(fresh.trunk.state_dict())
    path = tmp_path / "weights.safetensors"
    with pytest.raises(WeightsMissingError, match=r"weights\.safetensors"):
        load_imagenet(fresh, path)
    without = {name: value for name, value in tensors.items() if name != "conv1.weight"}
    for wrong, words in (
        (without, r"lacks conv1\.weight"),
        ({**tensors, "conv9.weight": torch.zeros(1)}, r"surplus conv9\.weight"),
        ({**tensors, "conv1.weight": torch.zeros(32, 1, 3, 3)}, r"another shape of conv1\.weight"),
    ):
        save_file(wrong, path)
        with pytest.raises(WeightsMismatchError, match=words):
            load_imagenet(fresh, path)
    assert all(torch.equal(value, before[name]) for name, value in fresh.trunk.state_dict().items())
    assert issubclass(WeightsMismatchError, WeightsError)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_unreadable_files_are_refused(fresh: Xception, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (b"", b"not weights at all"):
        path.write_bytes(content)
        with pytest.raises(WeightsCorruptError, match="cannot be read"):
            load_imagenet(fresh, path)


def test_a_checkpoint_is_no_table_of_tensors(fresh: Xception, tmp_path: Path) -> None:
    torch.save({"model": {}, "epoch": 3}, tmp_path / "checkpoint.pth")
    with pytest.raises(WeightsMismatchError, match="no plain table"):
        load_imagenet(fresh, tmp_path / "checkpoint.pth")


def test_without_a_file_timm_is_asked(
    fresh: Xception, tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def create(name: str, pretrained: bool) -> SimpleNamespace:
        asked.append((name, pretrained))
        return SimpleNamespace(state_dict=lambda: tensors)

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create))
    assert load_imagenet(fresh) == "from ImageNet weights (timm's legacy_xception)"
    assert asked == [("legacy_xception", True)] and torch.equal(
        fresh.trunk.conv1.weight, tensors["conv1.weight"]
    )


def test_weights_that_timm_cannot_give_are_one_sentence(
    fresh: Xception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not silently from scratch: hours later only the card would say so."""
    before = fresh.trunk.conv1.weight.clone()
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(WeightsMissingError, match=r"timm is not installed: .*train from scratch"):
        load_imagenet(fresh)

    def offline(name: str, pretrained: bool) -> nn.Module:
        raise OSError("no route to host")

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=offline))
    with pytest.raises(WeightsMissingError, match=r"no route to host\): pip install timm"):
        load_imagenet(fresh)
    assert torch.equal(fresh.trunk.conv1.weight, before)
