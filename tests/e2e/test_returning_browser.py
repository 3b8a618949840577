"""A refresh and the way back leave uploads and answers where they were; other tabs of the same
browser see none of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import PATIENCE, answered_by, choose_network, rest, visiting

pytestmark = pytest.mark.e2e
MINE = "portrait.jpg, 1 face marked"
OTHER = "multitask_cnn_dist"
SAMPLE = "eileen_collins.png, 1 face marked"


@pytest.fixture
def page(browser: Any, server_url: str, portrait_file: Path) -> Iterator[Any]:
    """Predict with the answer to an upload."""
    with visiting(browser, server_url) as go:
        page = go()
        upload(page, portrait_file)
        yield page


def upload(page: Any, file: Path) -> None:
    """And wait until the server knows the tab."""
    page.set_input_files("input[type=file]", str(file))
    page.get_by_role("img", name=MINE).wait_for()
    rest(page)
    page.wait_for_function("sessionStorage.getItem('agegender-tab')")
    rest(page)


def shown(page: Any) -> str:
    """Name of the image whose answer stands on the page."""
    page.locator(".st-key-picture img").first.wait_for()
    rest(page)
    return page.locator(".st-key-picture img").first.get_attribute("alt")


def another_tab(page: Any, url: str) -> Any:
    tab = page.context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.goto(url)
    return tab


def test_a_refresh_keeps_them_until_they_are_removed(page: Any) -> None:
    for _ in range(2):
        page.reload()
        page.get_by_text("Still here: portrait.jpg").wait_for()
        assert shown(page) == MINE
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("img", name=SAMPLE).wait_for()
    page.reload()
    assert shown(page) == SAMPLE


def test_a_refresh_keeps_the_chosen_network(page: Any) -> None:
    title = next(info.title for info in list_weights() if info.name == OTHER)
    choose_network(page, title)
    answered_by(page, title)
    assert page.url.endswith(f"?weights={OTHER}")
    page.reload()
    page.get_by_text("Still here: portrait.jpg").wait_for()
    answered_by(page, title)
    assert shown(page) == MINE


def test_the_way_back_from_elsewhere_keeps_them(page: Any) -> None:
    page.goto("about:blank")
    page.go_back()
    assert shown(page) == MINE


def test_a_session_that_begins_on_another_page_has_them_too(
    browser: Any, server_url: str, portrait_file: Path
) -> None:
    # Streamlit itself asks below the page's path first, so the console has two errors.
    with browser.new_context() as context:
        page = another_tab(context.new_page(), server_url)
        upload(page, portrait_file)
        page.goto(f"{server_url}/models")
        page.get_by_role("heading", name="Models", exact=True).wait_for()
        rest(page)
        page.get_by_role("link", name="Predict").click()
        page.get_by_text("Still here: portrait.jpg").wait_for()
        assert shown(page) == MINE


def test_another_tab_has_its_own(page: Any, server_url: str, tmp_path: Path) -> None:
    second = another_tab(page, server_url)
    assert shown(second) == SAMPLE
    other = tmp_path / "other.jpg"
    other.write_bytes(
        Path(__file__).parents[2].joinpath("agegender_core/assets/grace_hopper.jpg").read_bytes()
    )
    second.set_input_files("input[type=file]", str(other))
    second.get_by_role("img", name="other.jpg, 1 face marked").wait_for()
    rest(second)
    page.reload()
    second.reload()
    assert shown(page) == MINE and shown(second) == "other.jpg, 1 face marked"
    page.close()
    third = another_tab(second, server_url)  # of a browser one of whose tabs was closed
    assert shown(third) == SAMPLE


def test_what_tells_the_browser_is_hidden_from_scripts_and_addresses(page: Any) -> None:
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "agegender_browser"]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax" and cookie["expires"] == -1
    assert "agegender_browser" not in page.evaluate("document.cookie")
    tab = page.evaluate("sessionStorage.getItem('agegender-tab')")
    assert len(tab) == 32 and tab not in page.url and cookie["value"] not in page.url
    assert cookie["value"] not in page.content()
