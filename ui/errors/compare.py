"""Two models on the same images: the difference with its interval, who is right where the other
is wrong, and for whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from agegender_core.analysis.paired_comparison import (
    CLASSES,
    DIRECTED,
    Paired,
    biggest_gains,
    compare,
    right_and_wrong,
    slice_wins,
)
from agegender_core.analysis.slices import SMALL
from agegender_core.evaluation.metrics import RESAMPLES
from ui.common.messages import plain
from ui.errors import data, gallery
from ui.errors import query_params as link
from ui.errors import slices as errors_slices
from ui.errors.data import Scope
from ui.errors.images import ImageSource
from ui.errors.query_params import key
from ui.errors.text import (
    SMALL_P,
    both_words,
    gap_span,
    gap_words,
    heading,
    scale,
    slice_words,
    spans,
    verdict,
)

MANY = 5000
IN_SENTENCES = {
    "mae": "age",
    "gender_accuracy": "gender",
    "fairface9_accuracy": "the nine age ranges",
}
"""Metrics that get a sentence."""


def show(scope: Scope, image_source: ImageSource) -> None:
    """The whole comparison of the model and the one beside it."""
    if scope.other is None:
        st.info(
            f"Only one model has predictions on {plain(scope.title)} here. Run «agegender"
            " evaluate» for a second one.",
            title="There is no second model to compare with",
            icon=":material/compare_arrows:",
        )
        return
    first, second = data.title(scope.weights), data.title(scope.other)
    st.markdown(f"First: **{plain(first)}**. Second: **{plain(second)}**. Both on the same images.")
    found = scope.result("compare", lambda: _compared(scope), scope.other)
    if not found:
        st.info(
            "No image is left with a label and an answer by both models.",
            icon=":material/filter_alt_off:",
        )
        return
    st.dataframe(
        words_table(found),
        hide_index=True,
        width="stretch",
        height="content",
        key="errors-paired",
        placeholder="–",
        column_config=_columns(),
    )
    st.caption(
        "Second minus first, image by image, with a 95 % bootstrap interval, by person where all"
        " people are known. McNemar: the exact probability of such a difference if both were"
        " equally often right; it takes images as independent."
    )
    for line in verdicts(found, scope.table.people is not None):
        st.markdown(line)
    _duels(scope, image_source, [item.metric for item in found])
    _wins(scope, [item.metric for item in found if item.metric in DIRECTED])


def _compared(scope: Scope) -> list[Paired]:
    """Of many images fewer bootstrap samples are drawn: a page cannot wait for more, and bounds of
    large n move little.
    """
    resamples = RESAMPLES if scope.mask.sum() <= MANY else RESAMPLES // 5
    return compare(scope.table, scope.weights, scope.other, mask=scope.mask, resamples=resamples)


def words_table(found: Sequence[Paired]) -> pd.DataFrame:
    """A row a metric, shares in per cent."""
    rows = []
    for item in found:
        factor, test = scale(item.metric), item.mcnemar
        rows.append(
            {
                "measure": heading(item.metric).partition(" (")[0],
                "n": item.difference.n,
                "first": factor * item.first,
                "second": factor * item.second,
                "difference": factor * item.difference.value,
                "95 %": (
                    gap_span(item.metric, item.difference.low, item.difference.high).rpartition(
                        " "
                    )[0]
                ),
                "better": item.better,
                "only first right": None if test is None else test.only_first,
                "only second right": None if test is None else test.only_second,
                "McNemar p": None if test is None else test.p,
            }
        )
    return pd.DataFrame(rows)


def _columns() -> dict[str, object]:
    number = st.column_config.NumberColumn
    columns = {name: number(format="%.2f") for name in ("first", "second", "difference")}
    return columns | {
        "measure": st.column_config.TextColumn(width=270),
        "n": number(format="localized"),
        "McNemar p": number(format=SMALL_P),
        "p, corrected": number(format=SMALL_P),
    }


def verdicts(found: Sequence[Paired], people: bool) -> list[str]:
    """A sentence each on age and gender, with a word on whose images they are."""
    lines = []
    for item in found:
        if item.metric not in IN_SENTENCES:
            continue
        gap = plain(gap_words(item.metric, abs(item.difference.value)))
        result = (
            f"the **{item.better}** is better, by {gap}"
            if item.better
            else f"no difference is certain (it is {gap})"
        )
        wins = (
            f"the first wins on {item.first_wins:,} images, the second on {item.second_wins:,},"
            f" {item.ties:,} are even"
        )
        lines.append(f"- For {IN_SENTENCES[item.metric]} {result}: {wins}.")
    if people:
        lines.append(
            "- Several images show one person: intervals count people, McNemar's p does not, so it"
            " is too small here."
        )
    return lines


def _duels(scope: Scope, image_source: ImageSource, metrics: Sequence[str]) -> None:
    """Who is right where the other is wrong, as galleries."""
    st.subheader("Where one is right and the other wrong", anchor=False)
    classes = [name for name in metrics if name in CLASSES]
    options = [name for name in link.DUELS if classes or name.startswith("gain")]
    options = [name for name in options if "mae" in metrics or not name.startswith("gain")]
    if not options:
        return
    link.coerce_to_options("duel", options)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            "Images",
            options,
            required=True,
            format_func=link.DUELS.get,
            key=key("duel"),
            on_change=link.first_page,
            persist_state="session",
            wrap=True,
        )
        duel = link.get("duel")
        if duel.startswith("only"):
            usual = "gender_accuracy" if "gender_accuracy" in classes else classes[0]
            metric = st.selectbox(
                "Right or wrong in",
                classes,
                index=classes.index(usual),
                format_func=heading,
                key="errors-duel-metric",
                on_change=link.first_page,
                width=360,
            )
            rows = right_and_wrong(scope.table, scope.weights, scope.other, metric, scope.mask)[
                duel
            ]
        else:
            pair = (
                (scope.other, scope.weights)
                if duel == "gain_first"
                else (scope.weights, scope.other)
            )
            rows = biggest_gains(scope.table, *pair, mask=scope.mask)
    st.caption(
        f"{len(rows):,} images"
        + (
            ", the biggest gain first"
            if duel.startswith("gain")
            else ", the largest difference in age first"
        )
    )
    if duel.startswith("only"):
        rows = _by_difference(scope, rows)
    words = partial(both_words, scope.table, scope.weights, scope.other)
    gallery.show(
        scope,
        image_source,
        rows,
        f"duel-{duel}",
        words,
        "the label → the first's answer · the second's",
    )


def _by_difference(scope: Scope, rows: np.ndarray) -> np.ndarray:
    ages = [
        scope.table.predictions_for(name)["age_pred"].to_numpy(float)[rows]
        for name in (scope.weights, scope.other)
    ]
    return rows[np.argsort(-np.nan_to_num(np.abs(ages[0] - ages[1])), kind="stable")]


def _wins(scope: Scope, metrics: Sequence[str]) -> None:
    """For whom which is better."""
    if not metrics:
        return
    st.subheader("For whom which is better", anchor=False)
    usual = "mae" if "mae" in metrics else metrics[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.selectbox(
            "By",
            metrics,
            index=metrics.index(usual),
            format_func=heading,
            key="errors-wins-metric",
            width=400,
        )
        depth = st.segmented_control(
            "Labels at once", (1, 2), default=1, required=True, key="errors-wins-depth"
        )
    found = scope.result(
        "wins",
        lambda: slice_wins(scope.table, scope.weights, scope.other, metric, depth, scope.mask),
        scope.other,
        metric,
        depth,
    )
    sure = found["wins"].value_counts()
    st.caption(
        f"Surely better: the first in {int(sure.get('first', 0)):,} slices, the second in"
        f" {int(sure.get('second', 0)):,} of {len(found):,}, corrected for all of them. Slices"
        f" under {SMALL} are marked as small. Choose a row to see its images."
    )
    picked = st.dataframe(
        wins_table(found, metric),
        hide_index=True,
        width="stretch",
        height=360,
        key=f"errors-wins-{metric}-{depth}",
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_config=_columns(),
    )
    if rows := [row for row in picked.selection.rows if row < len(found)]:
        errors_slices.chosen(scope, found.iloc[rows[0]], "errors-open-win")


def wins_table(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A table of wins for people."""
    factor = scale(metric)
    return pd.DataFrame(
        {
            "slice": [slice_words(row) for _, row in found.iterrows()],
            "n": found["n"].to_numpy(),
            "first": factor * found["first"].to_numpy(),
            "second": factor * found["second"].to_numpy(),
            "difference": factor * found["difference"].to_numpy(),
            "95 %": spans(metric, found["low"], found["high"], "+"),
            "p, corrected": found["p_holm"].to_numpy(),
            "verdict": [
                verdict(f"the {side} is better" if side else "", small)
                for side, small in zip(found["wins"], found["small"], strict=True)
            ],
        }
    )
