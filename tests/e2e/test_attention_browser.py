"""The Attention page in a real browser, with small networks nobody trained: from the navigation to
an image taken away.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.e2e.harness import (
    PATIENCE,
    choose_network,
    overflow,
    rest,
    running_app,
    saved,
    turn_to,
    visiting,
)
from tests.support.attention_networks import write_attention

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app with these networks alone."""
    folder = tmp_path_factory.mktemp("attention")
    write_attention(folder)
    with running_app(folder) as address:
        yield address


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Any]:
    """Opens the Attention page from the navigation, with the sample portrait."""
    with visiting(browser, url, reduced_motion="reduce") as visits:

        def go(*size: Any) -> Any:
            page = visits(*size)
            turn_to(page, "Attention")
            page.locator(".stage img").wait_for()
            rest(page)
            return page

        yield go


def viewer(page: Any) -> Any:
    """The details behind the masks of «Where it looks»."""
    page.get_by_role("tab", name="Where it looks").click()
    page.get_by_text("Details: step through").click()
    page.locator(".js-plotly-plot .hm image").first.wait_for()
    rest(page)
    return page


def shown_age(page: Any) -> str:
    """The age the needle stands at."""
    return page.locator(".gauge .now").inner_text()


def moved_from(page: Any, age: str) -> str:
    """The age once it is no longer ``age``."""
    expect(page.locator(".gauge .now")).not_to_have_text(age, timeout=PATIENCE)
    rest(page)
    return shown_age(page)


def press_on_face(page: Any, across: float, down: float) -> None:
    box = page.locator(".stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] * across, box["y"] + box["height"] * down)


def test_a_click_on_the_face_moves_its_age(browser: Any, app_url: str) -> None:
    """With the trained model that opens: ages of those nobody trained hardly move."""
    with visiting(browser, app_url) as visits:
        page = visits()
        turn_to(page, "Attention")
        page.locator(".stage img").wait_for()
        rest(page)
        page.locator(".stage").scroll_into_view_if_needed()
        whole = shown_age(page)
        press_on_face(page, 0.35, 0.4)
        covered = moved_from(page, whole)
        assert page.locator(".patch").is_visible() and "cover=" in page.url
        page.get_by_text(re.compile(r"\d % of the face covered: .* (older|younger)")).wait_for()
        first = page.url
        press_on_face(page, 0.5, 0.8)
        page.wait_for_function("before => location.href !== before", arg=first)
        page.get_by_role("button", name="Reset", exact=True).click()
        page.get_by_text("Click the face, or drag over it").wait_for()
        rest(page)
        assert shown_age(page) == whole != covered and "cover=" not in page.url


def test_the_patch_moves_by_keyboard(visit: Any) -> None:
    page = visit()
    page.locator(".stage").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "+", "+"):
        page.keyboard.press(key)
    page.wait_for_function("location.search.includes('cover=13.11.10.32')")
    page.keyboard.press("Delete")
    page.get_by_text("Click the face, or drag over it").wait_for()


def test_a_brush_covers_and_uncovers(visit: Any) -> None:
    page = visit()
    page.locator(".stage").scroll_into_view_if_needed()
    page.get_by_role("button", name="Brush").click()
    box = page.locator(".stage").bounding_box()
    row = box["y"] + box["height"] * 0.4
    page.mouse.move(box["x"] + box["width"] * 0.2, row)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, row, steps=20)
    page.mouse.up()
    page.wait_for_function("location.search.includes('cover=b32.')")
    page.get_by_text("of the face covered").wait_for()
    page.get_by_role("button", name="Uncover").click()
    page.mouse.move(box["x"] + box["width"] * 0.1, row)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, row, steps=30)
    page.mouse.up()
    page.get_by_text("Click the face, or drag over it").wait_for()


