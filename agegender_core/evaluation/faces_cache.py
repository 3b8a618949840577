"""Faces detected in a dataset's photographs, cached between processes outside the repository: boxes
and landmarks, no images.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import numpy as np

from agegender_core import vision
from agegender_core.datasets.crop_cache import cache_dir
from agegender_core.datasets.parquet_store import dataset_path
from agegender_core.output.files import write_text
from agegender_core.types import Face
from agegender_core.vision import face_detector

Faces = dict[int, Face]
"""By row of the dataset."""


def read_faces(dataset_name: str, rows: tuple[int, ...]) -> Faces | None:
    """What ``write_faces`` stored for these rows, from the same code and the same file; None if
    there is nothing.
    """
    try:
        stored = json.loads(_path(dataset_name, rows).read_text())
    except (OSError, ValueError):
        return None
    return {int(row): _face(found) for row, found in stored.items()}


def write_faces(dataset_name: str, rows: tuple[int, ...], faces: Faces) -> None:
    """Write ``faces``, atomically."""
    stored = {str(row): _plain(face) for row, face in faces.items()}
    write_text(_path(dataset_name, rows), json.dumps(stored))


def _path(dataset_name: str, rows: tuple[int, ...]) -> Path:
    stat = dataset_path(dataset_name).stat()
    digest = hashlib.sha256(
        repr((stat.st_size, stat.st_mtime_ns, rows, face_detector.DetectorConfig())).encode()
    )
    for name, content in _code():
        digest.update(name.encode() + content)
    digest.update(importlib.metadata.version("facenet-pytorch").encode())
    return cache_dir() / f"{dataset_name}-faces-{digest.hexdigest()[:16]}.json"


def _code() -> list[tuple[str, bytes]]:
    """Name and contents of every file that images are decoded, and faces found and aligned, by."""
    folder = Path(vision.__file__).parent
    return [
        (file.relative_to(folder).as_posix(), file.read_bytes())
        for file in sorted(folder.rglob("*.py"))
    ]


def _plain(face: Face) -> dict[str, object]:
    landmarks = None if face.landmarks is None else face.landmarks.tolist()
    return {
        "box": list(face.box_xyxy),
        "score": face.score,
        "landmarks": landmarks,
        "source": face.source,
        "turned": face.turned,
    }


def _face(found: dict) -> Face:
    landmarks = None if found["landmarks"] is None else np.array(found["landmarks"], dtype=float)
    return Face(tuple(found["box"]), found["score"], landmarks, found["source"], found["turned"])
