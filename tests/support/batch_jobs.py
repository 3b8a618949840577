"""Folders of small images, and the batch command in a process of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from PIL import Image, ImageEnhance

from agegender_core.datasets.sample_image import sample_portrait
from tests.support import ROOT

BAD = "broken.jpg"


def portraits(count: int, side: int = 200) -> list[Image.Image]:
    """The portrait, a little brighter each time."""
    portrait = sample_portrait().resize((side, side))
    return [
        ImageEnhance.Brightness(portrait).enhance(0.7 + 0.6 * index / count)
        for index in range(count)
    ]


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_folder(folder: Path, count: int) -> Path:
    """``count`` portraits, half of them in a folder below, one file that is no image and one
    without a face.
    """
    (folder / "below").mkdir(parents=True)
    for index, image in enumerate(portraits(count)):
        (folder / ("below" if index % 2 else ".") / f"{index:03}.jpg").write_bytes(jpeg(image))
    (folder / BAD).write_text("no image")
    Image.new("RGB", (100, 100), "grey").save(folder / "wall.png")
    return folder


def start(*arguments: object, **settings: str) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **settings}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "agegender_core", "batch", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def run(*arguments: object, **settings: str) -> tuple[int, str]:
    """Exit code and what was said."""
    process = start(*arguments, **settings)
    said = process.communicate(timeout=200)[1]
    return process.returncode, said


def wait_for_parts(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until so many parts are written; the job must still be at work then."""
    deadline = time.monotonic() + 200  # on a machine that is busy with other work
    while len(list(folder.glob("part-*.parquet"))) < count:
        assert time.monotonic() < deadline and process.poll() is None, (
            "the job ended before it could be disturbed"
        )
        time.sleep(0.02)


def kill_all(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the command and all its workers."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    assert process.stderr is not None
    process.stderr.close()


def processes(word: str) -> list[int]:
    """Process ids whose command line has ``word`` in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in text:
            found.append(int(path.parent.name))
    return found


def table(folder: Path) -> pd.DataFrame:
    """All rows by key; each key once, since these images have one face at most."""
    rows = pd.read_parquet(folder).sort_values("key").reset_index(drop=True)
    assert rows["key"].is_unique
    return rows


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """The same answers, up to the last digits that depend on what else was in a network's batch."""
    assert one["key"].tolist() == other["key"].tolist()
    assert one["error"].fillna("").tolist() == other["error"].fillna("").tolist()
    assert one["gender"].fillna("").tolist() == other["gender"].fillna("").tolist()
    assert (one["age"].fillna(-1) - other["age"].fillna(-1)).abs().max() < 0.02
