"""Batch norm's running statistics, recomputed on training images with the network's final weights.

They lag behind the weights where these change fast until the end (a constant rate and no average of
the weights), and no longer fit once weights were rounded. Wu and Johnson, «Rethinking "Batch" in
BatchNorm» (2021), call the remedy precise batch norm; ``update_bn`` of torch does it for every kind
of batch norm.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.optim.swa_utils import update_bn

from agegender_core.training.augmentation import centre
from agegender_core.training.config import Recipe
from agegender_core.training.crop_dataset import CropDataset
from agegender_core.training.validation import mixed_precision
from agegender_core.vision.preprocessing import normalise

IMAGES, BATCH = 2000, 100


def recompute_batchnorm_stats(
    model: nn.Module, recipe: Recipe, crops: CropDataset
) -> dict[str, Tensor]:
    """Give every batch norm of ``model`` the statistics of ``IMAGES`` of ``crops``, without
    augmentation and without dropout, as it answers. Changes ``model``.

    Returns the new statistics by their names in the state dict; the model's mode, and the norms'
    momentum, stay what they were.
    """
    rates = {module: module.p for module in model.modules() if isinstance(module, _DropoutNd)}
    try:
        for module in rates:  # update_bn puts the model into training mode
            module.p = 0.0
        with mixed_precision(recipe, crops.wide.device):
            update_bn(_batches(recipe, crops), model)
    finally:
        for module, rate in rates.items():
            module.p = rate
    norms = {
        name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)
    }
    return {
        f"{name}.{part}": getattr(norm, part)
        for name, norm in norms.items()
        for part in ("running_mean", "running_var")
    }


def _batches(recipe: Recipe, crops: CropDataset) -> Iterator[Tensor]:
    """(N, 3, H, W) normalised images, N up to ``BATCH``; a last batch of one has no variance and is
    left out.
    """
    chosen = torch.randperm(len(crops), generator=torch.Generator().manual_seed(0))[:IMAGES].to(
        crops.wide.device
    )
    for batch in chosen.split(BATCH):
        if len(batch) > 1:
            images = normalise(
                centre(crops.wide[batch], recipe.input.size, crops.view), recipe.input
            )
            yield images.contiguous(memory_format=torch.channels_last)
