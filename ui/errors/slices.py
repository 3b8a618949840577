"""Slices: for whom, and in which conditions, a model errs more than elsewhere."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from agegender_core.analysis.filters import Filter
from agegender_core.analysis.slices import SMALL, TESTED, WORSE, slice_table, worst_slices
from agegender_core.evaluation.metrics import METRICS
from ui.common.messages import plain
from ui.errors import figures
from ui.errors import query_params as link
from ui.errors.data import Scope, means
from ui.errors.images import ImageSource
from ui.errors.query_params import key
from ui.errors.text import (
    LABELS_ARE,
    SMALL_P,
    amount,
    gap_span,
    heading,
    number_format,
    scale,
    slice_words,
    spans,
    verdict,
)

MOST_ROWS = 2000
"""Rows of the table that are sent to the browser."""
MOST_DOTS = 30
"""Slices in the plot."""


def metrics_of(scope: Scope, names: tuple[str, ...] = METRICS) -> list[str]:
    """Metrics that some image counts for."""
    values = scope.table.values[scope.weights]
    return [name for name in names if values[name].notna().any()]


def show(scope: Scope, image_source: ImageSource) -> None:
    """The worst slices, and all of them."""
    options = metrics_of(scope)
    if not options or not scope.mask.any():
        st.info(
            "No labelled image is left: remove a filter.",
            title="Nothing to slice",
            icon=":material/filter_alt_off:",
        )
        return
    metric = link.coerce_to_options("metric", options)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.selectbox(
            "Measure",
            options,
            format_func=heading,
            key=key("metric"),
            persist_state="session",
            width=400,
        )
        depth = st.segmented_control(
            "Labels at once",
            (1, 2, 3),
            default=1,
            required=True,
            key="errors-depth",
            help="Two: such as women of 70 and over",
        )
        least = st.number_input(
            "Smallest slice", 1, 2000, SMALL, 10, key="errors-smallest", width=160
        )
    found = scope.result(
        "slices",
        lambda: slice_table(scope.table, scope.weights, metric, int(depth), scope.mask, int(least)),
        metric,
        depth,
        least,
    )
    if len(found):
        _dots(scope, found, metric, int(depth))
        _all(scope, found, metric, int(depth))
    else:
        st.info("No slice is that large: allow smaller ones.", icon=":material/filter_alt_off:")
    st.caption(LABELS_ARE)
    _worst(scope, metric, int(least))


def _worst(scope: Scope, metric: str, least: int) -> None:
    found = scope.result(
        "worst",
        lambda: worst_slices(scope.table, scope.weights, metric, min_size=least, mask=scope.mask),
        metric,
        least,
    )
    searched = found.attrs["searched"]
    st.subheader("The worst slices, found by searching", anchor=False)
    if not searched:
        st.markdown(f"No slice has {least:,} images or more: allow smaller ones.")
        return
    if not len(found):
        st.markdown(
            f"Of {searched:,} slices of {least:,} images or more, none is clearly worse than the"
            " rest."
        )
        return
    st.caption(
        f"{searched:,} slices of {least:,} images or more, up to three labels at once, were"
        " searched. Listed are those that are clearly worse than the rest, corrected for the"
        " number searched."
    )
    for place, row in found.iterrows():
        with st.container(
            border=True,
            horizontal=True,
            vertical_alignment="center",
            horizontal_alignment="distribute",
            key=f"errors-worst-{place}",
        ):
            gap = gap_span(metric, row["searched_low"], row["searched_high"])
            st.markdown(
                f"**{plain(slice_words(row))}**, {row['n']:,} images:"
                f" {plain(amount(metric, row['value']))}, the rest"
                f" {plain(amount(metric, row['rest']))}; difference {plain(gap)}"
            )
            _opens(scope, row, f"errors-open-worst-{place}")


def _opens(scope: Scope, row: pd.Series, name: str) -> None:
    st.button(
        f"Show {plain(slice_words(row))}",
        icon=":material/photo_library:",
        key=name,
        on_click=open_slice,
        args=(scope.filter, row),
    )


def open_slice(now: Filter, row: pd.Series) -> None:
    """Narrow the filter to one slice and go to the gallery."""
    link.set_filter(narrowed(now, row))
    link.put("view", "gallery")


def narrowed(now: Filter, row: pd.Series) -> Filter:
    """``now`` narrowed to one row of a slice table."""
    values = {
        name: (row[name],) for name in ("age", "gender", "race") if isinstance(row[name], str)
    }
    having = now.having
    if isinstance(row["condition"], str) and row["condition"] not in having:
        having = (*having, row["condition"])
    return Filter(
        **({name: getattr(now, name) for name in link.FILTERS} | values | {"having": having})
    )


def _dots(scope: Scope, found: pd.DataFrame, metric: str, depth: int) -> None:
    """Each slice as a dot with its interval; one that is pressed opens its images."""
    shown = found if len(found) <= MOST_DOTS else worst_first(found, metric).head(MOST_DOTS)
    whole = means(scope)[metric]
    key_of = f"errors-dots-{metric}-{depth}-{scope.weights}"
    picked = st.plotly_chart(
        figures.slices(shown, metric, whole),
        width="stretch",
        key=key_of,
        on_select="rerun",
        selection_mode="points",
        config=figures.STILL,
        alt=f"{heading(metric)} of {len(shown)} slices; all images: {amount(metric, whole)}",
    )
    fewer = (
        "" if len(shown) == len(found) else f" The {len(shown)} worst of {len(found):,} are drawn."
    )
    st.caption(
        "Dots: the slice; whiskers: its own 95 % interval; dashed: all images. Filled: worse or"
        " better than all other images, beyond chance even though so many slices are compared"
        " (Holm's correction); hollow: that is not sure. So the whiskers and the dashed line do not"
        f" decide which dots are filled.{fewer} Press a dot to see its images."
    )
    rows = [point["customdata"][0] for point in picked.selection.points if point.get("customdata")]
    if rows and rows[0] in shown.index:
        chosen(scope, shown.loc[rows[0]], "errors-open-dot")


def worst_first(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A slice table with the largest harm on top; for the bias, the largest difference either
    way.
    """
    sign = WORSE[metric]
    harm = found["difference"].abs() if sign == 0 else sign * found["difference"]
    return found.loc[harm.sort_values(ascending=False, kind="stable").index]


