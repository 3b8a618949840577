"""The image with its faces marked. A click on a box, or Enter, opens that face's card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from ui.common.images import data_url
from ui.common.preview import age_words
from ui.common.session_results import Answer
from ui.predict import state

HERE = Path(__file__).parent
_PHOTO = st.components.v2.component(
    "agegender-photo",
    html='<div class="ag-photo"></div>',
    css=(HERE / "photo.css").read_text(encoding="utf-8"),
    js=(HERE / "photo.js").read_text(encoding="utf-8"),
    isolate_styles=False,  # the page's own rules say how high an image may be
)


def show(answer: Answer, alt: str, choose: Callable[[int], None] | None) -> None:
    """Draw the preview of ``answer``. ``choose``: called with the index of a face whose card is not
    on the page before the next run; None where each has a card there.
    """
    boxes = [
        {
            "number": index + 1,
            "label": f"Face {index + 1}, {age_words(one.age)} years: show its card",
            "place": place,
        }
        for index, (one, place) in enumerate(zip(answer.predictions, answer.boxes, strict=True))
        if place is not None
    ]

    def clicked() -> None:
        face = (state.PHOTO.get() or {}).get("face")
        if choose is not None and isinstance(face, int) and 0 < face <= len(answer.predictions):
            choose(face - 1)

    data = {
        "src": data_url(answer.preview, "image/jpeg"),
        "alt": alt,
        "boxes": boxes,
        "choose": choose is not None,
    }
    _PHOTO(key=state.PHOTO.key, data=data, on_face_change=clicked)
