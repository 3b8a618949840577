"""Faces with a labelled age: of the test splits that are here, else of the portrait that ships with
the app.

Images are read where they lie and shown from memory; none of them is written anywhere. A file's
name is no part of what is shown before the guess: UTKFace's and FG-NET's names hold the age.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import streamlit as st

from agegender_core.datasets import FaceRecord, iter_images, read_records
from agegender_core.datasets.crop_cache import chip_face
from agegender_core.datasets.parquet_store import dataset_path
from agegender_core.datasets.registry import TERMS, TEST_SPLITS
from agegender_core.datasets.sample_image import HOPPER_NAME, hopper_file
from agegender_core.errors import DatasetError
from agegender_core.inference.model_zoo import teacher_names, trained_on
from agegender_core.labels import MAX_AGE
from agegender_core.types import Face
from ui.common import gated

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

SAMPLES = "samples"
"""Stands for a dataset where none is here: the portraits that ship with the app."""
WHOLE_PHOTOS = ("fgnet", SAMPLES)
"""Whole photographs, in which the face has to be detected; the others are chips around a face."""
HOPPER_AGE = 77
"""Grace Hopper was born on 9 December 1906; the portrait is of January 1984."""
IMAGES_KEPT = 48
"""Encoded images kept for all visitors, a few kilobytes each."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Faces to guess. ``name``: the dataset's, or ``SAMPLES``; ``stamp``: changes with its file;
    ``records``: those with a labelled age, in the order of their files' names.
    """

    name: str
    stamp: int
    records: tuple[FaceRecord, ...]

    @property
    def title(self) -> str:
        """For people."""
        return "Sample portrait" if self.name == SAMPLES else TERMS[self.name].title

    @property
    def origin(self) -> str:
        """Where the faces are from: «UTKFace, test split»."""
        if self.name == SAMPLES:
            return "Grace Hopper, by the US Navy (public domain)"
        return f"{self.title}, {'test split' if TEST_SPLITS[self.name] == 'test' else 'all images'}"

    def at(self, seed: int, number: int) -> FaceRecord:
        """Face ``number``, counted from 1, of the game called ``seed``: the same for everybody;
        no face comes twice before all have been seen.
        """
        order = np.random.default_rng(seed).permutation(len(self.records))
        return self.records[int(order[(number - 1) % len(order)])]


def playable() -> list[str]:
    """Names of the datasets whose images are here and whose labels are ages, not ranges; never
    empty: ``SAMPLES`` stands for them.
    """
    return [name for name in TEST_SPLITS if _has_ages(name)] or [SAMPLES]


def _has_ages(name: str) -> bool:
    try:
        return {"age", "image"} <= set(pq.read_schema(dataset_path(name)).names)
    except (DatasetError, OSError, ValueError):
        return False


def pool(name: str) -> Pool:
    """The faces of a dataset. Raises ``DatasetError`` where it cannot be read or has no face with a
    labelled age.
    """
    if name == SAMPLES:
        return Pool(SAMPLES, 0, (FaceRecord(SAMPLES, HOPPER_NAME, 0, "all", age=HOPPER_AGE),))
    path = dataset_path(name)
    found = _read(name, str(path), path.stat().st_mtime_ns)
    if not found.records:
        raise DatasetError(f"{name} has no face with a labelled age in its test split")
    return found


@st.cache_resource(max_entries=8, show_spinner="Reading the labels …")
def _read(name: str, path: str, stamp: int) -> Pool:
    """``path`` and ``stamp`` make another file another key."""
    records = read_records(name, TEST_SPLITS[name])
    aged = [one for one in records if one.age is not None and 0 <= one.age <= MAX_AGE]
    return Pool(name, stamp, tuple(sorted(aged, key=lambda one: one.file)))


def image(source: Pool, record: FaceRecord) -> bytes:
    """The encoded image of a face. Raises ``DatasetError`` where it cannot be read."""
    return (
        hopper_file() if source.name == SAMPLES else _image(source.name, source.stamp, record.row)
    )


@st.cache_resource(max_entries=IMAGES_KEPT, show_spinner=False)
def _image(name: str, stamp: int, row: int) -> bytes:
    """``stamp`` makes another file another key."""
    try:
        found = dict(iter_images(name, [row])).get(row)
    except (OSError, ValueError) as error:
        raise DatasetError(f"the images of {name} cannot be read: {error}") from error
    if not found:
        raise DatasetError(f"{name} has no image in row {row:,}")
    return found


def marked(source: Pool, record: FaceRecord, encoded: bytes) -> Sequence[Face] | None:
    """The face that the label is about, as it was aligned when the models were measured; None for
    whole photographs: their largest face is detected.
    """
    return None if source.name in WHOLE_PHOTOS else (chip_face(gated.image(encoded), record),)


def unseen(model: ModelInfo, name: str, models: Mapping[str, ModelInfo]) -> bool:
    """Whether it is known that ``model`` never trained on the faces of dataset ``name`` that are
    shown here, and neither did the models that taught it, nor theirs. ``models``: all, by name.

    A model may have been taught by its own earlier stage, and two by each other's.
    """
    if name == SAMPLES:
        return True
    asked, waiting = {model.name}, [model]
    while waiting:
        one = waiting.pop()
        learned = trained_on(one)
        if learned is None or any(
            name in sets and (split != "train" or TEST_SPLITS[name] == "all")
            for sets, split in learned
        ):
            return False
        for stage in one.training.get("stages", ()):
            for teacher in teacher_names(stage.get("teacher", "")):
                if teacher not in models:
                    return False
                if teacher not in asked:
                    asked.add(teacher)
                    waiting.append(models[teacher])
    return True
