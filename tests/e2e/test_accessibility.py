"""axe-core over every page in both themes: no finding that it calls serious or critical."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.e2e import screenshots
from tests.e2e.harness import PATIENCE, rest

pytestmark = pytest.mark.e2e

RULES = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
}
PRIMARY_CONTRASTS = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(value => value / 255)
      .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  return [...document.querySelectorAll("[data-testid=stBaseButton-primary]")].map(button => {
    const words = light(getComputedStyle(button.querySelector("p") ?? button).color);
    const below = light(getComputedStyle(button).backgroundColor);
    return Math.max(words, below) / Math.min(words, below);
  });
}"""
"""WCAG's contrast of every primary button's words."""
BAD = ("serious", "critical")


def plain(path: str, heading: str, page: Any, url: str) -> None:
    """A page that needs nothing but time."""
    page.goto(f"{url}/{path}")
    page.get_by_role("heading", name=heading, exact=True).wait_for()
    rest(page)


VIEWS: dict[str, screenshots.View] = {
    "predict": screenshots.sample,
    "predict, a crowd": screenshots.crowd,
    "predict, the model's card": screenshots.card,
    "live": partial(plain, "live", "Live"),
    **{
        f"attention, {tab or 'cover'}": partial(screenshots.attention, tab and f"tab={tab}")
        for tab in ("", "look", "faithful")
    },
    **{
        f"errors, {part}": partial(screenshots.errors, part)
        for part in ("gallery", "plots", "duplicates", "own")
    },
    "guess, the question": partial(plain, "guess", "Guess"),
    "guess, the answer": screenshots.guess,
    "predict, share": screenshots.share,
    "models": screenshots.models,
    "about": screenshots.about,
}


def findings(page: Any) -> list[str]:
    """What axe-core calls serious or critical, a line an element."""
    page.wait_for_timeout(400)  # a colour that fades in is no colour to judge
    return [
        f"{rule['id']}: {node['html'][:200]}: {node['failureSummary'][:300]}"
        for rule in Axe().run(page, options=RULES).response["violations"]
        if rule["impact"] in BAD
        for node in rule["nodes"]
    ]


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Any) -> Iterator[Any]:
    """A page of a visitor with this theme who wants no motion."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme=request.param,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_serious_on_a_page(view: str, page: Any, server_url: str) -> None:
    VIEWS[view](page, server_url)
    assert findings(page) == []


def test_nothing_serious_on_a_phone(page: Any, server_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for view in ("predict", "attention, cover", "errors, gallery", "models"):
        VIEWS[view](page, server_url)
        assert findings(page) == [], view


@pytest.mark.parametrize(("path", "heading"), [("api", "API"), ("gradio/", "")])
def test_nothing_serious_behind_tabs(path: str, heading: str, page: Any, server_url: str) -> None:
    page.goto(f"{server_url}/{path}")
    if heading:
        page.get_by_role("heading", name=heading, exact=True).wait_for()
    page.get_by_role("tab").first.wait_for()
    tabs = page.get_by_role("tab").all()
    assert len(tabs) >= 3
    for tab in tabs:
        tab.click()
        assert findings(page) == [], tab.inner_text()


def test_primary_buttons_are_legible_in_dialogs_too(page: Any, server_url: str) -> None:
    """Dialogs lie outside of what has Streamlit's color-scheme, and axe does not judge them."""
    screenshots.share(page, server_url)
    page.wait_for_timeout(400)
    ratios = page.evaluate(PRIMARY_CONTRASTS)
    assert len(ratios) >= 2 and min(ratios) >= 4.5, ratios


def test_the_navigation_shows_where_the_keyboard_is(page: Any, server_url: str) -> None:
    plain("about", "About", page, server_url)
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").endswith("Live"):
            break
    else:
        pytest.fail("the navigation is not within reach of the tab key")
    style, width, colour = page.evaluate(
        "(({outlineStyle, outlineWidth, outlineColor}) => [outlineStyle, outlineWidth,"
        " outlineColor])(getComputedStyle(document.activeElement))"
    )
    assert (style, width) == ("solid", "3px")
    assert colour in ("rgb(11, 93, 102)", "rgb(138, 218, 215)"), "the theme's primary colour"


def test_axe_sees_what_it_should(page: Any) -> None:
    """A page with faults is found out, so that no finding means something."""
    page.set_content(
        "<html lang=en><title>t</title><main><p style='color:#aaa;background:#fff'>pale</p>"
        "<img src='data:,'><button></button></main>"
    )
    found = {line.partition(":")[0] for line in findings(page)}
    assert {"color-contrast", "image-alt", "button-name"} <= found
