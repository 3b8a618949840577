"""Batch norm's running statistics, measured anew on training pictures by the network as it stands.

They lag behind the weights where these move fast to the end (a constant rate and no average of the weights), and no longer fit once
weights were rounded. Wu and Johnson, «Rethinking "Batch" in BatchNorm» (2021), call the remedy precise batch norm.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from agegender_core.training.augment import centre
from agegender_core.training.config import Recipe
from agegender_core.training.dataset import CropSet
from agegender_core.training.validate import mixed_precision
from agegender_core.transforms import normalise

PICTURES, BATCH = 2000, 100


@torch.no_grad()
def settle(model: nn.Module, recipe: Recipe, crops: CropSet) -> dict[str, Tensor]:
    """Give every batch norm of ``model`` the statistics of ``PICTURES`` of ``crops``, as they are without augmentation; changes ``model``.

    Returns the new statistics by their names in the state dict; the model's mode, and the norms' momentum, stay what they were.
    """
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    kept, was_training = {name: norm.momentum for name, norm in norms.items()}, model.training
    for norm in norms.values():
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    chosen = torch.randperm(len(crops), generator=torch.Generator().manual_seed(0))[:PICTURES].to(crops.wide.device)
    model.train()
    for batch in chosen.split(BATCH):
        if len(batch) > 1:
            images = normalise(centre(crops.wide[batch], recipe.input.size, crops.view), recipe.input)
            with mixed_precision(recipe, crops.wide.device):
                model(images.contiguous(memory_format=torch.channels_last))
    model.train(was_training)
    for name, norm in norms.items():
        norm.momentum = kept[name]
    return {f"{name}.{part}": getattr(norm, part) for name, norm in norms.items() for part in ("running_mean", "running_var")}
