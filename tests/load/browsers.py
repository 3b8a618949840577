"""Many browser sessions of the Streamlit app at once, each with an image of its own."""

from __future__ import annotations

import io
import re
from typing import Any

from PIL import Image

from agegender_core.datasets.sample_image import sample_portrait
from tests.e2e.harness import FLAGS, find_chromium

PATIENCE = 180_000


def visit_together(
    driver: Any, url: str, count: int
) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    """(wanted, found) of each session: the image's name and how many faces it has, which differ
    from session to session.
    """
    with driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS)) as browser:
        pages = []
        for _ in range(count):
            page = browser.new_context(viewport={"width": 900, "height": 700}).new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(url)
            pages.append(page)
        for page in pages:
            page.get_by_test_id("stFileUploaderDropzone").wait_for()
        for number, page in enumerate(pages):
            file = {
                "name": f"session{number}.jpg",
                "mimeType": "image/jpeg",
                "buffer": _picture(faces_of(number)),
            }
            page.locator("input[type=file]").set_input_files(file)
        answers = []
        for number, page in enumerate(pages):
            shown = page.get_by_role(
                "img", name=re.compile(r"^session\d+\.jpg, .* marked$")
            ).get_attribute("alt")
            name, count_words = shown.split(", ")
            answers.append(
                ((f"session{number}.jpg", faces_of(number)), (name, int(count_words.split()[0])))
            )
        return answers


def faces_of(number: int) -> int:
    """Faces in the image of a session."""
    return 1 + number % 3


def _picture(faces: int) -> bytes:
    canvas = Image.new("RGB", (300 * faces, 300), "grey")
    for index in range(faces):
        canvas.paste(sample_portrait().resize((290, 290)), (300 * index + 5, 5))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
