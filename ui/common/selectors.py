"""Choosing: the model that answers, and the image whose answer is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from agegender_core.output.csv_tables import safe_frame
from agegender_core.output.gender import gender_words
from ui.common import model_card
from ui.common.charts import with_en_dash
from ui.common.messages import plain
from ui.common.session_results import Answer
from ui.common.state import WEIGHTS

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo


def pick_weights(installed: Sequence[ModelInfo], preferred: str | None) -> str:
    """Name of the model that answers: ``preferred`` or the first of ``installed``, unless the
    visitor chooses among several.
    """
    titles = {info.name: info.title for info in installed}
    names = list(titles)
    first = preferred or names[0]
    if first not in names:
        return first
    if len(names) < 2:
        st.markdown(f"Model: **{plain(titles[first])}**")
        return first
    if WEIGHTS.get() not in names:
        WEIGHTS.set(first)
    return st.selectbox(
        "Model",
        names,
        format_func=titles.__getitem__,
        key=WEIGHTS.key,
        persist_state="session",  # stays while another page is open
    )


def offered(installed: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Those that a visitor may choose: not the ones that are here for comparison, unless there is
    nothing else.
    """
    return [info for info in installed if not info.for_comparison] or list(installed)


def pick_answer(answers: Sequence[Answer]) -> Answer:
    """The answer to show: the only one, or the one chosen from a list of images."""
    if len(answers) == 1:
        return answers[0]
    labels = [
        f"{number}. {answer.image.name}: {count_words(len(answer.predictions))}"
        for number, answer in enumerate(answers, start=1)
    ]
    chosen = st.selectbox(
        "Image",
        range(len(answers)),
        format_func=labels.__getitem__,
        key="picture-choice",
        width=420,
    )
    return answers[chosen]


def overview(answers: Sequence[Answer], unread: int) -> None:
    """One line on all images and a table of all their faces. ``unread``: how many more images had
    no answer.
    """
    rows = [
        row
        | {
            "age_group": with_en_dash(row["age_group"] or ""),
            "gender": gender_words(row["gender"], row["gender_probability"]),
        }
        for answer in answers
        for row in answer.rows
        if row["face"] is not None
    ]
    ranges = any(one.age.ranges is not None for answer in answers for one in answer.predictions)
    total = f"{len(answers) + unread} images, {count_words(len(rows))}"
    st.markdown(f"**{total}{f', {unread} not read' if unread else ''}**")
    if ranges:  # no year is known, only a range
        age = {"age_group": "Age"}
    elif any(row["age_low"] is not None for row in rows):
        age = {"age": "Age", "age_low": "From", "age_high": "To"}
    else:
        age = {"age": "Age", "age_group": "Range"}
    columns = {"file": "Image", "face": "Face", **age, "gender": "Gender"}
    table = pd.DataFrame(rows, columns=list(columns)).rename(columns=columns)
    with st.expander("All faces in one table", icon=":material/table_rows:"):
        whole = {
            name: st.column_config.NumberColumn(format="%.0f", width="small")
            for name in ("Age", "From", "To")
            if name in table and not ranges
        }
        st.dataframe(
            safe_frame(table),
            hide_index=True,
            width="stretch",
            column_config=whole,
            alt="Age and gender of all faces",
        )


def count_words(faces: int) -> str:
    """«no face», «1 face», «2 faces»."""
    return "no face" if faces == 0 else f"{faces} face{'' if faces == 1 else 's'}"


def answered_by(
    installed: Sequence[ModelInfo], preferred: str | None
) -> tuple[str, ModelInfo | None, Callable[[], object]]:
    """«Answered by …» and «change»: the model's name, and what is known of it; others are behind
    «change», with its card. Last, what to call where nothing was answered: the line says «Model …»
    then.
    """
    known = {info.name: info for info in installed}
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="answered-by"):
        line = st.empty()
        with st.popover("change", type="tertiary", width="content", key="change-model"):
            name = pick_weights(offered(installed), preferred)
            info = known.get(name)
            if info is not None:
                st.caption(plain(model_card.summary_line(info)))
                model_card.show(info)
        title = plain(info.title if info else name)
        line.caption(f"Answered by **{title}**", width="content")
    return name, info, lambda: line.caption(f"Model: **{title}**", width="content")
