"""FairFace: ``fairface_label_train.csv`` and ``fairface_label_val.csv`` beside ``train/1.jpg`` and
``val/1.jpg``.

Columns: file, age (a range), gender, race (seven), service_test. The images may also lie in the
folder their archive unpacks to (``fairface-img-margin025-trainval``, or margin125). A spreadsheet
that opened a table turns «3-9» and «10-19» into dates and commas into semicolons; both are read as
meant. ``split`` is the official one, «train» or «val».
"""

from __future__ import annotations

import csv
from pathlib import Path

from agegender_core.datasets.readers.base import (
    Collector,
    Layout,
    LoadedDataset,
    best_root,
    require_root,
    subfolders,
)
from agegender_core.errors import DatasetError
from agegender_core.labels import (
    FAIRFACE_GROUPS,
    FAIRFACE_RACES,
    GENDERS,
    fairface_group,
    group_names,
)

TABLE = r"fairface_label_(train|val)\.csv"
SPLITS = ("train", "val")
COLUMNS = ("file", "age", "gender", "race")
OFFICIAL_AGES = {*group_names(FAIRFACE_GROUPS), "more than 70"}
EXPECTS = "FairFace: fairface_label_train.csv and fairface_label_val.csv"


def detect(path: Path) -> float:
    """Share of the two tables that is there."""
    return best_root(path, _score, TABLE)[1]


def read(path: Path) -> LoadedDataset:
    """All rows of both tables with an age or a gender. Raises ``DatasetError``."""
    root = require_root(path, _score, EXPECTS, TABLE)
    folder = _image_folder(root)
    collector = Collector("fairface")
    dates = 0
    for split in SPLITS:
        table = root / f"fairface_label_{split}.csv"
        if not table.is_file():
            collector.notes.append(f"{table.name} is missing")
            continue
        for row in _rows(table):
            dates += _take(collector, folder + row["file"].strip(), split, row)
    if dates:
        collector.notes.append(
            f"{dates:,} age ranges were turned into dates by a spreadsheet («03-Sep» for «3-9») and"
            " read back"
        )
    if folder:
        collector.notes.append(f"images are in {folder}")
    return collector.finish(root)


def _take(collector: Collector, file: str, split: str, row: dict[str, str]) -> bool:
    """Add one row; True where its age had become a date."""
    age, gender, race = (row[name].strip() for name in ("age", "gender", "race"))
    values = {
        "gender": gender if gender in GENDERS else None,
        "race": race if race in FAIRFACE_RACES else None,
    }
    missing = [
        f"{name} {row[name].strip() or 'empty'}" for name, value in values.items() if value is None
    ]
    try:
        group = fairface_group(age)
    except KeyError:
        group, missing = None, [f"age {age or 'empty'}", *missing]
    if group is None and values["gender"] is None:
        collector.skip(file, ", ".join(missing))
        return False
    age_range = (group.lo, group.hi) if group else None
    collector.add(
        file,
        missing=missing,
        split=split,
        age_range=age_range,
        race_scheme="fairface7",
        gender=values["gender"],
        race=values["race"],
    )
    return group is not None and age not in OFFICIAL_AGES


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{table} cannot be read: {error}") from error
    header = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=header.count), restval="")
    if absent := set(COLUMNS) - set(reader.fieldnames or ()):
        raise DatasetError(
            f"{table} has no column {', '.join(sorted(absent))}: expected {', '.join(COLUMNS)}"
        )
    return list(reader)


def _image_folder(root: Path) -> str:
    """Where train/ and val/ are below ``root``: «» or a subfolder's name with a slash."""
    if any((root / split).is_dir() for split in SPLITS):
        return ""
    return next(
        (
            f"{folder.name}/"
            for folder in subfolders(root)
            if any((folder / split).is_dir() for split in SPLITS)
        ),
        "",
    )


def _score(root: Path) -> float:
    return sum((root / f"fairface_label_{split}.csv").is_file() for split in SPLITS) / 2


LAYOUT = Layout(
    "fairface", "FairFace", EXPECTS, "86,744 training and 10,954 validation faces", detect, read
)
