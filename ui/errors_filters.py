"""The filter of the Errors page: what is labelled, what was answered, how the picture is."""

from __future__ import annotations

import streamlit as st

from agegender_core.error_analysis.conditions import CONDITIONS
from agegender_core.error_analysis.filters import VERDICTS, Filter
from agegender_core.error_analysis.table import UNLABELLED, ErrorTable
from agegender_core.errors import ConfigError
from ui import errors_link as link
from ui.charts import shown
from ui.errors_link import key
from ui.errors_words import LABELS_ARE, condition, filter_words
from ui.messages import plain

SETTLED = {"on_change": link.first_page, "persist_state": "session"}


def clear() -> None:
    """All filters off."""
    link.set_filter(Filter())


def labels_of(table: ErrorTable, dimension: str) -> list[str]:
    """Labels that occur, «unlabelled» last where some picture has none."""
    column = table.groups[dimension]
    present = column.value_counts()
    names = [name for name in column.cat.categories if present.get(name, 0)]
    return [*names, UNLABELLED] if names and column.isna().any() else names


def show(table: ErrorTable) -> Filter:
    """The widgets, folded away, and the filter they say; impossible ones are named and count as none."""
    try:
        words = filter_words(link.get_filter())
    except ConfigError:
        words = ["cannot be used as it is"]
    head = f"Filter: {'; '.join(words)}" if words else "Filter: all pictures"
    with st.expander(plain(head), icon=":material/filter_alt:", key="errors-filter"):
        _labels(table)
        _answers(table)
        _conditions(table)
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        left.text_input("Part of the file's name", key=key("file"), **SETTLED)
        right.button("Clear all", icon=":material/filter_alt_off:", key="errors-clear", on_click=clear, width="stretch")
        st.caption(LABELS_ARE)
    try:
        return link.get_filter()
    except ConfigError as error:
        st.warning(plain(str(error)), title="This filter cannot be used: all pictures are shown", icon=":material/filter_alt_off:")
        return Filter()


def _labels(table: ErrorTable) -> None:
    for column, dimension in zip(st.columns(3), ("age", "gender", "race"), strict=True):
        options = labels_of(table, dimension)
        _keep(dimension, options)
        with column:
            if options:
                st.multiselect(f"Labelled {dimension}", options, format_func=shown, key=key(dimension), placeholder="any", **SETTLED)
            else:
                st.multiselect(f"Labelled {dimension}", [], key=key(dimension), placeholder="not labelled in this set", disabled=True)


def _answers(table: ErrorTable) -> None:
    columns = st.columns(5)
    for column, task in zip(columns, ("age", "gender", "race"), strict=False):
        name = f"{task}_is"
        if st.session_state.get(key(name)) not in ("", *VERDICTS):
            link_put(name, "")
        column.selectbox(
            f"{task.capitalize()} answered", ["", *VERDICTS], format_func=lambda verdict: verdict or "either way", key=key(name),
            help="Right: within five years, or in the labelled range" if task == "age" else None, **SETTLED,
        )  # fmt: skip
    for column, name, label in zip(columns[3:], ("least", "most"), ("Off by at least", "Off by at most"), strict=True):
        column.number_input(label, 0.0, 120.0, None, 1.0, format="%g", key=key(name), placeholder="years", **SETTLED)


def _conditions(table: ErrorTable) -> None:
    if not table.measured:
        st.caption("Picture conditions (blurred, dark, small, from the side) have not been measured for this set.")
    options = [name for name in CONDITIONS if table.conditions[name].any()]
    for column, name, label in zip(st.columns(2), ("having", "lacking"), ("Picture is", "Picture is not"), strict=True):
        _keep(name, options)
        column.multiselect(label, options, format_func=condition, key=key(name), placeholder="any", disabled=not options, **SETTLED)


def _keep(name: str, options: list[str]) -> None:
    """Choices that this set does not have are dropped, or the widget would refuse them."""
    chosen = st.session_state.get(key(name)) or []
    if any(value not in options for value in chosen):
        link_put(name, [value for value in chosen if value in options])


def link_put(name: str, value: object) -> None:
    """Set a field of the filter before its widget is drawn."""
    st.session_state[key(name)] = value
