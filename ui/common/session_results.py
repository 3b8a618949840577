"""From images to answers, stored for the session: each image is analysed once, whatever widgets
make the page run again.

An answer contains the estimates and a small preview, not the pixels: fifty photographs would fill
the memory of a small server. It lives in the session's own state and ends with it; nothing here
reaches a disk, a log or another session.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import streamlit as st

from agegender_core.errors import AgeGenderError, BusyError
from agegender_core.output.drawing import annotate
from agegender_core.output.tables import analysis_json, face_rows
from agegender_core.types import Analysis, Face, Prediction, Timing
from ui.common import gated, services, state
from ui.common.messages import plain
from ui.common.preview import Place, places, preview

LOG = logging.getLogger(__name__)
Key = tuple[str, ...]
"""An answer's: digest and name of the image, name of the model, whether race is estimated."""
MAX_ANSWERS, MAX_ANSWER_BYTES = 120, 64 * 2**20
"""Answers a session stores, and bytes of their files; those to the images on the page are stored in
any case. As many images' faces are stored, too.
"""


@dataclass(frozen=True)
class DetectedFaces:
    """The faces of an image: those that are answered, and how many smaller ones are
    ``left_out``.
    """

    faces: tuple[Face, ...]
    left_out: int = 0


Known = dict[str, DetectedFaces]
"""Where the faces of an image are, by its digest: another model need not detect them again."""


