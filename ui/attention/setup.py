"""How a face and a model are chosen on the Attention page, and what it shows before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import streamlit as st

from agegender_core.datasets import FaceRecord, read_row
from agegender_core.datasets.crop_cache import chip_face
from agegender_core.datasets.registry import TERMS, TEST_SPLITS
from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.labels import FAIRFACE_GROUPS
from ui.attention import query_params as link
from ui.attention import state
from ui.attention.export import answer_words
from ui.attention.query_params import key
from ui.common import gated, messages, model_card, selectors
from ui.common.messages import plain
from ui.common.query_state import address_params
from ui.common.session_results import Answer, DetectedFaces, InputImage
from ui.common.state import ANSWERS, FACES

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

LOG = logging.getLogger(__name__)
ROOM = 4
"""Faces that have a button each, on a phone as well; more are in a list."""


def row_of_a_set() -> list[InputImage]:
    """The image of a labelled dataset that the address names, with its label above; an empty list
    where it names none, or where that image is not here.
    """
    params = address_params()
    if not all(name in params for name in link.RESERVED):
        return []
    name, number = params["set"], params["row"]
    try:
        record, image = _row(name, number)
    except AgeGenderError as error:
        LOG.error("%s: %s", type(error).__name__, error)  # it names the server's files
        why = (
            f"{_sentence(str(error))}."
            if isinstance(error, ConfigError)
            else f"{TERMS[name].title} is not here, has no such row or cannot be read: face"
            " datasets are not part of this app. If this is your installation: set AGEGENDER_DATA"
            " to the folder they are in."
        )
        st.warning(
            f"{plain(why)} Meanwhile, upload an image of your own, or use the sample.",
            title=f"Row {plain(number)} of the dataset «{plain(name)}» cannot be opened",
            icon=":material/link_off:",
        )
        return []
    with st.container(
        border=True, horizontal=True, vertical_alignment="center", key="attention-row"
    ):
        st.markdown(
            f":material/dataset: **{TERMS[name].title}**, row {record.row:,} ({record.split}):"
            f" {plain(label_words(record))}."
        )
        st.button("Look at another image", key="attention-leave-row", on_click=_leave_row)
    return [image]


def label_words(record: FaceRecord) -> str:
    """An image's labels: «labelled 34 years, Female»."""
    known = [] if record.gender is None else [record.gender]
    if record.age is not None:
        known.insert(0, f"{record.age} years")
    elif record.age_range is not None:
        known.insert(
            0,
            next(group.name for group in FAIRFACE_GROUPS if group.lo == record.age_range[0])
            + " years",
        )
    return f"labelled {', '.join(known)}" if known else "not labelled"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _row(name: str, number: str) -> tuple[FaceRecord, InputImage]:
    """Row ``number`` of the dataset ``name``, stored while it is shown; its face is where the
    dataset marks it, so that answers are those of the reports. Raises ``DatasetError``, and
    ``ConfigError`` for words that name no row.
    """
    if name not in TEST_SPLITS or not (number.isascii() and number.isdigit() and len(number) < 10):
        raise ConfigError(
            f"there is no row {number!r} of a dataset {name!r}: datasets are"
            f" {', '.join(TEST_SPLITS)}, rows are whole numbers"
        )
    stored = state.ROW.get()
    if stored is None or stored[0] != (name, number):
        record, encoded = read_row(name, int(number))
        stored = ((name, number), record, InputImage(f"{TERMS[name].title} {record.file}", encoded))
        state.ROW.set(stored)
    _, record, image = stored
    if name != "fgnet":  # photographs, in which faces are detected as in any other
        known = FACES.stored()
        if image.digest not in known:
            known[image.digest] = DetectedFaces((chip_face(gated.image(image.data), record),))
    return record, image


def _leave_row() -> None:
    for name in link.RESERVED:
        st.query_params.pop(name, None)
    state.ROW.clear()


