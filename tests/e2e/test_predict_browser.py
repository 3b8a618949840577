"""The Predict page in a real browser with the real network: upload, webcam, small screen,
keyboard.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import (
    QUIET,
    answered_by,
    choose_network,
    overflow,
    rest,
    running_app,
    saved,
    visiting,
)
from tests.support.networks import write_networks
from ui.common.image_input import privacy_sentence

pytestmark = pytest.mark.e2e

COUNT_STREAMS = """
window.streamsAsked = 0;
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (...wishes) => {
  window.streamsAsked += 1;
  return ask(...wishes);
};
"""
AGE = re.compile(r"^\d+(–\d+|\+)?\s*years?$", re.MULTILINE)
"""«34 years», «30–39 years» or «70+ years», in one line or two."""
FOCUSED = (
    "(document.activeElement?.innerText || document.activeElement?.getAttribute('aria-label') ||"
    " '').trim()"
)


@pytest.fixture
def visit(browser: Any, app_url: str) -> Iterator[Any]:
    """Opens the Predict page, counting how often it asks for the camera."""
    with visiting(browser, app_url, permissions=["camera"]) as visits:
        yield lambda *size: visits(*size, before=COUNT_STREAMS)


def cards(page: Any) -> Any:
    return page.locator("[class*='st-key-face-']")


def upload(page: Any, *files: Path) -> None:
    page.set_input_files("input[type=file]", [str(path) for path in files])
    page.get_by_role("img", name=f"{files[-1].name}, ").wait_for()


def test_upload_shows_one_card_and_downloads(visit: Any, portrait_file: Path) -> None:
    page = visit()
    upload(page, portrait_file)
    cards(page).first.locator(".js-plotly-plot .bars").first.wait_for()
    assert cards(page).count() == 1
    text = cards(page).first.inner_text()
    assert "years" in text and "80 % interval" in text and "Female" in text
    document = json.loads(saved(page, "JSON"))
    assert (
        document["file"] == "portrait.jpg"
        and len(document["faces"]) == 1
        and "race" not in document["faces"][0]
    )
    assert len(saved(page, "CSV").decode().splitlines()) == 2
    assert Image.open(io.BytesIO(saved(page, "Image"))).size == (512, 512)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_file_that_is_too_large_says_so(visit: Any, tmp_path: Path, width: int) -> None:
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(30 * 2**20)
    page = visit(width)
    page.locator("input[type=file]").first.set_input_files(huge)
    reason = page.get_by_role("alert").filter(has_text="25.0MB or smaller")
    reason.wait_for()
    box = reason.bounding_box()
    assert box["width"] > 100 and box["height"] >= 15 and box["y"] < 500, "Streamlit's is 1x1 px"
    assert overflow(page) <= 0


def test_webcam_is_asked_for_only_after_the_button(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Camera", exact=True).click()
    page.get_by_text(privacy_sentence(race=False)).wait_for()
    page.get_by_role("button", name="Open the camera").wait_for()
    page.wait_for_timeout(1500)
    assert page.evaluate("window.streamsAsked") == 0 and page.locator("video").count() == 0
    page.get_by_role("button", name="Open the camera").click()
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    assert page.evaluate("window.streamsAsked") >= 1
    assert page.get_by_text(privacy_sentence(race=False)).is_visible()
    page.get_by_role("button", name="Take photo").click()
    cards(page).first.wait_for()
    assert cards(page).count() == 1
    page.get_by_role("button", name="Close the camera").click()
    page.get_by_role("button", name="Open the camera").wait_for()
    cards(page).first.wait_for(state="detached")
    assert page.locator("video").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_one_way_only(visit: Any, portrait_file: Path, scheme: str) -> None:
    page = visit(390, 844, scheme)
    assert overflow(page) <= 0
    upload(page, portrait_file)
    plot = cards(page).first.locator(".js-plotly-plot")
    plot.locator(".bars").first.wait_for()
    assert overflow(page) <= 0
    box = plot.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["width"] > 280


def test_everything_is_within_reach_of_the_tab_key(visit: Any) -> None:
    page = visit()
    cards(page).first.wait_for()
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(FOCUSED).split("\n")[-1])
    assert {"About", "Upload", "Camera", "Astronaut", "Why this answer?"} <= reached
    page.get_by_role("button", name="Pioneer").focus()
    page.keyboard.press("Enter")
    page.get_by_role("img", name="grace_hopper.jpg, 1 face marked").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_samples_answer_stands_on_the_first_screen_of_a_phone(visit: Any, scheme: str) -> None:
    page = visit(390, 844, scheme)
    image, age = (
        page.get_by_role("img", name="eileen_collins.png, 1 face marked"),
        cards(page).first.locator(".ag-age"),
    )
    image.wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('.st-key-picture img')].every(one => one.complete &&"
        " one.naturalWidth)"
    )
    page.locator(QUIET).wait_for()
    for part in (image, age):
        box = part.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 844 and box["height"] > 20, box
    assert (
        image.bounding_box()["height"] > 150
        and AGE.search(age.inner_text())
        and overflow(page) <= 0
    )


def test_a_crowd_is_a_grid_whose_rows_open_cards(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Twelve").click()
    page.get_by_text(re.compile(r"^12 faces, \d+–\d+, median \d+$")).wait_for()
    page.locator(QUIET).wait_for()
    grid = page.get_by_test_id("stDataFrame")
    assert cards(page).count() == 1 and "Face 1\n" in cards(page).first.inner_text()
    grid.click(position={"x": 20, "y": 36 + 52 * 3 + 26})
    page.get_by_role("heading", name="Face 4").wait_for()
    rest(page)  # until then the card before may still be there
    assert cards(page).count() == 1 and overflow(page) <= 0


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("key", ["", "Enter"])
def test_a_box_on_the_image_opens_its_card(visit: Any, size: tuple[int, int], key: str) -> None:
    page = visit(*size)
    page.get_by_role("button", name="Two").click()
    page.get_by_role("heading", name="Face 2").wait_for()
    page.locator(QUIET).wait_for()
    image = page.get_by_role("img", name="two_portraits.jpg, 2 faces marked").bounding_box()
    for number in (2, 1):
        box = page.get_by_role("button", name=re.compile(rf"^Face {number}, \d+ years"))
        place = box.bounding_box()
        middle = (place["x"] + place["width"] / 2 - image["x"]) / image["width"]
        assert (middle > 0.5) == (number == 2) and place["width"] < image["width"] / 2
        box.focus()
        page.keyboard.press("Enter") if key else box.click()
        card = page.locator(f".st-key-face-{number}")
        page.wait_for_function(
            "number => document.activeElement.classList.contains(`st-key-face-${number}`)",
            arg=number,
        )
        age = card.locator(".ag-age")
        page.wait_for_function(
            "age => { const {top, bottom} = age.getBoundingClientRect();"
            " return top > 50 && bottom <= innerHeight }",
            arg=age.element_handle(),
        )
        assert AGE.search(age.inner_text())[0].split()[0] in box.get_attribute("aria-label")
        if size[0] > 900:  # the image stays beside the cards, for the next box
            top = page.locator(".ag-photo").bounding_box()["y"]
            assert top > 50 and top + page.locator(".ag-photo").bounding_box()["height"] < 900
    assert overflow(page) <= 0


@pytest.mark.parametrize("width", [1280, 390])
def test_a_box_in_a_crowd_chooses_its_row(visit: Any, width: int) -> None:
    page = visit(width, 900)
    page.get_by_role("button", name="Twelve").click()
    boxes = page.get_by_role("button", name=re.compile(r"^Face \d+, .* show its card"))
    boxes.nth(11).wait_for()
    page.locator(QUIET).wait_for()
    assert boxes.count() == 12
    assert [box.get_attribute("tabindex") for box in boxes.all()].count("-1") == 11
    boxes.nth(6).click()
    page.get_by_role("heading", name="Face 7").wait_for()
    page.locator(".st-key-face-7:focus").wait_for()
    boxes.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator(".st-key-face-2:focus").wait_for()
    rest(page)
    assert cards(page).count() == 1 and overflow(page) <= 0
    page.get_by_test_id("stDataFrame").click(position={"x": 20, "y": 36 + 52 * 3 + 26})
    page.get_by_role("heading", name="Face 4").wait_for()  # rows go on choosing


def test_why_this_answer_leads_into_attention_with_that_face(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Two").click()
    page.get_by_role("heading", name="Face 2").wait_for()
    page.locator(QUIET).wait_for()
    age = AGE.search(cards(page).nth(1).locator(".ag-age").inner_text())[0].split()[0]
    page.get_by_role("button", name="Why this answer?").nth(1).click()
    page.get_by_role("heading", name="Attention", exact=True).wait_for()
    page.locator(".ag-said").first.wait_for()
    page.locator(QUIET).wait_for()
    assert "face=2" in page.url, page.url
    said = re.search(r"Estimate: ([\d.]+) years", page.locator(".ag-said").first.inner_text())
    assert abs(float(said[1]) - int(age)) <= 0.5, "the card shows whole years"


def test_every_network_for_use_answers(visit: Any, portrait_file: Path) -> None:
    page = visit()
    upload(page, portrait_file)
    entries = [info for info in list_weights() if info.installed and not info.for_comparison]
    for number, info in enumerate(entries):
        if number:
            choose_network(page, info.title)
        answered_by(page, info.title)
        text = cards(page).first.inner_text()
        assert (
            cards(page).count() == 1
            and page.locator("[data-testid=stAlert], [data-testid=stException]").count() == 0
        ), info.name
        said = AGE.search(text)
        assert said and all(1 <= int(years) <= 100 for years in re.findall(r"\d+", said[0])), (
            f"{info.name}: {text}"
        )
        assert "Female" in text or "Male" in text, f"{info.name}: {text}"
        if info.decoding.kind in ("distribution", "groups"):
            cards(page).first.locator(".js-plotly-plot .bars path").first.wait_for(state="attached")
        else:
            assert cards(page).first.locator("[data-testid=stPlotlyChart]").count() == 0, info.name


def test_ranges_fit_a_phone(browser: Any, portrait_file: Path, tmp_path: Path) -> None:
    titles = {info.name: info.title for info in write_networks(tmp_path)}
    with running_app(tmp_path) as url, visiting(browser, url) as visits:
        page = visits(390, 844)
        upload(page, portrait_file)
        choose_network(page, titles["groups"])
        answered_by(page, titles["groups"])
        plot = cards(page).first.locator(".js-plotly-plot")
        plot.locator(".bars").first.wait_for()
        assert "30–39" in cards(page).first.inner_text() and overflow(page) <= 0
        for labels, wanted in ((".xtick text", "70+"), (".bars text", "46 %")):
            boxes = [label.bounding_box() for label in plot.locator(labels).all()]
            assert len(boxes) == 9 and wanted in plot.locator(labels).all_text_contents()
            assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
        choose_network(page, titles["regression"])
        answered_by(page, titles["regression"])
        assert cards(page).first.locator(".js-plotly-plot").count() == 0


def test_the_card_opens_on_a_phone_and_links_to_the_models(visit: Any) -> None:
    page = visit(390, 844)
    card = page.locator(".st-key-network-card")
    assert not card.locator(".ag-facts").is_visible()
    page.locator(".st-key-answered-by").get_by_text("change", exact=True).click()
    page.get_by_text("About this model").click()
    card.locator(".ag-facts").wait_for()
    text = card.inner_text()
    assert (
        "parameters" in text and "Trained on" in text and "Measured on" in text and "Terms" in text
    )
    assert overflow(page) <= 0
    table = card.locator(".ag-measured").bounding_box()
    assert table["x"] >= 0 and table["x"] + table["width"] <= 390
    with page.context.expect_page() as opened:
        card.get_by_role("link", name="All measurements").click()
    opened.value.get_by_role("heading", name="Models", exact=True).wait_for()