@dataclass(frozen=True)
class InputImage:
    """An image as it came in: its ``name`` for the reader's eyes and the ``data`` of the file.
    ``shipped``: with the app; its answers are shared by all sessions.
    """

    name: str
    data: bytes = field(repr=False)
    shipped: bool = False

    @cached_property
    def digest(self) -> str:
        """sha256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, eq=False)
class Answer:
    """What is stored of an analysis. ``document`` and ``rows`` are the downloads' content;
    ``preview`` is a JPEG with numbered boxes.

    ``predictions`` stand from left to right. ``reused``: the faces were known already, from when
    another model answered. ``left_out``: smaller faces beyond the operator's limit. ``boxes``:
    where the faces are on the preview.
    """

    image: InputImage
    predictions: tuple[Prediction, ...]
    weights: str
    timing: Timing
    turned: int
    document: dict[str, Any] = field(repr=False)
    rows: list[dict[str, Any]] = field(repr=False)
    preview: bytes = field(repr=False)
    reused: bool = False
    left_out: int = 0
    boxes: tuple[Place | None, ...] = ()

    def annotated(self) -> Any:
        """The image in its own size with everything drawn in, decoded again from the bytes in
        memory.
        """
        return annotate(
            Analysis(
                gated.image(self.image.data, services.settings().image_limits),
                self.predictions,
                self.weights,
                self.timing,
                self.turned,
            )
        )


SHARED: dict[Key, Answer] = {}
"""Answers to the images that ship with the app, for all sessions: a first visit waits for no
network. A few for each model.
"""


@dataclass(frozen=True, eq=False)
class Failure:
    """An image without an answer, and why."""

    image: InputImage
    error: AgeGenderError


def answer_all(
    images: Sequence[InputImage], weights: str | None, race: bool, title: str = "the model"
) -> list[Answer | Failure]:
    """One entry an image, in order. An image that cannot be read leaves the others alone.
    ``title``: the model's.

    Raises ``WeightsError`` or ``DetectorError`` where there is no model to answer.
    """
    answers = state.ANSWERS.stored()
    keys = [(image.digest, image.name, str(weights), str(race)) for image in images]
    known = state.FACES.stored()
    for key, image in zip(keys, images, strict=True):
        if image.shipped and key not in answers and key in SHARED:
            answers[key] = SHARED[key]
            known.setdefault(image.digest, _detected(SHARED[key]))
    waiting = [(key, image) for key, image in zip(keys, images, strict=True) if key not in answers]
    if waiting:
        with st.spinner(f"Loading {plain(title)}. The first time takes a few seconds …"):
            predictor = services.predictor(weights, race)
        for key, image in _with_progress(waiting, known):
            answers[key] = answer = _answer(image, predictor, known)
            if image.shipped and isinstance(answer, Answer):
                SHARED[key] = answer
        for digest in list(known)[: -max(MAX_ANSWERS, len(images))]:
            del known[digest]
    _forget(answers, set(keys))
    results = [answers[key] for key in keys]
    for key, result in zip(keys, results, strict=True):
        if isinstance(result, Failure) and isinstance(result.error, BusyError):
            answers.pop(key, None)  # the next run of the page asks again
    return results


def _detected(answer: Answer) -> DetectedFaces:
    return DetectedFaces(tuple(one.face for one in answer.predictions), answer.left_out)


def _forget(answers: dict[Key, Answer | Failure], at_hand: set[Key]) -> None:
    """Drop the oldest answers to images no longer at hand until the rest fits."""
    for key in [key for key in answers if key not in at_hand]:
        if (
            len(answers) <= MAX_ANSWERS
            and sum(len(result.image.data) for result in answers.values()) <= MAX_ANSWER_BYTES
        ):
            return
        del answers[key]


def _with_progress(waiting: list[tuple[Key, InputImage]], known: Known) -> Any:
    """Yield what is waiting under a spinner, or under a bar with names where it is more than
    one.
    """
    if len(waiting) == 1:
        with st.spinner(
            "Reading the faces …" if waiting[0][1].digest in known else "Detecting faces …"
        ):
            yield waiting[0]
        return
    bar = st.progress(0.0)
    for number, (key, image) in enumerate(waiting):
        bar.progress(
            number / len(waiting), f"Image {number + 1} of {len(waiting)}: {plain(image.name)}"
        )
        yield key, image
    bar.empty()


def queue_words(before: int) -> str:
    """«You are number 4 in the queue.» for three ``before`` one."""
    return f":material/hourglass: You are number {before + 1} in the queue."


def left_to_right(analysis: Analysis) -> Analysis:
    """``analysis`` with its faces in the order in which one reads them off the upright image."""
    lefts = [sum(one.face.box_xyxy[0::2]) for one in analysis.upright().predictions]
    order = sorted(range(len(lefts)), key=lefts.__getitem__)
    return replace(analysis, predictions=tuple(analysis.predictions[index] for index in order))


def _answer(
    image: InputImage, predictor: services.ImagePredictor, known: Known
) -> Answer | Failure:
    """The answer of ``predictor``; the faces it found are added to ``known``, and those already
    there are taken as they are.
    """
    detected = known.get(image.digest)
    try:
        line = st.empty()
        with gated.slot(lambda before: line.caption(queue_words(before))):
            line.empty()
            analysis = predictor.run(image.data, None if detected is None else detected.faces)
        analysis = left_to_right(analysis)
        if detected is None:
            detected = DetectedFaces(
                tuple(prediction.face for prediction in analysis.predictions), analysis.left_out
            )
            reused = False
        else:
            analysis, reused = replace(analysis, left_out=detected.left_out), True
        known[image.digest] = detected
        return Answer(
            image=image,
            predictions=analysis.predictions,
            weights=analysis.weights,
            timing=analysis.timing,
            turned=analysis.turned,
            document=analysis_json(image.name, analysis),
            rows=face_rows(image.name, analysis),
            preview=preview(analysis),
            reused=reused,
            left_out=analysis.left_out,
            boxes=places(analysis),
        )
    except AgeGenderError as error:
        return Failure(image, error)
    except Exception:  # whatever it is, one image must not take the others with it
        LOG.exception("an image of %d bytes could not be analysed", len(image.data))
        return Failure(
            image,
            AgeGenderError(
                "Something unexpected went wrong with this image. Save it as JPEG and try again."
            ),
        )
