"""The Errors page in a real browser, over the shipped reports and without images: from a plot to
its images, an image in detail, a small screen, the keyboard, a set of one's own, and figures taken
away.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agegender_core.analysis import plot_data
from agegender_core.analysis.filters import order
from agegender_core.analysis.prediction_table import ErrorTable, read_table
from agegender_core.inference.model_zoo import write_manifest
from agegender_core.types import InputSpec
from tests.e2e.harness import PATIENCE, ROOT, overflow, rest, running_app, turn_to, visiting
from tests.support.attention_networks import HEADS, lively, write, write_attention
from ui.errors import selection
from ui.errors.query_params import VIEWS

Timeout = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed"
).TimeoutError
pytestmark = pytest.mark.e2e

PLACE = """(plot, [x, y]) => {
  const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
  const left = box.left + xaxis._offset + xaxis.d2p(x);
  const top = box.top + yaxis._offset + yaxis.d2p(y);
  return [left, top, xaxis._length, yaxis._length];
}"""
"""Where a point of a plot stands in the window, and how large the plot's field is."""
OWN = 200
"""Images of the visitor's own set."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app over the shipped reports, without any images. «Network slow» takes so long
    that a fast computer too is stopped before it is through.
    """
    folder = tmp_path_factory.mktemp("errors")
    networks = write_attention(folder)
    large = {"input": InputSpec(size=256), "flip": True, "options": {"width": 0.125}}
    networks["slow"] = write(folder, "slow", "gra_net", HEADS, lively, **large)
    write_manifest(list(networks.values()), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGEGENDER_DATA", str(tmp_path_factory.mktemp("nothing")))
        patch.delenv("AGEGENDER_PICTURES", raising=False)
        with running_app(folder) as address:
            yield address


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Any]:
    """Opens the Errors page from the navigation."""
    with visiting(browser, url, reduced_motion="reduce") as visits:

        def go(*size: Any) -> Any:
            page = visits(*size)
            turn_to(page, "Errors")
            tiles(page, "all").first.wait_for()
            rest(page)
            return page

        yield go


@pytest.fixture(scope="module")
def table() -> ErrorTable:
    """What the page opens with."""
    paths = (ROOT / "reports").glob("*/utkface/predictions.parquet")
    return read_table(ROOT / "reports", "utkface", (min(path.parts[-3] for path in paths),))


def tiles(page: Any, name: str) -> Any:
    """The visible ones: a button with a hint stands there twice, for large screens and for small
    ones.
    """
    return page.locator(f"[class*='st-key-errors-tile-{name}-'] button:visible")


def rows_of(page: Any, name: str) -> list[int]:
    """Rows of the table that the visible tiles stand for, in order."""
    found = page.locator(f"[class*='st-key-errors-tile-{name}-']").evaluate_all(
        "tiles => tiles.map(tile => tile.className)"
    )
    return [int(re.search(rf"errors-tile-{name}-(\d+)", text)[1]) for text in found]


def turn(page: Any, view: str) -> None:
    """Go to a part of the page."""
    page.locator(".st-key-errors_view").get_by_text(VIEWS[view], exact=True).click()
    rest(page)


def choose_plot(page: Any, title: str) -> None:
    page.get_by_role("combobox", name="Plot").click()
    page.get_by_role("option", name=title, exact=True).click()
    rest(page)


def press(
    page: Any, point: tuple[Any, Any], heading: Any, aside: tuple[float, float] = (0, 0)
) -> None:
    """Press a point of the plot, ``aside`` of it by so many pixels, until ``heading`` stands over
    its images: a press is lost where the plot is drawn anew just between pointing and pressing, and
    a person presses again.
    """
    plot = page.locator(".js-plotly-plot").first
    opened = page.get_by_role("heading", name=heading, exact=isinstance(heading, str))
    for patience in (15_000, 15_000, PATIENCE):
        plot.scroll_into_view_if_needed()
        rest(page)
        x, y, *_ = plot.evaluate(PLACE, list(point))
        page.mouse.move(x + aside[0] + 2, y + aside[1])
        page.mouse.move(x + aside[0], y + aside[1])
        page.locator(".hoverlayer .hovertext").first.wait_for()
        page.mouse.click(x + aside[0], y + aside[1])
        try:
            opened.wait_for(timeout=patience)
            break
        except Timeout:
            if patience == PATIENCE:
                raise
    page.get_by_role("button", name="Clear the mark").wait_for()
    rest(page)


