"""«Share» in a real browser: the image is shown, blurred on request, and saved."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agegender_core.output.share_image import FACE_SIZE, SIZE
from tests.e2e.harness import overflow, rest, saved, visiting

pytestmark = pytest.mark.e2e


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG" and image.size == SIZE
        return np.asarray(image.convert("RGB"), int)


@pytest.mark.parametrize("width", [1280, 390])
def test_an_answer_is_shared_as_an_image(browser: Any, app_url: str, width: int) -> None:
    with visiting(browser, app_url) as go:
        page = go(width)
        page.locator("[class*='st-key-face-'] .js-plotly-plot .bars").first.wait_for()
        page.get_by_role("button", name="Share", exact=True).click()
        image = page.get_by_alt_text("Image to share: the face, estimated age")
        image.wait_for()
        rest(page)
        box, dialog = image.bounding_box(), page.get_by_role("dialog").bounding_box()
        assert dialog["x"] <= box["x"] and box["x"] + box["width"] <= dialog["x"] + dialog["width"]
        assert box["y"] + box["height"] <= 900 and overflow(page) <= 0
        sharp = pixels(saved(page, "Save image"))
        page.get_by_text("Blur the face").click()
        page.get_by_alt_text("Image to share: a blurred face").wait_for()
        rest(page)
        blurred = pixels(saved(page, "Save image"))
        assert np.abs(sharp - blurred)[:, : FACE_SIZE[0]].mean() > 10
        assert (sharp == blurred)[:, FACE_SIZE[0] :].all()
