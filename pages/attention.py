"""Attention: where a network looks on a face, whether that matters, and whether it is true."""

from __future__ import annotations

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui import (
    answers,
    attention_averages,
    attention_changes,
    attention_faithful,
    attention_viewer,
    face_picker,
    image_input,
    messages,
    network_card,
    style,
)
from ui import attention_link as link
from ui import attention_start as start
from ui.attention_subject import Subject, networks, subject
from ui.ready import ready

PARTS = {
    "look": attention_viewer.show,
    "matter": attention_changes.show,
    "faithful": attention_faithful.show,
    "set": attention_averages.show,
}


def explore(seen: Subject) -> None:
    """The four parts; only the open one is worked out."""
    tabs = st.tabs(list(link.TABS.values()), default=link.TABS[link.get("tab")], key="attention-tabs", on_change="rerun")
    for tab, name in zip(tabs, link.TABS, strict=True):
        if tab.open:
            link.put("tab", name)
            with tab:
                PARTS[name](seen)


style.page("Attention", "Watch where a network looks, switch its gaze off, and see whether the answer cares.")
link.read()
chosen = start.row_of_a_set()
settings, installed = ready()
own, others = networks(installed)
if not own:
    start.no_masks()
pictures = chosen or image_input.pictures(settings.race) or start.kept_picture()
entry = start.pick_network(own, others)
if not pictures:
    start.nothing_yet()
    image_input.offer_sample()
    st.stop()
try:
    results = answers.answer_all(pictures[: settings.max_pictures], entry.name, settings.race, network_card.loading_words(entry))
    good = [result for result in results if isinstance(result, answers.Answer)]
    messages.failed([(result.picture.name, result.error) for result in results if isinstance(result, answers.Failure)])
    answer = face_picker.pick_answer(good) if good else None
    if answer is not None and not answer.predictions:
        messages.no_face(answer.picture.name)
    elif answer is not None:
        seen = subject(entry, answer, start.pick_face(answer), settings.race)
        explore(seen)
except AgeGenderError as error:
    messages.cannot_start(error)
link.write()
