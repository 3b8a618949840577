"""The two halves of an answer: finding faces, image by image in workers, and the network, over the
faces of many images.

Together they do what ``Predictor.run`` does, with the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from agegender_core.batch.image_refs import Item, Loader
from agegender_core.errors import AgeGenderError
from agegender_core.types import Analysis, Face, InputSpec, Timing
from agegender_core.vision.image_io import DEFAULT_LIMITS, ImageLimits

if TYPE_CHECKING:
    from agegender_core.inference.predictor import Predictor

KEPT_BLOCKS = 4
"""Blocks of 16 MB that Pillow keeps for the next image, as many as one of 16 megapixels has.
Otherwise each photograph's memory is requested from the system and cleared again, page by page: a
sixth of the time that a worker takes for one of 12 megapixels.
"""
FACES, IMAGES = 32, 64
"""The network runs when this many faces or images have come together."""


class Found(NamedTuple):
    """Faces of one image, largest first, and their aligned crops (N, S, S, 3) uint8."""

    faces: tuple[Face, ...]
    crops: np.ndarray


class Failure(NamedTuple):
    """Why an image has no answer."""

    message: str


Outcome = Found | Failure


@dataclass(frozen=True)
class FinderRecipe:
    """Makes a ``Finder`` in another process: crops by ``spec``, faces down to ``min_face`` pixels,
    images within ``limits``, the ``max_faces`` largest faces of an image (None: all).
    """

    spec: InputSpec
    min_face: int
    limits: ImageLimits = DEFAULT_LIMITS
    max_faces: int | None = None

    def __call__(self) -> Finder:
        """The finder, its networks loaded. Raises ``DetectorError``."""
        return Finder(self.spec, self.min_face, self.limits, self.max_faces)


class Finder:
    """Loads an image, finds its faces and cuts them out. For a process of its own, where Pillow
    then keeps ``KEPT_BLOCKS``.
    """

    def __init__(
        self,
        spec: InputSpec,
        min_face: int,
        limits: ImageLimits = DEFAULT_LIMITS,
        max_faces: int | None = None,
    ) -> None:
        from agegender_core.vision.face_detector import DetectorConfig, MTCNNDetector

        self.spec, self.limits, self.max_faces, self.loader = (
            spec,
            limits,
            max_faces,
            Loader(limits),
        )
        self.detect = MTCNNDetector(DetectorConfig(min_face=min_face)).detect
        # Documented (Pillow, «Block allocator»), but not in its list of exported names.
        Image.core.set_blocks_max(KEPT_BLOCKS)  # type: ignore[attr-defined]
        self.detect(Image.new("RGB", (32, 32)))  # what is missing shows now, not once an image

    def __call__(self, item: Item) -> Outcome:
        """Whatever goes wrong with one image is an answer too."""
        from agegender_core.output.tables import error_message
        from agegender_core.vision.alignment import align
        from agegender_core.vision.image_io import load_image, scale_of

        try:
            image = load_image(self.loader.load(item.place), limits=self.limits)
            faces = self.detect(image)[: self.max_faces]
            crops = [np.asarray(align(image, face, self.spec)) for face in faces]
            faces = [face.scaled(scale_of(image)) for face in faces]
        except Exception as error:
            return Failure(error_message(error))
        side = self.spec.size
        return Found(
            tuple(faces), np.stack(crops) if crops else np.empty((0, side, side, 3), np.uint8)
        )


class Answerer:
    """Table rows of found faces. Its predictor's detector is never used, so that it is never
    loaded.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __call__(
        self, found: Sequence[tuple[Item, Outcome]]
    ) -> list[tuple[str, list[dict[str, Any]]]]:
        """(key, rows) of each image in the same order; all faces go through the network
        together.
        """
        faces = [
            face for _, outcome in found if isinstance(outcome, Found) for face in outcome.faces
        ]
        crops = [
            Image.fromarray(crop)
            for _, outcome in found
            if isinstance(outcome, Found)
            for crop in outcome.crops
        ]
        predictions = iter(self.predictor.predict_crops(crops, faces))
        answers = []
        for item, outcome in found:
            if isinstance(outcome, Failure):
                rows = [failure_row(item, outcome)]
            else:
                rows = self._rows(item, outcome, [next(predictions) for _ in outcome.faces])
            answers.append((item.key, rows))
        return answers

    def _rows(self, item: Item, found: Found, predictions: list) -> list[dict[str, Any]]:
        from agegender_core.output.tables import face_rows

        turned = found.faces[0].turned if found.faces else 0
        nothing = Image.new("RGB", (1, 1))  # rows do not show the image, which stayed in the worker
        return face_rows(
            item.file,
            Analysis(
                nothing, tuple(predictions), self.predictor.info.name, Timing(0, 0, 0), turned
            ),
        )


def failure_row(item: Item, failure: Failure) -> dict[str, Any]:
    """The row of an image that failed, as ``predict`` writes it."""
    from agegender_core.output.tables import error_row

    return error_row(item.file, AgeGenderError(failure.message))


def batch_is_full(found: Sequence[tuple[Item, Outcome]]) -> bool:
    """Whether it is worth running the network."""
    return (
        len(found) >= IMAGES
        or sum(len(outcome.faces) for _, outcome in found if isinstance(outcome, Found)) >= FACES
    )
