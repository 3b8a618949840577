"""«Where it looks»: the mask of each block over the face, what stands before and behind it, and its
single channels.

The whole is one fragment: a control redraws it and nothing else. Playing is the same fragment on a
timer, for a few rounds.
"""

from __future__ import annotations

from html import escape
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from ui.attention import export, state
from ui.attention import query_params as link
from ui.attention.export import over_face
from ui.attention.figures import (
    FLAT,
    STOPS,
    bar,
    images_row,
    limits,
    overlay,
    small_png,
)
from ui.attention.layers import (
    SALIENCY,
    Layer,
    around,
    blocks,
    channel_words,
    layer,
    names,
    range_words,
    resolution_words,
    share_words,
    span_words,
    title,
    values_of,
)
from ui.attention.query_params import CELLS, COLOURS, FACES, SCALES, TARGETS, VIEWS, key
from ui.attention.session import Subject
from ui.common.charts import CONFIG
from ui.common.images import data_url, image_url
from ui.common.pager import pager

if TYPE_CHECKING:
    from PIL.Image import Image

PERIOD, ROUNDS = 1.6, 3
"""Seconds a block is shown while playing, and how often it goes round."""
OVERVIEW = 256
"""Pixels of a face in the row of all blocks."""
OVERALL = {
    "effect": "How far each mask changes its block's output, in per cent of the output's average",
    "deviation": "How far the channels lie from their own means, on average",
    "mean": "Means over the channels",
    "max": "Maxima over the channels",
}
"""Views of a whole block, in words; the row of all blocks has no single channels."""
A_PAGE = 16
"""Channels shown at a time."""


def show(subject: Subject) -> None:
    """The masks of all blocks side by side, and the viewer behind them."""
    _side_by_side(subject)
    state.DETAILS_OPEN.set_default(bool(link.get("details")))
    words = (
        "Details: step through the blocks, single channels, trunk and output"
        if subject.own_masks
        else "Details: values and colours"
    )
    details = st.expander(
        words, icon=":material/zoom_in:", key=state.DETAILS_OPEN.key, on_change="rerun"
    )
    link.put("details", int(bool(details.open)))
    if not details.open:
        state.PLAYBACK.set(None)
        link.write()
        return
    with details:
        _details(subject)


def _side_by_side(subject: Subject) -> None:
    """A row of faces, one for each block with what its mask changes, or another view of it; for a
    model without masks, its saliency maps.
    """
    colours, found = link.get("colours"), blocks(subject) or list(SALIENCY)
    target, rows = link.get("target"), {}
    view = link.get("view") if link.get("view") in OVERALL else "effect"
    for name in found:
        of, _, _ = name.rpartition(".")
        if subject.own_masks:
            block = subject.maps().block(name)
            values = values_of(block, view)
            cells = f"{block.side} × {block.side} cells"
            words = f"{cells}, {_overview_words(values, view)}"
        else:
            values, words = (
                subject.saliency(name, target),
                f"saliency for the {target}, not its own mask",
            )
        face = over_face(
            subject,
            values,
            colours,
            limits(values, link.get("scale")),
            "sharp",
            False,
            link.get("opacity"),
            OVERVIEW,
        )
        rows.setdefault(of, []).append((image_url(face), title(name), words))
    for items in rows.values():
        st.html(images_row(items).replace('class="ag-maps', 'class="ag-maps ag-overview', 1))
    full = "from 0 to 1, or to the highest" if view == "effect" else "all from 0 to 1"
    each = "each on its own scale" if link.get("scale") == "own" else full
    st.html(
        '<div class="ag-scale"><span>low</span><i style="background:linear-gradient(to'
        f' right,{",".join(STOPS[colours])})"></i><span>high</span></div><p class="ag-quiet'
        f' ag-small">{OVERALL[view] if subject.own_masks else "Relative values"}, {each}.</p>'
    )


def _overview_words(values: np.ndarray, view: str) -> str:
    """«1–131 %» of an effect, «0.12–0.83» of a mask, or that there is nothing to see."""
    if view == "effect":
        return "no effect: under 1 % everywhere" if values.max() < FLAT else share_words(values)
    return "flat: it prefers no place" if np.ptp(values) < FLAT else span_words(values)


