"""Tables of the Models page that are to be read, not sorted: their text wraps, so that nothing is
cut off.
"""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
import streamlit as st

from agegender_core.output.csv_tables import frame_csv
from ui.common import messages

NOT_RUN = "Not run yet."
"""In place of a table of what was never measured here."""
EMPTY = "–"


def static_table(frame: pd.DataFrame, key: str, name: str) -> None:
    """``frame`` with wrapped text, without columns that say nothing, and a button that
    gives all of it as ``name``.csv. ``key``: of the button, with «-csv», and of the table's box,
    after «static-».
    """
    shown = frame.astype(object).map(_cell)
    shown = shown.loc[:, (shown != EMPTY).any()]
    with st.container(key=f"static-{key}"):
        st.table(shown.rename(columns=messages.plain), hide_index=True, border="horizontal")
    csv_button(frame, key, name, "tertiary")


def csv_button(
    frame: pd.DataFrame,
    key: str,
    name: str,
    look: Literal["secondary", "tertiary"] = "secondary",
) -> None:
    """A button that gives ``frame`` as ``name``.csv. ``key``: of the table that it belongs to."""
    st.download_button(
        "Table as CSV",
        frame_csv(frame),
        f"{name}.csv",
        "text/csv",
        icon=":material/table:",
        type=look,
        key=f"{key}-csv",
    )


def _cell(value: Any) -> str:
    if value is None or value != value:  # NaN
        return EMPTY
    text = f"{value:,}" if isinstance(value, int | float) else str(value)
    return messages.plain(text).replace(" %", "\N{NO-BREAK SPACE}%")
