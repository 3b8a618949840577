"""Labels from the rows of a table whose columns are not fixed, as datasets on the hub have them.

Columns understood: age or age_group (years, or a range of FairFace or Adience), gender or sex,
race, subject, file, split, and landmarks (ten fractions of the side). Numbers that stand for names
(the hub's ClassLabel) are read by the names stored with the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from agegender_core.datasets.parquet_store import RACE_SCHEMES
from agegender_core.datasets.readers.base import Collector
from agegender_core.labels import FAIRFACE_RACES, UTKFACE_RACES, adience_group, fairface_group

GENDER_WORDS = {
    "female": "Female",
    "f": "Female",
    "woman": "Female",
    "male": "Male",
    "m": "Male",
    "man": "Male",
}
RACES = {"utkface5": UTKFACE_RACES, "fairface7": FAIRFACE_RACES}
OLDEST = 122
"""The oldest age a person is known to have reached; anything above is a mistake."""
SHOWN = 40
"""Characters of a value that a reason names."""

Row = Mapping[str, Any]


def take_rows(collector: Collector, rows: Sequence[Row]) -> None:
    """Add all ``rows``; ``row`` of a record is its position in them. Rows without any label are
    skipped.
    """
    files = _file_names(rows)
    scheme = _race_scheme(
        collector.name, {row["race"] for row in rows if isinstance(row.get("race"), str)}
    )
    for index, (row, file) in enumerate(zip(rows, files, strict=True)):
        labels, missing = _labels(row, scheme)
        if not any(labels[name] is not None for name in ("age", "age_range", "gender", "race")):
            collector.skip(file, ", ".join(missing) or "no label")
        else:
            collector.add(
                file, missing=missing, row=index, split=str(row.get("split") or "all"), **labels
            )


def _file_names(rows: Sequence[Row]) -> list[str]:
    """Column «file»; without it the path stored with the image, alone or after the split, if that
    is unique; else the row.
    """
    names = [
        str(row.get("file") or row.get("path") or f"row {index}") for index, row in enumerate(rows)
    ]
    if any(row.get("file") for row in rows) or len(set(names)) == len(names):
        return names
    names = [f"{row.get('split')}/{name}" for row, name in zip(rows, names, strict=True)]
    return (
        names if len(set(names)) == len(names) else [f"row {index}" for index in range(len(rows))]
    )


def _labels(row: Row, scheme: str | None) -> tuple[dict[str, Any], list[str]]:
    """Labels of ``FaceRecord``, and what is wrong with those that could not be read."""
    age, age_range = _age(_first(row, "age", "age_group"))
    labels = {
        "age": age,
        "age_range": age_range,
        "gender": GENDER_WORDS.get(str(_first(row, "gender", "sex")).strip().lower()),
        "race": row.get("race") if scheme and row.get("race") in RACES[scheme] else None,
        "subject": None if row.get("subject") is None else str(row["subject"]),
        "landmarks": _landmarks(row.get("landmarks")),
    }
    values = {
        "age": _first(row, "age", "age_group"),
        "gender": _first(row, "gender", "sex"),
        "race": row.get("race"),
    }
    unread = [
        name
        for name, value in values.items()
        if labels[name] is None and not (name == "age" and age_range)
    ]
    columns = {"age": {"age", "age_group"}, "gender": {"gender", "sex"}, "race": {"race"}}
    missing = [
        f"{name} {'empty' if values[name] is None else _shown(values[name])}"
        for name in unread
        if columns[name] & set(row)
    ]
    return labels | {"race_scheme": scheme}, missing


def _age(value: Any) -> tuple[int | None, tuple[int, int] | None]:
    """(years, None), (None, (low, high)) or (None, None)."""
    text = _shown(value)
    if years := re.fullmatch(
        r"(\d{1,3})(?:[.,]0*)?", text
    ):  # «25.0» and «25,0», as tables with gaps and spreadsheets have them
        return (int(years[1]) if int(years[1]) <= OLDEST else None), None
    for group_of in (fairface_group, adience_group):
        try:
            group = group_of(text)
        except KeyError:
            continue
        return None, (group.lo, group.hi)
    return None, None


def _shown(value: Any) -> str:
    """A value as text, cut to the length of a label; includes numbers of thousands of digits, which
    Python refuses to print.
    """
    try:
        text = " ".join(str(value).split())
    except ValueError:
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _race_scheme(name: str, values: Iterable[str]) -> str | None:
    """Whose words the races are: by the dataset's name, else the one scheme that has them all; None
    where that is open.
    """
    known = RACE_SCHEMES.get(name.lower())
    fitting = [scheme for scheme, races in RACES.items() if values and set(values) <= set(races)]
    return known or (fitting[0] if len(fitting) == 1 else None)


def _landmarks(values: Any) -> np.ndarray | None:
    if values is None or np.size(values) != 10:
        return None
    points = np.asarray(values, dtype=float).reshape(5, 2)
    return points if np.isfinite(points).all() else None


def _first(row: Row, *columns: str) -> Any:
    """First value among ``columns`` that is neither None nor NaN."""
    values = (row.get(column) for column in columns)
    return next(
        (
            value
            for value in values
            if value is not None and not (isinstance(value, float) and math.isnan(value))
        ),
        None,
    )


def with_names(row: Row, names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The row with class numbers replaced by their names."""
    coded = {column: row[column] for column in names if isinstance(row.get(column), int)}
    words = {
        column: names[column][code] if 0 <= code < len(names[column]) else None
        for column, code in coded.items()
    }
    return {**row, **words}


def with_split(row: Row, split: str | None) -> Row:
    """The row with ``split`` where it has none of its own."""
    return row if row.get("split") or split is None else {**row, "split": split}
