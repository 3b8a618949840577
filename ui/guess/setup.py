"""The Guess page's choices, dataset and model, and what stands there where there is none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import streamlit as st

from agegender_core.datasets.registry import TERMS
from agegender_core.errors import AgeGenderError
from ui.common import messages, services
from ui.common.messages import plain
from ui.guess import faces
from ui.guess import query_params as link
from ui.guess.faces import SAMPLES

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

LOG = logging.getLogger(__name__)


def dataset_title(name: str) -> str:
    """A dataset's name for people."""
    return "Sample portrait" if name == SAMPLES else TERMS[name].title


def address_problems(wrong: list[str], datasets: list[str]) -> None:
    """Parts of the address that mean nothing here."""
    asked = link.get("dataset")
    lines = list(wrong)
    if asked is not None and asked not in datasets:
        here = ", ".join(map(dataset_title, datasets))
        lines.append(f"The faces of {dataset_title(asked)} are not here. Here is: {here}.")
    messages.address_problems(lines)


def candidates(offered: list[ModelInfo], name: str) -> list[ModelInfo]:
    """Models for use that never trained on the faces of dataset ``name``, nor did their teachers,
    which need not be offered.
    """
    known = {model.name: model for model in [*services.installed_weights(), *offered]}
    return [
        model for model in offered if not model.for_comparison and faces.unseen(model, name, known)
    ]


def choose(
    datasets: list[str], offered: list[ModelInfo], preferred: str | None
) -> ModelInfo | None:
    """«Faces of UTKFace against Multi-task CNN», and «change»: the model to play against; the
    dataset is in the page's settings. None where no model qualifies.
    """
    name = link.coerce_to_options("dataset", datasets)
    models = {model.name: model for model in candidates(offered, name)}
    first = sorted(models, key=lambda one: one != preferred)
    asked = link.get("model")
    if asked is not None and asked not in models:
        st.warning(
            f"«{plain(asked)}» cannot be played against here: another model is.",
            icon=":material/link_off:",
        )
    link.coerce_to_options("model", first)
    with st.container(
        horizontal=True, vertical_alignment="center", gap="small", key="guess-choice"
    ):
        line = st.empty()
        with st.popover("change", type="tertiary", width="content", key="guess-change"):
            name = st.selectbox(
                "Faces of",
                datasets,
                format_func=dataset_title,
                key=link.key("dataset"),
                on_change=link.first_round,
                persist_state="session",
            )
            st.selectbox(
                "Against",
                list(models),
                format_func=lambda one: models[one].title,
                key=link.key("model"),
                placeholder="no model qualifies",
                disabled=not models,
                persist_state="session",
            )
        chosen = models.get(link.get("model"))
        against = f" against **{plain(chosen.title)}**" if chosen else ""
        line.caption(f"Faces of **{plain(dataset_title(name))}**{against}", width="content")
    return chosen


def no_model() -> None:
    """Models are here, but each may have seen these faces."""
    st.info(
        "No model here is known to have been trained without these faces, so a score would say"
        " nothing. Choose another dataset.",
        title="Nobody to play against",
        icon=":material/person_off:",
    )


def cannot_read(error: AgeGenderError) -> None:
    """Faces that cannot be read; details name the server's files, so they go to its log."""
    LOG.error("%s: %s", type(error).__name__, error)
    st.error(
        "Choose another dataset. If this is your installation: the app's log says what is wrong"
        " with its file.",
        title="The faces cannot be read",
        icon=":material/build:",
    )
