"""Stand-ins for the slow parts, shared by the core's and the pages' tests. No network, no weights:
answers are made up but well-formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from agegender_core.labels import FAIRFACE_RACES, GENDERS, MAX_AGE
from agegender_core.types import AgeEstimate, Analysis, Categorical, Face, Prediction, Timing
from agegender_core.vision.image_io import ImageSource, load_image

FAKE_WEIGHTS = "fake-weights"
CROP_SIDE = 64


def fake_age(years: float, spread: float = 5.0, coverage: float = 0.8) -> AgeEstimate:
    """A smooth (101,) age distribution around ``years``, with the interval that holds about
    ``coverage`` of it.
    """
    support = np.arange(MAX_AGE + 1)
    probs = np.exp(-0.5 * ((support - years) / spread) ** 2)
    probs /= probs.sum()
    tail = (1 - coverage) / 2
    low, high = np.interp([tail, 1 - tail], np.cumsum(probs), support)
    return AgeEstimate(float((probs * support).sum()), (float(low), float(high)), coverage, probs)


def fake_face(width: int, height: int, number: int, faces: int, turned: int = 0) -> Face:
    """Face ``number`` (from 0) of ``faces`` in a row across an image of ``width`` x ``height``
    pixels; each smaller than the last.
    """
    column = width / faces
    side = min(column, height) * 0.6 * 0.95**number
    x0, y0 = column * number + (column - side) / 2, (height - side) / 2
    template = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]])
    landmarks = template * side + (x0, y0)  # (5, 2)
    return Face((x0, y0, x0 + side, y0 + side), 0.99 - 0.01 * number, landmarks, "mtcnn", turned)


def fake_prediction(
    image: Image.Image, number: int, faces: int, *, turned: int = 0, race: bool = False
) -> Prediction:
    """What is said about face ``number`` (from 0): 34 years and Female 0.97 first, then other ages
    and Male and Female in turn.
    """
    face = fake_face(image.width, image.height, number, faces, turned)
    woman = 0.97 if number % 2 == 0 else 0.12
    gender = Categorical(GENDERS, number % 2, (woman, 1 - woman))
    race_probs = (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    return Prediction(
        face=face,
        age=fake_age(5 + (29 + 17 * number) % 80),
        gender=gender,
        weights=FAKE_WEIGHTS,
        crop=image.crop(tuple(round(value) for value in face.box_xyxy)).resize(
            (CROP_SIDE, CROP_SIDE)
        ),
        race=Categorical(FAIRFACE_RACES, 0, race_probs) if race else None,
    )


@dataclass(frozen=True)
class FakePredictor:
    """Answers like a predictor: ``faces`` faces in any image that loads, found after turning it by
    ``turned`` degrees.

    Raises ``InvalidImageError`` for what the real one refuses as an image.
    """

    faces: int = 1
    turned: int = 0
    race: bool = False

    def predict(self, source: ImageSource) -> list[Prediction]:
        """The faces alone."""
        return list(self.run(source).predictions)

    def run(self, source: ImageSource) -> Analysis:
        """The made-up answer for one image."""
        image = load_image(source)
        predictions = tuple(
            fake_prediction(image, number, self.faces, turned=self.turned, race=self.race)
            for number in range(self.faces)
        )
        return Analysis(image, predictions, FAKE_WEIGHTS, Timing(5.0, 0.5, 4.0), self.turned)
