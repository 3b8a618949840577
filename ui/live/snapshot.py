"""A frozen frame: its faces on the cards that Predict shows, to read and to download. Stored in the
session until one resumes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from PIL import Image

from agegender_core.output.tables import analysis_json, face_rows
from agegender_core.video.types import LiveFrame
from ui.common import downloads, result_card
from ui.common.images import encoded
from ui.common.session_results import Answer, InputImage
from ui.live import state
from ui.live.stream import Stream

NAME = "frozen.png"


@dataclass(frozen=True, eq=False)
class Frozen(Answer):
    """``numbers``: of the faces, as drawn on the image; ``looks``: over how many frames each was
    averaged; ``waiting``: faces without an answer yet.
    """

    marked: Image.Image | None = field(default=None, repr=False)
    numbers: tuple[int, ...] = ()
    looks: tuple[int, ...] = ()
    waiting: int = 0

    def annotated(self) -> Any:
        """The image as it was shown."""
        return self.marked


def freeze(stream: Stream) -> None:
    """Freeze the newest frame and store it for the cards; without one, ``missed`` reports that."""
    newest = stream.freeze()
    if newest is None:
        state.MISSED.set(True)
    else:
        state.FROZEN.set(frozen_answer(*newest))


def missed() -> None:
    """A toast where there was nothing to freeze."""
    if state.MISSED.pop():
        st.toast("There is no image to freeze yet.", icon=":material/hourglass_empty:")


def thaw(stream: Stream) -> None:
    """Forget the frozen frame and resume."""
    stream.resume()
    state.FROZEN.clear()


def frozen_answer(frame: LiveFrame, marked: Image.Image) -> Frozen:
    """What is stored of a frozen frame: the image as it was shown, and the answers of that
    moment.
    """
    analysis, tracks = frame.analysis(), frame.answered()
    numbers, looks = (
        tuple(track.number for track in tracks),
        tuple(track.answer.observations for track in tracks),
    )
    document = analysis_json(NAME, analysis)
    document["faces"] = [
        {"number": number, "looks": count} | face
        for number, count, face in zip(numbers, looks, document["faces"], strict=True)
    ]
    rows = [
        row | {"face": number}
        for row, number in zip(face_rows(NAME, analysis), numbers or (None,), strict=True)
    ]
    return Frozen(
        image=InputImage(NAME, b""),
        predictions=analysis.predictions,
        weights=analysis.weights,
        timing=analysis.timing,
        turned=0,
        document=document,
        rows=rows,
        preview=encoded(marked, quality=90),
        marked=marked,
        numbers=numbers,
        looks=looks,
        waiting=len(frame.tracks) - len(tracks),
    )


def image(frozen: Frozen) -> None:
    """The frozen frame, for when the camera no longer shows it."""
    count = len(frozen.numbers) + frozen.waiting
    st.image(
        frozen.preview,
        width="stretch",
        alt=f"Frozen image with {count} face{'' if count == 1 else 's'} marked",
    )


def cards(frozen: Frozen) -> None:
    """What was answered for its faces, and the downloads."""
    if frozen.predictions:
        st.caption(averaged(frozen))
        for number, prediction in zip(frozen.numbers, frozen.predictions, strict=True):
            result_card.show(prediction, number)
        downloads.buttons([frozen])
    if frozen.waiting:
        had = "One face had" if frozen.waiting == 1 else f"{frozen.waiting} faces had"
        st.info(
            f"{had} no answer yet. Resume, wait a second and freeze again.",
            icon=":material/hourglass_empty:",
        )
    elif not frozen.predictions:
        st.info(
            "There is no face in this image. Resume and freeze again.", icon=":material/search_off:"
        )


def averaged(frozen: Frozen) -> str:
    """«Averaged over 51 frames (face 1), 48 frames (face 2)»"""
    pairs = zip(frozen.numbers, frozen.looks, strict=True)
    counts = [
        f"{count} frame{'' if count == 1 else 's'} (face {number})" for number, count in pairs
    ]
    return f"Averaged over {', '.join(counts)}"
