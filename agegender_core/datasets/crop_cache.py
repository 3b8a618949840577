"""Aligned training crops, cached outside the repository: images of people never enter it."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from agegender_core.datasets.parquet_store import dataset_path, iter_images
from agegender_core.datasets.records import FaceRecord
from agegender_core.output.files import atomic_file
from agegender_core.settings import path_setting
from agegender_core.types import Face, InputSpec, Progress
from agegender_core.vision import alignment


def cache_dir() -> Path:
    """Folder for derived images: ``AGEGENDER_CACHE`` or the user's cache folder."""
    named = path_setting("cache")
    return Path(named) if named else Path.home() / ".cache" / "agegender"


def chip_face(image: Image.Image, record: FaceRecord) -> Face:
    """The face of a dataset chip: its labelled landmarks, the whole chip as its box."""
    landmarks = None if record.landmarks is None else record.landmarks * [image.width, image.height]
    return Face((0.0, 0.0, float(image.width), float(image.height)), 1.0, landmarks, "dataset")


def chip_crop(
    encoded: bytes,
    record: FaceRecord,
    spec: InputSpec,
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> Image.Image:
    """Aligned crop of one encoded dataset chip, after ``change`` of the RGB chip."""
    with Image.open(io.BytesIO(encoded)) as opened:
        image = opened.convert("RGB")
    if change is not None:
        image = change(image)
    return alignment.align(image, chip_face(image, record), spec)


def load_crops(
    records: Sequence[FaceRecord], spec: InputSpec, progress: Progress | None = None
) -> np.ndarray:
    """(N, H, W, 3) uint8 crops of ``records`` of one dataset, in their order, read from the cache
    if it has them.
    """
    names = {record.dataset for record in records}
    if len(names) != 1:
        raise ValueError(f"records of one dataset expected, got {sorted(names)}")
    (name,) = names
    path = cache_dir() / f"{name}-{_cache_key(name, records, spec)}.npy"
    if path.is_file():
        return np.load(path, mmap_mode="r")
    crops = _make_crops(name, records, spec, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        np.save(file, crops)
    return crops


def _make_crops(
    name: str, records: Sequence[FaceRecord], spec: InputSpec, progress: Progress | None
) -> np.ndarray:
    crops = np.empty((len(records), spec.size, spec.size, 3), np.uint8)
    positions = {record.row: index for index, record in enumerate(records)}

    def make(item: tuple[int, bytes]) -> None:
        index = positions[item[0]]
        crops[index] = np.asarray(chip_crop(item[1], records[index], spec))

    done = 0
    encoded = iter_images(name, list(positions))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(itertools.islice(encoded, 512)):
            done += sum(1 for _ in pool.map(make, batch))
            if progress:
                progress(done, len(records))
    return crops


def _cache_key(name: str, records: Sequence[FaceRecord], spec: InputSpec) -> str:
    stat = dataset_path(name).stat()
    code = Path(alignment.__file__).read_bytes()
    parts = (
        stat.st_size,
        stat.st_mtime_ns,
        spec.size,
        spec.margin,
        [record.row for record in records],
    )
    return hashlib.sha256(repr(parts).encode() + code).hexdigest()[:16]
