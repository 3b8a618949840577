"""Figures of the Errors page. Every point that stands for images carries its mark (see
``selection``) as ``customdata``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from agegender_core.analysis.plot_data import Binned, Confusion, Density, Reliability
from agegender_core.evaluation.statistics import Means
from agegender_core.output.metric_formats import METRIC_FORMATS
from ui.common.charts import AIM, with_en_dash
from ui.errors.selection import pick
from ui.errors.text import slice_words

FIRST, SECOND = "#3C8C94", "#C0691C"
"""Colours of the first and the second series; they can be seen on both themes, and no reference
line takes them.
"""
CLEAR, FULL = "rgba(60, 140, 148, 0.04)", "rgba(60, 140, 148, 0.7)"
"""Ends of the scale of counts: text in either theme's colour can be read on both."""
GREY = "rgba(128, 140, 140, 0.9)"
STILL = {"displayModeBar": False, "scrollZoom": False, "displaylogo": False}


def ages(found: Density) -> go.Figure:
    """Predicted against true age, darker where there are more images, with the median and the
    middle 80 % of the answers.
    """
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    figure = go.Figure()
    figure.add_heatmap(
        x=middles,
        y=middles,
        z=np.where(found.counts > 0, np.log10(np.maximum(found.counts, 1)) + 0.3, np.nan).T,
        colorscale=[[0, "rgba(60, 140, 148, 0.15)"], [1, "rgba(60, 140, 148, 0.95)"]],
        showscale=False,
        hoverinfo="skip",
    )
    for values, dash, name in (
        (found.low, "dot", "middle 80 %"),
        (found.high, "dot", ""),
        (found.middle, "solid", "median"),
    ):
        figure.add_scatter(
            x=middles,
            y=values,
            mode="lines",
            line={"dash": dash, "width": 2, "color": SECOND},
            name=name,
            hoverinfo="skip",
            showlegend=bool(name),
        )
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"width": 1.5, "color": GREY},
        name="answer equals label",
        hoverinfo="skip",
    )
    true, answered = np.nonzero(found.counts)
    edges = found.edges
    marks = [
        pick("box", *(float(edges[place]) for place in (i, i + 1, j, j + 1)))
        for i, j in zip(true, answered, strict=True)
    ]
    _targets(
        figure,
        middles[true],
        middles[answered],
        marks,
        found.counts[true, answered],
        "label about %{x:.0f}, answer about %{y:.0f}",
        7,
    )
    _lay_out(figure, 480)
    figure.update_xaxes(title_text="Labelled age, years", range=[-1, 101], dtick=10)
    figure.update_yaxes(title_text="Answered age, years", range=[-1, 101], dtick=10)
    return figure


def errors(found: Binned) -> go.Figure:
    """Mean signed and mean absolute error by labelled age with 95 % intervals, and the middle 80 %
    of the signed errors.
    """
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    marks = [
        pick("true", float(low), float(high))
        for low, high in zip(found.edges[:-1], found.edges[1:], strict=True)
    ]
    figure = go.Figure()
    known = ~np.isnan(found.low)
    figure.add_scatter(
        x=np.concatenate([middles[known], middles[known][::-1]]),
        y=np.concatenate([found.low[known], found.high[known][::-1]]),
        fill="toself",
        fillcolor="rgba(128, 140, 140, 0.2)",
        line={"width": 0},
        mode="lines",
        name="middle 80 % of the errors",
        hoverinfo="skip",
    )
    for means, name, colour in (
        (found.mae, "mean absolute error", FIRST),
        (found.bias, "mean signed error", SECOND),
    ):
        _points(
            figure,
            middles,
            means,
            marks,
            name,
            "labelled about %{x:.0f}: %{y:.2f} years",
            1.0,
            colour=colour,
        )
    _lay_out(figure, 400)
    figure.add_hline(y=0, line={"width": 1, "color": GREY})
    figure.update_xaxes(title_text="Labelled age, years", range=[-1, 101], dtick=10)
    figure.update_yaxes(title_text="Years; above 0: guessed too old")
    return figure


def groups(found: Confusion, grouping: str) -> go.Figure:
    """Confusion of age groups: shares of each labelled group, with counts to point at."""
    marks = [
        [pick("cell", grouping, true, answer) for answer in found.names] for true in found.names
    ]
    figure = _matrix(found, marks)
    figure.update_xaxes(title_text="Answered group")
    figure.update_yaxes(title_text="Labelled group")
    return figure


