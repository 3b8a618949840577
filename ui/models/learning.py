"""Learning curves on the Models page: training and validation by pass."""

from __future__ import annotations

from itertools import pairwise

import plotly.graph_objects as go

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.output.metric_formats import METRIC_FORMATS
from agegender_core.training.curves import LearningCurve

MEASURES = {
    **{name: METRIC_FORMATS[name].heading for name in ("mae", "gender_accuracy")},
    "loss": "Loss",
}
"""What a curve may show, in words."""


def offered(curve: LearningCurve) -> list[str]:
    """Which of ``MEASURES`` the log of ``curve`` has."""
    keys = {key for row in curve.joined() for key in row}
    return [name for name in MEASURES if _lines(keys, name)]


def figure(curve: LearningCurve, measure: str) -> go.Figure:
    """A line for each dataset's validation images and, dashed, for training images; passes along
    the bottom. A later stage of training begins at a dotted line.
    """
    rows = curve.joined()
    scale = METRIC_FORMATS[measure].factor if measure in METRIC_FORMATS else 1
    chart = go.Figure()
    for key, title, dashed in _lines({key for row in rows for key in row}, measure):
        points = [row for row in rows if key in row]
        chart.add_scatter(
            x=[row["epoch"] for row in points],
            y=[scale * row[key] for row in points],
            name=title,
            mode="lines+markers",
            marker={"size": 5},
            line={"dash": "dash" if dashed else "solid"},
            hovertemplate="%{y:.2f} after %{x:.1f} passes<extra>" + title + "</extra>",
        )
    for before, after in pairwise(rows):
        if after["stage"] != before["stage"]:
            chart.add_vline(x=before["epoch"], line={"dash": "dot", "width": 1})
    chart.update_layout(
        height=320,
        margin={"l": 4, "r": 8, "t": 8, "b": 4},
        dragmode=False,
        legend={"orientation": "h", "y": 1.12},
    )
    late = "<br>(the stages before were not recorded)" if curve.begins_late else ""
    chart.update_xaxes(
        title_text=f"passes over the training images{late}", fixedrange=True, automargin=True
    )
    chart.update_yaxes(title_text=MEASURES[measure], fixedrange=True, automargin=True)
    return chart


def _lines(keys: set[str], measure: str) -> list[tuple[str, str, bool]]:
    """(key of a row, name, whether of training images) of what ``measure`` has, training last."""
    if measure == "loss":
        found = [("val_loss", "validation", False), ("loss", "training, with augmentation", True)]
        return [line for line in found if line[0] in keys]
    lines = [
        (f"{part}{name}/{measure}", f"{title}, {words}", bool(part))
        for part, words in PARTS
        for name, title in DATASET_TITLES.items()
    ]
    return [line for line in lines if line[0] in keys]


PARTS = (("", "validation"), ("train ", "training"))
