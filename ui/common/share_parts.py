"""What images to share have in common: the app's name, a model's measured error, and fonts."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from PIL import ImageFont

from agegender_core.output.share_image import PILLOW_FONTS, Font, Typefaces
from ui.common import model_card

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

PROJECT = "Age and gender from faces"
NOT_MEASURED = "The error of this model has not been measured."


def measured_words(model: ModelInfo) -> str:
    """«UTKFace test, n = 3,134: MAE 4.7 years», from the manifest."""
    where = model_card.headline_dataset(model)
    numbers = {} if where is None else model.measured[where]
    words = model_card.age_words(numbers, model.decoding.kind)
    if where is None or not words:
        return NOT_MEASURED
    share, _, ranges = words.partition(" in ")
    error = f"age range correct for {share} ({ranges})" if ranges else f"MAE {words}"
    return f"{model_card.dataset_words(where)}, n = {numbers['n']:,}: {error}"


@cache
def typefaces() -> Typefaces:
    """The fonts of the pages, which ship inside Streamlit; Pillow's own where they are not."""
    media = Path(st.__file__).parent / "static" / "static" / "media"
    sans = next(media.glob("SourceSansVF-Upright.ttf.*.woff2"), None)
    serif = next(media.glob("SourceSerifVariable-Roman.ttf.*.woff2"), None)
    if sans is None or serif is None:
        return PILLOW_FONTS
    try:
        fonts = Typefaces(_font(sans, 400), _font(sans, 600), _font(serif, 600, 60), str)
        fonts.text(20), fonts.display(20)
    except OSError:  # a FreeType without the decoder of web fonts
        return PILLOW_FONTS
    return fonts


def _font(file: Path, *axes: float) -> Font:
    """The variable font in ``file`` at these ``axes``, by size in pixels."""

    @lru_cache(maxsize=24)
    def sized(size: float) -> ImageFont.FreeTypeFont:
        font = ImageFont.truetype(file, size)
        font.set_variation_by_axes(list(axes))
        return font

    return sized
