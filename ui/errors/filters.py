"""The filter of the Errors page: what is labelled, what was answered, how the image is."""

from __future__ import annotations

import streamlit as st

from agegender_core.analysis.filters import VERDICTS, Filter
from agegender_core.analysis.image_quality import CONDITIONS
from agegender_core.analysis.prediction_table import UNLABELLED, ErrorTable
from agegender_core.errors import ConfigError
from ui.common.charts import with_en_dash
from ui.common.messages import plain
from ui.common.query_state import LONGEST
from ui.errors import query_params as link
from ui.errors.query_params import key
from ui.errors.text import LABELS_ARE, condition, filter_words

SETTLED = {"on_change": link.first_page, "persist_state": "session"}


def clear() -> None:
    """All filters off."""
    link.set_filter(Filter())


def labels_of(table: ErrorTable, dimension: str) -> list[str]:
    """Labels that occur, «unlabelled» last where some image has none."""
    column = table.groups[dimension]
    present = column.value_counts()
    names = [name for name in column.cat.categories if present.get(name, 0)]
    return [*names, UNLABELLED] if names and column.isna().any() else names


def show(table: ErrorTable) -> Filter:
    """The toolbar's filter and the choice it makes; an impossible one is named and counts as
    none.
    """
    try:
        count = len(filter_words(link.get_filter()))
    except ConfigError:
        count = 1
    with st.popover(
        f"Filter · {count}" if count else "Filter",
        icon=":material/filter_alt:",
        key="errors-filter",
        width=130,
    ):
        _labels(table)
        _answers(table)
        _conditions(table)
        left, right = st.columns([2, 1], vertical_alignment="bottom")
        left.text_input("Part of the file's name", key=key("file"), max_chars=LONGEST, **SETTLED)
        right.button(
            "Clear all",
            icon=":material/filter_alt_off:",
            key="errors-clear",
            on_click=clear,
            width="stretch",
        )
        st.caption(LABELS_ARE)
    try:
        return link.get_filter()
    except ConfigError as error:
        st.warning(
            plain(str(error)),
            title="This filter cannot be used: all images are shown",
            icon=":material/filter_alt_off:",
        )
        return Filter()


def _labels(table: ErrorTable) -> None:
    for column, dimension in zip(st.columns(3), ("age", "gender", "race"), strict=True):
        options = labels_of(table, dimension)
        _drop_unavailable(dimension, options)
        with column:
            if options:
                st.multiselect(
                    f"Labelled {dimension}",
                    options,
                    format_func=with_en_dash,
                    key=key(dimension),
                    placeholder="any",
                    **SETTLED,
                )
            else:
                st.multiselect(
                    f"Labelled {dimension}",
                    [],
                    key=key(dimension),
                    placeholder="not labelled in this dataset",
                    disabled=True,
                )


def _answers(table: ErrorTable) -> None:
    for column, task in zip(st.columns(3), ("age", "gender", "race"), strict=True):
        name = f"{task}_is"
        if link.ADDRESS.field(name) not in ("", *VERDICTS):
            link.put(name, "")
        column.selectbox(
            f"{task.capitalize()} is",
            ["", *VERDICTS],
            format_func=lambda verdict: verdict or "right or wrong",
            key=key(name),
            help="Right: within five years, or in the labelled range" if task == "age" else None,
            **SETTLED,
        )
    for column, name, label in zip(
        st.columns(2), ("least", "most"), ("Off by at least", "Off by at most"), strict=True
    ):
        column.number_input(
            label, 0.0, 120.0, None, 1.0, format="%g", key=key(name), placeholder="years", **SETTLED
        )


def _conditions(table: ErrorTable) -> None:
    if not table.measured:
        st.caption(
            "Image conditions (blurred, dark, small, from the side) have not been measured for this"
            " dataset."
        )
    options = [name for name in CONDITIONS if table.conditions[name].any()]
    for column, name, label in zip(
        st.columns(2), ("having", "lacking"), ("Image is", "Image is not"), strict=True
    ):
        _drop_unavailable(name, options)
        column.multiselect(
            label,
            options,
            format_func=condition,
            key=key(name),
            placeholder="any",
            disabled=not options,
            **SETTLED,
        )


def _drop_unavailable(name: str, options: list[str]) -> None:
    """Choices that this dataset does not have are dropped, or the widget would refuse them."""
    chosen = link.ADDRESS.field(name) or []
    if any(value not in options for value in chosen):
        link.put(name, [value for value in chosen if value in options])
