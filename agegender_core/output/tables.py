"""Results for users: table rows and JSON of an ``Analysis``.

A table has one row a face. An image without faces and a file that failed have one row each, so
every file is in the table.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.output.csv_tables import CsvWriter
from agegender_core.types import Analysis, Categorical, Prediction

if TYPE_CHECKING:
    import pyarrow as pa

COLUMN_TYPES: dict[str, str] = {
    "file": "string",
    "face": "Int64",
    "faces": "Int64",
    "x0": "Float64",
    "y0": "Float64",
    "x1": "Float64",
    "y1": "Float64",
    "detection_score": "Float64",
    "source": "string",
    "turned": "Int64",
    "age": "Float64",
    "age_low": "Float64",
    "age_high": "Float64",
    "age_coverage": "Float64",
    "age_group": "string",
    "gender": "string",
    "gender_probability": "Float64",
    "race": "string",
    "race_probability": "Float64",
    "weights": "string",
    "error": "string",
}
"""Every column in table order, with its pandas type. ``face`` counts from 1, boxes are in pixels,
ages in years.
"""
RACE_COLUMNS = ("race", "race_probability")
"""Columns only tables with race estimates have."""


def describe_attributes(race: bool) -> str:
    """The estimated attributes, in words for people who are asked for consent."""
    return "age, gender and, for an audit, race category" if race else "age and gender"


def table_columns(race: bool = False) -> list[str]:
    """Names of a table's columns in order, with or without the race columns."""
    return [name for name in COLUMN_TYPES if race or name not in RACE_COLUMNS]


def face_rows(file: str, analysis: Analysis) -> list[dict[str, Any]]:
    """One flat row a face, in the order of ``COLUMN_TYPES``; for an image without faces one row
    with ``faces`` 0 and no face.
    """
    count = len(analysis.predictions)
    if not count:
        return [_row(file=file, faces=0, turned=analysis.turned, weights=analysis.weights)]
    return [
        _face_row(file, number, count, prediction)
        for number, prediction in enumerate(analysis.in_file(), 1)
    ]


def error_row(file: str, error: Exception) -> dict[str, Any]:
    """The row of a file that failed: same columns, all empty but the file's name and the error."""
    return _row(file=file, error=error_message(error))


def error_message(error: Exception) -> str:
    """Our own errors' message as it is; foreign errors with their class name before it. Always
    valid Unicode: a message may contain a file name that is not.
    """
    message = (
        str(error)
        if isinstance(error, AgeGenderError)
        else f"{type(error).__name__}: {error}".rstrip(": ")
    )
    return message.encode("utf-8", "backslashreplace").decode("utf-8")


def analysis_json(file: str, analysis: Analysis) -> dict[str, Any]:
    """JSON-ready mapping of one image's result."""
    return {"file": file, **analysis.as_dict()}


def error_json(file: str, error: Exception) -> dict[str, Any]:
    """JSON-ready mapping of a file that failed; ``reason`` is a stable word: the error's own, or
    else its class name.
    """
    reason = getattr(error, "reason", type(error).__name__)
    return {"file": file, "error": {"reason": str(reason), "message": error_message(error)}}


def _row(**values: Any) -> dict[str, Any]:
    race = not values.keys().isdisjoint(RACE_COLUMNS)
    return {name: values.get(name) for name in table_columns(race)}


def _face_row(file: str, number: int, count: int, prediction: Prediction) -> dict[str, Any]:
    face, age = prediction.face, prediction.age
    x0, y0, x1, y1 = (round(float(value), 1) for value in face.box_xyxy)
    low, high = age.interval or (None, None)
    gender, gender_probability = _choice(prediction.gender)
    values = {
        "file": file,
        "face": number,
        "faces": count,
        "x0": x0,
        "y0": y0,
        "x1": x1,
        "y1": y1,
        "detection_score": _rounded(face.score, 4),
        "source": face.source,
        "turned": face.turned,
        "age": _rounded(age.years, 2),
        "age_low": _rounded(low, 1),
        "age_high": _rounded(high, 1),
        "age_coverage": _rounded(age.coverage, 4),
        "age_group": age.group,
        "gender": gender,
        "gender_probability": gender_probability,
        "weights": prediction.weights,
    }
    if prediction.race is not None:
        values["race"], values["race_probability"] = _choice(prediction.race)
    return _row(**values)


def _choice(choice: Categorical | None) -> tuple[str | None, float | None]:
    return (None, None) if choice is None else (choice.label, _rounded(choice.confidence, 4))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def table_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as CSV text with a header; race columns only where a row has them."""
    rows = list(rows)
    stream = io.StringIO()
    CsvWriter(stream, _columns_of(rows)).writerows(rows)
    return stream.getvalue()


def write_table(
    rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str], *, race: bool = False
) -> None:
    """Write rows as CSV, Parquet or JSON lines, by the path's suffix. ``race`` asks for the race
    columns even if all are empty.

    Raises ``ConfigError`` for another suffix, and ``OSError`` where the file cannot be written.
    """
    rows, path = list(rows), Path(path)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        path.write_text(table_csv(rows), encoding="utf-8")
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif suffix == ".parquet":
        path.write_bytes(table_parquet(rows, race=race))
    else:
        raise ConfigError(
            f"{path.name}: tables are written as .csv, .parquet or .jsonl; give one of these"
            " suffixes"
        )


def table_parquet(rows: Iterable[Mapping[str, Any]], *, race: bool = False) -> bytes:
    """The rows as a Parquet file with the types of ``COLUMN_TYPES``, whatever is empty."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(rows)
    stream = io.BytesIO()
    schema = parquet_schema(race or "race" in _columns_of(rows))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream)
    return stream.getvalue()


def parquet_schema(race: bool = False) -> pa.Schema:
    """Arrow's types of a table's columns, with the note by which pandas reads them back as
    ``COLUMN_TYPES``.
    """
    import pandas as pd
    import pyarrow as pa

    empty = {name: pd.Series([], dtype=COLUMN_TYPES[name]) for name in table_columns(race)}
    return pa.Schema.from_pandas(pd.DataFrame(empty), preserve_index=False)


def _columns_of(rows: list[Mapping[str, Any]]) -> list[str]:
    return table_columns(race=any("race" in row for row in rows))
