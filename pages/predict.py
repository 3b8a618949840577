"""Predict: pictures in, a card for each face out."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui import answers, downloads, face_picker, image_input, messages, result_card, services, style


def one_answer(answer: answers.Answer) -> None:
    """The picture with what it took on the left, its faces on the right; below each other on a narrow screen."""
    left, right = st.columns([5, 6], gap="medium")
    with left, st.container(key="picture"):
        found = face_picker.count_words(len(answer.predictions))
        st.image(answer.preview, width="stretch", alt=f"{answer.picture.name} with {found} marked")
        st.caption(result_card.timing_words(answer, titles.get(answer.weights, answer.weights)))
        downloads.buttons([answer])
    with right:
        if not answer.predictions:
            messages.no_face(answer.picture.name)
        for index in face_picker.faces_page(len(answer.predictions)):
            result_card.show(answer.predictions[index], index + 1, answer.turned)


style.page(
    "Age and gender from faces",
    "Give a picture. Every face in it gets an estimated age, with how sure that is, and a gender.",
)
try:
    settings, installed = services.settings(), services.installed_weights()
except AgeGenderError as error:
    messages.cannot_start(error)
    st.stop()
if not installed:
    messages.no_weights()
    st.stop()

titles = {entry.name: entry.title for entry in installed}
pictures = image_input.pictures(settings.race)
weights = face_picker.pick_weights(installed, settings.weights)
if not pictures:
    messages.nothing_yet()
    image_input.offer_sample()
    st.stop()
if len(pictures) > answers.MAX_PICTURES:
    messages.too_many(answers.MAX_PICTURES, len(pictures))

try:
    results = answers.answer_all(pictures[: answers.MAX_PICTURES], weights, settings.race)
except AgeGenderError as error:
    messages.cannot_start(error)
    st.stop()

for result in results:
    if isinstance(result, answers.Failure):
        messages.failed(result.picture.name, result.error)
good = [result for result in results if isinstance(result, answers.Answer)]
if len(results) > 1 and good:
    face_picker.overview(good)
    downloads.buttons(results)
if good:
    one_answer(face_picker.pick_answer(good))
