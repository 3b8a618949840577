"""What noise, compression, blur and bad light cost each network: a chart, and tables under it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from agegender_core.benchmarks.corruptions import CORRUPTIONS
from agegender_core.evaluation.report_store import read_corruptions
from agegender_core.evaluation.report_types import CorruptionsRow, Estimate
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.output.metric_formats import METRIC_FORMATS
from agegender_core.publishing.corruption_table import (
    HOW,
    METRICS,
    Metric,
    corruption_rows,
    measured_words,
    rows_of,
    unmeasured,
)
from agegender_core.settings import reports_dir
from ui.common import messages
from ui.common.charts import CONFIG
from ui.models.static_table import NOT_RUN, static_table

ASKED: dict[Metric, str] = {
    "mae": "Age: years of error added",
    "gender_accuracy": "Gender: points lost",
}
"""What the chart may show, in words."""
UNITS: dict[Metric, str] = {"mae": "years", "gender_accuracy": "points"}
SHOWN_FIRST = 3
"""So many networks are in the chart until others are chosen."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "hexagon")
ROW = 60
"""Pixels of a kind of damage."""


def show_worse_photos(entries: Sequence[ModelInfo]) -> None:
    """The chart for some networks, and everything as tables."""
    report = read_corruptions(reports_dir())
    titles = {info.name: info.title for info in entries}
    rows = rows_of(report, entries) if report else []
    if report is None or not rows:
        st.info(NOT_RUN)
        return
    st.markdown(messages.plain(f"{measured_words(report)} {HOW}"))
    offered = [row.weights for row in rows]
    chosen = st.pills(
        "Models",
        offered,
        default=offered[:SHOWN_FIRST],
        format_func=lambda name: messages.plain(titles[name]),
        selection_mode="multi",
        key="worse-photos-models",
    )
    metric = st.segmented_control(
        "Measure",
        list(ASKED),
        default="mae",
        format_func=lambda name: ASKED[name],
        required=True,
        key="worse-photos-measure",
    )
    drawn = [row for row in rows if row.weights in chosen and getattr(row, metric) is not None]
    if drawn:
        st.plotly_chart(
            figure(drawn, metric, titles),
            width="stretch",
            config=CONFIG,
            key="worse-photos-chart",
            alt=figure_words(drawn, metric, titles),
        )
        st.caption(
            "To the right of the line: worse than for the same images as they are. Whiskers: 95 %"
            " bootstrap interval."
        )
    else:
        st.info("Choose a model above.")
    if missing := unmeasured(rows, entries):
        names = "; ".join(info.title for info in missing)
        st.caption(messages.plain(f"Not measured: {names}."))
    with st.expander("All of it as tables", icon=":material/table:"):
        for name, words in METRICS.items():
            if found := corruption_rows(rows, name):
                st.markdown(messages.plain(words))
                static_table(
                    pd.DataFrame(found).rename(columns=titles),
                    f"worse-photos-{name}",
                    f"worse_photos_{name}",
                )


def figure(rows: Sequence[CorruptionsRow], metric: Metric, titles: dict[str, str]) -> go.Figure:
    """A line for each kind of damage, the first on top, and on it a point with its interval for
    each of ``rows``: what it costs, in years or in points of right genders.
    """
    chart = go.Figure()
    names = list(CORRUPTIONS)
    unit = UNITS[metric]
    for place, row in enumerate(rows):
        lift = 0.56 * (0.5 - (place + 0.5) / len(rows)) - 0.14
        found = [(index, _cost(row, name, metric)) for index, name in enumerate(names)]
        points = [(len(names) - index + lift, cost) for index, cost in found if cost is not None]
        chart.add_scatter(
            x=[cost[0] for _, cost in points],
            y=[y for y, _ in points],
            name=escape(titles[row.weights]),
            mode="markers",
            marker={"size": 9, "symbol": SYMBOLS[place % len(SYMBOLS)]},
            customdata=[cost for _, cost in points],
            error_x={
                "array": [high - value for _, (value, _low, high) in points],
                "arrayminus": [value - low for _, (value, low, _high) in points],
                "thickness": 1.5,
                "width": 3,
            },
            hovertemplate=(
                f"%{{x:+.2f}} {unit} (%{{customdata[1]:+.2f}} to %{{customdata[2]:+.2f}})"
            ),
        )
    for index, name in enumerate(names):
        chart.add_annotation(
            x=0,
            xref="paper",
            y=len(names) - index + 0.18,
            text=f"<b>{CORRUPTIONS[name].title}</b>",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font_size=12,
        )
    chart.update_layout(
        height=110 + ROW * len(names),
        margin={"l": 4, "r": 8, "t": 8, "b": 4},
        dragmode=False,
        hovermode="closest",
        showlegend=True,
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0},
    )
    chart.update_xaxes(
        fixedrange=True, automargin=True, zeroline=True, zerolinewidth=2, title_text=unit
    )
    chart.update_yaxes(range=[0.5, len(names) + 0.6], visible=False, fixedrange=True)
    return chart


def figure_words(rows: Sequence[CorruptionsRow], metric: Metric, titles: dict[str, str]) -> str:
    """The chart in words: the costliest damage of each network."""
    unit = UNITS[metric]
    parts = []
    for row in rows:
        costs = {name: _cost(row, name, metric) for name in CORRUPTIONS}
        known = {name: cost[0] for name, cost in costs.items() if cost is not None}
        if known:
            worst = max(known, key=known.__getitem__)
            parts.append(
                f"{titles[row.weights]}: most for {CORRUPTIONS[worst].title},"
                f" {known[worst]:+.2f} {unit}"
            )
    return f"{ASKED[metric]}. {'; '.join(parts)}"


def _cost(row: CorruptionsRow, name: str, metric: Metric) -> tuple[float, float, float] | None:
    """What the damage ``name`` costs, and the interval's ends; more is worse for both metrics."""
    cost = row.costs.get(name)
    if cost is None:
        return None
    estimate: Estimate | None = cost.mae if metric == "mae" else cost.gender
    if estimate is None:
        return None
    factor = METRIC_FORMATS[metric].factor
    if metric == "mae":
        return (factor * estimate.value, factor * estimate.low, factor * estimate.high)
    return (-factor * estimate.value, -factor * estimate.high, -factor * estimate.low)
