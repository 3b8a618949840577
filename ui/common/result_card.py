"""One card a face: crop, age with its interval and distribution, gender, and what to be careful
about.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import streamlit as st

from agegender_core.output.counts import counted
from agegender_core.output.drawing import colour_of, text_colour
from agegender_core.output.gender import TOO_CLOSE, too_close
from agegender_core.types import AgeEstimate, Categorical, Prediction
from ui.common.charts import (
    CONFIG,
    age_chart,
    age_chart_words,
    percent_words,
    range_chart,
    range_chart_words,
    with_en_dash,
)
from ui.common.session_results import Answer

LOW_SCORE = 0.95
SMALL_FACE = 40
"""Below these the card asks for caution: detector's score; shorter side of the face in pixels."""
UNDECIDED = f"Gender: {TOO_CLOSE}."
"""The caution about a gender that is not probable enough."""


def show(
    prediction: Prediction,
    number: int,
    explain: Callable[[int], None] | None = None,
    share: Callable[[int], None] | None = None,
    masks: Callable[[int, Any], None] | None = None,
) -> None:
    """The card of face ``number``, counted from 1. ``explain``: opens Attention with this face;
    ``share``: draws the button that makes an image of it; without them there are no such buttons.
    ``masks`` is called with the number and the place for a strip of attention masks, to fill later.
    """
    with st.container(border=True, key=f"face-{number}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            with st.container(width=96, key=f"crop-{number}"):
                st.image(prediction.crop, width=96, alt=f"Aligned crop of face {number}")
            st.html(head(prediction.age, number))
        _distribution(prediction.age, number)
        if prediction.gender is not None:
            st.html(choice(prediction.gender))
        if prediction.race is not None:
            st.caption("Race category as annotators would label it, shown for an audit:")
            st.html(choice(prediction.race))
        st.html(notes(prediction))
        if masks is not None:
            masks(number, st.empty())
        if explain is None and share is None:
            return
        with st.container(horizontal=True, gap="small", key=f"card-buttons-{number}"):
            if explain is not None:
                label, icon = "Why this answer?", ":material/visibility:"
                st.button(label, icon=icon, key=f"why-{number}", on_click=explain, args=(number,))
            if share is not None:
                share(number)


def _distribution(age: AgeEstimate, number: int) -> None:
    """Ages or ranges as bars, or a sentence where the network has neither. The key changes with the
    kind: they are two charts.
    """
    if age.ranges is not None:
        figure, words, kind = range_chart(age.ranges), range_chart_words(age.ranges), "ranges"
    elif age.probs is not None:
        figure, words, kind = age_chart(age), age_chart_words(age), "age"
    else:
        st.caption("This model gives one number and no distribution, so there is no curve to show.")
        return
    st.plotly_chart(figure, width="stretch", config=CONFIG, key=f"{kind}-{number}", alt=words)


def timing_words(answer: Answer) -> str:
    """«2 faces · 0.4 s», and how many smaller ones were left out."""
    count = len(answer.predictions)
    faces = "No face" if not count else f"{count} face{'' if count == 1 else 's'}"
    left = (
        f" · {left_out_words(answer.left_out)}: an image's largest {count} are answered here"
        if answer.left_out
        else ""
    )
    return f"{faces} · {_seconds(answer)} s{left}"


def left_out_words(faces: int) -> str:
    """«1 smaller face was left out»."""
    return f"{counted(faces, 'smaller face')} {'was' if faces == 1 else 'were'} left out"


def turned_words(degrees: int) -> str:
    """By how much, and in which direction, an image is shown turned. ``degrees``: counter-clockwise
    as in ``Face.turned``; 90, 180 or 270.
    """
    turn = {90: "90° counter-clockwise", 180: "upside down", 270: "90° clockwise"}[degrees]
    return f"The image is shown turned {turn}: its faces stand upright that way."


def _seconds(answer: Answer) -> str:
    time = answer.timing
    total = time.align_ms + time.network_ms + (0 if answer.reused else time.detect_ms)
    if total < 5:
        return "under 0.01"
    return f"{total / 1000:.1f}" if total >= 100 else f"{total / 1000:.2f}"


def timing_steps(answer: Answer) -> str:
    """The steps behind ``timing_words``, for a tooltip."""
    time = answer.timing
    detection = "faces known from before" if answer.reused else f"detection {time.detect_ms:.0f} ms"
    return (
        f"{detection[0].upper()}{detection[1:]}, alignment {time.align_ms:.0f} ms, model"
        f" {time.network_ms:.0f} ms"
    )


def head(age: AgeEstimate, number: int) -> str:
    """Number of the face, the age and what its interval means."""
    colour = colour_of(number)
    style = f"background:{colour};color:{text_colour(colour)}"
    badge = (
        f'<span class="ag-number" role="heading" aria-level="2" style="{style}">Face'
        f" {number}</span>"
    )
    if age.ranges is not None:
        headline, unit, words = with_en_dash(age.ranges.label), "years", range_words(age)
    else:
        headline, words = str(round(age.years)), interval_words(age)
        unit = "year" if headline == "1" else "years"
    headline = f'<div class="ag-age"><b>{escape(headline)}</b><span>{unit}</span></div>'
    return f'<div>{badge}{headline}<div class="ag-interval">{escape(words)}</div></div>'


def range_words(age: AgeEstimate) -> str:
    """«46 %, the likeliest of 9 ranges. Average estimate: 36.» and the interval, where there is
    one.
    """
    ranges = age.ranges
    if ranges is None:
        return ""
    sure = "" if ranges.confidence is None else f"{percent_words(100 * ranges.confidence)}, "
    words = (
        f"{sure}the likeliest of {len(ranges.labels)} ranges. Average estimate: {age.years:.0f}."
    )
    words = words[0].upper() + words[1:]
    return words if age.interval is None else f"{words} {interval_words(age)}"


def interval_words(age: AgeEstimate) -> str:
    """«Likely 27–43 (80 % interval)», or that there is none."""
    if age.interval is None:
        return "No interval: the error of this model has not been measured."
    low, high = (round(value) for value in age.interval)
    share = "" if age.coverage is None else f" ({age.coverage:.0%} interval)".replace("%", " %")
    return f"Likely {low}–{high}{share}"


def choice(categorical: Categorical) -> str:
    """A row a label: its name, a bar and its probability, the chosen one in full colour."""
    if categorical.probs is None:
        return (
            f'<div class="ag-rows"><b>{escape(categorical.label)}</b><span>(this model gives no'
            " probability)</span></div>"
        )
    cells = []
    for index, (label, probability) in enumerate(
        zip(categorical.labels, categorical.probs, strict=True)
    ):
        text = escape(label.replace("_", " / "))
        name, bar = (
            (f"<b>{text}</b>", "ag-chosen")
            if index == categorical.index
            else (f'<span class="ag-quiet">{text}</span>', "")
        )
        cells.append(
            f'{name}<span class="ag-bar" aria-hidden="true"><i class="{bar}"'
            f' style="width:{probability:.1%}"></i></span>'
            f'<span class="ag-value">{probability * 100:.1f} %</span>'
        )
    return f'<div class="ag-rows">{"".join(cells)}</div>'


def undecided(gender: Categorical) -> str:
    """The caution about a gender that is too close to call, where there are no ``notes``; else
    empty.
    """
    if not too_close(gender.confidence):
        return ""
    return f'<div class="ag-notes"><p class="ag-caution">{UNDECIDED}</p></div>'


def notes(prediction: Prediction) -> str:
    """Cautions first, then how the face was found."""
    items = [f'<p class="ag-caution">{escape(line)}</p>' for line in cautions(prediction)]
    items += [f'<p class="ag-quiet">{escape(line)}</p>' for line in facts(prediction)]
    return f'<div class="ag-notes">{"".join(items)}</div>'


def facts(prediction: Prediction) -> list[str]:
    """How the face was found."""
    face = prediction.face
    lines = [
        f"Detection score {face.score:.2f}; face of {face.width:.0f} × {face.height:.0f} pixels."
    ]
    if face.turned:
        lines.append(turned_words(face.turned))
    return lines


def cautions(prediction: Prediction) -> list[str]:
    """Reasons not to trust this answer, in plain words."""
    face, gender, lines = prediction.face, prediction.gender, []
    if face.score < LOW_SCORE:
        lines.append("The detector is not sure that this is a face.")
    if min(face.width, face.height) < SMALL_FACE:
        lines.append("The face is small; a closer image would be answered better.")
    if gender is not None and too_close(gender.confidence):
        lines.append(UNDECIDED)
    return lines
