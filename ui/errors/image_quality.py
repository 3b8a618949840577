"""Image conditions as slices: what blur, light, colour and pose cost, beside what a paper guessed
when it looked at its own errors.
"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from agegender_core.analysis.image_quality import CONDITIONS
from agegender_core.analysis.quality_slices import condition_table
from agegender_core.analysis.slices import SMALL, TESTED
from ui.errors import query_params as link
from ui.errors import slices
from ui.errors.data import Scope
from ui.errors.images import ImageSource
from ui.errors.text import SMALL_P, condition, heading, number_format, scale, spans, verdict

GUESSED = {
    "blurred": "Fig. 24, 25, 26",
    "profile": "Fig. 25, 27, 28",
    "grey": "Fig. 26",
    "small_face": "Fig. 27",
}
"""Where GRA_Net's paper, in its error analysis, blames a condition for a single error."""
PAPER = (
    "GRA_Net's paper looks at single errors and blames «blurriness», a «side-view orientation»,"
    " «the image being grayscale», a small face («smaller foreground to background ratio») and «the"
    " presence of a hat». No dataset here labels hats and nothing measured here detects them: that"
    " guess stays open."
)


def view(scope: Scope, image_source: ImageSource) -> None:
    """A measure, the table of conditions, and the images of one that was chosen."""
    options = slices.metrics_of(scope)
    if not options or not scope.mask.any():
        st.info(
            "No labelled image is left: remove a filter.",
            title="Nothing to compare",
            icon=":material/filter_alt_off:",
        )
        return
    link.coerce_to_options("metric", options)
    metric = st.selectbox(
        "Measure",
        options,
        format_func=heading,
        key=link.key("metric"),
        persist_state="session",
        width=400,
    )
    if (row := show(scope, metric)) is not None:
        slices.chosen(scope, row, "errors-open-condition")


def show(scope: Scope, metric: str) -> pd.Series | None:
    """The table, and the row that was chosen in it, as a row of a slice table."""
    st.subheader("Image conditions, and what the paper guessed", anchor=False)
    if not scope.table.measured:
        st.markdown(
            "The image conditions of this dataset have not been measured: run «agegender"
            " conditions» where its images are."
        )
        return None
    found = scope.result(
        "conditions",
        lambda: condition_table(scope.table, scope.weights, metric, scope.mask),
        metric,
    )
    st.caption(
        f"{PAPER} Old photographs are grey and show other people than new ones, so each image is"
        " also compared with those of its own age band that are free of the condition («at the"
        " same age»): p and verdict are about that, corrected for all conditions."
    )
    if not len(found):
        st.markdown("None of the conditions separates some of these images from the others.")
        return None
    picked = st.dataframe(
        words_table(found, metric),
        hide_index=True,
        width="stretch",
        height="content",
        key=f"errors-conditions-{metric}",
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_config=_columns(metric),
    )
    rows = [row for row in picked.selection.rows if row < len(found)]
    if not rows:
        return None
    return pd.Series(
        {
            "age": None,
            "gender": None,
            "race": None,
            "condition": found["condition"].iloc[rows[0]],
            "n": found["n"].iloc[rows[0]],
        }
    )


def words_table(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A table of conditions for people: shares in per cent, intervals in words."""
    factor = scale(metric)
    return pd.DataFrame(
        {
            "condition": [condition(name) for name in found["condition"]],
            "n": found["n"].to_numpy(),
            "value": factor * found["value"].to_numpy(),
            "others": factor * found["rest"].to_numpy(),
            "difference": spans(metric, found["low"], found["high"], "+"),
            "at the same age": factor * found["within"].to_numpy(),
            "95 % of that": spans(metric, found["within_low"], found["within_high"], "+"),
            "p, corrected": found["p_holm"].to_numpy(),
            "verdict": [
                _so(mark, p, small)
                for mark, p, small in zip(
                    found["mark"], found["p_holm"], found["small"], strict=True
                )
            ],
            "blamed in": [GUESSED.get(name) for name in found["condition"]],
        }
    )


def _so(mark: str, p: float, small: bool) -> str:
    return f"fewer than {TESTED}" if pd.isna(p) else verdict(mark or "not sure", small)


def _columns(metric: str) -> dict[str, object]:
    number = st.column_config.NumberColumn
    form = number_format(metric)
    rules = "; ".join(f"{item.title}: {item.rule}" for item in CONDITIONS.values())
    return {
        "condition": st.column_config.TextColumn(width=200, help=rules),
        "n": number(format="localized", help=f"Under {SMALL}: small"),
        "value": number(format=form, help=heading(metric)),
        "others": number(format=form, help="All images free of the condition"),
        "difference": st.column_config.TextColumn(help="From the others, 95 % interval"),
        "at the same age": number(
            format=number_format(metric, "+"),
            help="Mean difference from images of the same age band free of the condition",
        ),
        "p, corrected": number(format=SMALL_P),
        "blamed in": st.column_config.TextColumn(help="Figures of the paper"),
    }
