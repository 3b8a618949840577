"""Drawn people for videos: patches of coloured noise that move, a detector that knows their places,
a network that says what it is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from agegender_core.labels import FAIRFACE_RACES, GENDERS
from agegender_core.types import Categorical, Face, InputSpec, Prediction
from agegender_core.vision.alignment import TEMPLATE
from tests.support.fakes import fake_age

SIZE = (320, 240)
SIDE = 60
Place = tuple[float, float]


def person(seed: int) -> Image.Image:
    """A patch of soft coloured noise, the same for the same ``seed``."""
    noise = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def face_at(centre: Place, side: float = SIDE, score: float = 0.99) -> Face:
    """The detector's word on a person at ``centre``."""
    x, y = centre[0] - side / 2, centre[1] - side / 2
    return Face((x, y, x + side, y + side), score, TEMPLATE * side + (x, y))


def scene(people: Sequence[tuple[Image.Image, Place]], size: tuple[int, int] = SIZE) -> Image.Image:
    """People pasted at their centres over a quiet background; the later in front."""
    ramp = np.linspace(60, 120, size[0] * size[1] * 3).reshape(size[1], size[0], 3).astype(np.uint8)
    canvas = Image.fromarray(ramp)
    for patch, (x, y) in people:
        canvas.paste(patch, (round(x - patch.width / 2), round(y - patch.height / 2)))
    return canvas


@dataclass
class Cast:
    """Who is where now. ``find`` is a detector that finds them all, after ``seconds`` of work, and
    counts how often it was asked.
    """

    people: list[tuple[Image.Image, Place]] = field(default_factory=list)
    seconds: float = 0.0
    asked: int = 0
    size: tuple[int, int] = SIZE

    def picture(self) -> Image.Image:
        """The frame they make."""
        return scene(self.people, self.size)

    def find(self, image: Image.Image) -> list[Face]:
        """All of them, whoever stands in front."""
        time.sleep(self.seconds)
        self.asked += 1
        return [face_at(place, max(patch.size)) for patch, place in self.people]


@dataclass
class Network:
    """Says of every face what ``says`` gives for it: years and the probability of the first
    gender.
    """

    says: Callable[[Face], tuple[float, float]] = lambda face: (34.0, 0.9)
    seconds: float = 0.0
    race: bool = False
    batches: list[int] = field(default_factory=list)
    info: Any = field(default_factory=lambda: SimpleNamespace(name="toy", input=InputSpec(32, 0.1)))

    def predict_crops(self, crops: list[Image.Image], faces: list[Face]) -> list[Prediction]:
        """Predictions after ``seconds`` of work a face."""
        time.sleep(self.seconds * len(faces))
        self.batches.append(len(faces))
        return [
            prediction(*self.says(face), face, crop, self.race)
            for face, crop in zip(faces, crops, strict=True)
        ]


def prediction(
    years: float,
    woman: float = 0.9,
    face: Face | None = None,
    crop: Image.Image | None = None,
    race: bool = False,
) -> Prediction:
    """One look's answer."""
    gender = Categorical(GENDERS, int(woman < 0.5), (woman, 1 - woman))
    races = Categorical(FAIRFACE_RACES, 0, (0.4, *[0.1] * 6)) if race else None
    return Prediction(
        face or face_at((50, 50), 100),
        fake_age(years),
        gender,
        "toy",
        crop or Image.new("RGB", (32, 32)),
        races,
    )
