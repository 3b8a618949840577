"""How one comes to a face and a network on the Attention page, and what stands there before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from ui import attention_link as link
from ui import face_picker, network_card
from ui.answers import Answer, Picture
from ui.attention_export import answer_words
from ui.attention_link import key
from ui.messages import plain

if TYPE_CHECKING:
    from agegender_core.weights import WeightsEntry

KEPT = "attention-kept-picture"
PROMISES = (
    ("visibility", "Where it looks", "The mask of each block over the face, channel by channel, in the cells it really has."),
    ("toggle_off", "Does it matter?", "Switch a mask off, shuffle it, cover a part of the face, and watch the answer move."),
    ("balance", "Is it faithful?", "Curves that say whether a map shows what the answer hangs on, or no more than a random one."),
)


def reserved() -> None:
    """An address that names a picture of a test set."""
    if all(name in st.query_params for name in link.RESERVED):
        st.info(
            f"This address asks for row {plain(st.query_params['row'])} of the set «{plain(st.query_params['set'])}». "
            "Pictures of test sets cannot be opened here yet: give a picture of your own, or take the sample.",
            icon=":material/link:",
        )


def no_masks() -> None:
    """No network with masks of its own is installed."""
    st.info(
        "The networks here have no masks of their own. They are shown with Grad-CAM and occlusion: **saliency**, made by asking the "
        "network from outside. For masks, train GRA_Net and publish the run; an hour or two on two processor cores gives a first one:\n\n"
        "    python -m agegender_core train configs/gra_net_dist.toml --minutes 120\n"
        "    python -m agegender_core weights publish runs/gra_net_dist",
        title="No network with attention masks is installed",
        icon=":material/visibility_off:",
    )


def nothing_yet() -> None:
    """Empty state: what there will be to see."""
    for column, (icon, title, body) in zip(st.columns(len(PROMISES), gap="small"), PROMISES, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f":material/{icon}: **{title}**")
            st.markdown(body)


def kept_picture() -> list[Picture]:
    """The picture looked at last on another page, once its button is pressed; an upload or the sample take its place."""
    kept = list(st.session_state.get("answers", {}).values())
    if not kept:
        return []
    picture = kept[-1].picture
    if st.session_state.get(KEPT) != picture.digest:
        st.button(
            f"Go on with {plain(picture.name)}", icon=":material/history:", key="attention-go-on", type="primary",
            on_click=st.session_state.__setitem__, args=(KEPT, picture.digest),
        )  # fmt: skip
        return []
    return [picture]


def pick_network(own: Sequence[WeightsEntry], others: Sequence[WeightsEntry]) -> WeightsEntry:
    """The network to look into: those with masks first, the others named as what they are. Its card is folded away below."""
    entries = {entry.name: entry for entry in (*own, *others)}
    masked = {entry.name for entry in own}
    link.hold("weights", list(entries))
    with st.container(key="network", gap="small"):
        left, right = st.columns([5, 6], gap="small", vertical_alignment="bottom")
        with left:
            name = st.selectbox(
                "Network",
                list(entries),
                format_func=lambda name: entries[name].title + ("" if name in masked else " (saliency, not its own mask)"),
                key=key("weights"),
                persist_state="session",
            )
        right.caption(plain(network_card.summary_line(entries[name])))
        network_card.show(entries[name])
    return entries[name]


def pick_face(answer: Answer) -> int:
    """Index of the face to look at, beside the picture with its numbers and the answer for that face."""
    count = len(answer.predictions)
    left, right = st.columns([1, 5], gap="medium", vertical_alignment="center")
    with left, st.container(key="attention-preview"):
        st.image(answer.preview, width="stretch", alt=f"{answer.picture.name}, {face_picker.count_words(count)} marked")
    with right:
        link.hold("face", range(1, count + 1))
        if count > 1:
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
        st.html(f'<p class="ag-said">{answer_words(face.age, face.gender)}</p>')
        st.caption(f"Read from {side} × {side} pixels, cut out along the eyes and mouth: that is all the network sees of the face.")
    return link.get("face") - 1
