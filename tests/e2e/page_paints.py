"""Parts of the bench of the pages: how long each page takes to show what one comes for, an own
photo to its card, and a control of every page that has one; beside the clock, the processor time
the server spent on it, which says more on a busy machine.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from agegender_core.benchmarks.cold_start import processor_seconds
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import PATIENCE, rest, turn_to
from tests.e2e.page_trace import NOTE, BrowserTime, Trace, trace_of, words
from tests.load.server import process_of

OPENINGS = 5
"""How often each page is opened and each control used, after a first time that does not count."""
VISITORS = 3
"""How often a page is opened by a browser that has none of its files yet."""
TILES = "[class*='st-key-errors-tile-all'] button"
FIRST_SEEN = {
    "Predict": ("", "[class*='st-key-face-'] .ag-age"),
    "Live": ("live", ".st-key-live-agree button"),
    "Attention": ("attention?picture=sample", ".stage img"),
    "Guess": ("guess?seed=7", ".st-key-guess-face img"),
    "Errors": ("errors", TILES),
    "Models": ("models", ".js-plotly-plot .scatterlayer .point"),
    "API": ("api", "[data-testid=stCode]"),
    "About": ("about", "[data-testid=stMarkdownContainer] h2"),
}
"""Address of each page, and what one comes for."""
VISIBLE = """
const roots = () => [document, ...[...document.querySelectorAll('*')]
  .filter(part => part.shadowRoot).map(part => part.shadowRoot)];
const parts = place => roots().flatMap(root => [...root.querySelectorAll(place)]);
const seen = (place, words) => parts(place).some(part =>
  part.getBoundingClientRect().height > 0
  && (!words || (part.innerText + (part.getAttribute('alt') || '')).includes(words)));
