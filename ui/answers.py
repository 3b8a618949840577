"""From pictures in hand to answers kept for the session: each picture is analysed once, whatever widgets make the page run again.

An answer keeps what was said and a small preview, not the pixels: fifty photographs would fill the memory of a small server. It lives in
the session's own state and goes with it; nothing here reaches a disk, a log or another session.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import streamlit as st

from agegender_core.errors import AgeGenderError, BusyError
from agegender_core.export import analysis_json, annotate, face_rows
from agegender_core.imaging import load_image
from agegender_core.types import Analysis, Face, Prediction, Timing
from ui import services
from ui.messages import plain
from ui.overlay import preview

LOG = logging.getLogger(__name__)
KEPT, KEPT_BYTES = 120, 64 * 2**20
"""Answers a session keeps, and bytes of their files; those to the pictures at hand are kept in any case. So are as many
pictures' faces."""

Known = dict[str, tuple[Face, ...]]
"""Where the faces of a picture are, by its digest: another network need not look for them again."""


@dataclass(frozen=True)
class Picture:
    """A picture as it was given: its ``name`` for the reader's eyes and the ``data`` of the file."""

    name: str
    data: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """sha256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, eq=False)
class Answer:
    """What is kept of an analysis. ``document`` and ``rows`` are the downloads' content; ``preview`` is a JPEG with numbered boxes.

    ``reused``: the faces were known already, from when another network was asked. ``left_out``: smaller faces beyond the operator's limit.
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
        """The picture in its own size with everything drawn in, decoded anew from the bytes in memory."""
        return annotate(Analysis(load_image(self.picture.data), self.predictions, self.weights, self.timing, self.turned))


@dataclass(frozen=True, eq=False)
class Failure:
    """A picture without an answer, and why."""

    picture: Picture
    error: AgeGenderError


def answer_all(pictures: Sequence[Picture], weights: str | None, race: bool, title: str = "the network") -> list[Answer | Failure]:
    """One entry a picture, in order. A picture that cannot be read leaves the others alone. ``title``: what the weights are called.

    Raises ``WeightsError`` or ``DetectorError`` where there is no network to ask.
    """
    kept: dict[tuple[str, ...], Answer | Failure] = st.session_state.setdefault("answers", {})
    keys = [(picture.digest, picture.name, str(weights), str(race)) for picture in pictures]
    waiting = [(key, picture) for key, picture in zip(keys, pictures, strict=True) if key not in kept]
    if waiting:
        known: Known = st.session_state.setdefault("faces", {})
        with st.spinner(f"Loading {plain(title)}. The first time takes a few seconds …"):
            predictor = services.predictor(weights, race)
        for key, picture in _with_progress(waiting, known):
            kept[key] = _answer(picture, predictor, known)
        for digest in list(known)[: -max(KEPT, len(pictures))]:
            del known[digest]
    _forget(kept, set(keys))
    results = [kept[key] for key in keys]
    for key, result in zip(keys, results, strict=True):
        if isinstance(result, Failure) and isinstance(result.error, BusyError):
            kept.pop(key, None)  # the next run of the page asks again
    return results


def _forget(kept: dict[tuple[str, ...], Answer | Failure], at_hand: set[tuple[str, ...]]) -> None:
    """Drop the oldest answers to pictures no longer at hand until the rest fits."""
    for key in [key for key in kept if key not in at_hand]:
        if len(kept) <= KEPT and sum(len(result.picture.data) for result in kept.values()) <= KEPT_BYTES:
            return
        del kept[key]


def _with_progress(waiting: list[tuple[tuple[str, ...], Picture]], known: Known) -> Any:
    """Yield what is waiting under a spinner, or under a bar with names where it is more than one."""
    if len(waiting) == 1:
        with st.spinner("Reading the faces …" if waiting[0][1].digest in known else "Looking for faces …"):
            yield waiting[0]
        return
    bar = st.progress(0.0)
    for number, (key, picture) in enumerate(waiting):
        bar.progress(number / len(waiting), f"Picture {number + 1} of {len(waiting)}: {plain(picture.name)}")
        yield key, picture
    bar.empty()


def _answer(picture: Picture, predictor: services.Runs, known: Known) -> Answer | Failure:
    """What ``predictor`` says; the faces it found are added to ``known``, and those already there are taken as they are."""
    faces = known.get(picture.digest)
    try:
        line = st.empty()
        with services.gate().turn(lambda before: line.caption(f":material/hourglass: Others were first: {before} before you.")):
            line.empty()
            analysis = predictor.run(picture.data, faces)
        known[picture.digest] = tuple(prediction.face for prediction in analysis.predictions)
        return Answer(
            picture=picture,
            predictions=analysis.predictions,
            weights=analysis.weights,
            timing=analysis.timing,
            turned=analysis.turned,
            document=analysis_json(picture.name, analysis),
            rows=face_rows(picture.name, analysis),
            preview=preview(analysis),
            reused=faces is not None,
            left_out=analysis.left_out,
        )
    except AgeGenderError as error:
        return Failure(picture, error)
    except Exception:  # whatever it is, one picture must not take the others with it
        LOG.exception("a picture of %d bytes could not be analysed", len(picture.data))
        return Failure(picture, AgeGenderError("Something unexpected went wrong with this picture. Save it as JPEG and try again."))
