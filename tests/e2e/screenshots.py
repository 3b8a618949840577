"""Images of every page: ``python -m tests.e2e.screenshots FOLDER [HOW A VIEW BEGINS]``; ``--docs``
renews the README's own.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from agegender_core.benchmarks.video import drawn_video
from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import (
    FLAGS,
    PATIENCE,
    QUIET,
    ROOT,
    answered_by,
    choose_network,
    find_chromium,
    running_app,
    write_film,
)

SIZES = ((1280, 900), (390, 844))

PARTS = (
    "",
    "cover=12.20.8.32",
    "tab=look",
    "view=channel",
    "block=grad_cam",
    "tab=matter",
    "tab=faithful",
    "tab=set",
)
"""Views of the Attention page, by their settings."""
ERRORS = (
    "gallery",
    "plots",
    "slices",
    "conditions",
    "compare",
    "suspects",
    "duplicates",
    "take",
    "own",
)
"""Parts of the Errors page."""
EXPERIMENTS = ("Gates and mask kinds", "Over seeds", "Worse photos", "Do masks matter?")
"""Experiments of the Models page with tables of their own."""
View = Callable[[Any, str], None]


def sample(page: Any, url: str) -> None:
    """The Predict page with the sample's answer."""
    page.goto(url)
    page.locator("[class*='st-key-face-'] .js-plotly-plot .bars").first.wait_for()


def card(page: Any, url: str) -> None:
    """The picker with its card open, over the sample's answer."""
    sample(page, url)
    page.locator(".st-key-answered-by").get_by_text("change", exact=True).click()
    page.get_by_text("About this model").click()
    page.locator(".ag-facts").wait_for()


def choosing(page: Any, url: str) -> None:
    """The picker's list open."""
    sample(page, url)
    page.locator(".st-key-answered-by").get_by_text("change", exact=True).click()
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option").first.wait_for()


def network(title: str, page: Any, url: str) -> None:
    """The sample's answer by the network called ``title``, its card open."""
    card(page, url)
    choose_network(page, title)
    answered_by(page, title)


def crowd(page: Any, url: str) -> None:
    """The grid of a crowd's faces."""
    sample(page, url)
    page.locator(".st-key-example-crowd button").click()
    page.get_by_text("12 faces, ").wait_for()
    page.locator(QUIET).wait_for()
    page.wait_for_timeout(1500)


def about(page: Any, url: str) -> None:
    """The About page."""
    page.goto(f"{url}/about")
    page.get_by_role("heading", name="About", exact=True).wait_for()
    page.wait_for_timeout(2000)


def models(page: Any, url: str) -> None:
    """The Models page."""
    page.goto(f"{url}/models")
    page.locator(".js-plotly-plot .scatterlayer .point").first.wait_for()


def experiment(name: str, page: Any, url: str) -> None:
    """The Models page with one of its experiments open."""
    models(page, url)
    page.get_by_text("Experiments: near-duplicates", exact=False).first.click()
    page.get_by_role("tab", name=name, exact=True).click()
    page.locator(QUIET).wait_for()
    page.wait_for_timeout(1500)


def attention(query: str, page: Any, url: str) -> None:
    """A part of the Attention page over the sample, by its settings in the address."""
    page.goto(f"{url}/attention?picture=sample&{query}")
    page.locator(".ag-said").first.wait_for()
    page.locator(QUIET).wait_for()
    page.wait_for_timeout(2500)


def errors(part: str, page: Any, url: str) -> None:
    """A part of the Errors page."""
    page.goto(f"{url}/errors?view={part}")
    page.get_by_role("heading", name="Errors", exact=True).wait_for()
    page.locator(QUIET).wait_for()
    page.wait_for_timeout(2500)


def share(page: Any, url: str) -> None:
    """The image to share, over the sample's answer."""
    sample(page, url)
    page.get_by_role("button", name="Share", exact=True).click()
    page.get_by_alt_text("Image to share").wait_for()


def guess(page: Any, url: str) -> None:
    """The Guess page after the first guess."""
    page.goto(f"{url}/guess?seed=7")
    page.get_by_role("button", name="Guess", exact=True).click()
    page.locator(".ag-guess-verdict").wait_for()


