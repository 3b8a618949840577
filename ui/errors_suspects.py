"""Labels that may be wrong: several networks agree against them, or near-duplicates have different ones."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from agegender_core.error_analysis.suspects import LEAST_YEARS, label_suspects, read_twins, twins_path
from ui import errors_data, errors_gallery, measured
from ui import errors_link as link
from ui.errors_data import Scope
from ui.errors_link import key
from ui.errors_pictures import Pictures
from ui.messages import plain

TASKS = {"age": "Age", "gender": "Gender", "race": "Race"}


def show(scope: Scope, pictures: Pictures) -> None:
    """Suspects by agreement, then near-duplicates."""
    st.caption(
        "Agreement is a reason to look, and no proof: networks trained on the same pictures make the same mistakes. An error in age counts "
        f"only beyond the one usual at that age, and from {LEAST_YEARS:g} years on."
    )
    _agreement(scope, pictures)
    _twins(scope)


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
    errors_gallery.show(scope, pictures, found["row"].to_numpy(int), f"suspects-{task}")
    with st.expander("As a table, with every network's answer", icon=":material/table:"):
        table = found.drop(columns="row")
        st.dataframe(table, hide_index=True, width="stretch", key=f"errors-suspects-{task}", placeholder="–")
        st.download_button(
            "Table as CSV", lambda: table.to_csv(index=False), f"{scope.table.set}-{task}-suspects.csv", "text/csv",
            icon=":material/table:",
            key="errors-suspects-csv", on_click="ignore",
        )  # fmt: skip
        st.caption(f"Networks asked: {plain(', '.join(map(errors_data.title, able)))}.")


@st.cache_data(max_entries=8, show_spinner=False)
def _read_twins(reports: str, set_name: str, stamp: int) -> pd.DataFrame | None:
    return read_twins(measured.REPORTS, set_name)


def _twins(scope: Scope) -> None:
    st.subheader("Near-duplicates with different labels", anchor=False)
    if scope.own:
        st.markdown("Near-duplicates are looked for in whole sets on the command line, not in uploads.")
        return
    path = twins_path(measured.REPORTS, scope.table.set)
    found = _read_twins(str(measured.REPORTS), scope.table.set, path.stat().st_mtime_ns if path.is_file() else 0)
    if found is None:
        st.info(
            f"Nobody has looked for near-duplicates in {plain(scope.title)} yet. Where its pictures are, run\n\n"
            f"    python -m agegender_core conditions --twins {scope.table.set}",
            icon=":material/content_copy:",
        )
        return
    if not len(found):
        st.markdown("None was found: near-duplicates of this set have the same labels.")
        return
    st.caption(
        f"{len(found):,} pairs over all splits of the set, the farthest apart first. Test splits keep one picture of each such group, so "
        "most of these are training pictures."
    )
    st.dataframe(found, hide_index=True, width="stretch", height=320, key="errors-twins", placeholder="–")
