"""«Share»: an answer as one image, made in memory when it is asked for and kept nowhere."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image

from agegender_core.errors import BusyError
from agegender_core.output.gender import TOO_CLOSE, too_close
from agegender_core.output.share_image import (
    SIZE,
    ShareText,
    face_panel,
    share_png,
)
from agegender_core.types import Prediction
from ui.common import gated, messages, result_card, services
from ui.common.charts import percent_words, with_en_dash
from ui.common.session_results import Answer
from ui.common.share_parts import NOT_MEASURED, PROJECT, measured_words, typefaces
from ui.predict import state

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo


def control(answer: Answer, number: int) -> None:
    """The button for face ``number`` of ``answer``, counted from 1."""
    key = f"share-{number}"
    st.button("Share", icon=":material/share:", key=key, on_click=_ask, args=(number,))
    if state.SHARE_ASKED.get() == number:
        state.SHARE_ASKED.clear()
        dialog(answer, number)


def _ask(number: int) -> None:
    # A run of the page may be broken off and begun again; a button's own value is lost then.
    state.SHARE_ASKED.set(number)


@st.dialog("Share this answer", width="medium")
def dialog(answer: Answer, number: int) -> None:
    """The image, as it is or with the face blurred, and the way to save it."""
    blurred = state.SHARE_BLUR.get()
    prediction = answer.predictions[number - 1]
    with st.container(key="share-image"):
        try:
            image = png(answer, prediction, blurred)
        except BusyError as error:
            messages.failed([(answer.image.name, error)])
            return
        st.image(image, width="stretch", alt=description(prediction, blurred))
    with st.container(horizontal=True, vertical_alignment="center", key="share-buttons"):
        st.download_button(
            "Save image",
            image,
            f"{PurePath(answer.image.name).stem}-face-{number}.png",
            "image/png",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
            key="share-save",
            help=f"PNG, {SIZE[0]} × {SIZE[1]} pixels",
        )
        st.toggle("Blur the face", key=state.SHARE_BLUR.key)
    st.caption("Made in memory, stored nowhere. Ask people before you post their face, or blur it.")


def png(answer: Answer, prediction: Prediction, blurred: bool = False) -> bytes:
    """The image of one of the faces of ``answer``, as a PNG file."""
    image = gated.image(answer.image.data, services.settings().image_limits)
    return prediction_png(image, prediction, model_named(answer.weights), blurred)


def prediction_png(
    image: Image.Image, prediction: Prediction, model: ModelInfo | None, blurred: bool = False
) -> bytes:
    """The image of any prediction. ``image``: the one that its box refers to; ``model``: what
    answered, None where the manifest does not know it.
    """
    panel = face_panel(image, prediction.face, blurred)
    return share_png(panel, prediction.age, share_text(prediction, model), typefaces())


def model_named(weights: str) -> ModelInfo | None:
    """What the manifest says of a model."""
    return next((one for one in services.installed_weights() if one.name == weights), None)


def share_text(prediction: Prediction, model: ModelInfo | None) -> ShareText:
    """The words on the image."""
    age = prediction.age
    headline = str(round(age.years)) if age.ranges is None else with_en_dash(age.ranges.label)
    cautions = [line for line in result_card.cautions(prediction) if line != result_card.UNDECIDED]
    return ShareText(
        age=headline,
        unit="year" if headline == "1" else "years",
        lines=tuple(filter(None, (_spread(prediction), _range(prediction), _gender(prediction)))),
        model=prediction.weights if model is None else model.title,
        measured=NOT_MEASURED if model is None else measured_words(model),
        project=PROJECT,
        caution=cautions[0] if cautions else "",
    )


def _spread(prediction: Prediction) -> str:
    """The interval; nothing where there is none: that the error was not measured stands below."""
    age = prediction.age
    return "" if age.interval is None else result_card.interval_words(age)


def _range(prediction: Prediction) -> str:
    """How likely the chosen range is."""
    ranges = prediction.age.ranges
    if ranges is None or ranges.confidence is None:
        return ""
    return f"{percent_words(100 * ranges.confidence)}, the likeliest of {len(ranges.labels)} ranges"


def _gender(prediction: Prediction) -> str:
    gender = prediction.gender
    if gender is None:
        return ""
    if gender.confidence is None:
        return f"Gender: {gender.label}"
    sure = percent_words(100 * gender.confidence)
    if too_close(gender.confidence):
        return f"Gender: {TOO_CLOSE} ({gender.label} {sure})"
    return f"Gender: {gender.label}, {sure}"


def description(prediction: Prediction, blurred: bool) -> str:
    """The image in words."""
    age = prediction.age
    headline = with_en_dash(age.ranges.label) if age.ranges is not None else f"{age.years:.0f}"
    face = "a blurred face" if blurred else "the face"
    return f"Image to share: {face}, estimated age {headline} years, how sure that is, the model"