def live(state: str, page: Any, url: str) -> None:
    """The Live page: «told», «running» or «frozen»."""
    page.goto(f"{url}/live")
    page.get_by_role("button", name="Agree and show the camera").wait_for()
    if state == "told":
        return
    page.get_by_role("button", name="Agree and show the camera").click()
    page.frame_locator("iframe[title*='webrtc']").get_by_role(
        "button", name="Start the camera"
    ).click()
    page.get_by_text(" fps ").wait_for()
    page.wait_for_timeout(5000)
    if state == "frozen":
        page.get_by_role("button", name="Freeze").click()
        page.get_by_text("Averaged over").wait_for()


def gradio(tab: str, page: Any, url: str) -> None:
    """A tab of the Gradio front end with the sample's answer, where it takes one."""
    page.goto(f"{url}/gradio/")
    page.get_by_role("tab", name="Photo").wait_for()
    page.wait_for_timeout(1500)
    if tab != "Photo":
        page.get_by_role("tab", name=tab).or_(page.locator(".overflow-menu button")).first.click()
        page.wait_for_timeout(500)
    example = page.locator("[role=tabpanel]:visible button.gallery-item")
    if example.count():
        example.first.click()
        page.wait_for_timeout(6000)


def save(page: Any, path: Path, width: int, height: int) -> None:
    """The whole page: Streamlit scrolls inside the window, so the window grows to its content."""
    page.wait_for_timeout(800)
    content = page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0")
    page.set_viewport_size({"width": width, "height": max(height, content)})
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    page.set_viewport_size({"width": width, "height": height})


def take(browser: Any, url: str, folder: Path, views: dict[str, View]) -> None:
    """Every view in both schemes and sizes into ``folder``."""
    for scheme in ("light", "dark"):
        for width, height in SIZES:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.set_default_timeout(PATIENCE)
            for name, view in views.items():
                view(page, url)
                save(page, folder / f"{name}-{width}-{scheme}.png", width, height)
            page.close()


def main(folder: Path, beginning: str, docs: bool) -> None:
    """Every view whose name begins so, in both schemes and sizes, into ``folder``; with ``docs``
    the README's own three.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        running_app(script="serve.py") as url,
        sync_playwright() as driver,
        tempfile.TemporaryDirectory() as place,
    ):
        people = write_film(Path(place) / "people.y4m", drawn_video(2, seconds=4, fps=15))
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={people}"]
        browser = driver.chromium.launch(executable_path=find_chromium(), args=flags)
        views: dict[str, View] = {
            view.__name__: view
            for view in (sample, crowd, card, choosing, share, models, guess, about)
        }
        views |= {
            info.name: partial(network, info.title)
            for info in list_weights()
            if not (info.default or info.for_comparison)
        }
        views |= {
            f"attention-{part.partition('=')[2] or 'mean'}": partial(attention, part)
            for part in PARTS
        }
        views |= {f"models-{name.lower()}": partial(experiment, name) for name in EXPERIMENTS}
        views |= {f"errors-{part}": partial(errors, part) for part in ERRORS}
        views |= {f"live-{state}": partial(live, state) for state in ("told", "running", "frozen")}
        views |= {f"gradio-{tab.lower()}": partial(gradio, tab) for tab in ("Photo", "Attention")}
        if docs:
            for view, name in (
                (sample, "predict"),
                (partial(attention, ""), "attention"),
                (partial(live, "running"), "live"),
            ):
                page = browser.new_page(
                    viewport={"width": 1280, "height": 860}, color_scheme="light"
                )
                page.set_default_timeout(PATIENCE)
                view(page, url)
                page.mouse.move(1270, 850)
                page.wait_for_timeout(800)
                page.screenshot(path=ROOT / "docs" / f"{name}.png")
                page.close()
        take(
            browser,
            url,
            folder,
            {name: view for name, view in views.items() if name.startswith(beginning)},
        )
        browser.close()


if __name__ == "__main__":
    places = [word for word in sys.argv[1:] if not word.startswith("--")]
    if not places:
        sys.exit(f"name a folder: {(__doc__ or '').split('``')[1]}")
    main(Path(places[0]), [*places, ""][1], "--docs" in sys.argv)
