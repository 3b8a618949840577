"""Suspicious labels: those that several models contradict alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from agegender_core.analysis.label_issues import MIN_YEARS, find_label_issues
from agegender_core.output.csv_tables import frame_csv, safe_frame
from ui.common.messages import plain
from ui.errors import data, gallery
from ui.errors import query_params as link
from ui.errors.data import Scope
from ui.errors.images import ImageSource
from ui.errors.query_params import key
from ui.errors.text import label_age

TASKS = {"age": "Age", "gender": "Gender", "race": "Race"}


def show(scope: Scope, image_source: ImageSource) -> None:
    """A gallery of the labels most models contradict."""
    st.caption(
        "Agreement is a reason to check, and no proof: models trained on the same images make the"
        " same mistakes. An error in age counts only beyond the one usual at that age, and from"
        f" {MIN_YEARS:g} years on."
    )
    _agreement(scope, image_source)


def tasks_of(scope: Scope) -> list[str]:
    """Tasks that the dataset labels and at least two models answer."""
    tasks = []
    for task in TASKS:
        right = "error" if task == "age" else f"{task}_right"
        if (
            sum(
                scope.table.predictions_for(name)[right].notna().any()
                for name in scope.table.weights
            )
            >= 2
        ):
            tasks.append(task)
    return tasks


def _agreement(scope: Scope, image_source: ImageSource) -> None:
    """Labels that several models contradict alike: the choice of label and of how many models, the
    images, and the table.
    """
    tasks = tasks_of(scope)
    if not tasks:
        st.info(
            f"Label checks need predictions of two models or more on {plain(scope.title)}: run"
            " «agegender evaluate» for a second one.",
            title="One model alone proves nothing",
            icon=":material/fact_check:",
        )
        return
    task, agreeing, able = _choices(scope, tasks)
    found = scope.result(
        "suspects",
        lambda: find_label_issues(scope.table, task, able, agreeing),
        task,
        agreeing,
        *able,
    )
    found = found[scope.mask[found["row"].to_numpy(int)]]
    st.subheader(f"{len(found):,} labels to check", anchor=False)
    if not len(found):
        st.markdown(
            f"No {task} label of these images is contradicted by {agreeing} of {len(able)} models."
        )
        return
    gallery.show(
        scope,
        image_source,
        found["row"].to_numpy(int),
        f"suspects-{task}",
        _words(scope, task, able, found),
        "the label → what the models answer, and how many of them contradict the label alike",
    )
    _table(scope, task, able, found)


def _choices(scope: Scope, tasks: list[str]) -> tuple[str, int, list[str]]:
    """The label that is checked, how many models must contradict it, and those that answer it."""
    task = link.coerce_to_options("task", tasks)
    right = "error" if task == "age" else f"{task}_right"
    able = [
        name
        for name in scope.table.weights
        if scope.table.predictions_for(name)[right].notna().any()
    ]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task = st.segmented_control(
            "Label",
            tasks,
            required=True,
            format_func=TASKS.get,
            key=key("task"),
            on_change=link.first_page,
            persist_state="session",
        )
        most = len(able)
        agreeing = (
            st.slider(
                "Models that contradict it",
                2,
                most,
                max(2, most - 1),
                key=f"errors-agreeing-{task}-{most}",
                on_change=link.first_page,
                width=320,
            )
            if most > 2
            else 2
        )
    return task, agreeing, able


def _table(scope: Scope, task: str, able: Sequence[str], found: pd.DataFrame) -> None:
    """All labels to check with every model's answer, to read and to download."""
    with st.expander("As a table, with every model's answer", icon=":material/table:"):
        table = found.drop(columns="row")
        st.dataframe(
            safe_frame(table),
            hide_index=True,
            width="stretch",
            key=f"errors-suspects-{task}",
            placeholder="–",
            column_config={"answers": st.column_config.TextColumn(width="large")},
        )
        st.download_button(
            "Table as CSV",
            lambda: frame_csv(table),
            f"{scope.table.dataset}-{task}-suspects.csv",
            "text/csv",
            icon=":material/table:",
            key="errors-suspects-csv",
            on_click="ignore",
        )
        st.caption(f"Models: {plain(', '.join(map(data.title, able)))}.")


def _words(
    scope: Scope, task: str, able: Sequence[str], found: pd.DataFrame
) -> Callable[[int], tuple[str, str]]:
    """What stands under a suspicious label: that label against the middle or the commonest of the
    contradicting answers, and how many they are.
    """
    agree = dict(zip(found["row"], found["agree"], strict=True))
    answers = pd.DataFrame(
        {name: scope.table.predictions_for(name)[f"{task}_pred"] for name in able}
    )

    def words(row: int) -> tuple[str, str]:
        labels, row_answers = scope.table.labels.iloc[row], answers.iloc[row].dropna()
        label = label_age(labels) if task == "age" else labels[f"{task}_true"]
        others = Counter(row_answers[row_answers != label])
        common = f"{np.median(row_answers):.0f}" if task == "age" else others.most_common(1)[0][0]
        return f"{label} → {common}", f"{agree[row]} of {len(able)} agree"

    return words
