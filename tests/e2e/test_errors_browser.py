"""The Errors page in a real browser, over the shipped reports and without pictures: figures taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import rest, running_app, turn_to, visiting
from tests.ui.test_attention_page import write_attention

pytestmark = pytest.mark.e2e


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
    """Opens the Errors page from the navigation."""
    with visiting(browser, url, reduced_motion="reduce") as visits:

        def go(*size: Any) -> Any:
            page = visits(*size)
            turn_to(page, "Errors")
            page.locator("[class*='st-key-errors-tile-all'] button").first.wait_for()
            rest(page)
            return page

        yield go


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
