"""What all tests share: a portrait, drawn images, a tiny labelled set in the hub's image format, a
Chromium with its driver, and the skip of ``data`` tests.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from agegender_core.datasets import data_dir
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.errors import DatasetError
from agegender_core.vision.alignment import TEMPLATE
from tests.e2e.harness import NAMES, find_chromium

pytest_plugins = ["tests.support.page_fixtures"]
MAIN = sys.modules["__main__"]


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """AppTest leaves its page as ``__main__``, which a process started by a later test would run
    again.
    """
    yield
    sys.modules["__main__"] = MAIN


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``data`` are skipped where the face sets are absent."""
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


def drawn_chip(rng: np.random.Generator, age: int, male: bool) -> Image.Image:
    """A 64x64 cartoon face: its skin darkens with age and its background tells the gender, so that
    a network can learn both.
    """
    chip = Image.new("RGB", (64, 64), (60, 80, 200) if male else (200, 80, 60))
    draw = ImageDraw.Draw(chip)
    shade = 240 - 2 * age + int(rng.integers(-4, 5))
    draw.ellipse((8, 4, 56, 62), fill=(shade, shade, shade))
    for x, y in TEMPLATE * 64:
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(20, 20, 20))
    return chip


def write_set(folder: Path, name: str, count: int = 96, *, ranges: bool = False) -> None:
    """A drawn set as Parquet in the layout of the real ones, with train, val and test splits."""
    rng = np.random.default_rng(len(name))
    names = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
    starts = (0, 3, 10, 20, 30, 40, 50, 60, 70)
    rows = []
    for index in range(count):
        age, male = int(rng.integers(1, 90)), bool(rng.integers(2))
        buffer = io.BytesIO()
        drawn_chip(rng, age, male).save(buffer, "PNG")
        row = {
            "image": {"bytes": buffer.getvalue(), "path": f"{index}.png"},
            "file": f"{index}.png",
            "gender": "Male" if male else "Female",
            "split": ("train", "train", "train", "val", "test")[index % 5],
            "landmarks": (
                None
                if index % 17 == 0
                else (TEMPLATE + rng.normal(0, 0.005, (5, 2))).ravel().tolist()
            ),
            "face_score": 0.99,
        }
        if ranges:
            row["age_group"] = names[sum(age >= start for start in starts) - 1]
            row["race"] = ("White", "East Asian")[index % 2]
        else:
            row["age"] = age
            row["race"] = ("White", "Asian", "Others")[index % 3] if name == "utkface" else None
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet", row_group_size=40)


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
