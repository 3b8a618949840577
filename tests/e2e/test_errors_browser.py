"""The Errors page in a real browser, over the shipped reports and without pictures: figures taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import running_app
from tests.e2e.test_attention_browser import rest
from tests.ui.test_attention_page import write_attention

pytestmark = pytest.mark.e2e
PATIENCE = 120_000
OFFLINE = "ERR_NAME_NOT_RESOLVED"
"""Streamlit asks a font server for a page's icon until the app has named its own; without the internet that shows in the console."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of the app over the shipped reports, without any pictures."""
    folder = tmp_path_factory.mktemp("errors")
    write_attention(folder)
    nothing = tmp_path_factory.mktemp("nothing")
    patch = pytest.MonkeyPatch()
    patch.setenv("AGEGENDER_DATA", str(nothing))
    with running_app(folder) as address:
        yield address
    patch.undo()


@pytest.fixture
def visit(browser: Any, url: str) -> Iterator[Any]:
    """Opens the Errors page from the navigation; at the end no script may have failed and nothing may stand in the console."""
    contexts, errors = [], []

    def go(width: int = 1280, height: int = 900, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" and OFFLINE not in message.text else None)
        page.goto(url)
        page.get_by_role("button", name="Try it with the sample portrait").wait_for()
        if width < 700:
            page.get_by_test_id("stExpandSidebarButton").click()
        page.get_by_role("link", name="Errors").click()
        page.get_by_role("heading", name="Errors", exact=True).wait_for()
        if width < 700 and page.get_by_test_id("stSidebarCollapseButton").is_visible():
            page.get_by_test_id("stSidebarCollapseButton").click()
        page.locator("[class*='st-key-errors-tile-all'] button").first.wait_for()
        rest(page)
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []


def test_figures_are_saved_as_png_and_svg(visit: Any, tmp_path: Path) -> None:
    page = visit()
    page.get_by_text("Plots", exact=True).click()
    page.locator(".js-plotly-plot .scatterlayer").first.wait_for()
    rest(page)
    for name, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg")):
        page.get_by_text(name, exact=True).click()
        rest(page)
        page.wait_for_timeout(500)
        page.locator(".js-plotly-plot").first.hover()
        with page.expect_download() as download:
            page.locator(".js-plotly-plot .modebar-btn").first.click()
        saved = tmp_path / name
        download.value.save_as(saved)
        assert saved.read_bytes().startswith(start)
