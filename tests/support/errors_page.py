"""Drawn predictions and images for the Errors page, and what reads it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.analysis.label_issues import DUPLICATE_COLUMNS, duplicates_path
from agegender_core.benchmarks.error_analysis import drawn_conditions, drawn_predictions
from agegender_core.labels import FAIRFACE_GROUPS

ROWS = 300


def png(colour: tuple[int, int, int], side: int = 24) -> bytes:
    """A square of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_reports(folder: Path, rows: int = ROWS) -> Path:
    """Two networks on a set with ages, and one on a set with ranges."""
    exact = {
        name: drawn_predictions(rows, 0, seed, 6 + seed)
        for name, seed in (("first", 1), ("second", 2), ("third", 3))
    }
    exact["first"].loc[7, ["age_true", "age_pred"]] = [20.0, 80.0]
    for name in ("second", "third"):
        exact[name].loc[7, ["age_true", "age_pred"]] = [20.0, 78.0]
    ranges = exact["first"].copy()
    starts = np.array([group.lo for group in FAIRFACE_GROUPS])
    place = np.searchsorted(starts, ranges["age_true"], side="right") - 1
    ranges["age_range_true"] = [FAIRFACE_GROUPS[index].name for index in place]
    ranges["age_true"] = np.nan
    for name, table in exact.items():
        path = folder / name / "utkface" / "predictions.parquet"
        path.parent.mkdir(parents=True)
        table.to_parquet(path, index=False)
    path = folder / "first" / "fairface" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    ranges.to_parquet(path, index=False)
    (folder / "conditions").mkdir()
    drawn_conditions(rows).to_parquet(folder / "conditions" / "utkface.parquet", index=False)
    return folder


def write_pictures(folder: Path, rows: int = ROWS) -> Path:
    """The set's own Parquet, turned around and after rows of another split, so that rows and
    positions differ.
    """
    files = [f"{index:06d}.jpg" for index in reversed(range(rows))]
    images = [
        {"bytes": png((index % 255, 80, 120)), "path": name} for index, name in enumerate(files)
    ]
    table = {
        "image": [{"bytes": png((0, 0, 0)), "path": "train"}, *images],
        "file": ["000007.jpg", *files],
        "split": ["train"] + ["test"] * rows,
        "age": [30] * (rows + 1),
    }
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), folder / "utkface.parquet", row_group_size=64)
    return folder


def tile_keys(app: AppTest, name: str = "all") -> list[str]:
    """Keys of the tiles, in order."""
    return [
        button.key
        for button in app.button
        if button.key and button.key.startswith(f"errors-tile-{name}-")
    ]


def texts(app: AppTest) -> str:
    """All that stands on the page."""
    return "\n".join(
        item.value for kind in (app.markdown, app.caption, app.subheader) for item in kind
    ).replace("\\", "")


def write_duplicates(reports: Path, *pairs: tuple[Any, ...]) -> None:
    """Near-duplicates of UTKFace: rows of ``DUPLICATE_COLUMNS``."""
    path = duplicates_path(reports, "utkface")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(pairs, columns=list(DUPLICATE_COLUMNS)).to_parquet(path, index=False)
