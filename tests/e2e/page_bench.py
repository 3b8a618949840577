"""How long the pages take, in a browser, from a click or a key to what it shows: ``python -m
tests.e2e.page_bench [--save]``.

Measured, never asserted. A fresh server for each page; the networks the app ships; the bundled
portrait; drawn answers of twelve networks on 20,000 images, without the images.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from agegender_core.benchmarks.error_analysis import ROWS, write_drawn
from agegender_core.benchmarks.networks import machine_name
from agegender_core.output.files import write_json
from tests.e2e.first_time import first_time_path
from tests.e2e.harness import FLAGS, PATIENCE, ROOT, find_chromium, rest, running_app
from tests.e2e.page_paints import controls, paints

REPEATS = 12
WATCH = """wanted => new Promise(resolve => {
  const shown = () => [...document.querySelectorAll(wanted.place)]
    .map(part => part.innerText + (part.getAttribute('src') || '')).join('|');
  const before = shown();
  let start = null;
  for (const kind of ['pointerdown', 'keydown'])
    addEventListener(kind, event => { start ??= event.timeStamp; }, {capture: true, once: true});
  window.watched = new Promise(done => {
    const look = () =>
      shown() !== before ? done(performance.now() - start) : requestAnimationFrame(look);
    look();
  });
  resolve();
})"""
"""Notes what stands in a place, and how long after a key or the pointer went down it becomes
something else.
"""

Row = dict[str, Any]


def changes(page: Any, place: str, act: Callable[[], None]) -> float:
    """Milliseconds from ``act`` to another content of ``place``, a selector."""
    page.evaluate(WATCH, {"place": place})
    act()
    taken = page.evaluate("window.watched")
    rest(page)
    return taken


def timed(what: str, times: list[float]) -> Row:
    """A row of the table."""
    return {
        "what": what,
        "n": len(times),
        "median_ms": round(statistics.median(times)),
        "most_ms": round(max(times)),
    }


def attention(page: Any, url: str) -> Iterator[Row]:
    """The explorer's controls with the network it opens with, after each was used once."""
    page.goto(f"{url}/attention?picture=sample")
    page.locator(".stage img").wait_for()
    rest(page)
    page.locator(".stage").focus()
    page.keyboard.press("ArrowRight")
    rest(page)
    move = lambda: page.keyboard.press("ArrowRight")  # noqa: E731
    yield timed(
        "Attention: the patch moved by a pixel",
        [changes(page, ".ag-moved", move) for _ in range(REPEATS)],
    )
    page.goto(f"{url}/attention?picture=sample&tab=look&details=1")
    page.locator(".ag-map-title").wait_for()
    rest(page)
    page.wait_for_timeout(2000)
    step = lambda: page.keyboard.press("n")  # noqa: E731
    for _ in range(5):
        changes(page, ".ag-map-title", step)
    yield timed(
        "Attention: next block or saliency",
        [changes(page, ".ag-map-title", step) for _ in range(REPEATS)],
    )
    page.get_by_text("Block 1 · ").click()
    rest(page)
    page.get_by_text("One channel", exact=True).click()
    channels = page.locator(".st-key-attention-channels button")
    channels.nth(3).wait_for()
    rest(page)
    times = [
        changes(page, ".ag-map-title", channels.nth((index + 1) % 8).click)
        for index in range(REPEATS)
    ]
    yield timed("Attention: another channel", times[1:])
    page.get_by_role("tab", name="Does it matter?").click()
    page.get_by_text("Nothing is changed yet.").wait_for()
    rest(page)
    block = page.locator(".st-key-attention-change-attention2")
    times = []
    for name in ("Off", "Its own", "Mean", "Its own", "Shuffled", "Its own") * 2:
        times.append(
            changes(page, ".ag-pair", lambda name=name: block.get_by_text(name, exact=True).click())
        )
    yield timed("Attention: a mask changed, first time", times[:5:2])
    yield timed("Attention: a mask changed, seen before", times[6:])


def errors(page: Any, url: str) -> Iterator[Row]:
    """The galleries over drawn reports."""
    page.goto(url)
    page.get_by_test_id("stFileUploaderDropzone").wait_for()
    rest(page)
    started = time.perf_counter()
    page.goto(f"{url}/errors?set=drawn&weights=a")
    tile = "[class*='st-key-errors-tile-all'] button:visible"
    page.locator(tile).first.wait_for()
    yield timed(f"Errors, {ROWS:,} images: first view", [1000 * (time.perf_counter() - started)])
    rest(page)
    page.wait_for_timeout(2000)
    sort = page.get_by_role("combobox", name="Order")
    options: list[str] = []
    times = []
    for index in range(REPEATS):
        sort.click()
        page.get_by_role("option").first.wait_for()
        options = options or page.get_by_role("option").all_inner_texts()[:3]
        wanted = page.get_by_role("option", name=options[(index + 1) % len(options)], exact=True)
        times.append(changes(page, "[class*='st-key-errors-tile-all']", wanted.click))
    yield timed(f"Errors, {ROWS:,} images: another order", times)
    page.get_by_role("button", name="Filter").first.click()
    least = page.get_by_label("Off by at least", exact=True)
    times = []
    for years in range(1, 9):
        least.fill(str(years))
        times.append(
            changes(page, "[data-testid=stMarkdownContainer] strong", lambda: least.press("Enter"))
        )
    yield timed(f"Errors, {ROWS:,} images: another bound in the filter", times)


def _rows(browser: Any, part: Callable[[Any, str], Iterator[Row]]) -> list[Row]:
    """The rows of one page, on a server of its own."""
    rows = []
    with running_app(script="serve.py") as url:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        page.set_default_timeout(PATIENCE)
        for row in part(page, url):
            rows.append(row)
            spent = [
                f", processor time {who} {row[key]}"
                for who, key in (("server", "server_ms"), ("browser", "browser_ms"))
                if key in row
            ]
            print(
                f"{row['what']}: {row['median_ms']} ms (at most {row['most_ms']}, n {row['n']})"
                + "".join(spent),
                flush=True,
            )
        page.close()
    return rows


def measure() -> dict[str, Any]:
    """All rows, and the machine."""
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as driver,
        pytest.MonkeyPatch.context() as patch,
    ):
        write_drawn(Path(folder), ROWS, 12)
        browser = driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        ours = str(ROOT / "reports")
        for part, reports in (
            (errors, folder),
            (attention, ours),
            (paints, ours),
            (controls, ours),
        ):
            patch.setenv("AGEGENDER_REPORTS", reports)
            rows += _rows(browser, part)
        rows += _rows(browser, first_time_path)
        browser.close()
    return {"rows": rows, "machine": machine_name()}


if __name__ == "__main__":
    result = measure()
    if "--save" in sys.argv:
        write_json(ROOT / "reports" / "pages.json", result)
