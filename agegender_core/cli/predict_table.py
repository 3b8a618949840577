"""Answers as lines of fixed width, for a person at a terminal. Programs read JSON lines, CSV or
Parquet, which leave nothing out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from agegender_core.output.gender import TOO_CLOSE, too_close

FILE = 30
"""Columns of the terminal for a file's name: the end of a longer one stays."""
COLUMNS = (("Face", 5), ("Age", 7), ("Interval", 10), ("Gender", 13))


def header(race: bool) -> str:
    """The line above the first answer."""
    cells = ["File".ljust(FILE), *(name.ljust(width) for name, width in COLUMNS)]
    return " ".join([*cells, *(["Race"] if race else [])]).rstrip() + "\n"


def lines(rows: Sequence[Mapping[str, Any]], race: bool, ranges: bool = False) -> str:
    """A line for each row of ``output.tables.face_rows`` or ``error_row``.

    ``ranges``: the network knows age ranges only, so the likeliest one is its answer.
    """
    return "".join(_line(row, race, ranges) for row in rows)


def _line(row: Mapping[str, Any], race: bool, ranges: bool) -> str:
    start = fitted(safe(str(row["file"])), FILE)
    if row.get("error"):
        return f"{start} {safe(str(row['error']))}\n"
    if row.get("face") is None:
        return f"{start} no face found\n"
    cells = [
        f"{row['face']}".rjust(len("Face")),
        str(row["age_group"]).replace("-", "–") if ranges else _years(row),
        _interval(row),
        _gender(row),
        *([_choice(row, "race")] if race else []),
    ]
    widths = [width for _, width in COLUMNS] + [0]
    placed = (cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    return " ".join([start, *placed]).rstrip() + "\n"


def _years(row: Mapping[str, Any]) -> str:
    return "–" if row.get("age") is None else f"{row['age']:.1f}"


def _interval(row: Mapping[str, Any]) -> str:
    if row.get("age_low") is None:
        return "–"
    return f"{row['age_low']:.0f}–{row['age_high']:.0f}"


def _gender(row: Mapping[str, Any]) -> str:
    words = _choice(row, "gender")
    return f"{words}, {TOO_CLOSE}" if too_close(row.get("gender_probability")) else words


def _choice(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "–"
    probability = row.get(f"{name}_probability")
    return f"{row[name]}" + ("" if probability is None else f" {probability:.0%}")


def safe(text: str) -> str:
    """``text`` without what a terminal obeys instead of showing: control characters, line ends and
    marks that turn the direction of writing become escapes."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character
        for character in text
    )


def fitted(text: str, width: int) -> str:
    """``text`` in exactly ``width`` columns of a terminal; letters of East Asia take two."""
    shown, left = "", width
    if _columns(text) > width:
        left -= 1
        for character in reversed(text):
            left -= _columns(character)
            if left < 0:
                left += _columns(character)
                break
            shown = character + shown
        return "…" + shown + " " * left
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    return sum(
        0
        if unicodedata.combining(character)
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )
