"""What a browser test needs and nothing of pytest: the app in a process of its own, and a
Chromium's name and flags.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from tests.support import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
START_SECONDS = 120
PATIENCE = 120_000
"""Milliseconds: the first answer waits for torch to be imported, on whatever machine this is."""
QUIET = "[data-testid=stApp][data-test-script-state=notRunning]"
SPILL = """() => Math.max(document.scrollingElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll('[data-testid=stMain], [role=dialog]')]
    .map(box => box.scrollWidth - box.clientWidth))"""


def find_chromium() -> str | None:
    """Path of a Chromium: ``AGEGENDER_CHROMIUM`` where that is set, else the first found by name;
    None where there is none.
    """
    named = os.environ.get("AGEGENDER_CHROMIUM")
    return next(
        (path for name in ((named,) if named else NAMES) if (path := shutil.which(name))), None
    )


@contextmanager
def running_app(
    weights: Path | None = None,
    script: str = "app.py",
    switches: Mapping[str, str] | None = None,
    base: str = "",
    log: Path | None = None,
) -> Iterator[str]:
    """Address of the app, served on a free port and answering health checks. ``weights``: its
    weights folder, unless the usual one;
    ``script``: «serve.py» for Gradio beside it; ``switches``: the operator's, added to the
    environment; ``base``: a path such as «/name» that the app is served below; ``log``: where its
    log goes, to be read afterwards.

    Raises ``RuntimeError`` with the app's log where it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [
        "--server.headless",
        "true",
        "--server.address",
        "127.0.0.1",
        "--server.port",
        str(port),
    ]
    options += ["--server.baseUrlPath", base] if base else []
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("AGEGENDER_RACE", "AGEGENDER_WEIGHTS")
    }
    if weights is not None:
        environment["AGEGENDER_WEIGHTS_DIR"] = str(weights)
    environment |= switches or {}
    command = [sys.executable, "-m", "streamlit", "run", script, *options]
    with log.open("w+b") if log else tempfile.TemporaryFile() as stream:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            if not _answers(f"http://127.0.0.1:{port}{base}/_stcore/health", server):
                stream.seek(0)
                raise RuntimeError(f"the app did not start:\n{stream.read().decode()[-3000:]}")
            yield f"http://127.0.0.1:{port}{base}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                raise


def choose_network(page: Any, title: str) -> None:
    """Choose ``title`` in the list of models, which a page may keep behind «change»."""
    change = page.locator(".st-key-answered-by").get_by_text("change", exact=True)
    folded = change.count() and not page.get_by_role("combobox", name="Model").is_visible()
    if folded:
        change.click()
    models = page.get_by_role("combobox", name="Model").or_(
        page.get_by_role("combobox", name="Network")
    )
    models.click()
    models.fill(title)  # a long list scrolls while its last line is being clicked
    page.get_by_role("option", name=title, exact=True).click()
    if folded:
        page.locator(QUIET).wait_for()
        page.keyboard.press("Escape")


def answered_by(page: Any, title: str) -> None:
    """Wait until the answer shown is that of the network called ``title`` and the page is at
    rest.
    """
    page.locator(".st-key-answered-by", has_text=f"Answered by {title}").wait_for()
    page.locator(QUIET).wait_for()


@contextmanager
def visiting(browser: Any, url: str, **settings: Any) -> Iterator[Callable[..., Any]]:
    """Opens the app's first page, as often as asked, each time in a context of its own with
    ``settings`` and those of the call.

    At the end no request may have gone anywhere but to the app, no script may have failed and no
    error may stand in the console.
    """
    contexts, errors = [], []

    def heard(message: Any) -> None:
        if message.type == "error":
            errors.append(message.text)

    def asked(request: Any) -> None:
        if stranger(request.url, url):
            errors.append(f"asked for {request.url}")

    def go(width: int = 1280, height: int = 900, scheme: str = "light", before: str = "") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **settings
        )
        contexts.append(context)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", asked)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", heard)
        page.goto(url)
        page.get_by_role("heading", name="Age and gender from faces").wait_for()
        page.get_by_test_id("stFileUploaderDropzone").wait_for()
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []


def stranger(url: str, app_url: str) -> bool:
    """Whether ``url`` lies outside of the app."""
    parts = urlsplit(url)
    return (
        parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(app_url).netloc
    )


def turn_to(page: Any, name: str) -> None:
    """Go to the page called ``name`` by the navigation, which a small screen keeps behind a
    button.
    """
    small = page.viewport_size["width"] < 700
    if small:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()
    if small and page.get_by_test_id("stSidebarCollapseButton").is_visible():
        page.get_by_test_id("stSidebarCollapseButton").click()


def rest(page: Any) -> None:
    """Wait until the page has nothing left to do."""
    page.wait_for_timeout(150)
    page.locator(QUIET).wait_for()


def saved(page: Any, label: str) -> bytes:
    """What the download button ``label`` gives."""
    with page.expect_download() as download:
        page.get_by_role("button", name=label, exact=True).click()
    return Path(download.value.path()).read_bytes()


def overflow(page: Any) -> int:
    """By how many pixels the page, or a dialog over it, is wider than the place it has: Streamlit
    scrolls in a box, not in the window.
    """
    return page.evaluate(SPILL)


def _answers(url: str, server: subprocess.Popen) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return True
        except OSError:
            time.sleep(0.3)
    return False


def write_film(path: Path, frames: list[Image.Image]) -> Path:
    """640x480 frames as an uncompressed Y4M video of 15 a second, which Chromium shows as its
    camera.
    """
    path.write_bytes(
        b"YUV4MPEG2 W640 H480 F15:1 Ip A1:1 C420jpeg\n"
        + b"".join(b"FRAME\n" + i420(frame) for frame in frames)
    )
    return path


def i420(frame: Image.Image) -> bytes:
    """RGB frame to planar YUV 4:2:0, full range: Y (H, W), then U and V (H/2, W/2) as means of 2x2
    pixels.
    """
    y, u, v = (np.asarray(plane, dtype=np.float32) for plane in frame.convert("YCbCr").split())
    halves = [
        plane.reshape(frame.height // 2, 2, frame.width // 2, 2).mean(axis=(1, 3))
        for plane in (u, v)
    ]
    return b"".join(np.rint(plane).astype(np.uint8).tobytes() for plane in (y, *halves))
