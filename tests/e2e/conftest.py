"""A real Chromium against the real app: its own server process, its own port, a webcam that shows
the sample portrait.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agegender_core.benchmarks.video import drawn_video
from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import FLAGS, running_app, write_film


@pytest.fixture(scope="session")
def app_url() -> Iterator[str]:
    """Address of the running app."""
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    with running_app() as url:
        yield url


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Address of the app with Gradio beside it, as ``make app`` serves them."""
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    with running_app(script="serve.py") as url:
        yield url


@pytest.fixture(scope="session")
def portrait_file(portrait: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample portrait as a JPEG file."""
    path = tmp_path_factory.mktemp("pictures") / "portrait.jpg"
    portrait.save(path, quality=92)
    return path


@pytest.fixture(scope="session")
def film_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two people who sway and come nearer, four seconds of 15 frames, as Y4M."""
    return write_film(
        tmp_path_factory.mktemp("film") / "people.y4m", drawn_video(2, seconds=4, fps=15)
    )


@pytest.fixture(scope="module")
def cinema(chromium: str, film_file: Path, driver: Any) -> Iterator[object]:
    """A browser whose camera shows the video of two people."""
    launched = driver.chromium.launch(
        executable_path=chromium, args=[*FLAGS, f"--use-file-for-fake-video-capture={film_file}"]
    )
    yield launched
    launched.close()
