"""Predict: an answer first, for the sample or the visitor's own images: a card for each face."""

import contextlib
from typing import Any

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui.attention import query_params as attention
from ui.attention import strip
from ui.common import image_input, theme
from ui.common.guards import ready
from ui.common.session_results import Answer
from ui.predict import layout, state


def explain(answer: Answer, number: int) -> None:
    """Make the next run open Attention with this face and this model: callbacks cannot change the
    page themselves.
    """
    state.OPEN_ATTENTION.set(True)
    image_input.hand_over("Attention", answer.image)
    attention.put("weights", answer.weights)
    attention.put("face", number)
    attention.put("tab", "look")


def masks(models: list, answer: Answer, strips: dict[int, Any]) -> None:
    """Fill the cards' strips, once everything else stands: where they cannot be had, there is
    none.
    """
    model = strip.model(models, answer.weights)
    if model is None:
        return
    with contextlib.suppress(AgeGenderError):
        for number, room in strips.items():
            room.html(strip.html(model, answer, number - 1))


if state.OPEN_ATTENTION.pop():
    st.switch_page("pages/attention.py")
theme.page(
    "Age and gender from faces",
    "See how old each face looks, how certain that is, and which gender people would likely name.",
)
settings, installed = ready()
shown = layout.show(settings, installed, explain)
if shown is not None:
    masks(installed, *shown)
