"""The explorer's view to take away: an image of it, and the raw numbers behind it."""

from __future__ import annotations

import io
from pathlib import PurePath

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from agegender_core.output.drawing import drawable
from agegender_core.output.gender import gender_words, too_close
from agegender_core.types import AgeEstimate, Categorical
from ui.attention import query_params as link
from ui.attention.figures import coloured, limits, table
from ui.attention.layers import SALIENCY, Layer, around, range_words, resolution_words, span_words
from ui.attention.session import Subject
from ui.common.charts import with_en_dash
from ui.common.images import encoded

SIDE, SMALL, EDGE = 512, 170, 24
INK, PAPER = (29, 43, 46), (255, 255, 255)


def buttons(subject: Subject, shown: Layer) -> None:
    """Image of this view, raw masks; both are made when their button is pressed."""
    stem = f"{PurePath(subject.answer.image.name).stem}-{subject.info.name}"
    settings = {name: link.get(name) for name in ("colours", "scale", "cells", "opacity", "under")}
    with st.container(horizontal=True, key="attention-downloads"):
        st.download_button(
            "PNG",
            lambda: png(subject, shown, settings),
            f"{stem}-{shown.name}.png",
            "image/png",
            icon=":material/image:",
            on_click="ignore",
            key="attention-png",
            help="This view as an image, with its scale",
        )
        st.download_button(
            "NPZ",
            lambda: npz(subject),
            f"{stem}.npz",
            "application/octet-stream",
            icon=":material/data_array:",
            on_click="ignore",
            key="attention-npz",
            help="All raw values, by name, for NumPy",
        )
    st.caption("This page's address saves these settings, not your photo.")


def npz(subject: Subject) -> bytes:
    """Masks, gates, features and outputs of all blocks with the crop; for a network without masks
    its saliency maps and the crop.
    """
    from agegender_core.explain.attention import save_npz

    buffer = io.BytesIO()
    if subject.own_masks:
        save_npz(subject.maps(), buffer)
    else:
        found = {
            f"{method}.{target}": subject.saliency(method, target)
            for method in SALIENCY
            for target in link.TARGETS
        }
        np.savez_compressed(buffer, crop=np.asarray(subject.prediction.crop), **found)
    return buffer.getvalue()


def png(subject: Subject, shown: Layer, settings: dict) -> bytes:
    """The map over the face with a scale bar and, for a mask, trunk, mask and output; what it is
    stands beside it.
    """
    canvas = Image.new(
        "RGB",
        (2 * EDGE + SIDE + (0 if shown.block is None else EDGE + SMALL), 3 * EDGE + SIDE + 190),
        PAPER,
    )
    draw = ImageDraw.Draw(canvas)
    span = limits(shown.values, settings["scale"])
    smooth = settings["cells"] == "smooth"
    face = over_face(
        subject,
        shown.values,
        settings["colours"],
        span,
        settings["under"],
        smooth,
        settings["opacity"],
    )
    canvas.paste(face, (EDGE, EDGE))
    _bar(canvas, draw, (EDGE, EDGE + SIDE + 8), SIDE, settings["colours"], span)
    if shown.block is not None:
        for place, (name, values, ends) in enumerate(around(shown)):
            top = EDGE + place * (SMALL + 1)
            image = coloured(values, settings["colours"], *ends).resize(
                (SMALL - 26, SMALL - 26), Image.Resampling.NEAREST
            )
            canvas.paste(image, (2 * EDGE + SIDE, top + 22))
            draw.text(
                (2 * EDGE + SIDE, top),
                drawable(f"{name} {span_words(values)}"),
                fill=INK,
                font=_font(14),
            )
    text = [
        shown.about,
        resolution_words(shown.values, subject.info.input.size),
        range_words(shown),
    ]
    text += [] if shown.block is None else [shown.block.gate_words()]
    text += [
        f"{subject.info.title} ({subject.info.name})."
        f" {answer_words(subject.prediction.age, subject.prediction.gender)}"
    ]
    top = 2 * EDGE + SIDE + 40
    for number, line in enumerate(map(drawable, text)):
        for part in _wrapped(line, draw, canvas.width - 2 * EDGE, _font(20 if number == 0 else 15)):
            draw.text((EDGE, top), part, fill=INK, font=_font(20 if number == 0 else 15))
            top += 28 if number == 0 else 20
    return encoded(canvas, "PNG")


def answer_words(age: AgeEstimate, gender: Categorical | None) -> str:
    """«Estimate: 38.9 years, Female 93 %.», «Estimate: 38.9 years, gender too close to call (Female
    62 %).»
    """
    words = (
        f"{age.years:.1f} years"
        if age.ranges is None
        else f"{with_en_dash(age.ranges.label)} years"
    )
    if gender is not None:
        named = gender_words(gender.label, gender.confidence)
        unsure = too_close(gender.confidence)
        words += f", gender {named[0].lower()}{named[1:]}" if unsure else f", {named}"
    return f"Estimate: {words}."


def over_face(
    subject: Subject,
    values: np.ndarray,
    colours: str,
    span: tuple[float, float],
    under: str,
    smooth: bool,
    opacity: int,
    side: int = SIDE,
) -> Image.Image:
    """(h, w) ``values`` over the face, ``side`` pixels a side. ``under``: «sharp» or «crop»;
    ``opacity``: in percent.
    """
    if under == "sharp":
        face = (
            Image.open(io.BytesIO(subject.sharp()))
            .convert("RGB")
            .resize((side, side), Image.Resampling.BICUBIC)
        )
    else:
        face = (
            subject.prediction.crop.convert("L")
            .convert("RGB")
            .resize((side, side), Image.Resampling.NEAREST)
        )
    if smooth:
        large = Image.fromarray(values.astype(np.float32)).resize(
            (side, side), Image.Resampling.BILINEAR
        )
        over = coloured(np.asarray(large), colours, *span)
    else:
        over = coloured(values, colours, *span).resize((side, side), Image.Resampling.NEAREST)
    return Image.blend(face, over, opacity / 100)


def _bar(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    width: int,
    colours: str,
    span: tuple[float, float],
) -> None:
    ramp = Image.fromarray(table(colours)[None]).resize((width, 14), Image.Resampling.NEAREST)
    canvas.paste(ramp, at)
    for place in range(5):
        x, anchor = at[0] + place * width / 4, {0: "la", 4: "ra"}.get(place, "ma")
        draw.text(
            (x, at[1] + 18),
            f"{span[0] + place * (span[1] - span[0]) / 4:.2f}",
            fill=INK,
            font=_font(14),
            anchor=anchor,
        )


def _wrapped(
    line: str, draw: ImageDraw.ImageDraw, width: int, font: ImageFont.FreeTypeFont
) -> list[str]:
    lines = [""]
    for word in line.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # type: ignore[return-value]
