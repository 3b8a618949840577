"""Plotly figures.

Traces leave their colours to the theme's ``chartCategoricalColors``, in order: one figure suits the
light and the dark theme.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go

from agegender_core.types import AgeEstimate, Categorical

AIM = 0.8
"""What share of true ages the intervals are made to contain."""
CONFIG = {
    "displayModeBar": False,
    "scrollZoom": False,
    "doubleClick": False,
    "showAxisDragHandles": False,
}
CHART_HEIGHT = 190
LABELLED = "#C0691C"
"""Colour of labels, as in the line of ages; it can be seen on the light and the dark theme."""


def age_chart(age: AgeEstimate) -> go.Figure:
    """The (101,) age distribution as bars: those inside the interval in the first colour, the
    others in the second, the point estimate as a stem in the third. ``age.probs`` must not be None.
    """
    assert age.probs is not None
    percent = np.asarray(age.probs, dtype=float) * 100  # (101,)
    years = np.arange(len(percent))
    low, high = age.interval or (-1.0, -1.0)
    inside = (years >= round(low)) & (years <= round(high))
    figure = go.Figure(
        [
            _bars(years[inside], percent[inside], "inside the interval"),
            _bars(years[~inside], percent[~inside], "outside the interval"),
            _stem(age.years, float(percent.max())),
        ]
    )
    figure.update_xaxes(range=[-1, 101], dtick=10)
    return _laid_out(figure, float(percent.max()) * 1.08, "Age in years")


def with_label(figure: go.Figure, low: float, high: float) -> go.Figure:
    """``figure``, an ``age_chart``, with the labelled age in years as a dotted line, or a labelled
    range as a band with its two ends.
    """
    top = float(figure.layout.yaxis.range[1])
    words = f"label {low:.0f}" if low == high else f"label {low:.0f}–{high:.0f}"
    if low != high:
        figure.add_vrect(low, min(high, 100), fillcolor=LABELLED, opacity=0.14, line_width=0)
    for years in dict.fromkeys((low, min(high, 100))):
        figure.add_scatter(
            x=[years, years],
            y=[0, top],
            name="label",
            mode="lines",
            line={"width": 2, "dash": "dot", "color": LABELLED},
            hovertemplate=f"{words} years<extra></extra>",
        )
    figure.add_annotation(
        x=low, y=1, yref="paper", text=words, showarrow=False, yanchor="bottom", font_color=LABELLED
    )
    return figure


def range_chart(ranges: Categorical) -> go.Figure:
    """A bar and its probability for each age range: the chosen one in the first colour, the others
    in the second.

    All bars are equally wide, though the ranges are not. ``ranges.probs`` must not be None.
    """
    assert ranges.probs is not None
    names, percent = (
        [with_en_dash(label) for label in ranges.labels],
        [100 * value for value in ranges.probs],
    )
    figure = go.Figure([_range_bars(names, percent, range(ranges.index, ranges.index + 1))])
    figure.add_trace(
        _range_bars(names, percent, [index for index in range(len(names)) if index != ranges.index])
    )
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=names,
        autotickangles=[0, -45],
        tickfont_size=11,
    )
    return _laid_out(figure, max(percent) * 1.18, "Age range in years")


def range_chart_words(ranges: Categorical) -> str:
    """The same in words, likeliest range first."""
    assert ranges.probs is not None
    pairs = sorted(zip(ranges.labels, ranges.probs, strict=True), key=lambda pair: -pair[1])
    return "Age ranges by probability: " + ", ".join(
        f"{label} {100 * value:.0f} %" for label, value in pairs
    )


def percent_words(percent: float) -> str:
    """«46 %», «<1 %» for what would round to nothing."""
    return "<1 %" if percent < 0.5 else f"{percent:.0f} %"


def age_chart_words(age: AgeEstimate) -> str:
    """The same in words, for those who cannot see it."""
    words = f"Age distribution from 0 to 100 years; point estimate {age.years:.0f}"
    return (
        words
        if age.interval is None
        else f"{words}; interval {age.interval[0]:.0f} to {age.interval[1]:.0f}"
    )


def _laid_out(figure: go.Figure, top: float, title: str) -> go.Figure:
    """``figure`` with what all distributions share; ``top``: end of the axis of probabilities, in
    per cent.
    """
    figure.update_layout(
        height=CHART_HEIGHT,
        margin={"l": 4, "r": 8, "t": 22, "b": 4},
        bargap=0.12,
        showlegend=False,
        hovermode="closest",
        dragmode=False,
        barmode="overlay",
    )
    figure.update_xaxes(
        title_text=title, fixedrange=True, showgrid=False, zeroline=False, automargin=True
    )
    figure.update_yaxes(
        title_text="Probability",
        range=[0, top],
        nticks=4,
        ticksuffix=" %",
        fixedrange=True,
        zeroline=False,
        automargin=True,
    )
    return figure


def _range_bars(names: list[str], percent: list[float], chosen: Iterable[int]) -> go.Bar:
    indices = list(chosen)
    return go.Bar(
        x=[names[index] for index in indices],
        y=[percent[index] for index in indices],
        text=[percent_words(percent[index]) for index in indices],
        textposition="outside",
        textangle=0,
        textfont_size=11,
        cliponaxis=False,
        marker_line_width=0,
        hovertemplate="%{x} years: %{y:.1f} %<extra></extra>",
    )


def _bars(years: np.ndarray, percent: np.ndarray, name: str) -> go.Bar:
    return go.Bar(
        x=years,
        y=percent,
        name=name,
        marker_line_width=0,
        hovertemplate="age %{x}: %{y:.1f} %<extra></extra>",
    )


def _stem(years: float, top: float) -> go.Scatter:
    return go.Scatter(
        x=[years, years],
        y=[0, top],
        mode="lines+text",
        text=["", f"{years:.0f}"],
        textposition="top center",
        textfont_size=14,
        line_width=3,
        cliponaxis=False,
        hovertemplate=f"point estimate: {years:.1f} years<extra></extra>",
    )


def with_en_dash(name: str) -> str:
    """«30-39» as it is written for readers: with a dash, as intervals are."""
    return name.replace("-", "–")
