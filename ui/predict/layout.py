"""The page: input and image on the left, the answer on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui.common import (
    downloads,
    examples,
    image_input,
    messages,
    model_card,
    result_card,
    selectors,
    session_results,
)
from ui.common.session_results import Answer, Failure
from ui.predict import face_grid, photo, query_params, share

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo
    from agegender_core.settings import Settings


def show(
    settings: Settings, installed: Sequence[ModelInfo], explain: Callable[[Answer, int], None]
) -> tuple[Answer, dict[int, Any]] | None:
    """Everything but attention masks; below each other on a narrow screen. ``explain``: opens
    Attention with a face of an answer.

    Returns the answer that is shown, and where each card has room for masks, by the face's number;
    None where there is no answer.
    """
    left, right = st.columns([5, 6], gap="medium")
    with left:
        images = image_input.images_or_example(settings.race)
        image_area = st.container(key="picture")
    with right:
        answer_area = st.container()
        names = [info.name for info in selectors.offered(installed)]
        default = settings.weights or names[0]
        with answer_area:
            query_params.read(names if default in names else [])
        weights, info, unanswered = selectors.answered_by(installed, settings.weights)
        query_params.write(weights, default)
        download_area = st.container()
        image_input.formats_and_privacy()
    with answer_area:
        if not images:
            st.info(
                "Open the camera and take a photo: the answer appears here.",
                icon=":material/photo_camera:",
            )
            unanswered()
            return None
        if len(images) > settings.max_pictures:
            messages.too_many(settings.max_pictures, len(images))
        title = model_card.loading_words(info) if info else weights
        try:
            results = session_results.answer_all(
                images[: settings.max_pictures], weights, settings.race, title
            )
        except AgeGenderError as error:
            messages.cannot_start(error)
            unanswered()
            return None
        answer = several(results)
        if answer is None:
            unanswered()
            return None
        strips = faces(answer, partial(explain, answer))
    with image_area:
        marked_image(answer)
    if answer.predictions:
        with download_area:
            downloads.buttons([answer])
    else:
        unanswered()
    return answer, strips


def marked_image(answer: Answer) -> None:
    """The image with its boxes, what it took and whose it is."""
    found = selectors.count_words(len(answer.predictions))
    crowd = len(answer.predictions) > face_grid.CARDS
    choose = partial(face_grid.choose, answer) if crowd else None
    photo.show(answer, f"{answer.image.name}, {found} marked", choose)
    example = examples.key_of(answer.image)
    source = f" · {examples.EXAMPLES[example].source}" if example else ""
    st.caption(result_card.timing_words(answer) + source, help=result_card.timing_steps(answer))


def faces(answer: Answer, explain: Callable[[int], None]) -> dict[int, Any]:
    """A card for each face, or a grid and the card of the chosen one. Returns where each card has
    room for attention masks, by the face's number.
    """
    strips: dict[int, Any] = {}
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
