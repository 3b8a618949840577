"""Guess: the visitor guesses the age of labelled faces, then sees label, model and score."""

from __future__ import annotations

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui.common import theme
from ui.common.guards import ready
from ui.guess import board, faces, setup
from ui.guess import query_params as link

theme.page(
    "Guess", "Guess how old a face is, then see its label, the model's answer and who was closer."
)
st.html(board.CSS)
wrong = link.read()
settings, offered = ready()
datasets = faces.playable()
setup.address_problems(wrong, datasets)
top = st.container(key="guess-top")
model = setup.choose(datasets, offered, settings.weights)
try:
    if model is None:
        with top:
            setup.no_model()
    else:
        pool = faces.pool(link.get("dataset"))
        number = min(link.get("round"), len(pool.records))
        link.put("round", number)
        board.about(pool, model.title)
        with top:
            board.show(pool, model.name, number)
except AgeGenderError as error:
    with top:
        setup.cannot_read(error)
link.write()
