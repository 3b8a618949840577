"""Pictures of every page to look at: ``python -m tests.e2e.screenshots FOLDER``; ``--docs`` renews the README's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.e2e.harness import FLAGS, ROOT, find_chromium, running_app

SIZES = ((1280, 900), (390, 844))
PATIENCE = 120_000


def sample(page: Any, url: str) -> None:
    """The Predict page with the sample's answer."""
    page.goto(url)
    page.get_by_role("button", name="Try it with the sample portrait").click()
    page.locator("[class*='st-key-face-'] .js-plotly-plot .bars").first.wait_for()


def empty(page: Any, url: str) -> None:
    """The Predict page as one finds it."""
    page.goto(url)
    page.get_by_role("button", name="Try it with the sample portrait").wait_for()


def about(page: Any, url: str) -> None:
    """The About page."""
    page.goto(f"{url}/about")
    page.get_by_role("heading", name="About", exact=True).wait_for()
    page.wait_for_timeout(2000)


def models(page: Any, url: str) -> None:
    """The Models page."""
    page.goto(f"{url}/models")
    page.locator(".js-plotly-plot .points").first.wait_for()


def save(page: Any, path: Path, width: int, height: int) -> None:
    """The whole page: Streamlit scrolls inside the window, so the window grows to its content."""
    page.wait_for_timeout(800)
    content = page.evaluate("document.querySelector('[data-testid=stMain]')?.scrollHeight ?? 0")
    page.set_viewport_size({"width": width, "height": max(height, content)})
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    page.set_viewport_size({"width": width, "height": height})


def main(folder: Path, docs: bool) -> None:
    """Every view in both schemes and sizes into ``folder``; with ``docs`` the sample's answer into docs/predict.png."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_app() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        for scheme in ("light", "dark"):
            for width, height in SIZES:
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.set_default_timeout(PATIENCE)
                for view in (empty, sample, models, about):
                    view(page, url)
                    save(page, folder / f"{view.__name__}-{width}-{scheme}.png", width, height)
        if docs:
            page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
            page.set_default_timeout(PATIENCE)
            sample(page, url)
            page.mouse.move(1270, 850)
            page.wait_for_timeout(800)
            page.screenshot(path=ROOT / "docs" / "predict.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--docs" in sys.argv)
