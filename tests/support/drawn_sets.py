"""Drawn faces with labels, as Parquet in the layout of the real face sets."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from agegender_core.vision.alignment import TEMPLATE


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
