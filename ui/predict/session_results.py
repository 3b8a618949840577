"""From images in hand to answers kept for the session: each image is analysed once, whatever
widgets make the page run again.

An answer keeps the estimates and a small preview, not the pixels: fifty photographs would fill the
memory of a small server. It lives in the session's own state and goes with it; nothing here reaches
a disk, a log or another session.
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
from agegender_core.vision.image_io import load_image
from ui.common import services
from ui.common.messages import plain
from ui.predict import state
from ui.predict.preview import preview

LOG = logging.getLogger(__name__)
Key = tuple[str, ...]
"""An answer's: digest and name of the image, name of the model, whether race is estimated."""
KEPT, KEPT_BYTES = 120, 64 * 2**20
"""Answers a session keeps, and bytes of their files; those to the images at hand are kept in any
case. So are as many images' faces.
"""


@dataclass(frozen=True)
class Seen:
    """What is known of an image's faces: those that are answered, and how many smaller ones are
    ``left_out``.
    """

    faces: tuple[Face, ...]
    left_out: int = 0


Known = dict[str, Seen]
"""Where the faces of an image are, by its digest: another model need not detect them again."""


@dataclass(frozen=True)
class Picture:
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
    """What is kept of an analysis. ``document`` and ``rows`` are the downloads' content;
    ``preview`` is a JPEG with numbered boxes.

    ``predictions`` stand from left to right. ``reused``: the faces were known already, from when
    another model answered. ``left_out``: smaller faces beyond the operator's limit.
    """

    picture: Picture
    predictions: tuple[Prediction, ...]
    weights: str
    timing: Timing
    turned: int
    document: dict[str, Any] = field(repr=False)
    rows: list[dict[str, Any]] = field(repr=False)
    preview: bytes = field(repr=False)
    reused: bool = False
    left_out: int = 0

    def annotated(self) -> Any:
        """The image in its own size with everything drawn in, decoded again from the bytes in
        memory.
        """
        return annotate(
            Analysis(
                load_image(self.picture.data, limits=services.settings().image_limits),
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

    picture: Picture
    error: AgeGenderError


def answer_all(
    pictures: Sequence[Picture], weights: str | None, race: bool, title: str = "the model"
) -> list[Answer | Failure]:
    """One entry an image, in order. An image that cannot be read leaves the others alone.
    ``title``: the model's.

    Raises ``WeightsError`` or ``DetectorError`` where there is no model to answer.
    """
    kept = state.ANSWERS.stored()
    keys = [(picture.digest, picture.name, str(weights), str(race)) for picture in pictures]
    known = state.FACES.stored()
    for key, picture in zip(keys, pictures, strict=True):
        if picture.shipped and key not in kept and key in SHARED:
            kept[key] = SHARED[key]
            known.setdefault(picture.digest, _seen(SHARED[key]))
    waiting = [
        (key, picture) for key, picture in zip(keys, pictures, strict=True) if key not in kept
    ]
    if waiting:
        with st.spinner(f"Loading {plain(title)}. The first time takes a few seconds …"):
            predictor = services.predictor(weights, race)
        for key, picture in _with_progress(waiting, known):
            kept[key] = answer = _answer(picture, predictor, known)
            if picture.shipped and isinstance(answer, Answer):
                SHARED[key] = answer
        for digest in list(known)[: -max(KEPT, len(pictures))]:
            del known[digest]
    _forget(kept, set(keys))
    results = [kept[key] for key in keys]
    for key, result in zip(keys, results, strict=True):
        if isinstance(result, Failure) and isinstance(result.error, BusyError):
            kept.pop(key, None)  # the next run of the page asks again
    return results


def _seen(answer: Answer) -> Seen:
    return Seen(tuple(one.face for one in answer.predictions), answer.left_out)


def _forget(kept: dict[Key, Answer | Failure], at_hand: set[Key]) -> None:
    """Drop the oldest answers to images no longer at hand until the rest fits."""
    for key in [key for key in kept if key not in at_hand]:
        if (
            len(kept) <= KEPT
            and sum(len(result.picture.data) for result in kept.values()) <= KEPT_BYTES
        ):
            return
        del kept[key]


def _with_progress(waiting: list[tuple[Key, Picture]], known: Known) -> Any:
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
    for number, (key, picture) in enumerate(waiting):
        bar.progress(
            number / len(waiting), f"Image {number + 1} of {len(waiting)}: {plain(picture.name)}"
        )
        yield key, picture
    bar.empty()


def queue_words(before: int) -> str:
    """«You are number 4 in the queue.» for three ``before`` one."""
    return f":material/hourglass: You are number {before + 1} in the queue."


def left_to_right(analysis: Analysis) -> Analysis:
    """``analysis`` with its faces in the order in which one reads them off the upright image."""
    lefts = [sum(one.face.box_xyxy[0::2]) for one in analysis.upright().predictions]
    order = sorted(range(len(lefts)), key=lefts.__getitem__)
    return replace(analysis, predictions=tuple(analysis.predictions[index] for index in order))


def _answer(picture: Picture, predictor: services.ImagePredictor, known: Known) -> Answer | Failure:
    """The answer of ``predictor``; the faces it found are added to ``known``, and those already
    there are taken as they are.
    """
    seen = known.get(picture.digest)
    try:
        line = st.empty()
        with services.admission().admit(lambda before: line.caption(queue_words(before))):
            line.empty()
            analysis = predictor.run(picture.data, None if seen is None else seen.faces)
        analysis = left_to_right(analysis)
        if seen is None:
            seen = Seen(
                tuple(prediction.face for prediction in analysis.predictions), analysis.left_out
            )
            reused = False
        else:
            analysis, reused = replace(analysis, left_out=seen.left_out), True
        known[picture.digest] = seen
        return Answer(
            picture=picture,
            predictions=analysis.predictions,
            weights=analysis.weights,
            timing=analysis.timing,
            turned=analysis.turned,
            document=analysis_json(picture.name, analysis),
            rows=face_rows(picture.name, analysis),
            preview=preview(analysis),
            reused=reused,
            left_out=analysis.left_out,
        )
    except AgeGenderError as error:
        return Failure(picture, error)
    except Exception:  # whatever it is, one image must not take the others with it
        LOG.exception("an image of %d bytes could not be analysed", len(picture.data))
        return Failure(
            picture,
            AgeGenderError(
                "Something unexpected went wrong with this image. Save it as JPEG and try again."
            ),
        )
