"""What leaves the house: table rows, JSON and annotated pictures of an ``Analysis``.

A table has one row a face. A picture without faces and a file that failed have one row each, so no file vanishes from a table.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from PIL import Image, ImageColor, ImageDraw, ImageFont

from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.types import Analysis, Categorical, Prediction

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
"""Every column in table order, with its pandas type. ``face`` counts from 1, boxes are in pixels, ages in years."""
RACE_COLUMNS = ("race", "race_probability")
"""Columns only tables with race estimates have."""

PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe and Ito's colours, told apart by colour-blind people too; face number n has ``PALETTE[(n - 1) % 7]``."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; the right and bottom pixels belong to it."""

_MIN_FONT = 11
"""Smallest letters still legible, in pixels."""


def estimated(race: bool) -> str:
    """What is estimated, in words for those who are asked to agree."""
    return "age, gender and, for an audit, race category" if race else "age and gender"


def table_columns(race: bool = False) -> list[str]:
    """Names of a table's columns in order, with or without the race columns."""
    return [name for name in COLUMN_TYPES if race or name not in RACE_COLUMNS]


def face_rows(file: str, analysis: Analysis) -> list[dict[str, Any]]:
    """One flat row a face, in the order of ``COLUMN_TYPES``; for a picture without faces one row with ``faces`` 0 and no face."""
    count = len(analysis.predictions)
    if not count:
        return [_row(file=file, faces=0, turned=analysis.turned, weights=analysis.weights)]
    return [_face_row(file, number, count, prediction) for number, prediction in enumerate(analysis.predictions, 1)]


def error_row(file: str, error: Exception) -> dict[str, Any]:
    """The row of a file that failed: same columns, all empty but the file's name and what was wrong."""
    return _row(file=file, error=error_message(error))


def error_message(error: Exception) -> str:
    """Our own errors' message as it is; foreign errors with their class name before it."""
    return str(error) if isinstance(error, AgeGenderError) else f"{type(error).__name__}: {error}".rstrip(": ")


def analysis_json(file: str, analysis: Analysis) -> dict[str, Any]:
    """JSON-ready mapping of one picture's answer."""
    return {"file": file, **analysis.as_dict()}


def error_json(file: str, error: Exception) -> dict[str, Any]:
    """JSON-ready mapping of a file that failed; ``reason`` is a stable word: the error's own, or else its class name."""
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


