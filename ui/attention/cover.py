"""«Cover the face»: a patch to move and a brush over the face itself, the age that follows, and the
patch that moves it most.
"""

from __future__ import annotations

from html import escape
from time import monotonic
from typing import Any

import streamlit as st

from ui.attention import cover_share, state
from ui.attention import query_params as link
from ui.attention.components import age_gauge, cover_pad
from ui.attention.covers import Cover, read_pad, read_word
from ui.attention.figures import before_after
from ui.attention.finding import signed
from ui.attention.interventions import moved_words
from ui.attention.layers import blocks
from ui.attention.mask_changes import changes_of
from ui.attention.session import Estimate, Subject, cached
from ui.common import gated
from ui.common.charts import CONFIG, with_en_dash
from ui.common.images import data_url
from ui.common.state import count_up

SEARCHES = (
    (True, "Find the patch that ages this face most", ":material/trending_up:"),
    (False, "… that makes it younger", ":material/trending_down:"),
)
PATCH_SHARE = 4
"""A new patch's side is the crop's divided by this."""


@st.fragment
def show(subject: Subject) -> None:
    """The face on the left, what becomes of its age on the right."""
    size = subject.info.input.size
    cover = read_word(link.get("cover"), size) or Cover(size)
    left, right = st.columns([5, 6], gap="large")
    with right, st.container(key="attention-cover-answer", gap="small"):
        answer = st.container(gap="small")  # above the search, whose patch it shows
        cover = _search(subject, cover)
        with answer:
            _answer(subject, cover)
        st.caption("This page's address saves these settings, not your photo.")
    with left:
        version = f"{subject.key[1][:12]}-{size}-{state.PAD_VERSION.get()}"
        face = data_url(subject.sharp(), "image/jpeg")
        alt = (
            f"Face {subject.index + 1} of {subject.answer.image.name}, as the model crops it, in"
            " grey"
        )
        cover_pad(face, alt, cover, size // PATCH_SHARE, version, lambda: _covered(size))
    link.write()


def age_words(estimate: Estimate) -> str:
    """«38.9 years», or the likeliest range."""
    age = estimate[0]
    return (
        f"{with_en_dash(age.ranges.label) if age.ranges is not None else f'{age.years:.1f}'} years"
    )


def _covered(size: int) -> None:
    """Take over what the visitor covered in the browser."""
    cover = read_pad((state.PAD.get() or {}).get("cover"), size)
    link.put("cover", cover.word() if cover else None)
    state.SEARCH_RESULT.clear()


def _answer(subject: Subject, cover: Cover) -> None:
    """The needle, the curve and one sentence."""
    names = blocks(subject)
    changes, seed = changes_of(names), state.SEED.get()
    before = subject.answered({})
    after = subject.answered(changes, seed, cover)
    touched = bool(cover.word()) or any(change != "own" for change in changes.values())
    age_gauge(before[0], after[0], age_words(after), age_words(before), touched)
    if not touched:
        words = "Click the face, or drag over it: the age follows."
    else:
        parts = [f"{100 * cover.share:.0f} % of the face covered" if cover.word() else ""]
        parts += ["masks changed" if any(change != "own" for change in changes.values()) else ""]
        what = " and ".join(filter(None, parts)).capitalize()
        words = f"{what}: {moved_words(before, after)}"
    st.html(f'<p class="ag-moved" role="status">{escape(words)}</p>')
    if before[0].probs is None and (figure := before_after(before[0], after[0])) is not None:
        st.plotly_chart(
            figure,
            width="stretch",
            config=CONFIG,
            key="attention-cover-ranges",
            alt="Age ranges before and after",
        )
    if touched:
        cover_share.button(subject, cover, before, after, what)


def _search(subject: Subject, cover: Cover) -> Cover:
    """The two buttons, and the patch one of them found; the cover to be shown."""
    size = subject.info.input.size
    side = cover.patch[2] if cover.patch else size // PATCH_SHARE
    with st.container(horizontal=True, key="attention-find"):
        for older, label, icon in SEARCHES:
            name = f"attention-find-{'older' if older else 'younger'}"
            st.button(
                label,
                icon=icon,
                key=name,
                on_click=state.SEARCH_FOR_OLDER.set,
                args=(older,),
            )
    if (older := state.SEARCH_FOR_OLDER.pop()) is not None:
        left, top, gain, places = _strongest(subject, side, older)
        if moves(gain, older):
            cover = Cover(size, (left, top, side))
            link.put("cover", cover.word())
            count_up(state.PAD_VERSION)
        state.SEARCH_RESULT.set(result_words(side, gain, places, older))
    if (result := state.SEARCH_RESULT.get()) is not None:
        st.html(f'<p class="ag-said" role="status">{escape(result)}</p>')
    return cover


def moves(gain: float, older: bool) -> bool:
    """Whether ``gain`` years go in the chosen direction, by more than rounding."""
    return (gain if older else -gain) >= 0.05


def result_words(side: int, gain: float, places: int, older: bool) -> str:
    """What the search found, in one sentence."""
    tried = f"{places} places tried with a patch of {side} × {side} pixels"
    if not moves(gain, older):
        return f"{tried}: none of them makes this face look {'older' if older else 'younger'}."
    return (
        f"{signed(gain, 1)} years: the patch that makes this face look"
        f" {'oldest' if older else 'youngest'} of {tried}."
    )


def _strongest(subject: Subject, side: int, older: bool) -> tuple[int, int, float, int]:
    """Left, top, change in years and the number of places; searched once for a face, a size and
    changed masks.
    """
    names = blocks(subject)
    changes, seed = changes_of(names), state.SEED.get()

    def make() -> Any:
        from agegender_core.explain.patch_search import patch_effects

        bar, start = st.progress(0.0, "Trying every place …"), monotonic()

        def report(done: int, total: int) -> None:
            left = (monotonic() - start) / max(done, 1) * (total - done)
            bar.progress(
                done / total, f"{done} of {total} places tried, about {max(1, round(left))} s left"
            )

        with gated.steps() as between:

            def step(done: int, total: int) -> None:
                between()
                report(done, total)

            found = patch_effects(
                subject.predictor.network,
                subject.info,
                subject.prediction.crop,
                side,
                changes,
                seed,
                step,
            )
        bar.empty()
        return found

    seed = seed if "shuffled" in changes.values() else 0
    found = cached("searches", (*subject.key, side, tuple(sorted(changes.items())), seed), make)
    left, top, gain = found.strongest(older)
    return left, top, gain, found.years.size