def _all(scope: Scope, found: pd.DataFrame, metric: str, depth: int) -> None:
    with st.expander(
        f"As a table: {len(found):,} slices", icon=":material/table:", key="errors-slices-table"
    ):
        st.caption(
            "Values and differences have 95 % intervals. «worse» and «better» hold for the table"
            f" as a whole (Holm's correction). Slices of fewer than {TESTED} are not tested; those"
            f" under {SMALL} are marked as small. Choose a row to see its images."
        )
        picked = st.dataframe(
            words_table(found.head(MOST_ROWS), metric),
            hide_index=True,
            width="stretch",
            height=420,
            key=f"errors-slices-{metric}-{depth}",
            on_select="rerun",
            selection_mode="single-row",
            placeholder="–",
            column_config=_columns(metric),
        )
        if rows := [row for row in picked.selection.rows if row < len(found)]:
            chosen(scope, found.iloc[rows[0]], "errors-open-slice")


def chosen(scope: Scope, row: pd.Series, name: str) -> None:
    """A row of a table that was chosen, and the way to its images."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(slice_words(row))}**, {row['n']:,} images")
        _opens(scope, row, name)


def words_table(found: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A slice table for people: shares in per cent, intervals in words."""
    factor = scale(metric)
    part = pd.DataFrame(
        {"slice": [slice_words(row) for _, row in found.iterrows()], "n": found["n"].to_numpy()}
    )
    if found["people"].notna().any():
        part["people"] = found["people"].to_numpy()
    part["value"] = factor * found["value"].to_numpy()
    part["95 %"] = spans(metric, found["low"], found["high"])
    part["from the whole"] = factor * found["from_whole"].to_numpy()
    part["from the rest"] = factor * found["difference"].to_numpy()
    part["95 % of that"] = spans(metric, found["difference_low"], found["difference_high"], "+")
    part["p, corrected"] = found["p_holm"].to_numpy()
    part["verdict"] = [
        verdict(mark, small) for mark, small in zip(found["mark"], found["small"], strict=True)
    ]
    return part


def _columns(metric: str) -> dict[str, object]:
    number = st.column_config.NumberColumn
    form = number_format(metric)
    return {
        "slice": st.column_config.TextColumn(width="medium"),
        "n": number(format="localized"),
        "value": number(format=form, help=heading(metric)),
        "from the whole": number(format=form, help="Less the value of all images"),
        "from the rest": number(format=form, help="Less the value of all others"),
        "p, corrected": number(
            format=SMALL_P,
            help=(
                "Probability of so large a difference by chance alone, corrected for all slices"
                " tested"
            ),
        ),
    }
