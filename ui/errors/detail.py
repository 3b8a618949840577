"""One image: its labels, what every model answered, how sure it was, and where it went
wrong in the same way.
"""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st

from agegender_core.analysis.nearest_errors import nearest_errors
from agegender_core.datasets import read_row
from agegender_core.datasets.crop_cache import chip_face
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import AgeGenderError
from agegender_core.labels import FAIRFACE_GROUPS
from agegender_core.types import AgeEstimate
from ui.common import charts, gated, messages, services
from ui.common.charts import CONFIG
from ui.common.messages import plain
from ui.errors import data, state
from ui.errors import gallery as errors_gallery
from ui.errors import query_params as link
from ui.errors.data import Scope
from ui.errors.images import ImageSource, one
from ui.errors.text import condition, label_words

NEAR = 6


def close() -> None:
    """The dialog is left: no image is open."""
    link.put("sample", None)


@st.dialog("One image", width="large", on_dismiss=close)
def show(scope: Scope, image_source: ImageSource) -> None:
    """The image that is open."""
    files = scope.table.labels["file"]
    found = np.flatnonzero((files == link.get("sample")).to_numpy())
    if not len(found):
        st.warning(
            f"{scope.title} has no image «{plain(str(link.get('sample')))}» here. Close this and"
            " choose another.",
            title="No such image",
            icon=":material/link_off:",
        )
        return
    row = int(found[0])
    _walk(scope, row)
    content = one(scope, image_source, row)
    left, right = st.columns([2, 5], gap="medium")
    with left, st.container(key="errors-picture"):
        _image(scope, image_source, row, content)
    with right:
        _answer(scope, row)
        _explorer(scope, image_source, row)
    st.dataframe(
        networks(scope, row),
        hide_index=True,
        width="stretch",
        height="content",
        key="errors-networks",
        placeholder="–",
        column_config={
            "model": st.column_config.TextColumn(width=250),
            "age": st.column_config.NumberColumn(format="%.1f", width=70),
        },
    )
    _distribution(scope, row, content, image_source)
    _conditions(scope, row)
    st.markdown("**Similar mistakes**")
    st.caption(
        "Images on which the models err by about as much, with the same confidence, at a similar"
        " age. The faces need not look alike."
    )
    near, _ = nearest_errors(scope.space(), row, NEAR)
    errors_gallery.tile_row(scope, image_source, near, "near")
    link.write(scope.filter)  # a step from image to image runs the dialog alone


def _walk(scope: Scope, row: int) -> None:
    """To the images before and after this one in the gallery behind the dialog."""
    place, rows = errors_gallery.neighbours(scope, row)
    if place < 0 or len(rows) < 2:
        return
    files = scope.table.labels["file"]
    with st.container(horizontal=True, vertical_alignment="center", key="errors-walk-buttons"):
        for step, label, shortcut in ((-1, "Previous", "P"), (1, "Next", "N")):
            there = 0 <= place + step < len(rows)
            st.button(
                label,
                icon=f":material/skip_{label.lower()}:",
                key=f"errors-{label.lower()}",
                shortcut=shortcut,
                disabled=not there,
                on_click=link.put,
                args=("sample", str(files.iloc[rows[place + step]]) if there else None),
            )
        st.caption(f"{place + 1:,} of {len(rows):,}")


def _image(scope: Scope, image_source: ImageSource, row: int, content: bytes | None) -> None:
    file = str(scope.table.labels["file"].iloc[row])
    if content is not None:
        try:
            st.image(
                gated.image(content),
                width="stretch",
                alt=f"{file}, {label_words(scope.table.labels.iloc[row])}",
            )
        except AgeGenderError:
            content = None
    if content is None:
        missing = (
            image_source.missing or f"{file} is not where the other images are, or cannot be read."
        )
        st.info(plain(missing), title="No image here", icon=":material/image_not_supported:")
    st.caption(plain(file))