def test_a_cell_of_the_confusion_opens_exactly_its_pictures(visit: Any, table: ErrorTable) -> None:
    page = visit()
    turn(page, "plots")
    choose_plot(page, "Confusion of age groups")
    page.locator(".js-plotly-plot .heatmaplayer .hm").first.wait_for()
    weights = table.weights[0]
    counts = plot_data.confusion(table, weights, "decades").counts
    for true, answer, aside in (("20–29", "30–39", (24, 10)), ("90+", "80–89", (-24, -10))):
        cell = selection.pick("cell", "decades", true.replace("–", "-"), answer.replace("–", "-"))
        mask = selection.mask(cell, table, weights)
        names = [group.name for group in plot_data.DECADES]
        count = counts[names.index(true.replace("–", "-")), names.index(answer.replace("–", "-"))]
        assert 0 < count == mask.sum()
        press(page, (answer, true), f"{count:,} images: labelled {true}, answered {answer}", aside)
        assert rows_of(page, "pick") == order(table, "error", weights, mask=mask)[:24].tolist()
        sign = page.get_by_text(
            f"{count:,} images: labelled {true}, answered {answer}. They are below."
        )
        assert (
            sign.bounding_box()["y"] < page.locator(".js-plotly-plot").first.bounding_box()["y"]
        ), "above the plot that was pressed"
        assert "pick=cell" in page.url
    page.get_by_role("button", name="Clear the mark").click()
    tiles(page, "pick").first.wait_for(state="detached")
    rest(page)
    assert "pick=" not in page.url


def test_a_spot_of_the_density_opens_its_pictures(visit: Any, table: ErrorTable) -> None:
    page = visit()
    turn(page, "plots")
    page.locator(".js-plotly-plot .heatmaplayer .hm").first.wait_for()
    found = plot_data.age_density(table, table.weights[0])
    true, answer = np.unravel_index(found.counts.argmax(), found.counts.shape)
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    press(
        page,
        (float(middles[true]), float(middles[answer])),
        re.compile(rf"^{found.counts[true, answer]:,} images: labelled "),
    )
    low, high = found.edges[true], found.edges[true + 1]
    for text in tiles(page, "pick").all_inner_texts():
        assert low <= int(re.match(r"\s*(\d+) →", text)[1]) < high
    plot = page.locator(".js-plotly-plot").first
    plot.scroll_into_view_if_needed()
    plot.hover()
    plot.locator("[data-title='Box Select']").click()
    (left, top, *_), (right, bottom, *_) = (
        plot.evaluate(PLACE, corner) for corner in ([59.0, 41.0], [81.0, 9.0])
    )
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=4)
    page.mouse.move(right, bottom, steps=4)
    page.mouse.up()
    page.get_by_role("heading", name="images: labelled 59 to 80, answered 9 to 41 years").wait_for()
    rest(page)
    ages = [
        [int(word) for word in re.match(r"\s*(\d+) → (\d+)", text).groups()]
        for text in tiles(page, "pick").all_inner_texts()
    ]
    assert ages and all(59 <= true <= 80 and 9 <= answer <= 41 for true, answer in ages)


