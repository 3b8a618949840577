"""What all tests share: a portrait, drawn images, a tiny labelled set in the hub's image format, a
Chromium with its driver, and the skip of ``data`` tests.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before torch is imported: threads of tiny networks mostly wait for one another, spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from PIL import Image

from agegender_core.datasets import data_dir
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.errors import DatasetError
from tests.e2e.harness import FLAGS, NAMES, find_chromium, write_film
from tests.support.drawn_sets import write_set

pytest_plugins = ["tests.support.page_fixtures", "tests.support.untouched"]
MAIN = sys.modules["__main__"]
TESTS = Path(__file__).parent
ALONE = ("api", "e2e", "load", "security")
"""Folders whose tests start servers, or measure seconds and memory."""


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """AppTest leaves its page as ``__main__``, which a process started by a later test would run
    again.
    """
    yield
    sys.modules["__main__"] = MAIN


@pytest.hookimpl(tryfirst=True)  # before -m chooses among them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of servers, browsers and Ray are marked ``alone``; those marked ``data`` are skipped
    where the face sets are absent.
    """
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ALONE or item.get_closest_marker("e2e") or item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.alone)
    try:
        data_dir()
    except DatasetError as error:
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(pytest.mark.skip(reason=str(error)))


@pytest.fixture(scope="session")
def portrait() -> Image.Image:
    """The sample portrait, 512x512 RGB: one upright face."""
    return sample_portrait()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; the tests are skipped where there is none."""
    path = find_chromium()
    if path is None:
        named = os.environ.get("AGEGENDER_CHROMIUM")
        why = (
            f"AGEGENDER_CHROMIUM={named} is not a program" if named else f"none of {NAMES} is here"
        )
        pytest.skip(f"no Chromium: {why}")
    return path


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    """Playwright, started once: its loop runs in this thread until the last test, so a second one,
    or ``asyncio.run``, fails here.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture
def drawn_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with drawn versions of three sets, set up as the data folder; caches go beside it."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_set(folder, "utkface")
    write_set(folder, "all_age_faces")
    write_set(folder, "fairface", ranges=True)
    monkeypatch.setenv("AGEGENDER_DATA", str(folder))
    monkeypatch.setenv("AGEGENDER_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(scope="session")
def webcam_file(portrait: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake webcam sees: the portrait in 640x480, as an uncompressed Y4M video."""
    frame = Image.new("RGB", (640, 480), (90, 100, 110))
    frame.paste(portrait.resize((480, 480)), (80, 0))
    return write_film(tmp_path_factory.mktemp("webcam") / "portrait.y4m", [frame] * 4)


@pytest.fixture(scope="session")
def browser(chromium: str, webcam_file: Path, driver: Any) -> Iterator[object]:
    """One browser for all tests whose camera shows the portrait."""
    launched = driver.chromium.launch(
        executable_path=chromium, args=[*FLAGS, f"--use-file-for-fake-video-capture={webcam_file}"]
    )
    yield launched
    launched.close()
