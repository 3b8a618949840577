"""The browser's Back leaves a page in one step, however many of its controls were used; the address
is a link to what they show all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.harness import PATIENCE, rest, turn_to, visiting

pytestmark = pytest.mark.e2e


def use_attention(page: Any) -> str:
    """Three controls; a part of the address that they make."""
    page.locator(".stage img").wait_for()
    rest(page)
    page.locator(".stage").focus()
    for key in ("ArrowRight", "ArrowUp"):
        before = page.url
        page.keyboard.press(key)
        page.wait_for_function("before => location.href !== before", arg=before)
        rest(page)
    page.get_by_role("tab", name="Where it looks").click()
    page.locator(".ag-overview img").first.wait_for()
    page.wait_for_function("location.search.includes('tab=look')")
    rest(page)
    return "tab=look"


def use_errors(page: Any) -> str:
    """Two views, and the order of images."""
    for name in ("Plots", "Slices"):
        page.locator(".st-key-errors_view").get_by_text(name, exact=True).click()
        page.wait_for_function("name => location.search.includes(`view=${name}`)", arg=name.lower())
        rest(page)
    return "view=slices"


def use_guess(page: Any) -> str:
    """Two faces."""
    for number in (2, 3):
        page.get_by_role("button", name="Guess", exact=True).click()
        page.get_by_role("button", name="Next face").click()
        page.wait_for_function("word => location.search.includes(word)", arg=f"round={number}")
        rest(page)
    return "round=3"


USES = {"Attention": use_attention, "Errors": use_errors, "Guess": use_guess}


@pytest.mark.parametrize("name", USES)
def test_back_leaves_a_page_in_one_step(browser: Any, server_url: str, name: str) -> None:
    with visiting(browser, server_url, reduced_motion="reduce") as go:
        page = go()
        rest(page)
        turn_to(page, name)
        rest(page)
        words = USES[name](page)
        assert words in page.url
        page.go_back()
        page.get_by_role("heading", name="Age and gender from faces").wait_for()
        rest(page)
        assert name.lower() not in page.url
        page.go_forward()
        page.get_by_role("heading", name=name, exact=True).wait_for()
        rest(page)
        assert words in page.url


@pytest.mark.parametrize(("address", "use"), [("attention", use_attention), ("errors", use_errors)])
def test_back_leaves_a_page_that_was_opened_by_its_address(
    browser: Any, server_url: str, address: str, use: Callable[[Any], str]
) -> None:
    # Streamlit itself asks below the page's path first, so the console has two errors.
    with browser.new_context(reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{server_url}/")
        page.get_by_role("heading", name="Age and gender from faces").wait_for()
        page.goto(f"{server_url}/{address}")
        page.get_by_role("heading", name=address.title(), exact=True).wait_for()
        rest(page)
        words = use(page)
        link = page.url
        page.go_back()
        page.get_by_role("heading", name="Age and gender from faces").wait_for()
        page.goto(link)
        page.get_by_role("heading", name=address.title(), exact=True).wait_for()
        rest(page)
        assert words in page.url
