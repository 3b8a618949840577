"""The network of a training run that is not published, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import nn

from agegender_core.datasets import FaceRecord
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.evaluation.evaluate import crop_logits
from agegender_core.inference.decoding import Answers, DecodingSpec, first_spec, read_out
from agegender_core.inference.forward import optimize_for_inference
from agegender_core.inference.quantization import unpack
from agegender_core.models import create_model
from agegender_core.training.config import Recipe
from agegender_core.types import InputSpec


@dataclass(frozen=True)
class FinishedRun:
    """How it is asked: a ``mask_ablation.Reading``."""

    network: nn.Module
    input: InputSpec
    flip: bool
    decoding: DecodingSpec

    def answers(self, records: list[FaceRecord]) -> tuple[np.ndarray, Answers]:
        """(N, H, W, 3) uint8 crops of ``records``, and the answers to them."""
        crops = load_crops(records, self.input)
        return crops, read_out(
            crop_logits(self.network, crops, self.input, self.flip), self.decoding
        )


def load_run(recipe: Recipe, folder: Path) -> FinishedRun:
    """What ``train`` left in ``folder``, with the uncalibrated read-out."""
    model = create_model(recipe.architecture, recipe.heads, **recipe.model)
    model.load_state_dict(unpack(load_file(folder / "model.safetensors")))
    return FinishedRun(
        optimize_for_inference(model),
        recipe.input,
        recipe.card.flip,
        first_spec(recipe.heads, recipe.loss.groups),
    )