def _details(subject: Subject) -> None:
    playing = state.PLAYBACK.get() is not None
    st.fragment(_viewer, run_every=PERIOD if playing else None)(subject, playing)


def _viewer(subject: Subject, ticking: bool) -> None:
    """``ticking``: whether the timer runs, which only a run of the whole page can change."""
    stops = blocks(subject)
    _advance(stops)
    if ticking != (state.PLAYBACK.get() is not None):
        st.rerun()
    name = link.coerce_to_options("block", names(subject))
    _stepper(subject, stops)
    left, right = st.columns([5, 7], gap="medium")
    with right:
        _which(name)
        shown = layer(subject, name)
        st.html(_words(shown, subject.info.input.size))
        if shown.block is not None:
            _around(shown)
            if link.get("view") == "channel":
                _strip(shown)
        export.buttons(subject, shown)
    with left, st.container(key="attention-picture"):
        _image(subject, shown)
    link.write()


def _stepper(subject: Subject, stops: list[str]) -> None:
    """The blocks beside each other, and buttons to go through them, by key too."""
    sides = {block.name: block.side for block in subject.maps().blocks} if subject.own_masks else {}
    with st.container(horizontal=True, vertical_alignment="bottom", key="attention-steps"):
        st.segmented_control(
            "Look at",
            names(subject),
            required=True,
            format_func=lambda name: (
                f"{title(name)} · {sides[name]} × {sides[name]}"
                if name in sides
                else f"{title(name)} (saliency)"
            ),
            key=key("block"),
            persist_state="session",
            wrap=True,
        )
        if not sides:
            return
        st.button(
            "Back",
            icon=":material/skip_previous:",
            key="attention-back",
            shortcut="P",
            on_click=_step,
            args=(stops, -1),
        )
        st.button(
            "Next",
            icon=":material/skip_next:",
            key="attention-next",
            shortcut="N",
            on_click=_step,
            args=(stops, 1),
        )
        label, icon = (
            ("Play", ":material/play_arrow:")
            if state.PLAYBACK.get() is None
            else ("Pause", ":material/pause:")
        )
        st.button(label, icon=icon, key="attention-play-button", on_click=_play, args=(stops,))


def _play(stops: list[str]) -> None:
    """Start or stop."""
    playing = state.PLAYBACK.get() is not None
    state.PLAYBACK.set(None if playing else {"left": ROUNDS * len(stops), "since": monotonic()})


def _step(stops: list[str], by: int) -> None:
    """To the next stop or the one before, round and round."""
    now = link.get("block")
    link.put("block", stops[(stops.index(now) + by) % len(stops)] if now in stops else stops[0])


def _advance(stops: list[str]) -> None:
    """One step on where the video is playing and the timer has run; a control moved in between does
    not push it.
    """
    playback = state.PLAYBACK.get()
    if not stops:
        state.PLAYBACK.set(None)
        return
    if playback is None or monotonic() - playback["since"] < 0.8 * PERIOD:
        return
    if playback["left"] <= 0:
        state.PLAYBACK.set(None)
        return
    _step(stops, 1)
    state.PLAYBACK.set({"left": playback["left"] - 1, "since": monotonic()})


def _which(name: str) -> None:
    """Which view of the mask, or what saliency is asked about."""
    if name in SALIENCY:
        st.segmented_control(
            "Saliency for",
            list(TARGETS),
            required=True,
            format_func=TARGETS.get,
            key=key("target"),
            persist_state="session",
        )
    else:
        st.segmented_control(
            "Show",
            list(VIEWS),
            required=True,
            format_func=VIEWS.get,
            key=key("view"),
            persist_state="session",
        )


def _words(shown: Layer, side: int) -> str:
    """What the map is, how fine, between which values, and what the gate does with it."""
    lines = [resolution_words(shown.values, side), range_words(shown)]
    if shown.block is None:
        from agegender_core.explain.saliency import METHODS

        lines.insert(
            0, f"{METHODS[shown.name]}. Computed from outside: it is not the model's own mask."
        )
    else:
        lines += [channel_words(shown.block), shown.block.gate_words()]
    head = f'<p class="ag-map-title"><b>{escape(shown.title)}</b>, {escape(shown.view)}</p>'
    return (
        head
        + '<ul class="ag-lines">'
        + "".join(f"<li>{escape(line)}</li>" for line in lines)
        + "</ul>"
    )


