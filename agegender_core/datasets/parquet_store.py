"""Face datasets as Parquet in the Hugging Face ``datasets`` image format (column ``image``: {bytes,
path}).

The folder is that of the environment variable ``AGEGENDER_DATA``, else ``../shared/data`` beside
the working directory or the repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from agegender_core.datasets.records import FaceRecord
from agegender_core.errors import DatasetError
from agegender_core.labels import GENDERS, fairface_group
from agegender_core.settings import INSTALLED, ROOT, path_setting

RACE_SCHEMES = {"utkface": "utkface5", "fairface": "fairface7"}


def data_dir() -> Path:
    """Folder of the Parquet files. Raises ``DatasetError`` where there is none."""
    named = path_setting("data")
    candidates = (
        [Path(named)]
        if named
        else [Path("../shared/data"), *([] if INSTALLED else [ROOT.parent / "shared" / "data"])]
    )
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DatasetError(
        f"no data folder at {', '.join(map(str, candidates))}: set AGEGENDER_DATA to the folder"
        " with utkface.parquet and the other datasets"
    )


def dataset_path(name: str) -> Path:
    """File of the dataset ``name``. Raises ``DatasetError`` where it is absent."""
    path = data_dir() / f"{name}.parquet"
    if not path.is_file():
        raise DatasetError(f"{path} is missing: the dataset {name!r} is not installed")
    return path


def installed_datasets(names: Iterable[str]) -> list[str]:
    """Which of ``names`` are here. Raises ``DatasetError`` where none is."""
    folder = data_dir()
    found = [name for name in names if (folder / f"{name}.parquet").is_file()]
    if not found:
        raise DatasetError(
            f"{folder} contains none of the datasets: no file NAME.parquet for {', '.join(names)}"
        )
    return found


def read_records(name: str, split: str | None = None) -> list[FaceRecord]:
    """Labels of the dataset ``name``, without its images; ``split``: of this split only.

    Raises ``DatasetError`` where the file is absent, lacks a needed column, or contains a label
    the dataset does not define.
    """
    path = dataset_path(name)
    columns = [column for column in pq.read_schema(path).names if column != "image"]
    if "file" not in columns or not {"age", "age_group"} & set(columns):
        raise DatasetError(
            f"{path} has columns {columns}: expected «file» and «age» or «age_group»"
        )
    table = pq.read_table(path, columns=columns).to_pylist()
    try:
        records = [_record(name, index, row) for index, row in enumerate(table)]
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{path}: {error}") from error
    return [record for record in records if split is None or record.split == split]


def read_row(name: str, row: int) -> tuple[FaceRecord, bytes]:
    """Label and encoded image of one ``row`` of the dataset ``name``. Raises ``DatasetError`` where
    the dataset is absent or shorter.
    """
    records = read_records(name)
    if not 0 <= row < len(records):
        raise DatasetError(
            f"the dataset {name!r} has rows 0 to {len(records) - 1:,}: there is no row {row:,}"
        )
    ((_, encoded),) = iter_images(name, [row])
    return records[row], encoded


def _record(name: str, index: int, row: dict) -> FaceRecord:
    group = fairface_group(row["age_group"]) if row.get("age_group") else None
    gender = row.get("gender")
    if gender is not None and gender not in GENDERS:
        raise ValueError(f"row {index}: gender {gender!r} is not one of {GENDERS}")
    landmarks = row.get("landmarks")
    return FaceRecord(
        dataset=name,
        file=row["file"],
        row=index,
        split=row.get("split") or "all",
        age=row.get("age"),
        age_range=(group.lo, group.hi) if group else None,
        gender=gender,
        race=row.get("race"),
        race_scheme=RACE_SCHEMES.get(name),
        subject=row.get("subject"),
        landmarks=np.asarray(landmarks, dtype=float).reshape(5, 2) if landmarks else None,
    )


def iter_images(name: str, rows: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """(row, encoded image) of the wanted ``rows`` in ascending order, one row group in memory at a
    time.
    """
    wanted = np.unique(np.asarray(rows, dtype=np.int64))
    file = pq.ParquetFile(dataset_path(name))
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        here = wanted[(wanted >= start) & (wanted < end)]
        if len(here):
            images = file.read_row_group(group, columns=["image"]).column("image")
            for row in here:
                yield int(row), images[int(row - start)].as_py()["bytes"]
        start = end
