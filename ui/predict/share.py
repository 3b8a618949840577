"""«Share»: an answer as one image, made in memory when it is asked for and kept nowhere."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import streamlit as st
from PIL import Image, ImageFont

from agegender_core.errors import BusyError
from agegender_core.output.share_image import (
    PILLOW_FONTS,
    SIZE,
    Font,
    ShareText,
    Typefaces,
    face_panel,
    share_png,
)
from agegender_core.types import Prediction
from ui.common import gated, messages, model_card, services
from ui.common.charts import percent_words, with_en_dash
from ui.predict import result_card, state
from ui.predict.session_results import Answer

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

PROJECT = "Age and gender from faces"
NOT_MEASURED = "The error of this model has not been measured."
UNDECIDED = "Gender: too close to call."
"""A caution of the card that the line on gender says already."""


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
    cautions = [line for line in result_card.cautions(prediction) if line != UNDECIDED]
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
    if gender.confidence < result_card.EVEN:
        return f"Gender: too close to call ({gender.label} {sure})"
    return f"Gender: {gender.label}, {sure}"


def measured_words(model: ModelInfo) -> str:
    """«UTKFace test, n = 3,134: MAE 4.7 years», from the manifest."""
    where = model_card.headline_dataset(model)
    numbers = {} if where is None else model.measured[where]
    words = model_card.age_words(numbers, model.decoding.kind)
    if where is None or not words:
        return NOT_MEASURED
    share, _, ranges = words.partition(" in ")
    error = f"age range correct for {share} ({ranges})" if ranges else f"MAE {words}"
    return f"{model_card.dataset_words(where)}, n = {numbers['n']:,}: {error}"


def description(prediction: Prediction, blurred: bool) -> str:
    """The image in words."""
    age = prediction.age
    headline = with_en_dash(age.ranges.label) if age.ranges is not None else f"{age.years:.0f}"
    face = "a blurred face" if blurred else "the face"
    return f"Image to share: {face}, estimated age {headline} years, how sure that is, the model"


@cache
def typefaces() -> Typefaces:
    """The fonts of the pages, which ship inside Streamlit; Pillow's own where they are not."""
    media = Path(st.__file__).parent / "static" / "static" / "media"
    sans = next(media.glob("SourceSansVF-Upright.ttf.*.woff2"), None)
    serif = next(media.glob("SourceSerifVariable-Roman.ttf.*.woff2"), None)
    if sans is None or serif is None:
        return PILLOW_FONTS
    try:
        fonts = Typefaces(_font(sans, 400), _font(sans, 600), _font(serif, 600, 60))
        fonts.text(20), fonts.display(20)
    except OSError:  # a FreeType without the decoder of web fonts
        return PILLOW_FONTS
    return fonts


def _font(file: Path, *axes: float) -> Font:
    """The variable font in ``file`` at these ``axes``, by size in pixels."""

    @lru_cache(maxsize=24)
    def sized(size: float) -> ImageFont.FreeTypeFont:
        font = ImageFont.truetype(file, size)
        font.set_variation_by_axes(list(axes))
        return font

    return sized
