"""Plotly figures.

Traces leave their colours to the theme's ``chartCategoricalColors``, in order: one figure suits the light and the dark theme.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from agegender_core.types import AgeEstimate

CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "showAxisDragHandles": False}
CHART_HEIGHT = 190


def age_chart(age: AgeEstimate) -> go.Figure:
    """The (101,) age distribution as bars: those inside the interval in the first colour, the others in the second, the point
    estimate as a stem in the third. ``age.probs`` must not be None."""
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
        title_text="Age in years", range=[-1, 101], dtick=10, fixedrange=True, showgrid=False, zeroline=False, automargin=True
    )
    top = float(percent.max()) * 1.08
    figure.update_yaxes(
        title_text="Probability", range=[0, top], nticks=4, ticksuffix=" %", fixedrange=True, zeroline=False, automargin=True
    )
    return figure


def age_chart_words(age: AgeEstimate) -> str:
    """The same in words, for those who cannot see it."""
    words = f"Age distribution from 0 to 100 years; point estimate {age.years:.0f}"
    return words if age.interval is None else f"{words}; interval {age.interval[0]:.0f} to {age.interval[1]:.0f}"


def _bars(years: np.ndarray, percent: np.ndarray, name: str) -> go.Bar:
    return go.Bar(x=years, y=percent, name=name, marker_line_width=0, hovertemplate="age %{x}: %{y:.1f} %<extra></extra>")


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