def _answer(scope: Scope, row: int) -> None:
    labels, answers = (
        scope.table.labels.iloc[row],
        scope.table.predictions_for(scope.weights).iloc[row],
    )
    st.markdown(f"Labelled **{plain(label_words(labels))}**.")
    st.markdown(f"{plain(data.title(scope.weights))}: {plain(answer_words(answers))}")
    if pd.notna(answers["age_pred"]):
        st.html(_span(labels, answers))


def answer_words(answers: pd.Series) -> str:
    """«52 years, 18 too old; interval 45 to 60 misses the label by 11 years. Male, 93 %.»"""
    words = []
    if pd.notna(answers["age_pred"]):
        error = answers["error"]
        off = (
            ""
            if pd.isna(error)
            else (
                ", right"
                if abs(error) < 0.5
                else f", {abs(error):.0f} too {'old' if error > 0 else 'young'}"
            )
        )
        words.append(f"{answers['age_pred']:.0f} years{off}")
        if pd.notna(answers["age_low"]):
            words[-1] += (
                f"; interval {answers['age_low']:.0f} to"
                f" {answers['age_high']:.0f}{_held(answers['outside'])}"
            )
    if isinstance(answers["gender_pred"], str):
        sure = (
            ""
            if pd.isna(answers["gender_probability"])
            else f", {100 * answers['gender_probability']:.0f} %"
        )
        words.append(answers["gender_pred"] + sure)
    return ". ".join(words) + "." if words else "no answer: no face was found."


def _held(outside: float) -> str:
    """Whether an interval contains the label, in words; empty where that is not known."""
    if pd.isna(outside):
        return ""
    if outside == 0:
        return " contains the label"
    return (
        f" misses the label by {outside:.0f} years" if outside >= 1.5 else " just misses the label"
    )


def _span(labels: pd.Series, answers: pd.Series) -> str:
    """The answer, its interval and the label on a line from 0 to 100 years."""
    parts = []
    if pd.notna(answers["age_low"]):
        low, high = (float(np.clip(answers[name], 0, 100)) for name in ("age_low", "age_high"))
        parts.append(f'<i style="left:{low:.1f}%;width:{max(high - low, 0.5):.1f}%"></i>')
    answer = float(np.clip(answers["age_pred"], 0, 100))
    parts.append(f'<b style="left:{answer:.1f}%"></b>')
    middle = (labels["age_lo"] + labels["age_hi"]) / 2
    if pd.notna(middle):
        parts.append(f'<b class="ag-true" style="left:{float(np.clip(middle, 0, 100)):.1f}%"></b>')
    ticks = "".join(f'<span style="left:{year}%">{year}</span>' for year in (0, 25, 50, 75, 100))
    words = escape(f"Answer {answer:.0f} years, label {label_words(labels)}", quote=True)
    note = (
        "<small>The answer and its interval in green, the label in orange, on a line of"
        " years.</small>"
    )
    return (
        f'<div class="ag-span" role="img" aria-label="{words}">{"".join(parts)}{ticks}</div>{note}'
    )


def _explorer(scope: Scope, image_source: ImageSource, row: int) -> None:
    """The way to the Attention page, for datasets it knows."""
    if scope.table.dataset not in TEST_SPLITS:
        return
    place = image_source.row(str(scope.table.labels["file"].iloc[row]))
    if place is None:
        st.caption(
            "The attention explorer opens images of the dataset's own table, which is not here."
        )
        return
    query = urlencode({"set": scope.table.dataset, "row": place, "weights": scope.weights})
    st.link_button("Why this answer?", f"attention?{query}", icon=":material/visibility:")


def networks(scope: Scope, row: int) -> pd.DataFrame:
    """A row a model: its answers on one image, the chosen one first."""
    rows = []
    for name in (
        scope.weights,
        *(other for other in data.ordered(list(scope.table.weights)) if other != scope.weights),
    ):
        answers = scope.table.predictions_for(name).iloc[row]
        rows.append(
            {
                "model": data.title(name),
                "age": None if pd.isna(answers["age_pred"]) else float(answers["age_pred"]),
                "interval": (
                    None
                    if pd.isna(answers["age_low"])
                    else f"{answers['age_low']:.0f} to {answers['age_high']:.0f}"
                ),
                "off by": None if pd.isna(answers["error"]) else f"{answers['error']:+.1f}",
                "gender": (
                    answers["gender_pred"] if isinstance(answers["gender_pred"], str) else None
                ),
                "confidence": (
                    None
                    if pd.isna(answers["gender_probability"])
                    else f"{100 * answers['gender_probability']:.0f} %"
                ),
                "race": answers["race_pred"] if isinstance(answers["race_pred"], str) else None,
            }
        )
    return pd.DataFrame(rows)


