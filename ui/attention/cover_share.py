"""«Share»: the covered face and what became of its age, as one image to post. It is made in memory
when it is asked for, and kept nowhere.
"""

from __future__ import annotations

import io
from pathlib import PurePath

import numpy as np
import streamlit as st
from PIL import Image

from agegender_core.output.share_image import BRAND, FACE_SIZE, INK, SIZE, ShareText, share_png
from ui.attention.covers import Cover
from ui.attention.interventions import moved_words
from ui.attention.session import Estimate, Subject
from ui.common.charts import with_en_dash
from ui.common.share_parts import PROJECT, measured_words, typefaces


def button(subject: Subject, cover: Cover, before: Estimate, after: Estimate, what: str) -> None:
    """Saves the image. ``what``: what was covered and changed, in words."""
    st.download_button(
        "Share",
        lambda: png(subject, cover, before, after, what),
        f"{PurePath(subject.answer.image.name).stem}-covered.png",
        "image/png",
        icon=":material/share:",
        on_click="ignore",
        key="attention-cover-share",
        help=(
            f"The covered face and its age as an image, {SIZE[0]} × {SIZE[1]} pixels. Ask people"
            " before you post their face."
        ),
    )


def png(subject: Subject, cover: Cover, before: Estimate, after: Estimate, what: str) -> bytes:
    """The image, as a PNG file."""
    age, unit = _headline(after)
    text = ShareText(
        age=age,
        unit=unit,
        lines=(moved_words(before, after), f"{what}; {' '.join(_headline(before))} before"),
        model=subject.info.title,
        measured=measured_words(subject.info),
        project=PROJECT,
    )
    return share_png(panel(subject, cover), after[0], text, typefaces())


def panel(subject: Subject, cover: Cover) -> Image.Image:
    """The face as the model crops it, in grey, with what is covered in colour: of ``FACE_SIZE``."""
    side = FACE_SIZE[0]
    with Image.open(io.BytesIO(subject.sharp())) as sharp:
        face = sharp.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    covered = Image.fromarray(cover.pixels.astype(np.uint8) * 255)
    face.paste(BRAND, mask=covered.resize((side, side), Image.Resampling.NEAREST))
    canvas = Image.new("RGB", FACE_SIZE, INK)
    canvas.paste(face, (0, (FACE_SIZE[1] - side) // 2))
    return canvas


def _headline(estimate: Estimate) -> tuple[str, str]:
    """«39» and «years», or the likeliest range."""
    age = estimate[0]
    words = str(round(age.years)) if age.ranges is None else with_en_dash(age.ranges.label)
    return words, "year" if words == "1" else "years"