const gone = (place, words) => !seen(place, words);
"""
OPENED = f"""place => {{ {VISIBLE} return seen(place) ? performance.now() : null; }}"""
WATCH = f"""wanted => {{ {VISIBLE}
  let start = null;
  const begun = performance.now();
  for (const kind of ['pointerdown', 'keydown'])
    addEventListener(kind, event => {{ start ??= event.timeStamp; }},
      {{capture: true, once: true}});
  window.watched = new Promise((done, fail) => {{
    setTimeout(() => fail(new Error(`${{wanted.place}} ${{wanted.words}}: still waiting`)), 60000);
    const look = () => (wanted.gone ? gone : seen)(wanted.place, wanted.words)
      ? done(performance.now() - (start ?? begun)) : requestAnimationFrame(look);
    requestAnimationFrame(look);
  }});
}}"""
"""Notes how long after a key or the pointer went down, or else from now, a place is seen or
gone.
"""

Row = dict[str, Any]


class Meter:
    """Milliseconds by the browser's clock, and of processor time: the server's, all its threads
    together, and the browser's, all its processes. ``skipped``: how many of the first do not
    count.
    """

    def __init__(self, page: Any, url: str, skipped: int = 1) -> None:
        self.page, self.skipped = page, skipped
        self._process = process_of(url)
        self._browser = BrowserTime(page.context.browser)
        self._wall: list[float] = []
        self._server: list[float] = []
        self._browsers: list[float] = []
        self._traces: list[Trace] = []

    def open(self, address: str, place: str) -> None:
        """Once more: ``address`` is opened, until ``place`` is seen."""
        self.page.goto("about:blank")
        self._open(self.page, address, place)

    def visit(self, address: str, place: str) -> None:
        """Once more: a browser that was never here opens ``address``, until ``place`` is seen."""
        with self.page.context.browser.new_context(
            viewport=self.page.viewport_size, reduced_motion="reduce"
        ) as context:
            context.add_init_script(NOTE)
            context.set_default_timeout(PATIENCE)
            self._open(context.new_page(), address, place)

    def _open(self, page: Any, address: str, place: str) -> None:
        before = self._spent()
        page.goto(address, wait_until="commit")
        seen = page.wait_for_function(OPENED, arg=place).json_value()
        self._note(seen, before, page)
        self._traces.append(trace_of(page, seen))

    def act(self, act: Callable[[], None], place: str, words: str = "", gone: bool = False) -> None:
        """Once more: ``act``, until ``place`` with ``words`` in it is seen, or gone."""
        before = self._spent()
        self.page.evaluate(WATCH, {"place": place, "words": words, "gone": gone})
        act()
        self._note(self.page.evaluate("window.watched"), before)

    def row(self, what: str) -> Row:
        """All that count; where the time went is printed."""
        wall = self._wall[self.skipped :]
        if traces := self._traces[self.skipped :]:
            print(f"  {words(traces)}", flush=True)
        return {
            "what": what,
            "n": len(wall),
            "median_ms": round(statistics.median(wall)),
            "most_ms": round(max(wall)),
            "server_ms": round(statistics.median(self._server[self.skipped :])),
            "browser_ms": round(statistics.median(self._browsers[self.skipped :])),
        }

    def _note(self, milliseconds: float, before: float, page: Any = None) -> None:
        rest(self.page if page is None else page)
        self._wall.append(milliseconds)
        self._browsers.append(self._browser.lap())
        self._server.append(self._spent() - before)

    def _spent(self) -> float:
        self._browser.lap()
        return 1000 * processor_seconds(self._process)


def paints(page: Any, url: str) -> Iterator[Row]:
    """Every page, opened by its address, with the browser's cache and without, and turned to by its
    link in the bar.
    """
    page.context.add_init_script(NOTE)
    for name, (address, place) in FIRST_SEEN.items():
        opened = Meter(page, url)
        for _ in range(OPENINGS + 1):
            opened.open(f"{url}/{address}", place)
        yield opened.row(f"{name}: opened")
        visited = Meter(page, url, skipped=0)
        for _ in range(VISITORS):
            visited.visit(f"{url}/{address}", place)
        yield visited.row(f"{name}: opened for the first time")
        turned = Meter(page, url)
        for _ in range(OPENINGS + 1):
            turn_to(page, "API" if name == "About" else "About")
            rest(page)
            link = page.get_by_role("link", name=name, exact=True)
            turned.act(link.click, place)
        yield turned.row(f"{name}: turned to")


def controls(page: Any, url: str) -> Iterator[Row]:
    """An own photo, and what a click on each page does."""
    yield from _photo(page, url)
    yield from _models_of_an_answer(page, url)
    yield from _guess(page, url)
    yield from _models(page, url)
    yield from _live(page, url)


def _opened(page: Any, url: str, name: str) -> None:
    address, place = FIRST_SEEN[name]
    page.goto(f"{url}/{address}")
    page.locator(place).first.wait_for()
    rest(page)


def _models_of_an_answer(page: Any, url: str) -> Iterator[Row]:
    """Between two models whose answers are known: what the page itself takes."""
    _opened(page, url, "Predict")
    titles = [info.title for info in list_weights() if info.installed and not info.for_comparison]
    changed = Meter(page, url, skipped=2)
    page.locator(".st-key-answered-by").get_by_text("change", exact=True).click()
    models = page.get_by_role("combobox", name="Model")
    for number in range(OPENINGS + 2):
        title = titles[1 - number % 2]
        models.click()
        models.fill(title)  # a long list scrolls while its last line is being clicked
        option = page.get_by_role("option", name=title, exact=True)
        changed.act(option.click, ".st-key-answered-by", f"Answered by {title}")
    yield changed.row("Predict: another model, answered before")


def _photo(page: Any, url: str) -> Iterator[Row]:
    _opened(page, url, "Predict")
    photo = Image.new("RGB", (640, 480), (96, 96, 96))
    photo.paste(sample_portrait().resize((480, 480)), (80, 0))
    dropped = Meter(page, url)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(OPENINGS + 1):
            _opened(page, url, "Predict")
            path = Path(folder) / f"mine{number}.jpg"
            photo.point([min(255, level + number) for level in range(256)] * 3).save(path)
            drop = page.locator("input[type=file]").first
            dropped.act(lambda drop=drop, path=path: drop.set_input_files(path), "img", path.name)
    yield dropped.row("Predict: own photo of 640x480, to its card")


def _guess(page: Any, url: str) -> Iterator[Row]:
    _opened(page, url, "Guess")
    guessed, following = Meter(page, url), Meter(page, url)
    for number in range(OPENINGS + 1):
        page.wait_for_timeout(1000)  # the visitor thinks; the model's answer is made meanwhile
        click = page.get_by_role("button", name="Guess", exact=True).click
        guessed.act(click, ".ag-guess-verdict")
        click = page.locator(".st-key-guess-next button").first.click
        if page.get_by_role("button", name="Next face").count():
            following.act(click, ".ag-guess-verdict", gone=True)
        elif number < OPENINGS:
            page.get_by_role("button", name="Start again").first.click()
            page.locator(".ag-guess-verdict").wait_for(state="detached")
            rest(page)
    yield guessed.row("Guess: label and answer after a guess")
    if len(following._wall) > 1:
        yield following.row("Guess: next face")


def _models(page: Any, url: str) -> Iterator[Row]:
    _opened(page, url, "Models")
    fold = page.get_by_text("Claims and measurements as a table")
    unfolded = Meter(page, url)
    for _ in range(OPENINGS + 1):
        unfolded.act(fold.click, ".st-key-systems button")
        fold.click()
        page.locator(".st-key-systems button").first.wait_for(state="detached")
        rest(page)
    yield unfolded.row("Models: the table of claims unfolded")


def _live(page: Any, url: str) -> Iterator[Row]:
    agreed = Meter(page, url)
    for _ in range(OPENINGS + 1):
        page.goto("about:blank")
        _opened(page, url, "Live")
        agreed.act(page.locator(".st-key-live-agree button").click, "iframe[title*='webrtc']")
    yield agreed.row("Live: the camera's frame after agreeing")