def _distribution(scope: Scope, row: int, content: bytes | None, image_source: ImageSource) -> None:
    """The whole age distribution: reports do not contain it, so the model runs again, where image
    and model are here.
    """
    if content is None:
        st.caption(
            "The age distribution needs the image: reports have the answer and its interval only."
        )
        return
    file = str(scope.table.labels["file"].iloc[row])
    asked = state.ASKED.stored()
    if (scope.version, file, scope.weights) not in asked:
        if not st.button(
            "Run the model for its age distribution", icon=":material/bar_chart:", key="errors-ask"
        ):
            return
        try:
            with st.spinner("Estimating …"):
                age = _ask(scope, content, image_source.row(file))
        except AgeGenderError as error:
            messages.cannot_start(error)
            return
        if len(asked) > NEAR * 4:
            asked.clear()
        asked[scope.version, file, scope.weights] = age
    age = asked[scope.version, file, scope.weights]
    if age is None:
        st.caption("No face was found in this image.")
    elif age.probs is not None:
        figure, alt = charts.age_chart(age), charts.age_chart_words(age)
        if (label := labelled_years(scope.table.labels.iloc[row])) is not None:
            figure, alt = (
                charts.with_label(figure, *label),
                f"{alt}; {label_words(scope.table.labels.iloc[row])} labelled",
            )
        st.plotly_chart(figure, width="stretch", config=CONFIG, key="errors-distribution", alt=alt)
    elif age.ranges is not None and age.ranges.probs is not None:
        alt = charts.range_chart_words(age.ranges)
        st.plotly_chart(
            charts.range_chart(age.ranges),
            width="stretch",
            config=CONFIG,
            key="errors-distribution",
            alt=alt,
        )
    else:
        st.caption("This model gives one number and no distribution.")


def labelled_years(labels: pd.Series) -> tuple[float, float] | None:
    """(low, high) of an image's labelled age in years, equal where it is exact; None where it has
    none.
    """
    if pd.notna(labels["age_true"]):
        return float(labels["age_true"]), float(labels["age_true"])
    group = next(
        (group for group in FAIRFACE_GROUPS if group.name == labels["age_range_true"]), None
    )
    return None if group is None else (float(group.lo), float(group.hi))


def _ask(scope: Scope, content: bytes, place: int | None) -> AgeEstimate | None:
    """The age estimate of the chosen model for the face the dataset marks, or the largest one."""
    faces = None
    # FG-NET's are photographs, in which faces are detected.
    if place is not None and scope.table.dataset != "fgnet":
        record, _ = read_row(scope.table.dataset, place)
        faces = (chip_face(gated.image(content), record),)
    predictor = services.predictor(scope.weights, False)
    with gated.slot():
        found = predictor.run(content, faces).predictions
    return found[0].age if found else None


def _conditions(scope: Scope, row: int) -> None:
    if not scope.table.measured:
        return
    found = [
        condition(name)
        for name in scope.table.conditions.columns
        if scope.table.conditions[name].iloc[row]
    ]
    measures = scope.table.measures.iloc[row]
    if pd.isna(measures["luminance"]):
        return
    numbers = (
        f"sharpness {measures['sharpness']:.2f}, luminance {measures['luminance']:.2f}, face"
        f" {measures['face_side']:.0f} px"
    )
    turned = "" if pd.isna(measures["yaw"]) else f", turned by {abs(measures['yaw']):.0f}°"
    st.caption(
        plain(f"Conditions: {', '.join(found) or 'none of those we measure'} ({numbers}{turned}).")
    )
