"""Predict: an answer first, for the sample or the visitor's own images: a card for each face."""

import contextlib
from functools import partial
from typing import Any

import streamlit as st

from agegender_core.errors import AgeGenderError
from agegender_core.settings import Settings
from ui.attention import query_params as attention
from ui.attention import strip
from ui.common import (
    downloads,
    examples,
    image_input,
    messages,
    model_card,
    result_card,
    selectors,
    session_results,
    theme,
)
from ui.common.guards import ready
from ui.common.session_results import Answer, Failure
from ui.predict import face_grid, photo, share, state


def marked_image(answer: Answer) -> None:
    """The image with its boxes, what it took and whose it is."""
    found = selectors.count_words(len(answer.predictions))
    crowd = len(answer.predictions) > face_grid.CARDS
    choose = partial(face_grid.choose, answer) if crowd else None
    photo.show(answer, f"{answer.image.name}, {found} marked", choose)
    example = examples.key_of(answer.image)
    source = f" · {examples.EXAMPLES[example].source}" if example else ""
    st.caption(result_card.timing_words(answer) + source, help=result_card.timing_steps(answer))


def faces(answer: Answer) -> dict[int, Any]:
    """A card for each face, or a grid and the card of the chosen one. Returns where each card has
    room for attention masks, by the face's number.
    """
    strips: dict[int, Any] = {}

    def explain(number: int) -> None:
        """Make the next run open Attention with this face and this model: callbacks cannot change
        the page themselves.
        """
        state.OPEN_ATTENTION.set(True)
        image_input.hand_over("Attention", answer.image)
        attention.put("weights", answer.weights)
        attention.put("face", number)
        attention.put("tab", "look")

    if not answer.predictions:
        messages.no_face(answer.image.name)
    count = len(answer.predictions)
    for index in range(count) if count <= face_grid.CARDS else [face_grid.grid(answer)]:
        result_card.show(
            answer.predictions[index],
            index + 1,
            explain,
            partial(share.control, answer),
            strips.__setitem__,
        )
    return strips


def masks(answer: Answer, strips: dict[int, Any]) -> None:
    """Fill the cards' strips, once everything else stands: where they cannot be had, there is
    none.
    """
    model = strip.model(installed, answer.weights)
    if model is None:
        return
    with contextlib.suppress(AgeGenderError):
        for number, room in strips.items():
            room.html(strip.html(model, answer, number - 1))


def several(results: list[Answer | Failure]) -> Answer | None:
    """What failed, what all images have in common; the answer to show, None where there is none."""
    good = [result for result in results if isinstance(result, Answer)]
    failures = [
        (result.image.name, result.error) for result in results if isinstance(result, Failure)
    ]
    messages.failed(failures)
    if len(results) > 1:
        with st.container(border=True):
            selectors.overview(good, unread=len(failures))
            downloads.buttons(results)
    return selectors.pick_answer(good) if good else None


def main(settings: Settings) -> None:
    """Input and image on the left, the answer on the right; below each other on a narrow screen."""
    left, right = st.columns([5, 6], gap="medium")
    with left:
        images = image_input.images_or_example(settings.race)
        image_area = st.container(key="picture")
    with right:
        answer_area = st.container()
        weights, info = selectors.answered_by(installed, settings.weights)
        download_area = st.container()
        image_input.formats_and_privacy()
    with answer_area:
        if not images:
            st.info(
                "Open the camera and take a photo: the answer appears here.",
                icon=":material/photo_camera:",
            )
            return
        if len(images) > settings.max_pictures:
            messages.too_many(settings.max_pictures, len(images))
        title = model_card.loading_words(info) if info else weights
        try:
            results = session_results.answer_all(
                images[: settings.max_pictures], weights, settings.race, title
            )
        except AgeGenderError as error:
            messages.cannot_start(error)
            return
        answer = several(results)
        if answer is None:
            return
        strips = faces(answer)
    with image_area:
        marked_image(answer)
    with download_area:
        downloads.buttons([answer])
    masks(answer, strips)


if state.OPEN_ATTENTION.pop():
    st.switch_page("pages/attention.py")
theme.page(
    "Age and gender from faces",
    "See how old each face looks, how certain that is, and which gender people would likely name.",
)
settings, installed = ready()
main(settings)
