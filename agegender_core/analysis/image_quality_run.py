"""``conditions/<set>.parquet`` in ``reports/``: the image conditions of a whole test split. Numbers
only, no images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from agegender_core.analysis.image_quality import COLUMNS, MEASURES, empty_row, measure
from agegender_core.analysis.parquet_io import read_optional_parquet
from agegender_core.datasets import FaceRecord, iter_images, read_records
from agegender_core.datasets.crop_cache import chip_face
from agegender_core.datasets.readers import LoadedDataset, load_dataset
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import ConfigError, DatasetError, DetectorError, InvalidImageError
from agegender_core.types import Face, Progress
from agegender_core.vision.image_io import load_image

FindFace = Callable[[Image.Image, FaceRecord], tuple[Face | None, bool]]
"""Image and label to the face to measure, None for none, and whether it was detected."""


def conditions_path(reports: Path, dataset_name: str) -> Path:
    """Path of the conditions of ``dataset_name``."""
    return reports / "conditions" / f"{dataset_name}.parquet"


def read_conditions(reports: Path, dataset_name: str) -> pd.DataFrame | None:
    """Table of ``COLUMNS``, or None if the dataset has not been measured. Raises ``DatasetError``
    for a file in another format.
    """
    return read_optional_parquet(
        conditions_path(reports, dataset_name),
        COLUMNS,
        f"write it again with «conditions {dataset_name}»",
    )


def write_conditions(
    dataset_name: str,
    reports: Path,
    data: str | Path | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure every image of the test split of ``dataset_name``, write the table and return it.

    ``data``: path of the dataset in another layout (a folder, Parquet, hub:owner/name); then all
    its images are measured. Missing or damaged images are marked in their rows. Raises
    ``ConfigError`` for a dataset without a test split, ``DatasetError`` for an absent one.
    """
    if data is None:
        if dataset_name not in TEST_SPLITS:
            raise ConfigError(f"unknown dataset {dataset_name!r}; known: {', '.join(TEST_SPLITS)}")
        records = read_records(dataset_name, TEST_SPLITS[dataset_name])
        encoded = _own_images(dataset_name, records)
    else:
        loaded = load_dataset(data)
        records = list(loaded.records)
        encoded = ((record, _layout_image(loaded, record)) for record in records)
    table = measure_records(records, encoded, progress)
    path = conditions_path(reports, dataset_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False, compression="zstd")
    return table


def measure_records(
    records: Sequence[FaceRecord],
    encoded: Iterable[tuple[FaceRecord, bytes]],
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Table of ``COLUMNS`` of (record, encoded image) pairs. Where no record at all has landmarks,
    faces are detected.
    """
    find = (
        _labelled_face
        if any(record.landmarks is not None for record in records)
        else _detected_face()
    )
    rows = []
    for done, (record, content) in enumerate(encoded, start=1):
        rows.append(_row(record, content, find))
        if progress:
            progress(done, len(records))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    digits = {
        "sharpness": 4,
        "luminance": 4,
        "crushed": 4,
        "blown": 4,
        "chroma": 4,
        "face_side": 1,
        "yaw": 1,
        "roll": 1,
    }
    return table.round(digits).astype(dict.fromkeys(MEASURES, "float32"))


def _own_images(
    dataset_name: str, records: Sequence[FaceRecord]
) -> Iterator[tuple[FaceRecord, bytes]]:
    by_row = {record.row: record for record in records}
    return (
        (by_row[row], content or b"") for row, content in iter_images(dataset_name, list(by_row))
    )


def _layout_image(loaded: LoadedDataset, record: FaceRecord) -> bytes:
    """The encoded image, or nothing if it is missing: one bad image does not stop a batch."""
    try:
        return loaded.image_bytes(record)
    except DatasetError:
        return b""


def _row(record: FaceRecord, content: bytes, find: FindFace) -> dict[str, object]:
    try:
        image = load_image(content)
        face, found = find(image, record)
    except InvalidImageError:
        return dict(empty_row(record.file, readable=False))
    except DetectorError:
        return dict(empty_row(record.file, readable=True))
    if face is None:
        return dict(empty_row(record.file, readable=True))
    return {"file": record.file, "readable": True, "face_found": found, **measure(image, face)}


def _labelled_face(image: Image.Image, record: FaceRecord) -> tuple[Face | None, bool]:
    """The detector sees no face in a chip without landmarks, yet networks use the whole chip, so it
    is measured.
    """
    return chip_face(image, record), record.landmarks is not None


def _detected_face() -> FindFace:
    from agegender_core.vision.face_detector import MTCNNDetector

    detector = MTCNNDetector()

    def find(image: Image.Image, record: FaceRecord) -> tuple[Face | None, bool]:
        faces = detector.detect(image)
        return (faces[0], True) if faces else (None, False)

    return find
