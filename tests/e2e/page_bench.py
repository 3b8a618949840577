"""How long the pages take, in a browser, from a click or a key to what it shows: ``python -m tests.e2e.page_bench [--save]``.

Measured, never asserted. A fresh server; the networks the app ships; the bundled portrait; the shipped reports.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import sync_playwright

from agegender_core.evaluation.bench import processor
from tests.e2e.harness import FLAGS, PATIENCE, QUIET, ROOT, find_chromium, rest, running_app

REPEATS = 12
WATCH = """wanted => new Promise(resolve => {
  const shown = () => [...document.querySelectorAll(wanted.place)].map(part => part.innerText + (part.getAttribute('src') || '')).join('|');
  const before = shown(), start = performance.now();
  window.watched = new Promise(done => {
    const look = () => shown() !== before ? done(performance.now() - start) : requestAnimationFrame(look);
    look();
  });
  resolve();
})"""
"""Notes what stands in a place and when it becomes something else."""

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
    return {"what": what, "n": len(times), "median_ms": round(statistics.median(times)), "most_ms": round(max(times))}


def attention(page: Any, url: str) -> Iterator[Row]:
    """The explorer's controls with the network it opens with, after each was used once."""
    page.goto(f"{url}/attention?picture=sample")
    page.locator(".ag-said").wait_for()
    rest(page)
    page.wait_for_timeout(2000)
    step = lambda: page.keyboard.press("n")  # noqa: E731
    for _ in range(5):
        changes(page, ".ag-map-title", step)
    yield timed("Attention: next block or saliency", [changes(page, ".ag-map-title", step) for _ in range(REPEATS)])
    page.get_by_text("Block 1 · ").click()
    rest(page)
    page.get_by_text("One channel", exact=True).click()
    channels = page.locator(".st-key-attention-channels button")
    channels.nth(3).wait_for()
    rest(page)
    times = [changes(page, ".ag-map-title", channels.nth((index + 1) % 8).click) for index in range(REPEATS)]
    yield timed("Attention: another channel", times[1:])
    page.get_by_role("tab", name="Does it matter?").click()
    page.get_by_text("Nothing is changed yet.").wait_for()
    rest(page)
    block = page.locator(".st-key-attention-change-attention2")
    times = []
    for name in ("Off", "Its own", "Mean", "Its own", "Shuffled", "Its own") * 2:
        times.append(changes(page, ".ag-pair", lambda name=name: block.get_by_text(name, exact=True).click()))
    yield timed("Attention: a mask changed, first time", times[:5:2])
    yield timed("Attention: a mask changed, seen before", times[6:])


def errors(page: Any, url: str) -> Iterator[Row]:
    """The galleries over the default set's shipped reports."""
    started = time.perf_counter()
    page.goto(f"{url}/errors")
    tile = "[class*='st-key-errors-tile-all'] button:visible"
    page.locator(tile).first.wait_for()
    yield timed("Errors: first view of a visit", [1000 * (time.perf_counter() - started)])
    rest(page)
    page.wait_for_timeout(2000)
    sort = page.get_by_role("combobox", name="Order")
    options: list[str] = []
    times = []
    for index in range(REPEATS):
        sort.click()
        page.get_by_role("option").first.wait_for()
        options = options or page.get_by_role("option").all_inner_texts()[:4]
        wanted = page.get_by_role("option", name=options[(index + 1) % len(options)], exact=True)
        times.append(changes(page, "[class*='st-key-errors-tile-all']", wanted.click))
    yield timed("Errors: another order", times)


def measure() -> dict[str, Any]:
    """All rows, and the machine."""
    with running_app() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        rows: list[Row] = []
        for part in (attention, errors):
            page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
            page.set_default_timeout(PATIENCE)
            for row in part(page, url):
                rows.append(row)
                print(f"{row['what']}: {row['median_ms']} ms (at most {row['most_ms']}, n {row['n']})", flush=True)
            page.locator(QUIET).wait_for()
            page.close()
        browser.close()
    return {"rows": rows, "machine": f"{processor()}, {os.cpu_count()} cores"}


if __name__ == "__main__":
    result = measure()
    if "--save" in sys.argv:
        (ROOT / "reports" / "pages.json").write_text(json.dumps(result, indent=1) + "\n")
