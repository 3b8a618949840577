"""The structures that pass from step to step. All are frozen: nothing is edited on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int], object]
"""How far a long piece of work is: how many are done, how many there are."""
StageProgress = Callable[[str, int, int], object]
"""The same by stage: its name, how many are done, how many there are."""

TURNS = {
    90: Image.Transpose.ROTATE_90,
    270: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
}
"""Degrees counter-clockwise and how Pillow turns an image by them."""

FULL_SIZE = "full_size"
"""Key of an image's ``info``: width and height of the upright file, where the image was decoded at
half of them.
"""

MAX_BYTES = 25 * 1024 * 1024
"""Largest file accepted, 25 MB."""
MAX_PIXELS = 65_000_000
"""Largest image accepted, width times height: photographs of 48, 50 and 64 megapixel phones."""
MIN_SIDE = 20
"""Shortest side accepted, in pixels; the face detector needs as many."""
MAX_WORK = 1_200_000_000
"""Most pixels times scans of a JPEG: about three seconds of one core. A progressive photograph has
about ten scans."""


@dataclass(frozen=True)
class ImageLimits:
    """``max_bytes``: of the file; ``max_pixels``: of the image; ``min_side``: pixels of its shorter
    side; ``max_work``: pixels times scans of a JPEG; ``reduce_above``: JPEGs of more pixels are
    decoded at half their width and height; ``kinds``: formats accepted, None for all."""

    max_bytes: int = MAX_BYTES
    max_pixels: int = MAX_PIXELS
    min_side: int = MIN_SIDE
    max_work: int = MAX_WORK
    reduce_above: int = 40_000_000
    kinds: frozenset[str] | None = None


DEFAULT_LIMITS = ImageLimits()


def scale_of(image: Image.Image) -> float:
    """Pixels of the file for each pixel of an image from ``load_image``: 1.0 unless it was
    reduced.
    """
    full = image.info.get(FULL_SIZE)
    return 1.0 if full is None else full[0] / image.width


FaceSource = Literal["mtcnn", "dataset"]


@dataclass(frozen=True, eq=False)
class Face:
    """One face found in an image.

    ``box_xyxy``: left, top, right, bottom in pixels of the upright image; may reach outside it.
    ``score``: detector's confidence in [0, 1]. ``landmarks``: (5, 2) float, x and y in pixels of
    left eye, right eye, nose, left and right mouth corner as seen in the image, or None.
    ``turned``: by how many degrees counter-clockwise the image had to be turned before the detector
    found this face (0, 90, 180 or 270); box and landmarks are those of the unturned image.
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

    def upright(self, size: tuple[int, int]) -> Face:
        """The same face in coordinates of the image of ``size`` (width, height) turned by
        ``turned``; its own ``turned`` is then 0.
        """
        if not self.turned:
            return self
        corners = _turned_points(
            np.array(self.box_xyxy, dtype=float).reshape(2, 2), self.turned, size
        )
        box = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
        points = (
            None if self.landmarks is None else _turned_points(self.landmarks, self.turned, size)
        )
        return replace(self, box_xyxy=box, landmarks=points, turned=0)

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return self.box_xyxy[2] - self.box_xyxy[0]

    @property
    def height(self) -> float:
        """Height of the box in pixels."""
        return self.box_xyxy[3] - self.box_xyxy[1]

    def scaled(self, factor: float) -> Face:
        """The same face in an image ``factor`` times as large."""
        if factor == 1:
            return self
        x0, y0, x1, y1 = self.box_xyxy
        box = (factor * x0, factor * y0, factor * x1, factor * y1)
        return replace(
            self,
            box_xyxy=box,
            landmarks=None if self.landmarks is None else factor * self.landmarks,
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping."""
        return {
            "box_xyxy": [round(value, 1) for value in self.box_xyxy],
            "score": round(self.score, 4),
            "landmarks": None if self.landmarks is None else np.round(self.landmarks, 1).tolist(),
            "source": self.source,
            "turned": self.turned,
        }


def _turned_points(points: np.ndarray, degrees: int, size: tuple[int, int]) -> np.ndarray:
    """(N, 2) points of an image of ``size`` (width, height), where they are once it is turned
    counter-clockwise by ``degrees``.
    """
    (width, height), x, y = size, points[:, 0], points[:, 1]
    return np.stack(
        {90: (y, width - x), 180: (width - x, height - y), 270: (height - y, x)}[degrees], axis=1
    )


@dataclass(frozen=True, eq=False)
class AgeEstimate:
    """An age read out of one head.

    ``years``: point estimate. ``interval``: (low, high) in years and ``coverage``: the share of
    true ages such intervals are meant to contain, in (0, 1) (what they did contain is measured, and
    less on photos unlike those of the validation split); both None where a network has not been
    calibrated. ``probs``: (101,) probabilities of the ages
    0..100, or None for a head that gives one number and so has no distribution. ``group``: name of
    an age group of a benchmark: the most probable one of a head of groups, otherwise the one that
    ``years`` lies in, None in a gap between groups (accuracies in reports are of the most probable
    group, which with a distribution is another one for some 4 % of faces). ``ranges``: all groups
    with their probabilities, for a head of groups. Inside a group such a network knows nothing, so
    ``years`` is the expected middle and ``probs`` stays None.
    """

    years: float
    interval: tuple[float, float] | None = None
    coverage: float | None = None
    probs: np.ndarray | None = None
    group: str | None = None
    ranges: Categorical | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping; probabilities are rounded to 5 digits. «group_probs» is there for a
        head of groups only.
        """
        row = {
            "years": round(self.years, 2),
            "interval": (
                None if self.interval is None else [round(value, 1) for value in self.interval]
            ),
            "coverage": self.coverage,
            "group": self.group,
            "probs": (
                None if self.probs is None else [round(float(value), 5) for value in self.probs]
            ),
        }
        return row if self.ranges is None else row | {"group_probs": self.ranges.as_dict()["probs"]}


@dataclass(frozen=True)
class Categorical:
    """A choice among ``labels``; ``probs`` are their probabilities in the same order, or None for a
    head that gives no probability.
    """

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
        probs = (
            None
            if self.probs is None
            else {k: round(v, 5) for k, v in zip(self.labels, self.probs, strict=True)}
        )
        return {"label": self.label, "probs": probs}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Everything estimated about one face. ``crop`` is the aligned image the network saw; ``race``
    is None unless audits asked for it.
    """

    face: Face
    age: AgeEstimate
    gender: Categorical | None
    weights: str
    crop: Image.Image = field(repr=False)
    race: Categorical | None = None

    def scaled(self, factor: float) -> Prediction:
        """The same with its face in an image ``factor`` times as large."""
        return self if factor == 1 else replace(self, face=self.face.scaled(factor))

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
    """Wall-clock milliseconds of one image's steps."""

    detect_ms: float
    align_ms: float
    network_ms: float

    @property
    def total_ms(self) -> float:
        """Sum of the steps."""
        return self.detect_ms + self.align_ms + self.network_ms

    def as_dict(self) -> dict[str, float]:
        """JSON-ready mapping."""
        steps = {
            "detect_ms": self.detect_ms,
            "align_ms": self.align_ms,
            "network_ms": self.network_ms,
            "total_ms": self.total_ms,
        }
        return {name: round(value, 1) for name, value in steps.items()}


@dataclass(frozen=True, eq=False)
class Analysis:
    """One image's answer: the RGB ``image`` all boxes refer to, its faces from largest to smallest,
    and what it took.

    ``image`` is the image as it was passed, with its EXIF orientation applied and no more: whoever
    has the file can draw the boxes.
    ``turned``: degrees counter-clockwise (0, 90, 180 or 270) it has to be turned for its faces to
    stand upright; 0 for nearly all images. ``upright()`` is the same answer turned so, for showing.
    ``left_out``: smaller faces that were found and not answered because of a limit. An empty
    ``predictions`` is a normal answer.
    """

    image: Image.Image = field(repr=False)
    predictions: tuple[Prediction, ...]
    weights: str
    timing: Timing
    turned: int = 0
    left_out: int = 0

    def upright(self) -> Analysis:
        """The same answer with the image, boxes and landmarks turned by ``turned``, which is 0
        then. Itself where nothing is turned.
        """
        if not self.turned:
            return self
        size = self.image.size
        predictions = tuple(replace(one, face=one.face.upright(size)) for one in self.predictions)
        image = self.image.transpose(TURNS[self.turned])
        if FULL_SIZE in image.info and self.turned != 180:
            image.info[FULL_SIZE] = image.info[FULL_SIZE][::-1]
        return replace(self, image=image, predictions=predictions, turned=0)

    @property
    def scale(self) -> float:
        """Pixels of the file for each pixel of ``image``: 1.0, or 2.0 for a very large JPEG that
        was decoded at half its size.
        """
        return scale_of(self.image)

    def in_file(self) -> tuple[Prediction, ...]:
        """The predictions with their faces in pixels of the upright file instead of ``image``."""
        scale = self.scale
        return tuple(prediction.scaled(scale) for prediction in self.predictions)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready mapping, without images; all pixels are those of the upright file."""
        width, height = self.image.info.get(FULL_SIZE, self.image.size)
        return {
            "width": width,
            "height": height,
            "turned": self.turned,
            "left_out": self.left_out,
            "weights": self.weights,
            "timing": self.timing.as_dict(),
            "faces": [prediction.as_dict() for prediction in self.in_file()],
        }


@dataclass(frozen=True, eq=False)
class AttentionBlock:
    """What one attention block did: ``mask`` K (N, C, H, W) in [0, 1], ``gate`` g in [0, 1] or None
    for a block without one, the trunk's ``features`` F (N, C, H, W), and what left the block's
    mask, ``output`` (N, C, H, W): (g + (1 - g) K) F, or (1 + K) F without a gate.
    """

    name: str
    mask: torch.Tensor
    gate: torch.Tensor | None
    features: torch.Tensor
    output: torch.Tensor


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """What a network returns: ``logits`` by head, each (N, K), and the soft masks of its attention
    blocks, if it has any.
    """

    logits: Mapping[str, torch.Tensor]
    attention: tuple[AttentionBlock, ...] = ()


@dataclass(frozen=True)
class InputSpec:
    """How a face becomes a tensor for one set of weights.

    ``size``: side of the square crop in pixels. ``margin``: how much wider than the landmark
    template the crop is on each side, as a fraction of the template's side. ``mean`` and ``std``:
    of RGB values in [0, 1], a channel each.
    """

    size: int = 64
    margin: float = 0.1
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)

    def widened(self, size: int) -> InputSpec:
        """Same scale in pixels, but ``size`` pixels a side: the surplus is border that augmentation
        may move into view.
        """
        template_side = self.size / (1 + 2 * self.margin)
        return InputSpec(size, (size / template_side - 1) / 2, self.mean, self.std)
