"""IMDB-WIKI: ``wiki.mat`` (or ``imdb.mat``) beside the images it lists, such as
``17/10000217_1981-05-05_2009.jpg``.

The table is a MATLAB struct with one column a field: ``dob`` (MATLAB's day number), ``photo_taken``
(year), ``full_path``, ``gender`` (0 woman, 1 man, NaN unknown), ``face_score`` (-Inf: no face
found), ``second_face_score`` (NaN: no second face). Its authors take every photo to be from the 1st
of July: who was born before July has had that year's birthday. They warn that many dates are wrong.
"""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from agegender_core.datasets.readers.base import (
    Collector,
    Layout,
    LoadedDataset,
    best_root,
    require_root,
)
from agegender_core.errors import DatasetError
from agegender_core.labels import GENDERS, MAX_AGE

TABLES = ("wiki.mat", "imdb.mat")
FIELDS = ("dob", "photo_taken", "full_path", "gender", "face_score", "second_face_score")
EXPECTS = "IMDB-WIKI: wiki.mat or imdb.mat"
MATLAB_DAY_OF_YEAR_ONE = 366
"""MATLAB counts days from year 0, Python from year 1."""


def detect(path: Path) -> float:
    """1 where there is a table of that name."""
    return best_root(path, _score, r"(wiki|imdb)\.mat")[1]


def read(path: Path) -> LoadedDataset:
    """Rows with one face, a gender and a possible age. Raises ``DatasetError``."""
    root = require_root(path, _score, EXPECTS, r"(wiki|imdb)\.mat")
    table = (
        path if path.is_file() else next(root / name for name in TABLES if (root / name).is_file())
    )
    columns = _columns(table)
    collector = Collector(table.stem)
    for dob, taken, file, gender, score, second in zip(
        *(columns[name] for name in FIELDS), strict=True
    ):
        age = photo_age(dob, taken)
        reason = _reason(age, gender, score, second) if file else "the row names no file"
        if reason:
            collector.skip(file, reason)
        else:
            collector.add(
                file, age=age, gender=GENDERS[int(gender)], subject=Path(file).stem.split("_")[0]
            )
    if not root.name.endswith("_crop"):
        collector.notes.append(
            f"images are whole photographs unless the archive was {table.stem}_crop: find the faces"
            " first"
        )
    return collector.finish(root)


def photo_age(dob: float, taken: float) -> int | None:
    """Whole years on the 1st of July of the year ``taken``, or None where the date of birth is
    impossible.
    """
    if not (
        math.isfinite(dob)
        and math.isfinite(taken)
        and MATLAB_DAY_OF_YEAR_ONE < dob < MATLAB_DAY_OF_YEAR_ONE + date.max.toordinal()
    ):
        return None
    born = date.fromordinal(int(dob) - MATLAB_DAY_OF_YEAR_ONE)
    return int(taken) - born.year - (born.month >= 7)


def _reason(age: int | None, gender: float, score: float, second: float) -> str | None:
    if age is None:
        return "no possible date of birth or year"
    if not 0 <= age <= MAX_AGE:
        return f"the age by its dates is not within 0 to {MAX_AGE}"
    if gender not in (0, 1):
        return "the gender is unknown"
    if not math.isfinite(score):
        return "no face was found (face_score)"
    return "a second face is in the image (second_face_score)" if second > 0 else None


def _columns(table: Path) -> dict[str, list[Any]]:
    """Field name to values, all of one length."""
    from scipy.io import loadmat

    try:
        struct = loadmat(table)[table.stem][0, 0]
        columns = {name: np.ravel(struct[name]) for name in FIELDS}
    except NotImplementedError as error:
        raise DatasetError(
            f"{table} is a MATLAB 7.3 file; save it in MATLAB with save(..., '-v7') or take the"
            " official one"
        ) from error
    except Exception as error:  # scipy lets out whatever a damaged file trips over
        raise DatasetError(
            f"{table} is not IMDB-WIKI's table, or is damaged: {type(error).__name__}: {error}"
        ) from error
    if len({len(column) for column in columns.values()}) != 1:
        raise DatasetError(
            f"{table}: its fields differ in length:"
            f" { {name: len(column) for name, column in columns.items()} }"
        )
    paths = ["".join(map(str, np.ravel(cell)[:1])) for cell in columns["full_path"]]
    return {
        name: paths if name == "full_path" else column.astype(float).tolist()
        for name, column in columns.items()
    }


def _score(root: Path) -> float:
    return float(any((root / name).is_file() for name in TABLES))


LAYOUT = Layout(
    "wiki", "IMDB-WIKI", EXPECTS, "62,328 rows in wiki.mat, 460,723 in imdb.mat", detect, read
)
