"""The first visit: an answer stands there, one's own photo is given, the reason is asked for. What
it takes in clicks is a test; in seconds, a part of the bench of the pages: ``python -m
tests.e2e.first_time [--save]`` renews its rows alone.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from agegender_core.benchmarks.networks import machine_name
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.output.files import write_json
from tests.e2e.harness import FLAGS, PATIENCE, QUIET, ROOT, find_chromium, running_app

COUNT_CLICKS = """addEventListener('click', event => {
  if (event.isTrusted && event.target.type !== 'file') window.clicks = (window.clicks || 0) + 1;
}, true);"""
"""Notes every click of the visitor, for ``BrowserContext.add_init_script``. The one that Streamlit
itself passes on to the hidden field for files is none.
"""
MOST_CLICKS = 4
VISITS = 5
ROWS = "First visit, "
"""What the bench's rows of this part begin with."""


def steps(page: Any, url: str, photo: Path) -> Iterator[tuple[str, float]]:
    """What the visitor does and the seconds until it is answered."""
    began = time.perf_counter()
    page.goto(url)
    page.locator(".st-key-face-1 .ag-age").wait_for()
    page.locator(".st-key-picture img").wait_for()
    yield "open the app, see an answer", time.perf_counter() - began
    page.locator(QUIET).wait_for()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload", exact=True).click()
    began = time.perf_counter()
    chooser.value.set_files(photo)
    page.get_by_role("img", name=re.compile(f"^{re.escape(photo.name)}, ")).wait_for()
    page.locator(".st-key-face-1 .ag-age").wait_for()
    yield "give one's own photo, see its answer", time.perf_counter() - began
    page.locator(QUIET).wait_for()
    began = time.perf_counter()
    page.get_by_role("button", name="Why this answer?").first.click()
    page.get_by_role("heading", name="Attention", exact=True).wait_for()
    page.locator(".ag-maps img").first.wait_for()
    page.locator(".ag-said").first.wait_for()
    yield "ask why, see what the answer depends on", time.perf_counter() - began


def clicks(page: Any) -> int:
    """Clicks of the visitor so far."""
    return page.evaluate("window.clicks || 0")


def first_time_path(page: Any, url: str) -> Iterator[dict[str, Any]]:
    """Rows of the bench: each step of ``VISITS`` first visits, after one that does not count;
    ``page``'s browser has a context of its own for each.
    """
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "own.jpg"
        sample_portrait().resize((640, 640)).crop((0, 0, 640, 480)).save(photo, quality=92)
        for visit in range(VISITS + 1):
            with page.context.browser.new_context(
                viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
            ) as context:
                context.add_init_script(COUNT_CLICKS)
                context.set_default_timeout(PATIENCE)
                visitor = context.new_page()
                for what, seconds in steps(visitor, url, photo):
                    count = clicks(visitor)
                    done = f"{count or 'no'} click{'' if count == 1 else 's'}"
                    times.setdefault(f"{ROWS}{done}: {what}", [])[:0] = [seconds] if visit else []
    for what, seconds in times.items():
        yield {
            "what": what,
            "n": len(seconds),
            "median_ms": round(1000 * statistics.median(seconds)),
            "most_ms": round(1000 * max(seconds)),
        }


def main(save: bool) -> None:
    """Print the rows; with ``save``, put them into ``pages.json`` in the place of the ones before,
    where the same kind of machine measured the others.
    """
    with running_app(script="serve.py") as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        rows = list(first_time_path(browser.new_page(), url))
        browser.close()
    for row in rows:
        print(f"{row['what']}: {row['median_ms']} ms (at most {row['most_ms']}, n {row['n']})")
    if save:
        path = ROOT / "reports" / "pages.json"
        report = json.loads(path.read_text())
        if report["machine"] != machine_name():
            sys.exit(f"not saved: the other rows were measured on {report['machine']}")
        report["rows"] = [row for row in report["rows"] if not row["what"].startswith(ROWS)] + rows
        write_json(path, report)


if __name__ == "__main__":
    main("--save" in sys.argv)
