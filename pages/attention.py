"""Attention: where a network looks on a face, whether that matters, and whether it is true."""

from __future__ import annotations

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui.attention import cover, faithfulness, finding, interventions, state, test_set, viewer
from ui.attention import query_params as link
from ui.attention import setup as start
from ui.attention.session import Subject, networks, subject
from ui.common import image_input, messages, model_card, selectors, session_results, theme
from ui.common.guards import ready

PARTS = {
    "cover": cover.show,
    "look": viewer.show,
    "matter": interventions.show,
    "faithful": faithfulness.show,
    "set": test_set.show,
}


def explore(face: Subject) -> None:
    """The parts; only the open one is computed."""
    # The open tab lives in the session alone: a ``default`` that changed with each run would be
    # taken as a new choice and undo the click.
    state.TAB.set_default(link.TABS[link.get("tab")])
    tabs = st.tabs(list(link.TABS.values()), key=state.TAB.key, on_change="rerun")
    for tab, name in zip(tabs, link.TABS, strict=True):
        if tab.open:
            link.put("tab", name)
            with tab:
                PARTS[name](face)


theme.page(
    "Attention",
    "Cover the face and watch the age move; see where a model looks, and whether that matters.",
)
wrong = link.read()
chosen = start.row_of_a_set()
settings, installed = ready()
start.address_problems(wrong, installed)
own, others = networks(installed)
if not own:
    start.no_masks()
top = st.container(key="attention-top", gap="small")
with st.expander(
    "Another image or model", icon=":material/add_photo_alternate:", key="attention-inputs"
):
    images = chosen or image_input.tabbed_images(settings.race)
    info = start.pick_network(own, others)
images = images or start.previous_image() or start.sample()
try:
    loading = model_card.loading_words(info)
    results = session_results.answer_all(
        images[: settings.max_pictures], info.name, settings.race, loading
    )
    good = [result for result in results if isinstance(result, session_results.Answer)]
    failures = [result for result in results if isinstance(result, session_results.Failure)]
    messages.failed([(result.image.name, result.error) for result in failures])
    answer = selectors.pick_answer(good) if good else None
    if answer is not None and not answer.predictions:
        messages.no_face(answer.image.name)
    elif answer is not None:
        face = subject(info, answer, start.pick_face(answer), settings.race)
        with top:
            finding.show(face, cover.age_words, own)
        explore(face)
except AgeGenderError as error:
    messages.cannot_start(error)
link.write()
