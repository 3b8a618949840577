"""All steps in one object: an image in, predictions out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from agegender_core.forking import set_threads
from agegender_core.inference.decoding import decode
from agegender_core.inference.forward import run_network
from agegender_core.inference.model_zoo import ModelInfo, find_weights, load_network
from agegender_core.types import Analysis, Face, Prediction, Timing
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import DetectorConfig, MTCNNDetector
from agegender_core.vision.image_io import DEFAULT_LIMITS, ImageLimits, load_image
from agegender_core.vision.preprocessing import to_batch

if TYPE_CHECKING:
    from torch import nn

Source = str | os.PathLike | bytes | BinaryIO | Image.Image

BATCH = 16
"""Faces that go through the network at once: more of them leave the processor's cache, and 64 took
twice as long a face with EfficientNet-Lite0 as 16.
"""


@dataclass(frozen=True, eq=False)
class Predictor:
    """Immutable and thread-safe; the same image always gives the same answer.

    ``info``: manifest entry of the weights. ``race``: whether predictions carry the race head's
    answer, for audits of labelled datasets.
    ``limits``: what is too big; ``max_faces``: how many faces of an image are answered, the largest
    first; None for all.
    """

    info: ModelInfo
    network: nn.Module
    find_faces: Callable[[Image.Image], list[Face]]
    race: bool = False
    limits: ImageLimits = DEFAULT_LIMITS
    max_faces: int | None = None

    def predict(self, source: Source) -> list[Prediction]:
        """All faces of one image, largest first, in pixels of the upright file; an empty list where
        there is none. Raises as ``run``.
        """
        return list(self.run(source).in_file())

    def run(self, source: Source, faces: Sequence[Face] | None = None) -> Analysis:
        """Predictions with the upright image and timings.

        ``source``: path, bytes, open binary file or Pillow image. ``faces``: those detected in it
        before, in their order: detection is skipped. They are in pixels of ``Analysis.image``, as
        those of ``Analysis.predictions``; those that ``predict`` gives are in pixels of the file,
        which for a very large JPEG are others. Raises ``InvalidImageError`` or ``DetectorError``,
        ``ValueError`` for a face whose middle is outside the image.
        """
        image = load_image(source, limits=self.limits)
        for face in faces or ():
            _check_inside(face, image)
        started = time.perf_counter()
        found = self.find_faces(image) if faces is None else list(faces)
        faces = found[: self.max_faces]
        detected = time.perf_counter()
        crops = [align(image, face, self.info.input) for face in faces]
        aligned = time.perf_counter()
        predictions = self.predict_crops(crops, faces)
        finished = time.perf_counter()
        timing = Timing(
            *(
                1000 * (end - start)
                for start, end in ((started, detected), (detected, aligned), (aligned, finished))
            )
        )
        turned = faces[0].turned if faces else 0
        return Analysis(
            image, tuple(predictions), self.info.name, timing, turned, len(found) - len(faces)
        )

    def predict_crops(self, crops: list[Image.Image], faces: list[Face]) -> list[Prediction]:
        """Aligned crops of ``info.input.size`` pixels a side, and the faces they show, to
        predictions in the same order.
        """
        predictions: list[Prediction] = []
        for start in range(0, len(crops), BATCH):
            part, owners = crops[start : start + BATCH], faces[start : start + BATCH]
            output = run_network(self.network, to_batch(part, self.info.input), self.info.flip)
            for face, crop, (age, gender, race) in zip(
                owners, part, decode(output, self.info.decoding), strict=True
            ):
                predictions.append(
                    Prediction(face, age, gender, self.info.name, crop, race if self.race else None)
                )
        return predictions


def _check_inside(face: Face, image: Image.Image) -> None:
    x0, y0, x1, y1 = face.box_xyxy
    across, down = (x0 + x1) / 2, (y0 + y1) / 2
    if not (0 <= across <= image.width and 0 <= down <= image.height):
        raise ValueError(
            f"a face around ({across:.0f}, {down:.0f}) lies outside the image of"
            f" {image.width}x{image.height}: faces must be in pixels of Analysis.image"
        )


@lru_cache(maxsize=4)
def _detector(min_face: int) -> MTCNNDetector:
    return MTCNNDetector(DetectorConfig(min_face=min_face))


def load_predictor(
    weights: str | None = None,
    *,
    race: bool = False,
    min_face: int = 24,
    limits: ImageLimits = DEFAULT_LIMITS,
    max_faces: int | None = None,
    threads: int | None = None,
) -> Predictor:
    """Predictor with trained weights, the manifest's default unless named; ``min_face`` in pixels
    of the shrunk image. ``threads``: of torch from now on, in the whole process; None leaves them;
    a forked process stays at one. The rest as in ``Predictor``.

    Raises a ``WeightsError`` where they cannot be used, ``DetectorError`` for an impossible
    ``min_face``.
    """
    info = find_weights(weights)
    if threads is not None:
        set_threads(threads)
    network = load_network(info)
    return Predictor(info, network, _detector(min_face).detect, race, limits, max_faces)


@lru_cache(maxsize=2)
def _shared(weights: str | None) -> Predictor:
    return load_predictor(weights)


def analyze(source: Source, weights: str | None = None) -> list[Prediction]:
    """All faces of one image: ``analyze("photo.jpg")[0].age.years``. The predictor is loaded once
    and cached.
    """
    return _shared(weights).predict(source)
