"""Quick metrics on the validation split after each epoch. ``evaluate`` measures everything."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agegender_core.inference.decoding import first_spec, group_probs, read_out
from agegender_core.labels import ADIENCE_GROUPS, FAIRFACE_GROUPS, group_index
from agegender_core.training.augmentation import centre
from agegender_core.training.config import Recipe
from agegender_core.training.crop_dataset import CropDataset
from agegender_core.training.losses import validation_loss
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
    answers = read_out(logits, first_spec(recipe.heads, recipe.loss.groups))
    names = np.array([record.dataset for record in crops.records])
    targets = crops.targets.each(lambda tensor: tensor.cpu())
    metrics = {"loss": validation_loss(logits, targets, recipe.loss)}
    for name in dict.fromkeys(names):
        rows = names == name
        lo, hi, gender = (
            getattr(crops.targets, key).cpu().numpy()[rows]
            for key in ("age_lo", "age_hi", "gender")
        )
        if (exact := (lo >= 0) & (lo == hi)).any():
            metrics[f"{name}/mae"] = float(np.abs(answers.years[rows] - lo)[exact].mean())
        if (ranged := (lo >= 0) & (lo != hi)).any() and answers.age_probs is not None:
            chosen = group_probs(answers.age_probs[rows], FAIRFACE_GROUPS).argmax(axis=1)
            true = np.array([group_index(age, FAIRFACE_GROUPS) for age in lo.clip(min=0)])
            metrics[f"{name}/age_accuracy"] = float((chosen == true)[ranged].mean())
        if answers.group is not None:
            true = np.array(
                [
                    -1 if (found := group_index(age, ADIENCE_GROUPS)) is None else found
                    for age in lo.clip(min=0)
                ]
            )
            metrics[f"{name}/group_accuracy"] = float(
                (answers.group[rows] == true)[true >= 0].mean()
            )
        if (known := gender >= 0).any():
            metrics[f"{name}/gender_accuracy"] = float(
                (answers.gender[rows] == gender)[known].mean()
            )
    return metrics
