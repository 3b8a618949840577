"""What a browser test needs and nothing of pytest: the app in a process of its own, and a Chromium's name and flags."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
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


def find_chromium() -> str | None:
    """Path of a Chromium: ``AGEGENDER_CHROMIUM`` where that is set, else the first found by name; None where there is none."""
    named = os.environ.get("AGEGENDER_CHROMIUM")
    return next((path for name in ((named,) if named else NAMES) if (path := shutil.which(name))), None)


@contextmanager
def running_app(weights: Path | None = None) -> Iterator[str]:
    """Address of the app, served on a free port and answering health checks. ``weights``: its weights folder, unless the usual one.

    Raises ``RuntimeError`` with the app's log where it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.headless", "true", "--server.address", "127.0.0.1", "--server.port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name not in ("AGEGENDER_RACE", "AGEGENDER_WEIGHTS")}
    if weights is not None:
        environment["AGEGENDER_WEIGHTS_DIR"] = str(weights)
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _answers(f"http://127.0.0.1:{port}/_stcore/health", server):
                log.seek(0)
                raise RuntimeError(f"the app did not start:\n{log.read().decode()[-3000:]}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=30)


def choose_network(page: Any, title: str) -> None:
    """Choose ``title`` in the list of networks."""
    page.get_by_role("combobox", name="Network").click()
    page.get_by_role("option", name=title, exact=True).click()


def answered_by(page: Any, title: str) -> None:
    """Wait until the answer shown is that of the network called ``title`` and the page is at rest."""
    page.get_by_text(f"Answered by {title}.").wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


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