def csv_writer(stream: TextIO, columns: Iterable[str]) -> csv.DictWriter:
    """A writer of rows with the given columns, its header already written; missing and None values become empty cells."""
    writer = csv.DictWriter(stream, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    return writer


def table_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as CSV text with a header; race columns only where a row has them."""
    rows = list(rows)
    stream = io.StringIO()
    csv_writer(stream, _columns_of(rows)).writerows(rows)
    return stream.getvalue()


def write_table(rows: Iterable[Mapping[str, Any]], path: str | os.PathLike[str], *, race: bool = False) -> None:
    """Write rows as CSV, Parquet or JSON lines, by the path's suffix. ``race`` asks for the race columns even if all are empty.

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
        raise ConfigError(f"{path.name}: tables are written as .csv, .parquet or .jsonl; give one of these suffixes")


def table_parquet(rows: Iterable[Mapping[str, Any]], *, race: bool = False) -> bytes:
    """The rows as a Parquet file with the types of ``COLUMN_TYPES``, whatever is empty."""
    import pandas as pd

    rows = list(rows)
    columns = table_columns(race) if race else _columns_of(rows)
    series = {name: pd.Series([row.get(name) for row in rows], dtype=COLUMN_TYPES[name]) for name in columns}
    stream = io.BytesIO()
    pd.DataFrame(series).to_parquet(stream, index=False)
    return stream.getvalue()


def _columns_of(rows: list[Mapping[str, Any]]) -> list[str]:
    return table_columns(race=any("race" in row for row in rows))


def colour_of(number: int) -> str:
    """Colour of face ``number``, counted from 1."""
    return PALETTE[(number - 1) % len(PALETTE)]


def annotate(analysis: Analysis) -> Image.Image:
    """A copy of the picture, same size, with a numbered box and a label such as «1  34 (27-43)  Female 97%» on every face.

    Lines and letters grow with the picture. Labels lie inside the picture and keep off each other where there is room; where the whole
    label does not fit across a small picture it is shortened, down to the number.
    """
    picture = analysis.image.convert("RGB") if analysis.image.mode != "RGB" else analysis.image.copy()
    draw = ImageDraw.Draw(picture)
    boxes = [_clamped(prediction.face.box_xyxy, picture.size) for prediction in analysis.predictions]
    font = ImageFont.load_default(size=_font_size(picture.size, boxes))
    line = max(1, round((picture.width * picture.height) ** 0.5 / 300))
    for number, box in enumerate(boxes, 1):
        draw.rectangle([box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1], outline="black", width=line + 2)
        draw.rectangle(box, outline=colour_of(number), width=line)
    taken: list[Box] = []
    for number, prediction in enumerate(analysis.predictions, 1):
        text = _fitting(label_texts(number, prediction), draw, font, picture.width)
        taken.append(_draw_label(draw, text, font, number, boxes, taken))
    return picture


def label_texts(number: int, prediction: Prediction) -> list[str]:
    """What to write on a face, from the whole to the shortest form."""
    age, gender = prediction.age, prediction.gender
    years = f"{age.years:.0f}"
    interval = "" if age.interval is None else f"{age.interval[0]:.0f}-{age.interval[1]:.0f}"
    spread = interval or age.group or ""
    full_age = f"{years} ({spread})" if spread else years
    label = "" if gender is None else gender.label
    percent = "" if gender is None or gender.confidence is None else f" {gender.confidence:.0%}"
    forms = [(full_age, label + percent), (years, label + percent), (years, label), (years,), ()]
    return ["  ".join(part for part in (str(number), *form) if part) for form in forms]


def _clamped(box: tuple[float, float, float, float], size: tuple[int, int]) -> Box:
    """The part of a box inside the picture, in whole pixels, corners in order."""
    (width, height), (x0, y0, x1, y1) = size, box
    left, right = sorted(min(max(round(value), 0), width - 1) for value in (x0, x1))
    top, bottom = sorted(min(max(round(value), 0), height - 1) for value in (y0, y1))
    return left, top, right, bottom


def _font_size(size: tuple[int, int], boxes: list[Box]) -> int:
    """Letter height in pixels: an eighth of the typical face, within 1/80 and 1/30 of the picture, never too small to read."""
    side = (size[0] * size[1]) ** 0.5
    widths = sorted(right - left for left, _, right, _ in boxes) or [0]
    typical = widths[len(widths) // 2] / 8
    return max(_MIN_FONT, round(min(max(typical, side / 80), side / 30)))


def _fitting(texts: list[str], draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The first, longest text that fits across ``width`` pixels, else the last."""
    padding = 2 * _padding(font)
    return next((text for text in texts if draw.textlength(text, font=font) + padding <= width), texts[-1])


def _padding(font: ImageFont.FreeTypeFont) -> int:
    return max(2, round(font.size / 4))


def _draw_label(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, number: int, boxes: list[Box], taken: list[Box]) -> Box:
    """Write the label of face ``number`` and return the rectangle it covers."""
    padding = _padding(font)
    ascent, descent = font.getmetrics()
    size = (int(draw.textlength(text, font=font)) + 1 + 2 * padding, ascent + descent + padding)
    place = _label_place(size, draw.im.size, boxes[number - 1], boxes, taken)
    draw.rectangle(place, fill=colour_of(number))
    draw.text((place[0] + padding, place[1] + padding // 2), text, font=font, fill=text_colour(colour_of(number)))
    return place


def _label_place(size: tuple[int, int], picture: tuple[int, int], box: Box, boxes: list[Box], taken: list[Box]) -> Box:
    """Rectangle of ``size`` inside the picture: above ``box``, below or within it, whichever hides least of other labels, then of faces."""
    left = min(box[0], max(picture[0] - size[0], 0))
    lowest = max(picture[1] - size[1], 0)
    tops = (min(max(top, 0), lowest) for top in (box[1] - size[1], box[3] + 1, box[3] - size[1], box[1]))
    places = [(left, top, left + size[0] - 1, top + size[1] - 1) for top in tops]
    return min(places, key=lambda place: (_covered(place, taken), _covered(place, boxes)))


def _covered(place: Box, others: list[Box]) -> int:
    """Pixels of ``place`` on ``others``."""
    return sum(_overlap(place, other) for other in others)


def _overlap(a: Box, b: Box) -> int:
    """Pixels two rectangles share; right and bottom edges belong to them."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1) * max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)


def text_colour(background: str) -> str:
    """Black or white, whichever stands out more from ``background``, by WCAG's contrast ratio."""
    luminance = relative_luminance(background)
    return "black" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "white"


def relative_luminance(colour: str) -> float:
    """WCAG 2 relative luminance in [0, 1] of a colour Pillow knows."""
    red, green, blue = (_linear(value / 255) for value in ImageColor.getrgb(colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