def test_the_oldest_patch_is_put_on_the_face(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Find the patch that ages this face most").click()
    page.get_by_text("look oldest of 49 places tried").wait_for()
    rest(page)
    assert page.locator(".patch").is_visible() and "cover=" in page.url


def title(page: Any) -> str:
    return page.locator(".ag-map-title").first.inner_text()


def years(page: Any) -> list[str]:
    return page.locator(".ag-pair .ag-age b").all_inner_texts()


def test_steps_by_key_and_takes_the_view_away(visit: Any) -> None:
    page = viewer(visit())
    assert title(page).startswith("Block 1")
    for wanted in ("Block 2", "Block 3", "Block 1"):
        page.keyboard.press("n")
        page.locator(".ag-map-title", has_text=wanted).wait_for()
        rest(page)
    page.keyboard.press("p")
    page.locator(".ag-map-title", has_text="Block 3").wait_for()
    rest(page)
    assert "4 × 4 cells: each covers 8 × 8 pixels" in page.locator(".ag-lines").first.inner_text()
    assert "block=attention3" in page.url
    assert page.get_by_role("radio", name="Block 3").is_checked()
    assert Image.open(io.BytesIO(saved(page, "PNG"))).size[0] > 500
    with np.load(io.BytesIO(saved(page, "NPZ"))) as arrays:
        assert (
            arrays["attention3.mask"].shape[1:] == (4, 4)
            and 0 <= arrays["attention3.mask"].min() <= arrays["attention3.mask"].max() <= 1
        )


def test_every_click_on_a_tab_opens_it(visit: Any) -> None:
    page = visit()
    for name in (
        "Does it matter?",
        "Is it faithful?",
        "Over a test set",
        "Cover the face",
        "Where it looks",
        "Does it matter?",
    ):
        page.get_by_role("tab", name=name).click()
        rest(page)
        page.wait_for_timeout(300)
        rest(page)
        assert page.get_by_role("tab", name=name).get_attribute("aria-selected") == "true", name
    assert "tab=matter" in page.url


def test_values_stand_under_the_pointer(visit: Any) -> None:
    page = viewer(visit())
    plot = page.locator(".st-key-attention-overlay .nsewdrag")
    plot.scroll_into_view_if_needed()
    rest(page)
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.53, box["y"] + box["height"] * 0.53)
    hover = page.locator(".hovertext")
    hover.wait_for()
    assert re.search(r"0\.\d{3}\s*cell 9 across, 9 down", hover.text_content())


def test_a_mask_off_moves_the_numbers(visit: Any) -> None:
    page = visit()
    page.get_by_role("tab", name="Does it matter?").click()
    page.get_by_text("Nothing is changed yet.").wait_for()
    before = years(page)
    page.locator(".st-key-attention-change-attention1").get_by_text("Off", exact=True).click()
    page.locator(".ag-moved", has_text=re.compile("older|younger")).wait_for()
    rest(page)
    after = years(page)
    assert before[0] == before[1] == after[0] != after[1]
    page.get_by_role("button", name="Reset", exact=True).click()
    page.get_by_text("Nothing is changed yet.").wait_for()
    assert years(page) == before


def test_it_plays_and_pauses(visit: Any) -> None:
    page = viewer(visit())
    page.get_by_role("button", name="Play").click()
    for wanted in ("Block 2", "Block 3"):
        page.locator(".ag-map-title", has_text=wanted).wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    rest(page)
    now = title(page)
    page.wait_for_timeout(4000)
    assert title(page) == now


def test_an_address_brings_the_view_back(visit: Any, url: str) -> None:
    page = viewer(visit())
    page.get_by_text("One channel", exact=True).click()
    page.locator(".st-key-attention-channels img").nth(5).wait_for()
    page.locator(".st-key-attention-channels button").nth(5).click()
    rest(page)
    page.wait_for_function("location.search.includes('channel=')")
    shown, address = title(page), page.url
    assert "view=channel" in address
    box = page.locator(".st-key-attention-channels img").first.bounding_box()
    assert box["width"] > 40 and box["height"] > 40
    again = page.context.new_page()
    again.goto(address)
    again.locator(".ag-map-title", has_text=shown.split(",")[1].strip()).wait_for(timeout=PATIENCE)
    again.close()


def test_curves_are_worked_out_on_demand(visit: Any) -> None:
    page = visit()
    page.get_by_text("Another image or model").click()
    rest(page)
    choose_network(page, "Network flat")
    rest(page)
    page.get_by_role("tab", name="Is it faithful?").click()
    page.get_by_role("button", name="Run the test on this face").click()
    page.get_by_text(
        "The mask's effect in block 1 does no better than random on this face."
    ).wait_for()
    page.locator(
        ".st-key-attention-curves-of-insertion .js-plotly-plot .legendtext"
    ).first.wait_for()
    rest(page)
    assert page.locator("[data-testid=stException]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_one_way_only(visit: Any, scheme: str) -> None:
    page = visit(390, 844, scheme)
    assert overflow(page) <= 0
    assert 220 < page.locator(".stage").bounding_box()["width"] <= 390
    viewer(page)
    box = page.locator(".st-key-attention-overlay .js-plotly-plot").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["width"] > 280
    page.get_by_text("One channel", exact=True).click()
    page.locator(".st-key-attention-channels img").first.wait_for()
    rest(page)
    assert overflow(page) <= 0
    page.get_by_role("tab", name="Does it matter?").click()
    page.get_by_text("Nothing is changed yet.").wait_for()
    page.get_by_role("button", name="All off").click()
    page.locator(".ag-moved", has_text=re.compile("older|younger|from")).wait_for()
    assert page.locator(".ag-pair").is_visible() and overflow(page) <= 0
