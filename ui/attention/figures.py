"""Maps as images: colour tables, the overlay with its values, small images in rows, answers before
and after, and curves.

A cell of a map is drawn as a square of the size it has on the crop. Smooth drawing is offered, and
never the default.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cache
from html import escape

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageColor
from plotly.colors import sequential

from agegender_core.evaluation.report_types import CENTRE, DEVIATION, EFFECT, TRUNK
from agegender_core.types import AgeEstimate
from ui.common.charts import with_en_dash
from ui.common.images import image_url

FLAT = 0.01
"""A mask that varies by less than this over the face is called flat, and never stretched until it
seems to show something.
"""
CHART_SIDE = 420
STOPS = {
    name: [
        f"rgb{ImageColor.getrgb(stop)[:3]}" for stop in stops
    ]  # not as «#000004»: Streamlit takes that for a colour of its theme
    for name, stops in (
        ("viridis", sequential.Viridis),
        ("magma", sequential.Magma),
        ("cividis", sequential.Cividis),
    )
}
"""Perceptually uniform colour maps, from low to high."""


@cache
def table(name: str) -> np.ndarray:
    """(256, 3) uint8: the colours of ``name`` from low to high."""
    stops = np.array([ImageColor.getrgb(stop)[:3] for stop in STOPS[name]], dtype=float)
    places = np.linspace(0, len(stops) - 1, 256)
    return (
        np.stack(
            [np.interp(places, np.arange(len(stops)), stops[:, band]) for band in range(3)], axis=1
        )
        .round()
        .astype(np.uint8)
    )


def limits(values: np.ndarray, scale: str) -> tuple[float, float]:
    """Ends of the colour scale: 0 and 1, or the map's own lowest and highest. Flat maps get 0 and 1
    in any case; the scale reaches higher where an effect does.
    """
    low, high = float(values.min()), float(values.max())
    return (low, high) if scale == "own" and high - low >= FLAT else (0.0, max(high, 1.0))


def coloured(values: np.ndarray, name: str, low: float, high: float) -> Image.Image:
    """(h, w) to an RGB image of w x h pixels."""
    levels = np.clip((values - low) / max(high - low, 1e-12) * 255, 0, 255).round().astype(np.uint8)
    return Image.fromarray(table(name)[levels])


def small_png(values: np.ndarray, name: str, low: float, high: float) -> str:
    """(h, w) as a data address of an image with one pixel a cell: some hundred bytes."""
    return image_url(coloured(values, name, low, high), "PNG")


def overlay(
    values: np.ndarray,
    face: str,
    side: int,
    *,
    name: str,
    span: tuple[float, float],
    opacity: float,
    smooth: bool,
) -> go.Figure:
    """(h, w) values over a ``face`` (data address) of ``side`` crop pixels, with a scale bar; the
    pointer shows the values.
    """
    rows, columns = values.shape
    across, down = side / columns, side / rows
    words = [
        [f"cell {column + 1} across, {row + 1} down" for column in range(columns)]
        for row in range(rows)
    ]
    trace = {
        "type": "heatmap",
        "z": values,
        "x0": across / 2,
        "dx": across,
        "y0": down / 2,
        "dy": down,
        "zmin": span[0],
        "zmax": span[1],
        "zsmooth": "best" if smooth else False,
        "opacity": opacity,
        "colorscale": STOPS[name],
        "text": words,
        "hovertemplate": "%{z:.3f}<br>%{text}<extra></extra>",
        "colorbar": {
            "orientation": "h",
            "y": -0.01,
            "yanchor": "top",
            "thickness": 12,
            "len": 1.0,
            "xpad": 0,
            "ypad": 2,
            "outlinewidth": 0,
            "tickvals": np.linspace(*span, 5),
            "tickformat": ".2f",
            "ticks": "outside",
            "ticklen": 4,
        },
    }
    axis = {"range": [0, side], "visible": False, "fixedrange": True, "constrain": "domain"}
    layout = {
        "height": CHART_SIDE,
        "margin": {"l": 14, "r": 14, "t": 2, "b": 36},
        "dragmode": False,
        "hovermode": "closest",
        "xaxis": axis,
        "yaxis": {**axis, "range": [side, 0], "scaleanchor": "x", "constraintoward": "bottom"},
        "images": [
            {
                "source": face,
                "xref": "x",
                "yref": "y",
                "x": 0,
                "y": 0,
                "sizex": side,
                "sizey": side,
                "sizing": "stretch",
                "layer": "below",
            }
        ],
    }
    return go.Figure({"data": [trace], "layout": layout})


def images_row(
    items: Sequence[tuple[str, str, str]], *, smooth: bool = False, many: bool = False
) -> str:
    """HTML of images beside each other: data address, title and the words below each."""
    cells = "".join(
        f'<figure><img src="{source}" alt="{escape(title)}:'
        f' {escape(words)}"><figcaption><b>{escape(title)}</b>'
        f" <span>{escape(words)}</span></figcaption></figure>"
        for source, title, words in items
    )
    classes = f"ag-maps{' ag-smooth' if smooth else ''}{_many(len(items)) if many else ''}"
    return f'<div class="{classes}">{cells}</div>'


def _many(count: int) -> str:
    return " ag-many ag-few" if count < 4 else " ag-many"


def bar(name: str, low: float, high: float) -> str:
    """HTML of a scale bar with its ends."""
    return (
        f'<div class="ag-scale"><span>{low:.3g}</span><i style="background:linear-gradient(to'
        f' right,{",".join(STOPS[name])})"></i><span>{high:.3g}</span></div>'
    )


def before_after(before: AgeEstimate, after: AgeEstimate) -> go.Figure | None:
    """Which ages the model considers possible before (filled, or pale bars) and after (line, or
    full bars); None where it has no distribution.
    """
    figure = go.Figure()
    if (
        before.ranges is not None
        and after.ranges is not None
        and before.ranges.probs
        and after.ranges.probs
    ):
        names = [with_en_dash(label) for label in before.ranges.labels]
        figure.add_bar(x=names, y=[100 * value for value in after.ranges.probs], name="after")
        figure.add_bar(x=names, y=[100 * value for value in before.ranges.probs], name="before")
        figure.update_xaxes(
            type="category", autotickangles=[0, -45], title_text="Age range in years"
        )
    elif before.probs is not None and after.probs is not None:
        years = np.arange(len(before.probs))
        figure.add_scatter(
            x=years,
            y=100 * np.asarray(after.probs),
            name="after",
            mode="lines",
            line={"width": 3, "shape": "hvh"},
        )
        figure.add_scatter(
            x=years,
            y=100 * np.asarray(before.probs),
            name="before",
            mode="lines",
            fill="tozeroy",
            line={"width": 0, "shape": "hvh"},
        )
        figure.update_xaxes(range=[-1, 101], dtick=10, title_text="Age in years")
    else:
        return None
    figure.update_traces(hovertemplate="%{x}: %{y:.1f} %")
    _lay_out(figure, 190)
    figure.update_layout(bargap=0.1)
    figure.update_yaxes(title_text="Probability", rangemode="tozero", nticks=4, ticksuffix=" %")
    return figure


def curves(
    found: Mapping[str, Mapping[str, np.ndarray]], kind: str, titles: Mapping[str, str]
) -> go.Figure:
    """Score against the share of pixels changed, a line a map; the random ones dotted, that of the
    crop's centre dashed. Where a block's effect is drawn, its other maps are left out.
    """
    figure = go.Figure()
    for name, row in found.items():
        if _left_out(name, found):
            continue
        values = np.asarray(row[kind])
        share = np.linspace(0, 100, len(values))
        dash = "dot" if name.startswith("random") else "dash" if name == CENTRE else "solid"
        figure.add_scatter(
            x=share,
            y=values,
            name=titles.get(name, name),
            mode="lines",
            line={"dash": dash, "width": 2},
            hovertemplate="%{x:.0f} % of pixels: %{y:.2f}",
        )
    _lay_out(figure, 320)
    figure.update_xaxes(
        title_text="Pixels removed" if kind == "deletion" else "Pixels put back",
        ticksuffix=" %",
        range=[0, 100],
    )
    figure.update_yaxes(title_text="Left of the answer", range=[0, 1.03])
    return figure


def _left_out(name: str, found: Container[str]) -> bool:
    block = name.removesuffix(DEVIATION).removesuffix(TRUNK)
    return not name.endswith(EFFECT) and block + EFFECT in found


def _lay_out(figure: go.Figure, height: int) -> None:
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 8, "t": 8, "b": 4},
        dragmode=False,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
    )
    figure.update_xaxes(fixedrange=True, showgrid=False, zeroline=False, automargin=True)
    figure.update_yaxes(fixedrange=True, zeroline=False, automargin=True)