def test_a_picture_in_detail_and_its_address(visit: Any, table: ErrorTable) -> None:
    page = visit()
    wanted = order(table, "error", table.weights[0])[:3]
    assert rows_of(page, "all")[:3] == wanted.tolist()
    files = [table.labels["file"].iloc[row] for row in wanted]
    tiles(page, "all").nth(1).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(files[1], exact=True).wait_for()
    dialog.get_by_text("2 of 3,134", exact=True).wait_for()
    rest(page)
    assert f"sample={files[1]}" in page.url
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_text(files[2], exact=True).wait_for()
    page.wait_for_function(f"location.search.includes('sample={files[2]}')")
    page.keyboard.press("p")
    dialog.get_by_text(files[1], exact=True).wait_for()
    page.keyboard.press("p")
    dialog.get_by_text(files[0], exact=True).wait_for()
    assert dialog.get_by_role("button", name="Previous").is_disabled()
    tiles(page, "near").first.click()
    dialog.get_by_text(files[0], exact=True).wait_for(state="detached")
    rest(page)
    address, said = page.url, dialog.get_by_text("Labelled").inner_text()
    assert "sample=" in address and files[0] not in address
    dialog.get_by_role("button", name="Close").click()
    dialog.wait_for(state="detached")
    rest(page)
    assert "sample=" not in page.url
    again = page.context.new_page()
    again.set_default_timeout(PATIENCE)
    again.goto(address)
    assert again.get_by_role("dialog").get_by_text("Labelled").inner_text() == said
    again.close()


def test_the_keyboard_reaches_a_tile_opens_and_closes_it(visit: Any) -> None:
    page = visit()
    page.get_by_role("heading", name="Errors", exact=True).click()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(
            "!!document.activeElement.closest('[class*=\"st-key-errors-tile-all-\"]')"
        ):
            break
    else:
        pytest.fail("no tile was reached with sixty presses of Tab")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_text("Similar mistakes").wait_for()
    rest(page)
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    rest(page)
    assert "sample=" not in page.url


@pytest.mark.parametrize("width", [1280, 390])
def test_the_doors_lead_to_the_images_their_numbers_count(
    visit: Any, table: ErrorTable, width: int
) -> None:
    page = visit(width, 900, "light")
    cards = page.locator("[class*='st-key-errors-door-card-']")
    cards.nth(3).wait_for(state="attached")
    assert cards.count() == 4 and overflow(page) <= 0
    box = page.locator(".st-key-errors-doors").bounding_box()
    assert box["y"] < page.get_by_role("combobox", name="Dataset").bounding_box()["y"], (
        "before the controls"
    )
    assert box["height"] < 330, "one row of cards, beside each other"
    weights = table.weights[0]
    child = (table.labels["age_true"] < 10).to_numpy()
    wrong = child & (table.predictions_for(weights)["gender_right"] == 0).to_numpy()
    card = page.locator(".st-key-errors-door-card-children")
    assert (
        f"{100 * wrong.sum() / child.sum():.0f} %" in card.inner_text()
        and f"{child.sum():,} children" in card.inner_text()
    )
    card.get_by_role("button").click()
    page.locator(".st-key-errors-doors-line").wait_for()
    rest(page)
    assert rows_of(page, "all") == order(table, "against_label", weights, mask=wrong)[:24].tolist()
    assert "age=0-9" in page.url and "gender_is=wrong" in page.url
    address = page.url
    page.locator(".st-key-errors-doors-line").get_by_role(
        "button", name="Same photo, two labels"
    ).click()
    page.locator(".ag-duplicate figure").first.wait_for()
    rest(page)
    assert "view=duplicates" in page.url and "age=" not in page.url
    page.get_by_role("button", name="All findings").click()
    cards.nth(3).wait_for(state="attached")
    rest(page)
    assert "view=" not in page.url
    again = page.context.new_page()
    again.set_default_timeout(PATIENCE)
    again.goto(address)
    tiles(again, "all").first.wait_for()
    rest(again)
    assert (
        rows_of(again, "all") == order(table, "against_label", weights, mask=wrong)[:24].tolist()
    ), "a door is a link"
    again.close()


MAIN = {
    "gallery": "[class*='st-key-errors-tile-all-'] button:visible",
    "plots": ".js-plotly-plot .heatmaplayer .hm",
    "slices": ".js-plotly-plot .scatterlayer .point",
    "conditions": ".st-key-errors-conditions-mae canvas",
    "compare": "[data-testid=stDataFrame] canvas",
    "suspects": "[class*='st-key-errors-tile-suspects-'] button:visible",
    "duplicates": ".ag-duplicate figure",
    "take": ".st-key-errors-report button",
    "own": "[data-testid=stFileUploaderDropzone]",
}
"""What each part of the page is there for."""


