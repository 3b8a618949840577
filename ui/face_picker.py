"""Choosing: the weights that answer, the picture looked at, and the page of faces where a picture is crowded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from ui.answers import Answer
from ui.messages import plain

if TYPE_CHECKING:
    from agegender_core.weights import WeightsEntry

FACES_A_PAGE = 6
"""Each card holds a chart, and browsers get slow with dozens of them."""


def pick_weights(installed: Sequence[WeightsEntry], preferred: str | None) -> str:
    """Name of the weights to ask: ``preferred`` or the first of ``installed``, unless the visitor chooses among several."""
    titles = {entry.name: entry.title for entry in installed}
    names = list(titles)
    first = preferred or names[0]
    if first not in names:
        return first
    if len(names) < 2:
        st.markdown(f"Network: **{plain(titles[first])}**")
        return first
    return st.selectbox(
        "Network",
        names,
        names.index(first),
        format_func=titles.__getitem__,
        key="weights",
        persist_state="session",  # kept while another page is looked at
    )


def pick_answer(answers: Sequence[Answer]) -> Answer:
    """The answer to show: the only one, or the one chosen from a list of pictures."""
    if len(answers) == 1:
        return answers[0]
    labels = [f"{number}. {answer.picture.name}: {count_words(len(answer.predictions))}" for number, answer in enumerate(answers, start=1)]
    chosen = st.selectbox("Picture", range(len(answers)), format_func=labels.__getitem__, key="picture-choice", width=420)
    return answers[chosen]


def overview(answers: Sequence[Answer], unread: int) -> None:
    """One line on all pictures and a table of all their faces. ``unread``: how many more pictures had no answer."""
    rows = [row for answer in answers for row in answer.rows if row["face"] is not None]
    total = f"{len(answers) + unread} pictures, {count_words(len(rows))}"
    st.markdown(f"**{total}{f', {unread} not read' if unread else ''}**")
    spread = {"age_low": "From", "age_high": "To"} if any(row["age_low"] is not None for row in rows) else {"age_group": "Range"}
    columns = {"file": "Picture", "face": "Face", "age": "Age", **spread, "gender": "Gender"}
    table = pd.DataFrame(rows, columns=list(columns)).rename(columns=columns)
    with st.expander("All faces in one table", icon=":material/table_rows:"):
        whole = {name: st.column_config.NumberColumn(format="%.0f", width="small") for name in ("Age", "From", "To") if name in table}
        st.dataframe(table, hide_index=True, width="stretch", column_config=whole, alt="Age and gender of all faces")


def faces_page(answer: Answer) -> range:
    """Indices of the faces to show now; a pager stands above them where they fill more than one page."""
    count = len(answer.predictions)
    pages = -(-count // FACES_A_PAGE)
    if pages < 2:
        return range(count)
    page = st.pagination(pages, key=f"faces-page-{answer.picture.digest[:12]}")
    return range((page - 1) * FACES_A_PAGE, min(page * FACES_A_PAGE, count))


def count_words(faces: int) -> str:
    """«no face», «1 face», «2 faces»."""
    return "no face" if faces == 0 else f"{faces} face{'' if faces == 1 else 's'}"
