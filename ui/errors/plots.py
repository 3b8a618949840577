"""The plots: each point and cell opens its images below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from agegender_core.analysis import plot_data
from agegender_core.analysis.plot_data import GROUPINGS
from agegender_core.errors import ConfigError
from ui.common.messages import plain
from ui.common.state import Slot, count_up
from ui.errors import data as errors_data
from ui.errors import figures, gallery, selection, state
from ui.errors import query_params as link
from ui.errors.data import Scope
from ui.errors.images import ImageSource
from ui.errors.query_params import key
from ui.errors.selection import pick

FORMATS = {"png": "PNG", "svg": "SVG"}


@dataclass(frozen=True)
class Drawn:
    """A figure with its message in words; ``box``: marks may be rectangles. ``note``: a sentence
    below.
    """

    name: str
    figure: go.Figure
    words: str
    note: str = ""
    box: bool = False


def show(scope: Scope, image_source: ImageSource) -> None:
    """The chosen plot, and the images under its mark."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Plot",
            list(link.PLOTS),
            format_func=link.PLOTS.get,
            key=key("plot"),
            on_change=clear,
            persist_state="session",
            width=320,
        )
        if link.get("plot") == "groups":
            options = groupings(scope)
            link.coerce_to_options("grouping", options)
            st.segmented_control(
                "Groups",
                options,
                required=True,
                format_func=link.GROUPING_TITLES.get,
                key=key("grouping"),
                on_change=clear,
                persist_state="session",
            )
        st.segmented_control(
            "Saved as",
            FORMATS,
            required=True,
            default="png",
            format_func=FORMATS.get,
            key=state.PLOT_FORMAT.key,
            help="The camera above a plot saves it in this form.",
        )
    if not scope.mask.any():
        st.info(
            "Remove a filter, or choose other labels.",
            title="No image is left",
            icon=":material/filter_alt_off:",
        )
        return
    drawn = PLOTS[link.get("plot")](scope)
    if not drawn:
        _cannot(scope)
        return
    sign = st.empty()
    sign.caption("Press a cell or a point: its images appear below. Whiskers: 95 % intervals.")
    for item in drawn:
        _draw(scope, item)
    _marked(scope, image_source, sign)


def _draw(scope: Scope, item: Drawn) -> None:
    chart = state.chart(item.name, scope.weights)
    image = {
        "format": state.PLOT_FORMAT.get(),
        "filename": f"{scope.table.dataset}-{scope.weights}-{item.name}",
        "scale": 2,
    }
    buttons = ["toImage", "select2d"] if item.box else ["toImage"]
    config = {
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtons": [buttons],
        "scrollZoom": False,
        "toImageButtonOptions": image,
    }
    modes = ("points", "box") if item.box else "points"
    st.plotly_chart(
        item.figure,
        width="stretch",
        key=chart.key,
        on_select=lambda: _picked(chart),
        selection_mode=modes,
        config=config,
        alt=item.words,
    )
    st.caption(item.words + (f" {item.note}" if item.note else ""))


def _picked(chart: Slot[Any]) -> None:
    """A mark was made or removed in a plot."""
    link.put("pick", from_selection(chart.get().selection))
    link.first_page()
    state.FRESH_MARK.set(link.get("pick") is not None)


def from_selection(selection: Any) -> str | None:
    """The mark of what was chosen in a figure: a rectangle, in whole years, or the first point that
    carries one; None for none.
    """
    for box in selection.get("box", []):
        bounds = []
        for low, high in (sorted(map(round, box["x"])), sorted(map(round, box["y"]))):
            bounds += [low, max(high, low + 1)]
        return pick("box", *bounds)
    for point in selection.get("points", []):
        data = point.get("customdata")
        if isinstance(data, list | tuple) and data and isinstance(data[0], str):
            return data[0]
    return None


def clear(*_: Any) -> None:
    """No mark."""
    link.put("pick", None)
    link.first_page()
    count_up(state.PLOT_TURN)


