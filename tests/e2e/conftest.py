"""A real Chromium against the real app: its own server process, its own port, a webcam that shows
the sample portrait.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agegender_core.benchmarks.video import drawn_video
from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import FLAGS, running_app


@pytest.fixture(scope="session")
def app_url() -> Iterator[str]:
    """Address of the running app."""
    if not any(entry.installed for entry in list_weights()):
        pytest.skip("no trained weights are installed")
    with running_app() as url:
        yield url


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Address of the app with Gradio beside it, as ``make app`` serves them."""
    if not any(entry.installed for entry in list_weights()):
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
def webcam_file(portrait: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the fake webcam sees: the portrait in 640x480, as an uncompressed Y4M video."""
    frame = Image.new("RGB", (640, 480), (90, 100, 110))
    frame.paste(portrait.resize((480, 480)), (80, 0))
    return write_film(tmp_path_factory.mktemp("webcam") / "portrait.y4m", [frame] * 4)


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


@pytest.fixture(scope="session")
def film_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two people who sway and come nearer, four seconds of 15 frames, as Y4M."""
    return write_film(
        tmp_path_factory.mktemp("film") / "people.y4m", drawn_video(2, seconds=4, fps=15)
    )


@pytest.fixture(scope="session")
def browser(chromium: str, webcam_file: Path, driver: Any) -> Iterator[object]:
    """One browser for all tests whose camera shows the portrait."""
    launched = driver.chromium.launch(
        executable_path=chromium, args=[*FLAGS, f"--use-file-for-fake-video-capture={webcam_file}"]
    )
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def cinema(chromium: str, film_file: Path, driver: Any) -> Iterator[object]:
    """A browser whose camera shows the video of two people."""
    launched = driver.chromium.launch(
        executable_path=chromium, args=[*FLAGS, f"--use-file-for-fake-video-capture={film_file}"]
    )
    yield launched
    launched.close()