def _image(subject: Subject, shown: Layer) -> None:
    """The map over the face, with how it is drawn below it."""
    crop = subject.prediction.crop
    face = (
        data_url(subject.sharp(), "image/jpeg")
        if link.get("under") == "sharp"
        else image_url(_big(crop), "PNG")
    )
    figure = overlay(
        shown.values,
        face,
        crop.width,
        name=link.get("colours"),
        span=limits(shown.values, link.get("scale")),
        opacity=link.get("opacity") / 100,
        smooth=link.get("cells") == "smooth",
    )
    st.plotly_chart(
        figure,
        width="stretch",
        config=CONFIG,
        key="attention-overlay",
        alt=f"{shown.about}. {range_words(shown)}",
    )
    if link.get("cells") == "smooth":
        st.caption(f"Drawn smoothly: between its {shown.values.size} cells the map knows nothing.")
    _drawing_controls()


def _drawing_controls() -> None:
    """How the map is drawn: opacity and cells at hand, the rest folded away."""
    st.slider(
        "Opacity of the map",
        0,
        100,
        step=5,
        format="%d %%",
        key=key("opacity"),
        persist_state="session",
    )
    st.segmented_control(
        "Cells",
        list(CELLS),
        required=True,
        format_func=CELLS.get,
        key=key("cells"),
        persist_state="session",
        label_visibility="collapsed",
    )
    with st.expander("Colours, scale and face", icon=":material/palette:"):
        options = (
            ("colours", "Colours", COLOURS),
            ("scale", "Scale of the colours", SCALES),
            ("under", "Face", FACES),
        )
        for name, label, words in options:
            st.segmented_control(
                label,
                list(words),
                required=True,
                format_func=words.get,
                key=key(name),
                persist_state="session",
            )
        st.caption(
            "Flat masks are always drawn from 0 to 1: stretched, their rounding errors would look"
            " like an image."
        )


def _big(crop: Image) -> Image:
    """Each pixel as a grey square: browsers would smooth it, and colours belong to the map."""
    return crop.convert("L").resize((crop.width * 8, crop.height * 8), 0)  # 0: nearest


def _around(shown: Layer) -> None:
    """The three beside each other."""
    colours = link.get("colours")
    items = [
        (small_png(values, colours, *span), name, span_words(values))
        for name, values, span in around(shown)
    ]
    st.html(images_row(items, smooth=link.get("cells") == "smooth"))
    of = "this channel" if shown.channel is not None else "the mean over the channels"
    top = around(shown)[0][2][1]
    st.html(
        bar(colours, 0, top)
        + f'<p class="ag-quiet ag-small">Trunk and output: size of the features, {of}, on one'
        " scale.</p>"
    )


def _strip(shown: Layer) -> None:
    """Single channels to choose from, those first whose mask varies most."""
    assert shown.block is not None
    order, colours = shown.block.by_activity(), link.get("colours")
    pages = -(-len(order) // A_PAGE)
    page = pager(pages, f"attention-page-{len(order)}")
    with st.container(horizontal=True, gap="xsmall", key="attention-channels"):
        for channel in order[(page - 1) * A_PAGE : page * A_PAGE].tolist():
            values = shown.block.mask[channel]
            image = small_png(values, colours, *limits(values, link.get("scale")))
            st.button(
                f"![channel {channel}]({image}) {channel}",
                key=f"attention-channel-{channel}",
                type="primary" if channel == shown.channel else "secondary",
                on_click=link.put,
                args=("channel", channel),
            )
    st.caption(
        "Channels from the one that varies most over this face to the flattest, each on its own"
        " scale, flat ones from 0 to 1; the number is the channel's own."
        if link.get("scale") == "own"
        else (
            "Channels from the one that varies most over this face to the flattest; the number is"
            " the channel's own."
        )
    )
