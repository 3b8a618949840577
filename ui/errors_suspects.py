"""Labels that may be wrong: several networks agree against them, or near-duplicates have different ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from agegender_core.error_analysis.suspects import LEAST_YEARS, label_suspects
from ui import errors_data, errors_gallery, errors_twins
from ui import errors_link as link
from ui.errors_data import Scope
from ui.errors_link import key
from ui.errors_pictures import Pictures
from ui.errors_words import label_age
from ui.messages import plain

TASKS = {"age": "Age", "gender": "Gender", "race": "Race"}


def show(scope: Scope, pictures: Pictures) -> None:
    """Suspects by agreement, then near-duplicates."""
    st.caption(
        "Agreement is a reason to look, and no proof: networks trained on the same pictures make the same mistakes. An error in age counts "
        f"only beyond the one usual at that age, and from {LEAST_YEARS:g} years on."
    )
    _agreement(scope, pictures)
    errors_twins.show(scope, pictures)


def tasks_of(scope: Scope) -> list[str]:
    """Tasks that the set labels and at least two networks answer."""
    tasks = []
    for task in TASKS:
        right = "error" if task == "age" else f"{task}_right"
        if sum(scope.table.of(name)[right].notna().any() for name in scope.table.weights) >= 2:
            tasks.append(task)
    return tasks


def _agreement(scope: Scope, pictures: Pictures) -> None:
    tasks = tasks_of(scope)
    if not tasks:
        st.info(
            f"It takes the answers of two networks or more on labels of {plain(scope.title)}: run «python -m agegender_core evaluate» for "
            "a second one.",
            title="One network alone proves nothing",
            icon=":material/fact_check:",
        )
        return
    task = link.hold("task", tasks)
    right = "error" if task == "age" else f"{task}_right"
    able = [name for name in scope.table.weights if scope.table.of(name)[right].notna().any()]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task = st.segmented_control(
            "Label", tasks, required=True, format_func=TASKS.get, key=key("task"), on_change=link.first_page, persist_state="session"
        )  # fmt: skip
        most = len(able)
        agreeing = st.slider(
            "Networks that agree against it", 2, most, max(2, most - 1), key=f"errors-agreeing-{task}-{most}", on_change=link.first_page,
            width=320,
        ) if most > 2 else 2  # fmt: skip
    found = scope.result("suspects", lambda: label_suspects(scope.table, task, able, agreeing), task, agreeing, *able)
    found = found[scope.mask[found["row"].to_numpy(int)]]
    st.subheader(f"{len(found):,} labels to look at", anchor=False)
    if not len(found):
        st.markdown(f"No {task} label of the chosen pictures has {agreeing} of {most} networks against it.")
        return
    errors_gallery.show(
        scope, pictures, found["row"].to_numpy(int), f"suspects-{task}", _words(scope, task, able, found),
        "the label → what the networks say, and how many of them contradict the label alike",
    )  # fmt: skip
    with st.expander("As a table, with every network's answer", icon=":material/table:"):
        table = found.drop(columns="row")
        st.dataframe(
            table, hide_index=True, width="stretch", key=f"errors-suspects-{task}", placeholder="–",
            column_config={"answers": st.column_config.TextColumn(width="large")},
        )  # fmt: skip
        st.download_button(
            "Table as CSV", lambda: table.to_csv(index=False), f"{scope.table.set}-{task}-suspects.csv", "text/csv",
            icon=":material/table:", key="errors-suspects-csv", on_click="ignore",
        )  # fmt: skip
        st.caption(f"Networks asked: {plain(', '.join(map(errors_data.title, able)))}.")


def _words(scope: Scope, task: str, able: Sequence[str], found: pd.DataFrame) -> Callable[[int], tuple[str, str]]:
    """What stands under a suspect: its label against the middle or the commonest of the contradicting answers, and how many they are."""
    agree = dict(zip(found["row"], found["agree"], strict=True))
    answers = pd.DataFrame({name: scope.table.of(name)[f"{task}_pred"] for name in able})

    def words(row: int) -> tuple[str, str]:
        labels, given = scope.table.labels.iloc[row], answers.iloc[row].dropna()
        label = label_age(labels) if task == "age" else labels[f"{task}_true"]
        said = f"{np.median(given):.0f}" if task == "age" else Counter(given[given != label]).most_common(1)[0][0]
        return f"{label} → {said}", f"{agree[row]} of {len(able)} agree"

    return words
