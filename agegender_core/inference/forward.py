"""One forward pass: the model ready for inference, and the views it sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from agegender_core.forking import mind_forks
from agegender_core.types import AttentionBlock, ModelOutput

mind_forks()


def optimize_for_inference(model: nn.Module) -> nn.Module:
    """Eval mode, no gradients, batch norm folded into the convolution before it, channels last.
    Changes ``model`` and returns it.
    """
    model.eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            _fold(module)
    return channels_last(model)


def channels_last(model: nn.Module) -> nn.Module:
    """``model`` with its convolutions' weights in the layout that is fastest on CPUs and GPUs
    alike. Changes ``model`` and returns it.
    """
    # torch's own annotations leave this documented argument out
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _fold(sequence: nn.Sequential) -> None:
    for index in range(len(sequence) - 1):
        first, second = sequence[index], sequence[index + 1]
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            sequence[index] = fuse_conv_bn_eval(first, second)
            sequence[index + 1] = nn.Identity()


@torch.inference_mode()
def run_network(model: nn.Module, batch: Tensor, flip: bool) -> ModelOutput:
    """(N, 3, H, W) normalised crops to logits by head. ``flip``: average with the logits of the
    mirrored crops.

    Masks, where the network has them, are those of the crops as they are.
    """
    batch = batch.contiguous(memory_format=torch.channels_last)
    if not flip:
        return model(batch)
    both = model(torch.cat([batch, batch.flip(3)]))
    count = len(batch)
    logits = {name: (value[:count] + value[count:]) / 2 for name, value in both.logits.items()}
    blocks = (
        AttentionBlock(
            block.name, block.mask[:count], block.gate, block.features[:count], block.output[:count]
        )
        for block in both.attention
    )
    return ModelOutput(logits, tuple(blocks))