def _marked(scope: Scope, image_source: ImageSource, sign: DeltaGenerator) -> None:
    """The images under the mark. They begin below the fold, so ``sign``, above the plots, announces
    them.
    """
    text = link.get("pick")
    if not text:
        return
    try:
        mask, words = selection.mask(text, scope.table, scope.weights), selection.words(text)
    except ConfigError as error:
        st.warning(plain(str(error)), icon=":material/link_off:")
        st.button(
            "Clear the mark", icon=":material/close:", key="errors-clear-pick", on_click=clear
        )
        return
    rows = gallery.ordered(scope, mask & scope.mask)
    head = f"{len(rows):,} images: {plain(words)}"
    sign.markdown(f":material/arrow_downward: **{head}**. They are below.")
    if state.FRESH_MARK.pop():
        st.toast(f"**{head}**. They are below the plot.", icon=":material/arrow_downward:")
    st.subheader(head, anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        gallery.sorting(scope)
        st.button(
            "Clear the mark", icon=":material/close:", key="errors-clear-pick", on_click=clear
        )
    gallery.show(scope, image_source, rows, "pick")


def _cannot(scope: Scope) -> None:
    exact = scope.table.labels["age_true"].notna().any()
    why = (
        "This model gives no such answer."
        if exact
        else f"{plain(scope.title)} labels no exact ages, or the model gives no such answer."
    )
    st.info(
        f"{why} Another plot shows what there is: «Confusion of age groups» works with ranges too.",
        icon=":material/query_stats:",
    )


def _ages(scope: Scope) -> list[Drawn]:
    found = scope.result(
        "ages", lambda: plot_data.age_density(scope.table, scope.weights, scope.mask)
    )
    if not len(found.true):
        return []
    words = (
        f"Answered against labelled age of {len(found.true):,} images; the stronger the colour, the"
        " more of them."
    )
    return [Drawn("ages", figures.ages(found), words, box=True)]


def _errors(scope: Scope) -> list[Drawn]:
    found = scope.result(
        "errors", lambda: plot_data.error_by_age(scope.table, scope.weights, scope.mask)
    )
    if not found.mae.n.sum():
        return []
    worst = (
        int(np.nanargmax(np.where(found.mae.n >= 10, found.mae.value, np.nan)))
        if (found.mae.n >= 10).any()
        else None
    )
    words = "Errors by labelled age."
    if worst is not None:
        where = selection.label_span(found.edges[worst], found.edges[worst + 1])
        words += f" Largest for labels of {where}: {found.mae.value[worst]:.1f} years on average."
    return [Drawn("errors", figures.errors(found), words)]


def groupings(scope: Scope) -> list[str]:
    """Age groups that this dataset's labels fit into: labelled ranges are FairFace's."""
    return list(GROUPINGS) if scope.table.labels["age_true"].notna().any() else ["fairface9"]


def _groups(scope: Scope) -> list[Drawn]:
    options = groupings(scope)
    grouping = link.get("grouping") if link.get("grouping") in options else options[0]
    found = scope.result(
        "groups",
        lambda: plot_data.confusion(scope.table, scope.weights, grouping, scope.mask),
        grouping,
    )
    if not found.counts.sum():
        return []
    words = (
        f"Per cent of each labelled group; {100 * found.accuracy:.1f} % of {found.counts.sum():,}"
        " images are on the diagonal."
    )
    note = (
        f"{found.left_out:,} images have no label or answer in these groups."
        if found.left_out
        else ""
    )
    note += (
        " The model names no such groups: the one nearest to its years counts."
        if found.by_years
        else ""
    )
    return [Drawn(f"groups-{grouping}", figures.groups(found, grouping), words, note.strip())]


def _gender(scope: Scope) -> list[Drawn]:
    rows = scope.result(
        "gender", lambda: plot_data.gender_by_band(scope.table, scope.weights, scope.mask)
    )
    if not len(rows):
        return []
    found = plot_data.gender_confusion(scope.table, scope.weights, scope.mask)
    wrong = {
        name: 100 * (1 - found.shares[index, index])
        for index, name in enumerate(found.names)
        if found.counts[index].sum()
    }
    words = (
        "Taken for the other gender: "
        + ", ".join(f"{share:.1f} % of those labelled {name}" for name, share in wrong.items())
        + "."
    )
    return [Drawn("gender", figures.gender(rows), words, "Gender is what annotators named.")]


def _sure(scope: Scope) -> list[Drawn]:
    drawn = []
    sure = scope.result(
        "sure", lambda: plot_data.gender_reliability(scope.table, scope.weights, scope.mask)
    )
    if len(sure.confidence):
        words = (
            f"Gender: expected calibration error {100 * sure.ece:.1f} points. Below the line: surer"
            " than right."
        )
        drawn.append(Drawn("reliability", figures.reliable(sure), words))
    rows = scope.result(
        "covered", lambda: plot_data.interval_coverage(scope.table, scope.weights, scope.mask)
    )
    if len(rows):
        whole = rows.iloc[0]
        words = (
            f"{100 * whole['covered']:.1f} % of {whole['n']:,} true ages are inside the interval,"
            f" which is {whole['width']:.1f} years wide."
        )
        drawn.append(
            Drawn(
                "coverage",
                figures.covered(rows),
                words,
                "A point opens the images whose age is outside.",
            )
        )
    return drawn


def _score(scope: Scope) -> list[Drawn]:
    names = [scope.weights, *([scope.other] if scope.other else [])]
    curves = scope.result(
        "score",
        lambda: {name: plot_data.cs_curve(scope.table, name, scope.mask) for name in names},
        *names,
    )
    if not curves[scope.weights]["n"].iloc[0]:
        return []
    at = curves[scope.weights].set_index("k")["share"]
    words = (
        f"{errors_data.title(scope.weights)}: {100 * at[5]:.1f} % within 5 years,"
        f" {100 * at[10]:.1f} % within 10."
    )
    figure = figures.score({errors_data.title(name): curve for name, curve in curves.items()})
    return [Drawn("score", figure, words, "A point opens the images that are farther off.")]


PLOTS = {
    "ages": _ages,
    "errors": _errors,
    "groups": _groups,
    "gender": _gender,
    "sure": _sure,
    "score": _score,
}
