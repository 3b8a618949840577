"""Both front ends of one process on one port, in a browser: the same image, the same answer, one
network in memory.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.harness import rest, stranger, visiting

Timeout = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed"
).TimeoutError
pytestmark = pytest.mark.e2e
SLOW = 30_000


def gradio(browser: Any, url: str, errors: list[str], **settings: Any) -> Any:
    """Gradio's page in a context of its own; requests elsewhere and errors are noted."""
    page = browser.new_context(
        **{"viewport": {"width": 1280, "height": 900}, **settings}
    ).new_page()
    page.on(
        "request",
        lambda request: (
            errors.append(f"asked for {request.url}") if stranger(request.url, url) else None
        ),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.goto(f"{url}/gradio/")
    page.get_by_role("heading", name="Age and gender from faces").wait_for(timeout=SLOW)
    return page


def test_both_give_the_same_answer_from_one_network(
    browser: Any, server_url: str, portrait_file: Path
) -> None:
    errors: list[str] = []
    with visiting(browser, server_url) as go:
        streamlit = go()
        streamlit.locator("input[type=file]").set_input_files(portrait_file)
        streamlit.get_by_role("img", name="portrait.jpg, 1 face marked").wait_for(timeout=SLOW)
        rest(streamlit)
        first = streamlit.locator("[class*='st-key-face-1']").inner_text()
    page = gradio(browser, server_url, errors)
    page.locator("input[type=file]").first.set_input_files(portrait_file)
    page.locator(".ag-card").first.wait_for(timeout=SLOW)
    second = page.locator(".ag-card").first.inner_text()
    page.locator("img[alt='portrait.jpg, 1 face marked']").wait_for()
    facts = re.compile(r"(\d+)\s*years?.*?(\d+–\d+) \(80 % interval\).*?Female\s+([\d.]+) %", re.S)
    assert facts.search(first).groups() == facts.search(second).groups()
    loaded = httpx.get(f"{server_url}/ready").json()["loaded"]
    assert len({entry["name"] for entry in loaded}) == len(loaded)
    page.context.close()
    assert errors == []


POINTS = """image => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const pen = canvas.getContext('2d');
  pen.drawImage(image, 0, 0, 8, 8);
  const {data} = pen.getImageData(0, 0, 8, 8);
  return [...Array(64).keys()].map(i => data[4 * i] + data[4 * i + 1] + data[4 * i + 2]);
}"""
"""How bright an image is as it is shown, in eight rows of eight."""


def test_a_photo_stored_on_its_side_is_shown_upright(
    browser: Any, server_url: str, portrait: Image.Image, tmp_path: Path
) -> None:
    upright = portrait.convert("RGB").crop((0, 0, 512, 400))
    stored = tmp_path / "phone.jpg"
    orientation = Image.Exif()
    orientation[0x0112] = 6  # turn it by 90 degrees clockwise
    upright.rotate(90, expand=True).save(stored, exif=orientation)
    wanted = np.asarray(upright.resize((8, 8), Image.Resampling.BOX), float).sum(axis=2).ravel()
    errors: list[str] = []
    page = gradio(browser, server_url, errors)
    page.locator("input[type=file]").first.set_input_files(stored)
    answer = page.locator("img[alt='phone.jpg, 1 face marked']")
    answer.wait_for(timeout=SLOW)
    for image in (page.get_by_test_id("image").locator("img:visible").first, answer):
        assert image.evaluate("image => image.naturalWidth / image.naturalHeight") > 1.2
        assert np.corrcoef(wanted, image.evaluate(POINTS))[0, 1] > 0.8
    page.context.close()
    assert errors == []


@pytest.mark.parametrize("width", [1280, 390])
def test_gradios_tabs(
    browser: Any, server_url: str, portrait_file: Path, tmp_path: Path, width: int
) -> None:
    errors: list[str] = []
    page = gradio(browser, server_url, errors, viewport={"width": width, "height": 900})

    more = page.locator(".overflow-menu button").first

    def tab(name: str) -> None:
        """Gradio puts tabs that do not fit behind a button, once it has measured them."""
        wanted = page.get_by_role("tab", name=name)
        for _ in range(40):
            if wanted.get_attribute("aria-selected") == "true":
                return
            for control in (wanted, more):
                if control.is_visible():
                    with suppress(Timeout):
                        control.click(timeout=2000)
                    break
            page.wait_for_timeout(250)
        pytest.fail(f"the tab {name} cannot be reached")

    tab("Attention")
    page.locator("[role=tabpanel]:visible input[type=file]").first.set_input_files(portrait_file)
    page.locator("img[alt^='Effect of the mask of']").nth(2).wait_for(timeout=SLOW)
    tab("Batch")
    bad = tmp_path / "notes.txt"
    bad.write_text("no image")
    page.locator("input[type=file][multiple]").first.set_input_files([portrait_file, bad])
    page.get_by_role("button", name="Estimate all").click()
    page.get_by_text("2 images, 1 face, 1 failed.").wait_for(timeout=SLOW)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download faces.json").click()
    rows = json.loads(Path(download.value.path()).read_text())
    assert [row["file"] for row in rows] == ["portrait.jpg", "notes.txt"] and rows[1]["error"][
        "reason"
    ] == "not_an_image"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()
    assert errors == []


def test_a_bad_picture_is_said_and_the_page_goes_on(
    browser: Any, server_url: str, portrait_file: Path, tmp_path: Path
) -> None:
    errors: list[str] = []
    page = gradio(browser, server_url, errors)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(portrait_file.read_bytes()[:9000])
    page.locator("input[type=file]").first.set_input_files(cut)
    page.get_by_role("alert").get_by_text("The JPEG image is incomplete or damaged.").wait_for(
        timeout=SLOW
    )
    page.locator("button.gallery-item").first.click()
    page.locator(".ag-card").first.wait_for(timeout=SLOW)
    page.wait_for_function(
        "[...document.querySelectorAll('img')].every(image => image.complete && image.naturalWidth"
        " > 0)"
    )
    page.context.close()
    assert errors == []


def test_words_stand_where_a_browser_cannot_show_the_file(
    browser: Any, server_url: str, tmp_path: Path
) -> None:
    errors: list[str] = []
    page = gradio(browser, server_url, errors)
    garbage = tmp_path / "garbage.jpg"
    garbage.write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 4000)
    page.locator("input[type=file]").first.set_input_files(garbage)
    broken = page.locator("img.ag-broken")
    broken.wait_for(state="attached", timeout=SLOW)
    assert not broken.is_visible(), "the browser's own icon"
    words = "image => getComputedStyle(image.parentElement, '::after').content"
    assert "No preview" in broken.evaluate(words)
    page.locator("button.gallery-item").first.click()
    page.locator(".ag-card").first.wait_for(timeout=SLOW)
    assert broken.count() == 0
    page.context.close()
    assert errors == []


def test_gradios_live_tab_needs_no_webrtc(cinema_one: Any, server_url: str) -> None:
    errors: list[str] = []
    page = gradio(cinema_one, server_url, errors, permissions=["camera"])
    page.get_by_role("tab", name="Live").click()
    page.get_by_text("Ask anyone who may appear on camera").wait_for()
    assert not page.get_by_text("Click to Access Webcam").is_visible()
    page.get_by_role("button", name="Agree and show the camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_role("button", name="capture photo").click()
    page.get_by_text(re.compile(r"\d+ fps")).wait_for(timeout=SLOW)
    page.locator("li", has_text=re.compile(r"\d+ \(\d+-\d+\)")).first.wait_for(timeout=SLOW)
    page.locator("img[src^='data:image/jpeg']").first.wait_for()
    page.get_by_role("button", name="capture photo").click()  # the same button stops
    page.context.close()
    assert errors == []


@pytest.fixture(scope="module")
def cinema_one(browser: Any) -> Any:
    """The browser whose camera shows the portrait."""
    return browser
