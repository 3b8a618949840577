"""The structures that travel down the hallway. All of them are frozen: nothing is edited on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

FaceSource = Literal["mtcnn", "whole_frame", "dataset"]


@dataclass(frozen=True, eq=False)
class Face:
    """One face found in a picture.

    ``box_xyxy``: left, top, right, bottom in pixels of the upright picture; may reach outside it.
    ``score``: detector's confidence in [0, 1]. ``landmarks``: (5, 2) float, x and y in pixels of left eye, right eye, nose,
    left and right mouth corner as seen in the picture, or None. ``turned``: by how many degrees counter-clockwise the picture had
    to be turned before the detector found this face (0, 90, 180 or 270); box and landmarks are those of the unturned picture.
    """

    box_xyxy: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray | None = None
    source: FaceSource = "mtcnn"
    turned: int = 0

    def __post_init__(self) -> None:
        if self.landmarks is not None and self.landmarks.shape != (5, 2):
            raise ValueError(f"landmarks must have shape (5, 2), got {self.landmarks.shape}")
        if self.turned not in (0, 90, 180, 270):
            raise ValueError(f"turned must be 0, 90, 180 or 270, got {self.turned}")

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return self.box_xyxy[2] - self.box_xyxy[0]

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return self.box_xyxy[3] - self.box_xyxy[1]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping."""
        return {
            "box_xyxy": [round(value, 1) for value in self.box_xyxy],
            "score": round(self.score, 4),
            "landmarks": None if self.landmarks is None else np.round(self.landmarks, 1).tolist(),
            "source": self.source,
            "turned": self.turned,
        }


@dataclass(frozen=True, eq=False)
class AgeEstimate:
    """An age read out of one head.

    ``years``: point estimate. ``interval``: (low, high) in years and ``coverage``: the share of true ages such intervals held on
    the validation split they were calibrated on, in (0, 1); both None where a network has not been calibrated.
    ``probs``: (101,) probabilities of the ages 0..100, or None for a head that gives one number and so has no distribution.
    ``group``: name of the benchmark's age group, for networks trained on groups; ``ranges``: all its groups with their probabilities,
    for a head of groups. Inside a group such a network knows nothing, so ``years`` is the expected middle and ``probs`` stays None.
    """

    years: float
    interval: tuple[float, float] | None = None
    coverage: float | None = None
    probs: np.ndarray | None = None
    group: str | None = None
    ranges: Categorical | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping; probabilities are rounded to 5 digits. «group_probs» is there for a head of groups only."""
        row = {
            "years": round(self.years, 2),
            "interval": None if self.interval is None else [round(value, 1) for value in self.interval],
            "coverage": self.coverage,
            "group": self.group,
            "probs": None if self.probs is None else [round(float(value), 5) for value in self.probs],
        }
        return row if self.ranges is None else row | {"group_probs": self.ranges.as_dict()["probs"]}


@dataclass(frozen=True)
class Categorical:
    """A choice among ``labels``; ``probs`` are their probabilities in the same order, or None for a head that gives no probability."""

    labels: tuple[str, ...]
    index: int
    probs: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < len(self.labels):
            raise ValueError(f"index {self.index} outside the {len(self.labels)} labels")
        if self.probs is not None and len(self.probs) != len(self.labels):
            raise ValueError(f"{len(self.labels)} labels but {len(self.probs)} probs")

    @property
    def label(self) -> str:
        """The chosen label."""
        return self.labels[self.index]

    @property
    def confidence(self) -> float | None:
        """Probability of the chosen label, or None."""
        return None if self.probs is None else self.probs[self.index]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping."""
        probs = None if self.probs is None else {k: round(v, 5) for k, v in zip(self.labels, self.probs, strict=True)}
        return {"label": self.label, "probs": probs}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Everything said about one face. ``crop`` is the aligned picture the network saw; ``race`` is None unless audits asked for it."""

    face: Face
    age: AgeEstimate
    gender: Categorical | None
    weights: str
    crop: Image.Image = field(repr=False)
    race: Categorical | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping, without the crop."""
        row: dict[str, Any] = {
            "face": self.face.as_dict(),
            "age": self.age.as_dict(),
            "gender": None if self.gender is None else self.gender.as_dict(),
            "weights": self.weights,
        }
        if self.race is not None:
            row["race"] = self.race.as_dict()
        return row


@dataclass(frozen=True)
class Timing:
    """Wall-clock milliseconds of one picture's way down the hallway."""

    detect_ms: float
    align_ms: float
    network_ms: float

    @property
    def total_ms(self) -> float:
        """Sum of the steps."""
        return self.detect_ms + self.align_ms + self.network_ms

    def as_dict(self) -> dict[str, float]:
        """JSON-ready mapping."""
        steps = {"detect_ms": self.detect_ms, "align_ms": self.align_ms, "network_ms": self.network_ms, "total_ms": self.total_ms}
        return {name: round(value, 1) for name, value in steps.items()}


@dataclass(frozen=True, eq=False)
class Analysis:
    """One picture's answer: the upright RGB ``image`` all boxes refer to, its faces from largest to smallest, and what it took.

    ``turned``: degrees counter-clockwise the picture had to be turned before faces were found; 0 for an upright picture.
    ``left_out``: smaller faces that were found and not answered, where a limit says so. An empty ``predictions`` is a normal answer.
    """

    image: Image.Image = field(repr=False)
    predictions: tuple[Prediction, ...]
    weights: str
    timing: Timing
    turned: int = 0
    left_out: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping, without pictures."""
        return {
            "width": self.image.width,
            "height": self.image.height,
            "turned": self.turned,
            "left_out": self.left_out,
            "weights": self.weights,
            "timing": self.timing.as_dict(),
            "faces": [prediction.as_dict() for prediction in self.predictions],
        }


@dataclass(frozen=True, eq=False)
class AttentionBlock:
    """What one attention block did: ``mask`` K (N, C, H, W) in [0, 1], ``gate`` g in [0, 1] or None for a block without one, the trunk's
    ``features`` F (N, C, H, W), and what left the block's mask, ``output`` (N, C, H, W): (g + (1 - g) K) F, or (1 + K) F without a gate."""

    name: str
    mask: torch.Tensor
    gate: torch.Tensor | None
    features: torch.Tensor
    output: torch.Tensor


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """What a network returns: ``logits`` by head, each (N, K), and the soft masks of its attention blocks, if it has any."""

    logits: Mapping[str, torch.Tensor]
    attention: tuple[AttentionBlock, ...] = ()


@dataclass(frozen=True)
class InputSpec:
    """How a face becomes a tensor for one set of weights.

    ``size``: side of the square crop in pixels. ``margin``: how much wider than the landmark template the crop is on each side, as a
    fraction of the template's side. ``mean`` and ``std``: of RGB values in [0, 1], a channel each.
    """

    size: int = 64
    margin: float = 0.1
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)

    def widened(self, size: int) -> InputSpec:
        """Same scale in pixels, but ``size`` pixels a side: the surplus is border that augmentation may move into view."""
        template_side = self.size / (1 + 2 * self.margin)
        return InputSpec(size, (size / template_side - 1) / 2, self.mean, self.std)
