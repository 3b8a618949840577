"""Adience: ``fold_0_data.txt`` to ``fold_4_data.txt`` (tab-separated) beside ``aligned/`` or
``faces/``.

A row's image is ``aligned/<user_id>/landmark_aligned_face.<face_id>.<original_image>``, in the
archive of unaligned faces ``faces/<user_id>/coarse_tilt_aligned_face.<face_id>.<original_image>``.
``face_id`` numbers the 2,284 people: none is in two albums (``user_id``) or two folds. ``split`` is
the official fold, «fold_0» to «fold_4».

Age labels become one of the eight groups by ``labels.adience_group``; gender is m, f, u (not agreed
on) or empty. A row with only age or only gender is used for that task, and rows that
repeat another are skipped: 17,492 faces with a gender remain. The table that papers print (19,487
in all; 1427, 2162, 2294, 1653, 4897, 2350, 825, 869 by group) counts repeated rows, leaves out
faces without a gender, and of the odd ages takes 13 and (38, 42) only.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from agegender_core.datasets.readers.base import (
    Collector,
    Layout,
    LoadedDataset,
    best_root,
    require_root,
)
from agegender_core.errors import DatasetError
from agegender_core.labels import adience_group

TABLE = r"fold_([0-4])_data\.txt"
FOLDS = tuple(f"fold_{index}" for index in range(5))
COLUMNS = ("user_id", "original_image", "face_id", "age", "gender")
CODED_GENDERS = {"f": "Female", "m": "Male"}
EXPECTS = "Adience: fold_0_data.txt to fold_4_data.txt"


def detect(path: Path) -> float:
    """Share of the five fold files that is there."""
    return best_root(path, _score, TABLE)[1]


def read(path: Path) -> LoadedDataset:
    """All rows with an age or a gender. Raises ``DatasetError``."""
    root = require_root(path, _score, EXPECTS, TABLE)
    prefix = (
        "faces/{}/coarse_tilt_aligned_face.{}.{}"
        if _only_unaligned(root)
        else "aligned/{}/landmark_aligned_face.{}.{}"
    )
    collector = Collector("adience")
    for fold in FOLDS:
        table = root / f"{fold}_data.txt"
        if not table.is_file():
            collector.notes.append(f"{table.name} is missing")
            continue
        for row in _rows(table):
            _take(
                collector,
                prefix.format(row["user_id"], row["face_id"], row["original_image"]),
                fold,
                row,
            )
    return collector.finish(root)


def _take(collector: Collector, file: str, fold: str, row: dict[str, str]) -> None:
    age, gender = row["age"].strip(), CODED_GENDERS.get(row["gender"].strip())
    missing = [] if gender else [f"gender {row['gender'].strip() or 'empty'}"]
    try:
        group = adience_group(age)
    except KeyError:
        group, missing = None, [f"age {age or 'empty'}", *missing]
    if group is None and gender is None:
        collector.skip(file, ", ".join(missing))
        return
    age_range = (group.lo, group.hi) if group else None
    collector.add(
        file,
        missing=missing,
        split=fold,
        age_range=age_range,
        gender=gender,
        subject=row["face_id"],
    )


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{table} cannot be read: {error}") from error
    if absent := set(COLUMNS) - set(reader.fieldnames or ()):
        raise DatasetError(
            f"{table} has no column {', '.join(sorted(absent))}: expected a tab-separated table"
            f" with {', '.join(COLUMNS)}"
        )
    return rows


def _only_unaligned(root: Path) -> bool:
    return (root / "faces").is_dir() and not (root / "aligned").is_dir()


def _score(root: Path) -> float:
    return sum(bool(re.fullmatch(TABLE, file.name)) for file in root.glob("fold_*_data.txt")) / 5


LAYOUT = Layout(
    "adience",
    "Adience",
    EXPECTS,
    "26,580 faces of 2,284 people, 19,370 different ones in the fold files",
    detect,
    read,
)
