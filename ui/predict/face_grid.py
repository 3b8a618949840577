"""A crowd's faces as a table to sort, with one line of summary above it and the card of the chosen
face below.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from urllib.parse import quote

import pandas as pd
import streamlit as st
from PIL import Image

from agegender_core.output.drawing import colour_of
from agegender_core.output.gender import gender_words
from agegender_core.types import AgeEstimate, Prediction
from ui.common.charts import with_en_dash
from ui.common.images import image_url
from ui.common.session_results import Answer
from ui.predict import state

CARDS = 6
"""Faces that get a card each; more are in a grid. Each card holds a chart, and browsers get slow
with dozens of them.
"""
CROP_SIDE, ROW = 48, 52
"""Side of a face in the grid, and height of a row, in pixels."""
HEIGHT = 440
OLDEST = 100


def grid(answer: Answer) -> int:
    """Draw the grid of the faces of ``answer``; index of the chosen face, the first until a row is
    clicked.
    """
    predictions = answer.predictions
    st.markdown(f"**{summary(predictions)}**")
    table = face_table(predictions)
    intervals = any(one.age.interval is not None for one in predictions)
    chosen = st.dataframe(
        table if intervals else table.drop(columns="Interval"),
        hide_index=True,
        width="stretch",
        height=min(HEIGHT, ROW * (len(predictions) + 1)),
        row_height=ROW,
        column_config={
            "": st.column_config.NumberColumn(
                width=44, help="Number of the face in the image, from left to right"
            ),
            "Face": st.column_config.ImageColumn(width=60),
            "Age": st.column_config.Column(width=70)
            if any(one.age.ranges is not None for one in predictions)
            else st.column_config.NumberColumn(width=60, format="%.0f"),
            "Interval": st.column_config.ImageColumn(
                width=180, help=f"Likely range of ages on a scale from 0 to {OLDEST}"
            ),
        },
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [0]}},
        key=state.chosen_row(answer).key,
        alt=summary(predictions),
    )
    st.caption("Click a face or a row for its card, a heading to sort.")
    rows = chosen.selection.rows
    return rows[0] if rows and rows[0] < len(predictions) else 0


def choose(answer: Answer, index: int) -> None:
    """Have the row of a face chosen in the next run."""
    state.chosen_row(answer).set({"selection": {"rows": [index]}})


def summary(predictions: Sequence[Prediction]) -> str:
    """«42 faces, 18–86, median 45»."""
    ages = [one.age.years for one in predictions]
    return f"{len(ages)} faces, {round(min(ages))}–{round(max(ages))}, median {round(median(ages))}"


def face_table(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """A row a face: number, crop, age in years, interval as a bar, gender with its probability."""
    rows = [
        {
            "": number,
            "Face": _small(one.crop),
            "Age": one.age.years if one.age.ranges is None else with_en_dash(one.age.ranges.label),
            "Interval": interval_bar(one.age, colour_of(number)),
            "Gender": _gender(one),
        }
        for number, one in enumerate(predictions, start=1)
    ]
    return pd.DataFrame(rows)


def interval_bar(age: AgeEstimate, colour: str) -> str | None:
    """A line from 0 to 100 years with the interval as a bar and the age as a tick: an SVG image as
    a data: address.
    """
    if age.interval is None:
        return None
    low, high = (min(max(float(end), 0), OLDEST) for end in age.interval)
    years = min(max(age.years, 0), OLDEST)
    shapes = (
        f'<rect x="0" y="23" width="160" height="2" fill="#8FA0A0"/><rect x="{1.6 * low:.1f}"'
        f' y="18" width="{max(1.6 * (high - low), 2):.1f}" height="12" rx="3"'
        f' fill="{colour}"/><rect x="{1.6 * years - 1.5:.1f}" y="13" width="3" height="22"'
        ' fill="#7A6A5A"/>'
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="48" viewBox="0 0 160'
        f' 48">{shapes}</svg>'
    )
    return f"data:image/svg+xml,{quote(svg)}"


def _gender(one: Prediction) -> str:
    return "" if one.gender is None else gender_words(one.gender.label, one.gender.confidence)


def _small(crop: Image.Image) -> str:
    return image_url(crop.convert("RGB").resize((CROP_SIDE, CROP_SIDE)), quality=85)
