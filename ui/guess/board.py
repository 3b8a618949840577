"""What the Guess page shows: the face and the question, then the answers, and the running score."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pandas as pd
import streamlit as st

from agegender_core.errors import (
    AgeGenderError,
    ConfigError,
    DatasetError,
    DetectorError,
    WeightsError,
)
from agegender_core.labels import MAX_AGE
from ui.common import gated, messages
from ui.common.images import image_url
from ui.common.messages import plain
from ui.guess import faces, figures, game, session, setup
from ui.guess import query_params as link
from ui.guess.faces import SAMPLES, Pool
from ui.guess.game import Played

HERE = Path(__file__).parent
CSS = HERE / "guess.css"
START = 35
"""Where the slider stands before the visitor moves it."""
SHOWN, THUMB = 512, 48
"""Longest side of the face on the page, and of those in the table, in pixels."""
ALT = "A face: guess its age"
_KEYS = st.components.v2.component(
    "agegender-guess-keys",
    html="<span></span>",
    js=(HERE / "keys.js").read_text(encoding="utf-8"),
)


def show(pool: Pool, model: str, number: int) -> None:
    """Face ``number`` of the game, and all that belongs to it."""
    record = pool.at(link.get("seed"), number)
    guessed = session.guesses().get(number)
    left, right = st.columns([4, 7], gap="medium")
    with left, st.container(key="guess-face"):
        seen = _face(pool, number)
    with right, st.container(key="guess-panel", gap="small"):
        if not seen:
            _next(pool, number)
            return
        slider = f"guess-age-{pool.name}-{link.get('seed')}-{number}"
        if guessed is None:
            _question(number, slider)
        else:
            _reveal(pool, model, number)
        _score(pool, model)
        with st.container(key="guess-keys"):
            version = f"{slider}-{guessed is not None}"
            data = {"slider": slider, "guessed": guessed is not None, "version": version}
            _KEYS(key="guess-keys-component", data=data)
    if guessed is None:
        session.prepare(pool, record, model)


def _face(pool: Pool, number: int) -> bool:
    """The face to guess; whether it could be shown."""
    record = pool.at(link.get("seed"), number)
    try:
        image = gated.image(faces.image(pool, record))
    except AgeGenderError as error:
        _failed(f"face {number}", error)
        return False
    image.thumbnail((SHOWN, SHOWN))
    st.image(image, width="stretch", alt=ALT)
    count = len(pool.records)
    which = f"Face {number:,} of {count:,}" if count > 1 else "One face"
    st.caption(f"{which} · {plain(pool.origin)}")
    return True


def _failed(name: str, error: AgeGenderError) -> None:
    """A face without an image or an answer; what names the server's files goes to its log."""
    if isinstance(error, DatasetError):
        setup.cannot_read(error)
    elif isinstance(error, (WeightsError, DetectorError, ConfigError)):
        messages.cannot_start(error)
    else:
        messages.failed([(name, error)])


def _question(number: int, slider: str) -> None:
    st.subheader("How old is this face?", anchor=False)
    st.slider("Your guess, in years", 0, MAX_AGE, START, key=slider)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Guess",
            type="primary",
            icon=":material/check:",
            key="guess-now",
            on_click=session.guess,
            args=(number, slider),
        )
        with st.container(key="guess-hint", width="content"):
            st.caption("Arrows and Enter work, too.", width="content")


def _reveal(pool: Pool, model: str, number: int) -> None:
    """Label, guess and answer of a face that was guessed."""
    record = pool.at(link.get("seed"), number)
    try:
        answer = session.answer(pool, record, model)
    except AgeGenderError as error:
        _failed("this face", error)
        _next(pool, number)
        return
    guess = session.guesses()[number]
    if isinstance(answer, session.NoAnswer) or record.age is None:
        why = answer.why if isinstance(answer, session.NoAnswer) else ""
        st.info(f"Label: {record.age} years. {why}", icon=":material/search_off:")
    else:
        one = Played(record.age, guess, answer, record.subject)
        words = f"The label says {record.age}. {game.verdict(one)}"
        st.html(f'<p class="ag-guess-verdict" role="status">{escape(words)}</p>')
        st.html(figures.comparison(one))
    _next(pool, number)


def _next(pool: Pool, number: int) -> None:
    last = number >= len(pool.records)
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(pool.records) > 1:
            st.button(
                "New game" if last else "Next face",
                type="primary",
                icon=":material/arrow_forward:",
                key="guess-next",
                on_click=session.next_face,
                args=(number, len(pool.records)),
            )
        st.button(
            "Start again",
            icon=":material/restart_alt:",
            type="tertiary",
            key="guess-restart",
            on_click=session.start_again,
        )


def _score(pool: Pool, model: str) -> None:
    """The running score, once there is one."""
    try:
        played = session.played(pool, model)
    except AgeGenderError:
        return  # what is wrong is said above, where the answer would be
    found = game.score(list(played.values()))
    if found is None:
        return
    with st.container(border=True, key="guess-score", gap="xsmall"):
        small = game.interval_words(found)
        lead = game.lead_words(found) if len(pool.records) >= game.LEAST else ""
        st.html(
            f'<p class="ag-guess-score">{f"<b>{escape(lead)}</b>" if lead else ""}'
            f"<span>{escape(game.score_words(found))}</span>"
            f"{f'<small>{escape(small)}</small>' if small else ''}</p>"
        )
        if len(played) > 1:
            with st.expander("All faces so far", icon=":material/table_rows:"):
                _table(pool, played)


def _table(pool: Pool, played: dict[int, Played]) -> None:
    rows = [
        {
            "": number,
            "Face": _thumbnail(pool, number),
            "Label": one.label,
            "You": one.guess,
            "Model": one.answer,
            "Closer": {"You were closer.": "You", "A draw.": "draw"}.get(
                game.verdict(one), "Model"
            ),
        }
        for number, one in sorted(played.items(), reverse=True)
    ]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        row_height=THUMB + 4,
        height=min(360, (THUMB + 4) * (len(rows) + 1)),
        column_config={
            "": st.column_config.NumberColumn(width=44),
            "Face": st.column_config.ImageColumn(width=60),
            "Model": st.column_config.NumberColumn(format="%.1f"),
        },
        alt="Label, your guess and the model's answer for each face",
    )


def _thumbnail(pool: Pool, number: int) -> str | None:
    try:
        image = gated.image(faces.image(pool, pool.at(link.get("seed"), number)))
    except AgeGenderError:
        return None
    image.thumbnail((THUMB, THUMB))
    return image_url(image, quality=85)


def about(pool: Pool, title: str) -> None:
    """What one plays with, and how to let others have the same faces."""
    if pool.name == SAMPLES:
        st.info(
            "The face datasets are not here, so there is one face: the one portrait that ships"
            " with this app and has a documented age (taken in January 1984, born on 9 December"
            " 1906). The age on the astronaut's portrait is not documented, so it is not used. If"
            " this is your installation: set AGEGENDER_DATA to the folder with the datasets.",
            title="Only a sample",
            icon=":material/portrait:",
        )
        return
    with st.container(key="guess-about"):
        st.caption(
            f"{plain(title)} was not trained on these faces. Labels can be wrong."
            f" [Link to these faces, from the first]({link.link()}) (opens in a new tab)."
            " Guesses are kept in this visit only."
        )