def test_a_phone_scrolls_one_way_only(visit: Any) -> None:
    page = visit(390, 844, "light")
    assert set(MAIN) == set(VIEWS)
    for view, main in MAIN.items():
        turn(page, view)
        shown = page.locator(main).first
        shown.wait_for()
        shown.scroll_into_view_if_needed()
        assert overflow(page) <= 0, view
        box = shown.bounding_box()
        assert (
            box["x"] >= 0
            and box["x"] + box["width"] <= 390
            and box["width"] > (8 if view == "slices" else 60)
        ), view
    turn(page, "gallery")
    tiles(page, "all").first.click()
    page.get_by_role("dialog").get_by_text("Similar mistakes").wait_for()
    rest(page)
    assert overflow(page) <= 0
    box = page.get_by_role("dialog").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390


@pytest.fixture(scope="module")
def own_files(portrait: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of labelled images, one misnamed and the last one none, and the same as a zip
    beside it.
    """
    folder = tmp_path_factory.mktemp("own") / "mine"
    folder.mkdir()
    small = portrait.resize((144, 144))
    for index in range(OWN):
        age, darker = 20 + index // 10, index % 40
        shade = small.point(lambda value, darker=darker: value * (100 - darker) // 100)
        shade.save(folder / f"{age}_{index % 2}_0_2017{index:04d}.jpg")
    small.save(folder / "holiday.jpg")
    (folder / "99_1_0_20180101.jpg").write_bytes(b"no image")
    with zipfile.ZipFile(folder.parent / "mine.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"mine/{path.name}")
    return folder


def test_a_set_of_ones_own_is_stopped_and_run_to_its_end(visit: Any, own_files: Path) -> None:
    page = visit()
    turn(page, "own")
    page.set_input_files("input[type=file]", str(own_files.parent / "mine.zip"))
    page.get_by_text(f"{OWN + 1} labelled images can be used").wait_for()
    page.get_by_text("Left out or incomplete: 1").wait_for()
    page.get_by_role("combobox", name="Model to run").click()
    page.get_by_role("option", name="Network slow", exact=True).click()
    rest(page)
    page.get_by_role("button", name="Start").click()
    page.get_by_text(re.compile(rf"^[1-9]\d* of {OWN + 1} images")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    stopped = page.get_by_text(re.compile(r"Stopped after \d+ of")).inner_text()
    seen = int(re.search(r"after (\d+) of", stopped)[1])
    assert 1 <= seen < OWN and "The gallery has these" in stopped
    page.get_by_text(f"{seen} labelled images can be used").wait_for()
    page.get_by_role("button", name="Remove this dataset").click()
    page.get_by_role("button", name="Remove this dataset").wait_for(state="detached")
    page.get_by_text("mine.zip").wait_for(state="detached")
    page.locator(".st-key-errors-own-how").get_by_text("Folder", exact=True).click()
    rest(page)
    page.set_input_files("input[type=file]", str(own_files))
    page.get_by_text(f"{OWN + 1} labelled images can be used").wait_for()
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Open its gallery").click()
    tiles(page, "all").first.wait_for()
    rest(page)
    assert page.get_by_text(f"1 to 24 of {OWN}.").is_visible() and tiles(page, "all").count() == 24
    assert tiles(page, "all").locator("img[src^='data:image/jpeg']").count() == 24
    assert "?" not in page.url, "an own set is in no address"
    tiles(page, "all").first.click()
    page.get_by_role("dialog").locator(".st-key-errors-picture img").wait_for()
    assert page.get_by_role("dialog").get_by_text("Why this answer?").count() == 0


def test_figures_are_saved_as_png_and_svg(visit: Any) -> None:
    page = visit()
    turn(page, "plots")
    page.locator(".js-plotly-plot .scatterlayer").first.wait_for()
    for name, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        page.get_by_text(name, exact=True).click()
        rest(page)
        page.wait_for_timeout(500)
        page.locator(".js-plotly-plot").first.hover()
        with page.expect_download() as download:
            page.locator(".js-plotly-plot .modebar-btn").first.click()
        content = Path(download.value.path()).read_bytes()
        assert content.startswith(start)
        if name == "PNG":
            assert Image.open(io.BytesIO(content)).width > 800
