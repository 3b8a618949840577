"""The Guess page in a real browser, wide and narrow: played with arrows and Enter alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import QUIET, overflow, rest, running_app
from ui.guess.game import LEAST

pytestmark = pytest.mark.e2e

PARTS = {name: f".st-key-guess-{name}" for name in ("face", "panel", "now", "next", "score")}


def question(page: Any) -> Any:
    """The slider, once it has the focus."""
    slider = page.locator("[class*='st-key-guess-age-'] input[type=range]")
    slider.wait_for()
    page.locator(QUIET).wait_for()
    page.wait_for_function("document.activeElement?.type === 'range'")
    return slider


def guess_by_keys(page: Any, steps: int) -> str:
    """Move by so many years, guess, and give back what the label says."""
    slider = question(page)
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")
    chosen = int(slider.input_value())
    page.keyboard.press("Enter")
    page.locator(".ag-guess-verdict").wait_for()
    rest(page)
    values = page.locator(".ag-guess-value b").all_inner_texts()
    assert values[1] == str(chosen), "the guess is where the slider stood when Enter was pressed"
    return values[0]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_game_by_keyboard_and_the_same_faces_for_a_friend(
    browser: Any, drawn_sets: Path, width: int
) -> None:
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.set_default_timeout(120_000)
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    with running_app() as url:
        page.goto(f"{url}/guess?dataset=utkface&seed=11")
        question(page)
        face, button = (page.locator(PARTS[name]).first.bounding_box() for name in ("face", "now"))
        assert face["y"] >= 0 and button["y"] + button["height"] <= 844, "played without scrolling"
        assert page.locator(PARTS["score"]).count() == 0
        image = page.locator(f"{PARTS['face']} img").first
        shape = image.evaluate(
            "one => one.width / one.height / one.naturalWidth * one.naturalHeight"
        )
        assert abs(shape - 1) < 0.02, "a box wider than its image has square corners on one side"
        labels = []
        for number in range(LEAST):
            labels.append(guess_by_keys(page, 3 - 2 * number))
            if number < LEAST - 1:
                page.wait_for_function(
                    "document.activeElement?.closest('.st-key-guess-next') !== null"
                )
                page.keyboard.press("Enter")
                page.locator(".ag-guess-verdict").wait_for(state="detached")
        score = page.locator(PARTS["score"]).inner_text()
        assert re.search(r"You are \d+\.\d years off on average, the model \d+\.\d", score)
        assert f"over {LEAST} faces." in score and "95 % interval" in score
        assert re.search(r"You lead|The model leads|Too close to call", score)
        assert overflow(page) <= 0
        assert f"round={LEAST}" in page.url
        friend = browser.new_page(viewport={"width": width, "height": 844})
        friend.set_default_timeout(120_000)
        link = page.get_by_role("link", name="Link to these faces, from the first")
        friend.goto(url + "/" + link.get_attribute("href").split("/")[-1])
        assert guess_by_keys(friend, 1) == labels[0]
        friend.close()
        page.get_by_role("button", name="Start again").click()
        page.locator(".ag-guess-verdict").wait_for(state="detached")
        rest(page)
        assert not re.search(r"seed=11\b", page.url), "other faces"
        assert page.locator(PARTS["score"]).count() == 0
    page.close()
    assert failed == []
