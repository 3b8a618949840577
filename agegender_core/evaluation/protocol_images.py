"""The images of a protocol: read from the shared Parquet or an official layout, cropped, and
checked against what weights have seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from agegender_core.datasets import FaceRecord, iter_images, read_records
from agegender_core.datasets.crop_cache import chip_face, load_crops
from agegender_core.datasets.protocols import Fold
from agegender_core.datasets.readers import LAYOUTS, LoadedSet, Skip, find_layout, load_set
from agegender_core.datasets.readers.base import FolderPictures
from agegender_core.datasets.registry import TERMS
from agegender_core.errors import ConfigError, DatasetError, InvalidImageError
from agegender_core.evaluation.evaluate import largest_faces
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.types import InputSpec
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import DetectorConfig, MTCNNDetector
from agegender_core.vision.image_io import load_image

Progress = Callable[[str, int, int], None]
"""Stage («faces», «features», «folds»), how many are done, how many there are."""

PHOTOS = ("fgnet", "wiki")
"""Sets of whole photographs. Where no face is found in one it is left out; a chip without a find is
taken whole.
"""
CHIPS = DetectorConfig(longest_side=384, min_face=40)


@dataclass(frozen=True, eq=False)
class Crops:
    """``pixels``: (M, S, S, 3) uint8 crops of the records ``kept``, (N,) bool; ``left_out``: the
    others and why; ``how``: in words.
    """

    pixels: np.ndarray
    kept: np.ndarray
    left_out: tuple[Skip, ...]
    how: str


def read_set(set_name: str, data: str | Path | None) -> tuple[list[FaceRecord], LoadedSet | None]:
    """Records of a set and, where it lies at ``data``, the set itself. Of Parquet in ``data`` the
    caller says which set it is.

    Raises ``DatasetError`` where there is no such set, ``ConfigError`` for a name that no layout
    has.
    """
    if data is None:
        return read_records(set_name), None
    named = next(
        (
            layout.name
            for layout in LAYOUTS
            if layout.name == set_name and layout.detect(Path(data)) > 0
        ),
        None,
    )
    loaded = load_set(data, named or find_layout(data)[0].name)
    if (
        not named
        and not isinstance(loaded.pictures, FolderPictures)
        and loaded.name.lower() not in TERMS
    ):
        named = set_name  # Parquet of a name of its own: which set it is, the caller knows
    if not named and loaded.name.lower() != set_name:
        raise ConfigError(f"{data} holds the set {loaded.name.lower()!r}, not {set_name!r}")
    absent = [record.file for record in loaded.records if not loaded.pictures.has(record)]
    if absent or not loaded.records:
        example = f", such as {absent[0]}" if absent else ""
        raise DatasetError(
            f"{len(absent):,} of {len(loaded.records):,} images of {set_name} are missing in"
            f" {loaded.root}{example}"
        )
    return list(loaded.records), loaded


def shared_crops(
    records: Sequence[FaceRecord], spec: InputSpec, progress: Progress | None = None
) -> Crops:
    """Crops of a set in the shared Parquet: of photographs the largest face detected, of chips by
    the set's landmarks.
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
    kept = np.array([row in found for row in rows])
    left_out = tuple(
        Skip(record.file, "no face was found") for record in records if record.row not in found
    )
    return Crops(
        _stacked([found[row] for row in rows if row in found], spec), kept, left_out, HOW_PHOTOS
    )


HOW_PHOTOS = "whole photographs through detection, the largest face"


def loaded_crops(
    loaded: LoadedSet, set_name: str, spec: InputSpec, progress: Progress | None = None
) -> Crops:
    """Crops of a set in its official layout: chips by landmarks where the set has them, otherwise
    by the largest face detected.
    """
    photos, detector = set_name in PHOTOS, MTCNNDetector(None if set_name in PHOTOS else CHIPS)
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
    kept = np.array([record.row in found for record in loaded.records])
    left_out = tuple(
        Skip(record.file, reasons[record.row]) for record in loaded.records if record.row in reasons
    )
    return Crops(
        _stacked([found[record.row] for record in loaded.records if record.row in found], spec),
        kept,
        left_out,
        how,
    )


def _stacked(crops: list[np.ndarray], spec: InputSpec) -> np.ndarray:
    return np.stack(crops) if crops else np.empty((0, spec.size, spec.size, 3), np.uint8)


def _stage(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def seen_in_training(entry: ModelInfo, set_name: str, records: Sequence[FaceRecord]) -> np.ndarray:
    """(N,) bool: which images ``entry`` was trained on, by the names of the files. Raises
    ``ConfigError`` where that cannot be told.
    """
    if "sets" not in entry.training:
        raise ConfigError(
            f"the manifest does not say what {entry.name} was trained on: whether it has seen the"
            " test cannot be told"
        )
    if set_name not in entry.training["sets"]:
        return np.zeros(len(records), bool)
    try:
        known = {
            _file_key(set_name, record.file): record.split == entry.training["split"]
            for record in read_records(set_name)
        }
    except DatasetError as error:
        raise ConfigError(
            f"{entry.name} was trained on {set_name}, and on which of its images cannot be looked"
            f" up: {error}"
        ) from error
    keys = [_file_key(set_name, record.file) for record in records]
    if not known.keys() & set(keys):
        raise ConfigError(
            f"{entry.name} was trained on {set_name}, and on which of its images cannot be told:"
            " these have other names"
        )
    return np.array([known.get(key, False) for key in keys], bool)


def _file_key(set_name: str, file: str) -> tuple[str, ...]:
    """What is left of a file's name in every copy of the set: FairFace numbers its two parts
    apart.
    """
    return PurePosixPath(file).parts[-2 if set_name == "fairface" else -1 :]


def refuse_seen(
    entry: ModelInfo, protocol: str, set_name: str, folds: Sequence[Fold], seen: np.ndarray
) -> None:
    """Raise ``ConfigError`` where an image that is tested was trained on: features of such images
    have the answer in them.
    """
    tested = np.unique(np.concatenate([test_part(fold) for fold in folds]))
    known = int(seen[tested].sum())
    if known:
        raise ConfigError(
            f"{entry.name} was trained on {known:,} of the {len(tested):,} images of {set_name}"
            f" that {protocol} tests: its numbers would be too good. Take weights that were not"
            " trained on this set, or a protocol that tests what they have not seen (our_splits)"
        )


def test_part(fold: Fold) -> np.ndarray:
    """Indices of what ``fold`` tests: «test», or «val» of a protocol that has no test."""
    return fold.parts["test"] if "test" in fold.parts else fold.parts["val"]
