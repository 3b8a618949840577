"""The images of a protocol: read from the shared Parquet or an official layout, cropped, and
checked against the model's training images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from agegender_core.datasets import FaceRecord, iter_images, read_records
from agegender_core.datasets.crop_cache import chip_face, load_crops
from agegender_core.datasets.protocols import Fold
from agegender_core.datasets.readers import LAYOUTS, LoadedDataset, Skip, find_layout, load_dataset
from agegender_core.datasets.readers.base import FolderImages
from agegender_core.datasets.registry import TERMS
from agegender_core.errors import ConfigError, DatasetError, InvalidImageError
from agegender_core.evaluation.evaluate import largest_faces
from agegender_core.inference.model_zoo import ModelInfo, trained_on
from agegender_core.types import InputSpec, Progress, StageProgress
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import DetectorConfig, MTCNNDetector
from agegender_core.vision.image_io import load_image

PHOTOS = ("fgnet", "wiki")
"""Datasets of whole photographs. Photographs without a detected face are left out; chips without
one are used whole.
"""
CHIPS = DetectorConfig(longest_side=384, min_face=40)


@dataclass(frozen=True, eq=False)
class Crops:
    """``pixels``: (M, S, S, 3) uint8 crops of the ``usable`` records, (N,) bool; ``left_out``: the
    others and why; ``how``: in words.
    """

    pixels: np.ndarray
    usable: np.ndarray
    left_out: tuple[Skip, ...]
    how: str


def read_dataset(
    dataset_name: str, data: str | Path | None
) -> tuple[list[FaceRecord], LoadedDataset | None]:
    """Records of a dataset and, with ``data``, the dataset at that path. For Parquet in ``data``
    the caller's name is taken.

    Raises ``DatasetError`` where there is no such dataset, ``ConfigError`` for a name that no
    layout has.
    """
    if data is None:
        return read_records(dataset_name), None
    named = next(
        (
            layout.name
            for layout in LAYOUTS
            if layout.name == dataset_name and layout.detect(Path(data)) > 0
        ),
        None,
    )
    loaded = load_dataset(data, named or find_layout(data)[0].name)
    if (
        not named
        and not isinstance(loaded.source, FolderImages)
        and loaded.name.lower() not in TERMS
    ):
        named = dataset_name  # Parquet with a name of its own: the caller knows which dataset it is
    if not named and loaded.name.lower() != dataset_name:
        raise ConfigError(
            f"{data} contains the dataset {loaded.name.lower()!r}, not {dataset_name!r}"
        )
    absent = [record.file for record in loaded.records if not loaded.source.has(record)]
    if absent or not loaded.records:
        example = f", such as {absent[0]}" if absent else ""
        raise DatasetError(
            f"{len(absent):,} of {len(loaded.records):,} images of {dataset_name} are missing in"
            f" {loaded.root}{example}"
        )
    return list(loaded.records), loaded


def shared_crops(
    records: Sequence[FaceRecord], spec: InputSpec, progress: StageProgress | None = None
) -> Crops:
    """Crops of a dataset in the shared Parquet: photographs by the largest face detected, chips by
    the dataset's landmarks.
    """
    name = records[0].dataset
    tick = _stage(progress, "faces")
    if name not in PHOTOS:
        pixels = load_crops(records, spec, tick)
        return Crops(
            pixels, np.ones(len(records), bool), (), "face chips aligned by the set's landmarks"
        )
    rows = tuple(record.row for record in records)
    faces = largest_faces(name, rows, tick)
    found = {
        row: np.asarray(align(load_image(encoded), faces[row], spec))
        for row, encoded in iter_images(name, rows)
        if row in faces
    }
    usable = np.array([row in found for row in rows])
    left_out = tuple(
        Skip(record.file, "no face was found") for record in records if record.row not in found
    )
    return Crops(
        _stacked([found[row] for row in rows if row in found], spec), usable, left_out, HOW_PHOTOS
    )


HOW_PHOTOS = "whole photographs through detection, the largest face"


def loaded_crops(
    loaded: LoadedDataset, dataset_name: str, spec: InputSpec, progress: StageProgress | None = None
) -> Crops:
    """Crops of a dataset in its official layout: chips by landmarks where the dataset has them,
    otherwise by the largest face detected.
    """
    photos, detector = (
        dataset_name in PHOTOS,
        MTCNNDetector(None if dataset_name in PHOTOS else CHIPS),
    )
    found: dict[int, np.ndarray] = {}
    reasons: dict[int, str] = {}
    ways: Counter[str] = Counter()
    tick = _stage(progress, "faces")
    for done, (record, encoded) in enumerate(loaded.images(), start=1):
        try:
            image = load_image(encoded)
        except InvalidImageError as error:
            reasons[record.row] = f"not readable: {error.reason}"
            continue
        marked = record.landmarks is not None and not photos
        faces = [] if marked else detector.detect(image)
        if photos and not faces:
            reasons[record.row] = "no face was found"
        else:
            found[record.row] = np.asarray(
                align(image, faces[0] if faces else chip_face(image, record), spec)
            )
            ways[
                (
                    "by the set's landmarks"
                    if marked
                    else "by the largest face detected"
                    if faces
                    else "whole, no face was found"
                )
            ] += 1
        if tick:
            tick(done, len(loaded.records))
    how = f"{'photographs' if photos else 'chips'} " + ", ".join(
        f"{way}: {count:,}" for way, count in sorted(ways.items())
    )
    usable = np.array([record.row in found for record in loaded.records])
    left_out = tuple(
        Skip(record.file, reasons[record.row]) for record in loaded.records if record.row in reasons
    )
    return Crops(
        _stacked([found[record.row] for record in loaded.records if record.row in found], spec),
        usable,
        left_out,
        how,
    )


def _stacked(crops: list[np.ndarray], spec: InputSpec) -> np.ndarray:
    return np.stack(crops) if crops else np.empty((0, spec.size, spec.size, 3), np.uint8)


def _stage(progress: StageProgress | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def seen_in_training(
    info: ModelInfo, dataset_name: str, records: Sequence[FaceRecord]
) -> np.ndarray:
    """(N,) bool: which images ``info`` was trained on, by file name. Raises ``ConfigError`` where
    that cannot be determined.
    """
    learned = trained_on(info)
    if learned is None:
        raise ConfigError(
            f"the manifest does not say what {info.name} was trained on: whether it has seen the"
            " test images cannot be determined"
        )
    splits = {split for sets, split in learned if dataset_name in sets}
    if not splits:
        return np.zeros(len(records), bool)
    try:
        known = {
            _file_key(dataset_name, record.file): record.split in splits
            for record in read_records(dataset_name)
        }
    except DatasetError as error:
        raise ConfigError(
            f"{info.name} was trained on {dataset_name}, but on which of its images cannot be"
            f" looked up: {error}"
        ) from error
    keys = [_file_key(dataset_name, record.file) for record in records]
    if not known.keys() & set(keys):
        raise ConfigError(
            f"{info.name} was trained on {dataset_name}, but on which of its images cannot be"
            " determined: these have other names"
        )
    return np.array([known.get(key, False) for key in keys], bool)


def _file_key(dataset_name: str, file: str) -> tuple[str, ...]:
    """The part of a file's name that is the same in every copy of the dataset. FairFace numbers its
    two parts separately, so it needs the folder too.
    """
    return PurePosixPath(file).parts[-2 if dataset_name == "fairface" else -1 :]


def refuse_seen(
    info: ModelInfo, protocol: str, dataset_name: str, folds: Sequence[Fold], seen: np.ndarray
) -> None:
    """Raise ``ConfigError`` if a test image was trained on: features of such images already contain
    the answer.
    """
    tested = np.unique(np.concatenate([test_part(fold) for fold in folds]))
    known = int(seen[tested].sum())
    if known:
        raise ConfigError(
            f"{info.name} was trained on {known:,} of the {len(tested):,} images of {dataset_name}"
            f" that {protocol} tests: its numbers would be too good. Use weights that were not"
            " trained on this dataset, or a protocol with test images they have not seen"
            " (our_splits)"
        )


def test_part(fold: Fold) -> np.ndarray:
    """Indices of the test images of ``fold``: «test», or «val» in protocols without a test."""
    return fold.parts["test"] if "test" in fold.parts else fold.parts["val"]
