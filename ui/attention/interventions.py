"""«Does it matter?»: masks switched off, flattened or shuffled, and what becomes of the answer."""

from __future__ import annotations

from html import escape

import streamlit as st

from agegender_core.types import AgeEstimate, Categorical
from ui.attention import query_params as link
from ui.attention import state
from ui.attention.covers import read_word
from ui.attention.figures import before_after
from ui.attention.layers import blocks, title
from ui.attention.mask_changes import all_changed, set_all
from ui.attention.session import Estimate, Subject
from ui.common.charts import CONFIG, with_en_dash
from ui.common.result_card import choice, interval_words, range_words, undecided
from ui.common.state import count_up

WORDS = {"own": "Its own", "off": "Off", "mean": "Mean", "shuffled": "Shuffled"}
"""Short names of ``CHANGES``."""
LITTLE_YEARS, LITTLE_SHARE = 0.1, 0.001
"""Movements below these are called none."""


@st.fragment
def show(subject: Subject) -> None:
    """Controls, and the answer before beside after."""
    left, right = st.columns([7, 5], gap="large")
    with right:
        changes = _mask_controls(subject)
        cover = read_word(link.get("cover"), subject.info.input.size)
        if cover is not None:
            st.caption(f"{100 * cover.share:.0f} % of the face is covered too, on the first tab.")
            st.button("Uncover the face", key="attention-uncover", on_click=_uncover)
    with left, st.container(key="attention-answer", gap="small"):
        before = subject.answered({})
        after = subject.answered(changes, state.SEED.get(), cover)
        st.html(cards(before, after))
        touched = cover is not None or any(change != "own" for change in changes.values())
        words = moved_words(before, after) if touched else "Nothing is changed yet."
        st.html(f'<p class="ag-moved">{escape(words)}</p>')
        figure = before_after(before[0], after[0])
        if figure is None:
            st.caption(
                "This model gives one number and no distribution, so there is no curve to show."
            )
        else:
            st.plotly_chart(
                figure,
                width="stretch",
                config=CONFIG,
                key="attention-before-after",
                alt="Distribution of ages before and after",
            )


def _mask_controls(subject: Subject) -> dict[str, str]:
    """Controls of what each block's mask is changed to; the changes."""
    found = blocks(subject)
    if not found:
        st.info(
            "This model has no masks of its own to switch off. Cover the face instead, on the"
            " first tab.",
            icon=":material/info:",
        )
        return {}
    from agegender_core.explain.attention import CHANGES

    st.markdown("**Change the masks**")
    changes = {}
    for name in found:
        state.mask_change(name).set_default("own")
        changes[name] = st.segmented_control(
            title(name),
            list(WORDS),
            required=True,
            format_func=WORDS.get,
            key=state.mask_change(name).key,
            persist_state="session",
        )
    with st.container(horizontal=True, key="attention-all"):
        for change, label in (("own", "Reset"), ("off", "All off"), ("shuffled", "All shuffled")):
            st.button(label, key=f"attention-all-{change}", on_click=set_all, args=(found, change))
        st.button(
            "Shuffle again",
            icon=":material/shuffle:",
            key="attention-reshuffle",
            on_click=_reshuffle,
            disabled="shuffled" not in changes.values(),
        )
    lines = "".join(
        f"<li><b>{WORDS[change]}</b>: {escape(words)}</li>"
        for change, words in CHANGES.items()
        if change != "own"
    )
    st.html(f'<ul class="ag-lines ag-small">{lines}</ul>')
    if state.FLATTEN.get() != all_changed(found, "mean"):
        st.rerun()  # the switch above the tabs and its sentence follow
    return changes


def _uncover() -> None:
    link.put("cover", None)
    count_up(state.PAD_VERSION)


def _reshuffle() -> None:
    count_up(state.SEED)


def cards(before: Estimate, after: Estimate) -> str:
    """HTML of the two answers beside each other."""
    pair = _card("As it is", *before) + _card("Changed", *after, measured=False)
    return f'<div class="ag-pair">{pair}</div>'


def _card(head: str, age: AgeEstimate, gender: Categorical | None, measured: bool = True) -> str:
    """``measured``: whether the interval's coverage was measured; for changed masks and covered
    faces it was not.
    """
    age_text = with_en_dash(age.ranges.label) if age.ranges is not None else f"{age.years:.1f}"
    words = range_words(age) if age.ranges is not None else interval_words(age)
    if not measured and age.interval is not None:
        words = (
            f"{age.interval[0]:.0f}–{age.interval[1]:.0f} by the same rule; how often that holds"
            " was not measured."
        )
    return (
        f'<div><span class="ag-quiet">{head}</span>'
        f'<div class="ag-age"><b>{escape(age_text)}</b><span>years</span></div>'
        f'<div class="ag-interval">{escape(words)}</div>'
        f"{'' if gender is None else choice(gender) + undecided(gender)}</div>"
    )


def moved_words(before: Estimate, after: Estimate) -> str:
    """«3.2 years older. Female from 97.1 % to 88.0 %.», or that nothing moves."""
    (old, old_gender), (new, new_gender) = before, after
    years = new.years - old.years
    parts = (
        []
        if abs(years) < LITTLE_YEARS
        else [f"{abs(years):.1f} years {'older' if years > 0 else 'younger'}."]
    )
    if old.ranges is not None and new.ranges is not None and old.ranges.label != new.ranges.label:
        parts.append(
            f"The likeliest range moves from {with_en_dash(old.ranges.label)} to"
            f" {with_en_dash(new.ranges.label)}."
        )
    if old_gender is not None and new_gender is not None:
        parts += _gender_moved(old_gender, new_gender)
    if not parts:
        return (
            "Almost nothing changes: for this face, what was changed does not matter to the answer."
        )
    return " ".join(parts)


def _gender_moved(old: Categorical, new: Categorical) -> list[str]:
    if old.probs is None or new.probs is None:
        return [] if old.label == new.label else [f"{old.label} turns into {new.label}."]
    share = new.probs[old.index]
    if abs(share - old.probs[old.index]) < LITTLE_SHARE:
        return []
    turned = "" if old.label == new.label else f", so the answer turns into {new.label}"
    return [f"{old.label} from {100 * old.probs[old.index]:.1f} % to {100 * share:.1f} %{turned}."]
