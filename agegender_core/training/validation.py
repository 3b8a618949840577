"""Quick metrics on the validation split after each epoch. ``evaluate`` measures everything."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agegender_core.inference.decoding import fairface_ranges, first_spec, read_out
from agegender_core.labels import AGE_GROUP_SETS, FAIRFACE_GROUPS, group_index
from agegender_core.training.augmentation import centre
from agegender_core.training.config import Recipe
from agegender_core.training.crop_dataset import CropDataset
from agegender_core.training.losses import group_targets, validation_loss
from agegender_core.vision.preprocessing import normalise


def mixed_precision(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Context in which ``recipe``'s network runs on ``device``: bfloat16 on a GPU, and on a CPU
    that has it where the recipe asks.
    """
    on_cpu = recipe.schedule.cpu_bf16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=device.type == "cuda" or on_cpu
    )


@torch.inference_mode()
def predict_logits(
    model: nn.Module, crops: CropDataset, recipe: Recipe, size: int, batch_size: int = 256
) -> dict[str, torch.Tensor]:
    """Logits by head of every crop at ``size`` pixels a side, on the CPU; ``model`` in eval
    mode.
    """
    device = next(model.parameters()).device
    parts: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(crops), batch_size):
        wide = crops.wide[start : start + batch_size].to(device)
        images = normalise(centre(wide, size, crops.view), recipe.input)
        with mixed_precision(recipe, device):
            logits = model(images.contiguous(memory_format=torch.channels_last)).logits
        parts.append({name: value.float().cpu() for name, value in logits.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def quick_metrics(
    model: nn.Module, crops: CropDataset, recipe: Recipe, size: int
) -> dict[str, float]:
    """«loss», and mean absolute error, group accuracy and gender accuracy by dataset, as
    «set/metric», of a single view at ``size`` pixels.

    While a schedule is still at small crops, ``size`` should be theirs: the network has not seen
    faces at full size yet.
    """
    was_training = model.training
    model.eval()
    logits = predict_logits(model, crops, recipe, size)
    model.train(was_training)
    spec = first_spec(recipe.heads, recipe.loss.groups)
    answers = read_out(logits, spec)
    ranges = fairface_ranges(answers, spec)
    names = np.array([record.dataset for record in crops.records])
    targets = crops.targets.each(lambda tensor: tensor.cpu())
    groups = group_targets(targets, AGE_GROUP_SETS[spec.groups]).numpy()
    metrics = {"loss": validation_loss(logits, targets, recipe.loss)}
    for name in dict.fromkeys(names):
        rows = names == name
        lo, hi, gender = (
            getattr(crops.targets, key).cpu().numpy()[rows]
            for key in ("age_lo", "age_hi", "gender")
        )
        if (exact := (lo >= 0) & (lo == hi)).any():
            metrics[f"{name}/mae"] = float(np.abs(answers.years[rows] - lo)[exact].mean())
        ranged = (lo >= 0) & (lo != hi)
        if ranged.any() and ranges is not None:
            true = np.array([group_index(age, FAIRFACE_GROUPS) for age in lo.clip(min=0)])
            metrics[f"{name}/age_accuracy"] = float((ranges[rows] == true)[ranged].mean())
        if answers.group is not None:
            true = groups[rows]
            if (known := true >= 0).any():
                right = answers.group[rows] == true
                metrics[f"{name}/group_accuracy"] = float(right[known].mean())
        if (known := gender >= 0).any():
            metrics[f"{name}/gender_accuracy"] = float(
                (answers.gender[rows] == gender)[known].mean()
            )
    return metrics
