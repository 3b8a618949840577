"""Learning curves on the Models page: training images and those held out, by pass."""

from __future__ import annotations

from itertools import pairwise

import plotly.graph_objects as go

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.output.metric_formats import METRIC_FORMATS
from agegender_core.training.curves import DEALT, LearningCurve

MEASURES = {
    **{name: METRIC_FORMATS[name].heading for name in ("mae", "gender_accuracy")},
    "loss": "Loss",
}
"""What a curve may show, in words."""
SPLITS = {"val": "validation images", "test": "test images"}
TRAINING = "training images"
SIZES = "One view each, at the size the pass was at: a step in the curve may be a change of size."


def offered(curve: LearningCurve) -> list[str]:
    """Which of ``MEASURES`` the log of ``curve`` has."""
    return [name for name in MEASURES if _lines(curve, name)]


def caption(curve: LearningCurve) -> str:
    """What the lines were measured on."""
    found = curve.measured_on
    if found is None:
        parts = {
            f"{stage.watched:,} of the {stage.pictures:,} training images"
            for stage in curve.stages
            if stage.watched and stage.pictures
        }
        dashed = f"; dashed: {' or '.join(sorted(parts))}, as they are" if parts else ""
        held_out = curve.stages[-1].held_out
        counts = ", ".join(f"{DATASET_TITLES[name]} {count:,}" for name, count in held_out.items())
        counted = f" ({counts})" if counts else ""
        return f"Validation images{counted} after each pass{dashed}. {SIZES}"
    pictures, count = curve.stages[-1].pictures or 0, curve.stages[-1].watched
    watched = f" and {count:,} of the {pictures:,} training images" if count else ""
    dealt = f" The images were {DEALT[found.resplit]}." if found.resplit else ""
    augmented = "" if found.augmented else " Trained without augmentation."
    return (
        "An experiment, not a model to use. Measured after each pass:"
        f" {found.pictures:,} {SPLITS[found.split]}{watched}.{dealt}{augmented}"
    )


def figure(curve: LearningCurve, measure: str) -> go.Figure:
    """A line for each dataset's held-out images and, dashed, for training images; passes along
    the bottom. A later stage of training begins at a dotted line.
    """
    rows = curve.joined()
    scale = METRIC_FORMATS[measure].factor if measure in METRIC_FORMATS else 1
    chart = go.Figure()
    for key, title, dashed in _lines(curve, measure):
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
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    late = "<br>(the stages before were not recorded)" if curve.begins_late else ""
    chart.update_xaxes(
        title_text=f"passes over the training images{late}", fixedrange=True, automargin=True
    )
    chart.update_yaxes(title_text=MEASURES[measure], fixedrange=True, automargin=True)
    return chart


def _lines(curve: LearningCurve, measure: str) -> list[tuple[str, str, bool]]:
    """(key of a row, name, whether of training images) of what ``measure`` has, training last."""
    keys = {key for row in curve.joined() for key in row}
    found = curve.measured_on
    held_out = SPLITS[found.split if found else "val"]
    if measure == "loss":
        augmented = found is None or found.augmented
        as_trained = f"{TRAINING}, {'with augmentation' if augmented else 'while they are learned'}"
        lines = [
            ("val_loss", held_out, False),
            ("train loss", f"{TRAINING}, after the pass", True),
            ("loss", as_trained, True),
        ]
    else:
        lines = [
            (f"{part}{name}/{measure}", f"{title}, {words}", bool(part))
            for part, words in (("", held_out), ("train ", TRAINING))
            for name, title in DATASET_TITLES.items()
        ]
    return [line for line in lines if line[0] in keys]
