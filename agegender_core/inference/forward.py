"""One forward pass: the model ready for inference, and the views it sees."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agegender_core.forking import mind_forks
from agegender_core.inference import fused_convolution, onnx_trunk
from agegender_core.inference.fused_convolution import FusedActivation, FusedConv2d
from agegender_core.inference.onnx_trunk import OnnxTrunk
from agegender_core.models.efficientnet_lite import LiteTrunk
from agegender_core.types import AttentionBlock, ModelOutput

mind_forks()


def optimize_for_inference(model: nn.Module) -> nn.Module:
    """Eval mode, no gradients, batch norm folded into the convolution before it, channels last, and
    convolutions that apply the activation after them; an EfficientNet-Lite's trunk through ONNX
    Runtime where it is installed. Changes ``model`` and returns it.
    """
    model.eval().requires_grad_(False)
    for first, second in chain(_in_sequentials(model), _named(model)):
        _fold(model, first, second)
    channels_last(model)
    if fused_convolution.available():
        _fuse(model)
    if onnx_trunk.available():
        for name, module in list(model.named_modules()):
            if isinstance(module, LiteTrunk):
                model.set_submodule(name, OnnxTrunk(module))
    return model


def channels_last(model: nn.Module) -> nn.Module:
    """``model`` with its convolutions' weights in the layout that is fastest on CPUs and GPUs
    alike. Changes ``model`` and returns it.
    """
    # torch's own annotations leave this documented argument out
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _in_sequentials(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of neighbours in all Sequentials of ``model``."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential):
            names = [f"{name}.{child}".lstrip(".") for child, _ in module.named_children()]
            yield from pairwise(names)


def _named(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Neighbours in no Sequential, which ``model`` itself names: layers that see nothing but what
    the one before gives.
    """
    pairs = getattr(model, "following", None)
    return iter(()) if pairs is None else pairs()


def _fold(model: nn.Module, first: str, second: str) -> None:
    """Put the batch norm ``second`` into the convolution ``first``, if that is what they are."""
    convolution, norm = model.get_submodule(first), model.get_submodule(second)
    if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
        model.set_submodule(first, fuse_conv_bn_eval(convolution, norm))
        model.set_submodule(second, nn.Identity())


def _fuse(model: nn.Module) -> None:
    """Convolutions with the activation after them; in networks that are too large to have their
    weights in memory twice all stay as they are.
    """
    layers = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and fused_convolution.can_fuse(module)
    ]
    if sum(layer.weight.nbytes for _, layer in layers) > fused_convolution.MOST_BYTES:
        return
    follows: dict[str, str] = {}
    for first, second in chain(_in_sequentials(model), _named(model)):
        follows.setdefault(first, second)
    for name, layer in layers:
        place = _activation_after(model, follows, name)
        activation = None if place is None else model.get_submodule(place)
        model.set_submodule(name, FusedConv2d(layer, activation))
        if place is not None and activation is not None:
            model.set_submodule(place, FusedActivation(activation))


def _activation_after(model: nn.Module, follows: dict[str, str], name: str) -> str | None:
    """Name of the activation that sees nothing but the values of layer ``name``, or their maxima:
    the activations are monotonic, so the maximum may be taken before or after them.
    """
    place = follows.get(name)
    while place is not None:
        module = model.get_submodule(place)
        if type(module) in fused_convolution.ACTIVATIONS:
            return place
        if not isinstance(module, nn.Identity | nn.MaxPool2d):
            return None
        place = follows.get(place)
    return None


def mirrored_views(batch: Tensor, flip: bool) -> Tensor:
    """(N, 3, H, W) crops as networks are asked about them, channels last in memory: with ``flip``
    followed by their mirror images, (2N, 3, H, W).
    """
    views = torch.cat([batch, batch.flip(3)]) if flip else batch
    return views.contiguous(memory_format=torch.channels_last)


def mean_of_views(values: Tensor, flip: bool) -> Tensor:
    """(N, ...) What a network gives for ``mirrored_views`` of N crops, the mean of both views where
    there are two.
    """
    if not flip:
        return values
    count = len(values) // 2
    return (values[:count] + values[count:]) / 2


@torch.inference_mode()
def run_network(model: nn.Module, batch: Tensor, flip: bool) -> ModelOutput:
    """(N, 3, H, W) normalised crops to logits by head. ``flip``: average with the logits of the
    mirrored crops.

    Masks, where the network has them, are those of the crops as they are.
    """
    both = model(mirrored_views(batch, flip))
    if not flip:
        return both
    count = len(batch)
    logits = {name: mean_of_views(value, flip) for name, value in both.logits.items()}
    blocks = (
        AttentionBlock(
            block.name, block.mask[:count], block.gate, block.features[:count], block.output[:count]
        )
        for block in both.attention
    )
    return ModelOutput(logits, tuple(blocks))