def no_masks() -> None:
    """No network with masks of its own is installed."""
    st.info(
        "The models here have no masks of their own. They are shown with Grad-CAM and occlusion:"
        " **saliency**, computed from outside. For masks, train GRA_Net and publish the run; a"
        " first one takes an hour or two on two processor cores:\n\n"
        "    agegender train gra_net_dist --minutes 120\n"
        "    agegender weights publish runs/gra_net_dist",
        title="No model with attention masks is installed",
        icon=":material/visibility_off:",
    )


def sample() -> list[InputImage]:
    """The bundled portrait, where no image was chosen yet."""
    from agegender_core.datasets.sample_image import SAMPLE_NAME, sample_file

    return [InputImage(SAMPLE_NAME, sample_file())]


def previous_image() -> list[InputImage]:
    """The last image of another page, once its button is pressed; an upload or the sample replaces
    it.
    """
    usual = sample()[0].digest  # which is shown here anyway
    others = [answer for answer in ANSWERS.get().values() if answer.image.digest != usual]
    if not others:
        return []
    image = others[-1].image
    if state.IMAGE.get() != image.digest:
        st.button(
            f"Explore {plain(image.name)}",
            icon=":material/history:",
            key="attention-go-on",
            type="primary",
            on_click=state.IMAGE.set,
            args=(image.digest,),
        )
        return []
    return [image]


def address_problems(wrong: Sequence[str], installed: Sequence[ModelInfo]) -> None:
    """Parts of the address that mean nothing here; ``wrong``: what ``query_params.read`` found."""
    name = link.get("weights")
    unknown = name is not None and name not in [info.name for info in installed]
    more = [f"«{name}» is no model here: another is shown."] if unknown else []
    messages.address_problems([*wrong, *more])


def pick_network(own: Sequence[ModelInfo], others: Sequence[ModelInfo]) -> ModelInfo:
    """The model to explain: those with masks first, the others marked as without. Its card
    is folded away below.
    """
    entries = {info.name: info for info in (*own, *others)}
    masked = {info.name for info in own}
    link.coerce_to_options("weights", list(entries))
    with st.container(key="network", gap="small"):
        left, right = st.columns([5, 6], gap="small", vertical_alignment="bottom")
        with left:
            name = st.selectbox(
                "Model",
                list(entries),
                format_func=lambda name: (
                    entries[name].title
                    + ("" if name in masked else " (saliency, not its own mask)")
                ),
                key=key("weights"),
                persist_state="session",
            )
        right.caption(plain(model_card.summary_line(entries[name])))
        model_card.show(entries[name])
    return entries[name]


def face_words(answer: Answer, number: int) -> str:
    """«Face 3: 38.9 years, Female 43 %», for the list of a crowd's faces."""
    found = answer.predictions[number - 1]
    return (
        f"Face {number}:"
        f" {answer_words(found.age, found.gender).removeprefix('Estimate: ').rstrip('.')}"
    )


def pick_face(answer: Answer) -> int:
    """Index of the face to explain, beside the image with its numbers and the answer for that
    face.
    """
    count = len(answer.predictions)
    right = st.container()
    if count > 1:
        left, right = st.columns([1, 5], gap="medium", vertical_alignment="center")
        with left, st.container(key="attention-preview"):
            st.image(
                answer.preview,
                width="stretch",
                alt=f"{answer.image.name}, {selectors.count_words(count)} marked",
            )
    with right:
        link.coerce_to_options("face", range(1, count + 1))
        if count > ROOM:
            st.selectbox(
                "Face",
                range(1, count + 1),
                format_func=lambda number: face_words(answer, number),
                key=key("face"),
                width=360,
                persist_state="session",
            )
        elif count > 1:
            st.segmented_control(
                "Face",
                range(1, count + 1),
                required=True,
                format_func=lambda number: f"Face {number}",
                key=key("face"),
                persist_state="session",
            )
        face = answer.predictions[link.get("face") - 1]
        side = face.crop.width
        more = (
            f"Read from {side} × {side} pixels, cut out along the eyes and mouth: that is all the"
            " model sees of the face."
        )
        words = f"{answer.image.name}. {answer_words(face.age, face.gender)}"
        st.html(
            f'<p class="ag-said">{escape(words)} <span class="ag-quiet'
            f' ag-small">{escape(more)}</span></p>'
        )
    return link.get("face") - 1