def _matrix(found: Confusion, marks: list[list[str]]) -> go.Figure:
    names = [with_en_dash(name) for name in found.names]
    shares, counts = found.shares, found.counts
    figure = go.Figure()
    figure.add_heatmap(
        x=names,
        y=names,
        z=np.nan_to_num(shares),
        zmin=0,
        zmax=1,
        colorscale=[[0, CLEAR], [1, FULL]],
        showscale=False,
        hoverinfo="skip",
        xgap=1,
        ygap=1,
        text=[[_percent(share) for share in row] for row in shares],
        texttemplate="%{text}",
        textfont={"size": 12},
    )
    rows, columns = np.nonzero(counts)
    figure.add_scatter(
        x=[names[column] for column in columns],
        y=[names[row] for row in rows],
        mode="markers",
        customdata=[
            [marks[row][column], int(counts[row, column]), _percent(shares[row, column])]
            for row, column in zip(rows, columns, strict=True)
        ],
        marker={"symbol": "square", "size": 30, "color": "rgba(128, 140, 140, 0)"},
        showlegend=False,
        cliponaxis=False,
        selected={"marker": {"color": "rgba(192, 105, 28, 0.45)", "opacity": 1}},
        unselected={"marker": {"opacity": 0}},
        hovertemplate=(
            "labelled %{y}, answered %{x}<br>%{customdata[1]:,} images, %{customdata[2]} % of the"
            " label's<extra></extra>"
        ),
    )
    _lay_out(figure, 90 + 40 * len(names))
    whole = [-0.5, len(names) - 0.5]
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=names,
        range=whole,
        autotickangles=[0, -45],
    )
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=names[::-1],
        range=whole,
        showgrid=False,
    )
    return figure


def _percent(share: float) -> str:
    """«46», «<1» for what would round to nothing, and nothing for none."""
    return "" if np.isnan(share) or share == 0 else "<1" if share < 0.005 else f"{100 * share:.0f}"


def gender(rows: pd.DataFrame) -> go.Figure:
    """Share taken for the other gender by age band, a series a labelled gender."""
    figure = go.Figure()
    for (name, part), colour in zip(
        rows.groupby("gender", sort=False), (FIRST, SECOND), strict=False
    ):
        means = Means(
            part["n"].to_numpy(),
            part["other"].to_numpy(),
            part["low"].to_numpy(),
            part["high"].to_numpy(),
        )
        marks = [pick("taken", band, name) for band in part["band"]]
        bands = [with_en_dash(band) for band in part["band"]]
        hover = "%{x} years: %{y:.1f} % taken for the other gender"
        _points(figure, bands, means, marks, f"labelled {name}", hover, 100.0, colour=colour)
    _lay_out(figure, 380)
    # Side by side, or one gender's whiskers hide the other's.
    figure.update_layout(scattermode="group", scattergap=0.8)
    order = [with_en_dash(band) for band in dict.fromkeys(rows["band"])]
    figure.update_xaxes(
        title_text="Labelled age, years",
        type="category",
        categoryorder="array",
        categoryarray=order,
    )
    figure.update_yaxes(
        title_text="Taken for the other gender", ticksuffix=" %", rangemode="tozero"
    )
    return figure


def reliable(found: Reliability) -> go.Figure:
    """How often the gender is as labelled, by how sure the model was."""
    place = np.searchsorted(found.edges, found.confidence, side="left")
    low, high = (
        found.edges[np.maximum(place - 1, 0)],
        found.edges[np.minimum(place, len(found.edges) - 1)],
    )
    marks = [pick("sure", float(one), float(other)) for one, other in zip(low, high, strict=True)]
    figure = go.Figure()
    figure.add_scatter(
        x=[50, 100],
        y=[50, 100],
        mode="lines",
        line={"width": 1.5, "color": GREY},
        name="as sure as it should be",
        hoverinfo="skip",
    )
    hover = "%{x:.0f} % sure: right in %{y:.1f} %"
    _points(figure, 100 * found.confidence, found.right, marks, "gender as labelled", hover, 100.0)
    _lay_out(figure, 360)
    figure.update_xaxes(
        title_text="Probability the model gave its answer", ticksuffix=" %", range=[49, 101]
    )
    figure.update_yaxes(title_text="As labelled", ticksuffix=" %")
    return figure


