"""The Models page in a real browser, reached by its link on a server that has just started."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.harness import running_app

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("width", [1280, 390])
def test_a_link_to_a_page_of_a_fresh_server_opens_it_in_the_app(browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(120_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    with running_app() as url:
        page.goto(f"{url}/models")
        page.get_by_text("claims are reached here").or_(
            page.get_by_text("claims is reached here")
        ).wait_for()
        page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()
        chart = page.locator(".js-plotly-plot").first.bounding_box()
        assert chart["y"] < 500 and chart["x"] >= 0 and chart["x"] + chart["width"] <= width, (
            "the chart begins on the first screen"
        )
        page.get_by_text("The models: ").click()
        page.locator(".ag-card-title").first.wait_for()
        assert page.get_by_role("link", name="app", exact=True).count() == 0, (
            "Streamlit's own menu of the pages folder"
        )
        assert page.url.endswith("/models") and page.title() == "Models · Age and gender from faces"
        if width > 1000:
            page.get_by_role("link", name="Predict").click()
            page.get_by_role("heading", name="Age and gender from faces").wait_for()
            page.wait_for_function("document.title.startsWith('Predict')")
    page.close()
    assert errors == []
