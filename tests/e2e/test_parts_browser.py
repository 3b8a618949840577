"""Parts that several pages share, alone in a real browser: the pager, and the choice of a face in a
crowd.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import QUIET, ROOT, overflow, running_app

pytestmark = pytest.mark.e2e
SCRIPT = """
import io
import streamlit as st
from PIL import Image
from agegender_core.types import Timing
from tests.support.fakes import FAKE_WEIGHTS, fake_prediction
from ui.attention.setup import pick_face
from ui.common.pager import pager
from ui.common.session_results import Answer, InputImage
st.set_page_config(layout="wide")
for pages in (2, 4, 7):
    with st.container(horizontal=True, horizontal_alignment="distribute", key=f"pages-{pages}"):
        pager(pages, f"pager-{pages}")
        st.segmented_control(
            "Tiles", (24, 48, 96), default=24, key=f"tiles-{pages}", label_visibility="collapsed"
        )
image = Image.new("RGB", (640, 480), (90, 100, 110))
faces = int(st.query_params.get("faces", "4"))
found = tuple(fake_prediction(image, number, faces) for number in range(faces))
preview = io.BytesIO()
image.save(preview, "PNG")
image, timing = InputImage("a.jpg", b""), Timing(1, 1, 1)
answer = Answer(image, found, FAKE_WEIGHTS, timing, 0, {}, [], preview.getvalue(), False)
with st.container(key=f"faces-{faces}"):
    pick_face(answer)
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_short_lists_show_all_pages_and_every_face_has_its_words(
    browser: Any, tmp_path: Path, width: int
) -> None:
    script = tmp_path / "parts.py"
    script.write_text(SCRIPT)
    with running_app(script=str(script), switches={"PYTHONPATH": str(ROOT)}) as url:
        page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        page.set_default_timeout(60_000)
        page.goto(url)
        page.locator(".st-key-faces-4 [data-testid=stButtonGroup] button").first.wait_for()
        page.locator(QUIET).wait_for()
        for pages in (2, 4, 7):
            shown = page.locator(
                f".st-key-pages-{pages} [data-testid=stPagination] button"
            ).all_inner_texts()
            assert [text for text in shown if text.isdigit()] == [
                str(number) for number in range(1, pages + 1)
            ]
        for button in page.locator(".st-key-faces-4 [data-testid=stButtonGroup] button").all():
            assert button.inner_text().startswith("Face ") and button.bounding_box()["width"] > 40
        page.goto(f"{url}?faces=12")
        page.locator(".st-key-faces-12").get_by_role("combobox").click()
        options = page.get_by_role("option").all_inner_texts()
        assert len(options) >= 8 and all("years" in option for option in options)
        page.keyboard.press("Escape")
        assert overflow(page) <= 0
        page.context.close()