def covered(rows: pd.DataFrame) -> go.Figure:
    """Share of true ages inside the interval, for all and by age band; the aim as a line."""
    part = rows[rows["by"] != "width"]
    means = Means(
        part["n"].to_numpy(),
        part["covered"].to_numpy(),
        part["low"].to_numpy(),
        part["high"].to_numpy(),
    )
    figure = go.Figure()
    names = [with_en_dash(name) for name in part["name"]]
    _points(
        figure,
        names,
        means,
        [pick("missed", name) for name in part["name"]],
        "inside",
        "%{x}: %{y:.1f} % inside",
        100.0,
    )
    _lay_out(figure, 360)
    figure.add_hline(
        y=100 * AIM,
        line={"width": 1.5, "color": GREY, "dash": "dash"},
        annotation_text=f"aim {100 * AIM:.0f} %",
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(
        title_text="Labelled age, years",
        type="category",
        categoryorder="array",
        categoryarray=names,
    )
    figure.update_yaxes(title_text="True age inside the interval", ticksuffix=" %")
    return figure


def score(curves: dict[str, pd.DataFrame]) -> go.Figure:
    """Cumulative score CS@k, a line for each model; the first one's points are marks."""
    figure = go.Figure()
    for place, (name, rows) in enumerate(curves.items()):
        marks = [pick("beyond", float(years)) for years in rows["k"]] if place == 0 else None
        means = Means(
            rows["n"].to_numpy(),
            rows["share"].to_numpy(),
            rows["low"].to_numpy(),
            rows["high"].to_numpy(),
        )
        colour, hover = (FIRST, SECOND)[place], "%{y:.1f} % within %{x} years"
        _points(
            figure,
            rows["k"],
            means,
            marks,
            name,
            hover,
            100.0,
            mode="lines+markers",
            bars=place == 0,
            colour=colour,
        )
    _lay_out(figure, 400)
    figure.update_xaxes(title_text="k, years", dtick=2)
    figure.update_yaxes(title_text="CS@k: off by k years or less", ticksuffix=" %", range=[-2, 102])
    return figure


def slices(found: pd.DataFrame, metric: str, whole: float) -> go.Figure:
    """A slice table as dots with 95 % intervals, the first row on top, and ``whole``, the value of
    all images, as a line. Filled dots are clearly different; ``customdata`` holds the row's index.
    """
    factor, unit = METRIC_FORMATS[metric].factor, METRIC_FORMATS[metric].unit
    names = [f"{slice_words(row)} ({row['n']:,})" for _, row in found.iterrows()]
    value = factor * found["value"].to_numpy(float)
    low, high = (factor * found[name].to_numpy(float) for name in ("low", "high"))
    figure = go.Figure()
    figure.add_scatter(
        x=value,
        y=names,
        mode="markers",
        cliponaxis=False,
        showlegend=False,
        error_x={
            "array": high - value,
            "arrayminus": value - low,
            "thickness": 1.5,
            "width": 3,
            "color": FIRST,
        },
        marker={
            "size": 11,
            "color": FIRST,
            "line": {"width": 2, "color": FIRST},
            "symbol": ["circle" if mark else "circle-open" for mark in found["mark"]],
        },
        customdata=[
            [int(index), mark or "not sure"]
            for index, mark in zip(found.index, found["mark"], strict=True)
        ],
        unselected={"marker": {"opacity": 0.45}},
        hovertemplate=f"%{{y}}: %{{x:.2f}} {unit}, %{{customdata[1]}}<extra></extra>",
    )
    _lay_out(figure, 90 + 26 * len(names))
    figure.add_vline(
        x=factor * whole,
        line={"width": 1.5, "color": GREY, "dash": "dash"},
        annotation_text="all images",
        annotation_position="top",
    )
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=names[::-1],
        tickfont_size=12,
        range=[-0.6, len(names) - 0.4],
    )
    figure.update_xaxes(title_text=unit, showgrid=True)
    return figure


def _points(
    figure: go.Figure,
    x: object,
    means: Means,
    marks: list[str] | None,
    name: str,
    hover: str,
    scale: float,
    mode: str = "markers",
    bars: bool = True,
    colour: str = FIRST,
) -> None:
    """Means with their 95 % intervals as whiskers."""
    value = scale * means.value
    spread = {
        "type": "data",
        "array": scale * means.high - value,
        "arrayminus": value - scale * means.low,
        "thickness": 1.5,
        "width": 3,
    }
    figure.add_scatter(
        x=x,
        y=value,
        name=name,
        mode=mode,
        cliponaxis=False,
        error_y=spread if bars else None,
        marker={"size": 9, "color": colour},
        line={"color": colour},
        customdata=(
            None
            if marks is None
            else [[mark, int(n)] for mark, n in zip(marks, means.n, strict=True)]
        ),
        unselected={"marker": {"opacity": 0.45}},
        hovertemplate=hover
        + ("" if marks is None else "<br>%{customdata[1]:,} images")
        + "<extra></extra>",
    )


def _targets(
    figure: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    marks: list[str],
    counts: np.ndarray,
    hover: str,
    size: int,
) -> None:
    """Points over a heatmap that can be selected, as the heatmap itself reports no selection."""
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        showlegend=False,
        marker={"symbol": "square", "size": size, "color": "rgba(128, 140, 140, 0)"},
        customdata=[[mark, int(count)] for mark, count in zip(marks, counts, strict=True)],
        selected={"marker": {"color": "rgba(192, 105, 28, 0.9)"}},
        hovertemplate=hover + "<br>%{customdata[1]:,} images<extra></extra>",
    )


def _lay_out(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 8, "t": 30, "b": 4},
        dragmode=False,
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
    )
    figure.update_xaxes(fixedrange=True, showgrid=False, zeroline=False, automargin=True)
    figure.update_yaxes(fixedrange=True, zeroline=False, automargin=True)
