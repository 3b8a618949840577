"""Predict: pictures in, a card for each face out."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui import answers, downloads, face_picker, image_input, messages, network_card, result_card, style
from ui.ready import ready


def one_answer(answer: answers.Answer, titles: dict[str, str]) -> None:
    """The picture and what it took on the left, its faces on the right; below each other on a narrow screen."""
    left, right = st.columns([5, 6], gap="medium")
    with left, st.container(key="picture"):
        found = face_picker.count_words(len(answer.predictions))
        st.image(answer.preview, width="stretch", alt=f"{answer.picture.name}, {found} marked")
        st.caption(result_card.timing_words(answer, titles.get(answer.weights, answer.weights)))
        downloads.buttons([answer])
    with right:
        if not answer.predictions:
            messages.no_face(answer.picture.name)
        for index in face_picker.faces_page(answer):
            result_card.show(answer.predictions[index], index + 1)


def all_answers(results: list[answers.Answer | answers.Failure], titles: dict[str, str]) -> None:
    """What failed, what all pictures have in common, and one picture's answer."""
    good = [result for result in results if isinstance(result, answers.Answer)]
    failures = [(result.picture.name, result.error) for result in results if isinstance(result, answers.Failure)]
    messages.failed(failures)
    if len(results) > 1:
        with st.container(border=True):
            face_picker.overview(good, unread=len(failures))
            downloads.buttons(results)
    if good:
        one_answer(face_picker.pick_answer(good), titles)


style.page("Age and gender from faces", "Every face in your picture gets an estimated age, with how sure that is, and a gender.")
settings, installed = ready()

pictures = image_input.pictures(settings.race)
with st.container(key="network", gap="small"):
    left, right = st.columns([5, 6], gap="small", vertical_alignment="bottom")
    with left:
        weights = face_picker.pick_weights([entry for entry in installed if not entry.for_comparison] or installed, settings.weights)
    entry = next((entry for entry in installed if entry.name == weights), None)
    if entry is not None:
        right.caption(messages.plain(network_card.summary_line(entry)))
        network_card.show(entry)
if not pictures:
    messages.nothing_yet()
    image_input.offer_sample()
    st.stop()
if len(pictures) > settings.max_pictures:
    messages.too_many(settings.max_pictures, len(pictures))
try:
    title = network_card.loading_words(entry) if entry else weights
    results = answers.answer_all(pictures[: settings.max_pictures], weights, settings.race, title)
except AgeGenderError as error:
    messages.cannot_start(error)
    st.stop()
all_answers(results, {entry.name: entry.title for entry in installed})
