"""Writes CSV: every table that the package, the pages or the API export as CSV goes through here.

A spreadsheet runs a cell that begins with = + - @ as a formula, and file names come from users:
«=HYPERLINK(…).jpg» in a table of results would run on the machine of whoever opens it. Such text
cells get a leading apostrophe, as OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection); numbers are unchanged.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import pandas as pd

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_AT_START = re.compile(rf"[\t\r\n]|\s*[{_SIGNS}]")
"""Text that begins as a formula; full-width forms of the four signs count."""
_INSIDE = re.compile(rf"([;\t\r\n] *)(?=[{_SIGNS}])")
"""Programs with a locale of decimal commas split a line at semicolons, even inside quotes: a
formula may begin there.
"""


def safe_cell(value: Any) -> Any:
    """``value`` as a spreadsheet may show it: text that would run as a formula with an apostrophe
    before it; numbers, booleans and None unchanged; anything else as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    # The csv module does not quote a lone CR, which ends a row.
    one_kind = str(value).replace("\r\n", "\n").replace("\r", "\n")
    text = _INSIDE.sub(r"\1'", one_kind)
    return f"'{text}" if _AT_START.match(text) else text


class CsvWriter:
    """Writes rows with the given columns; its header is written at once. Missing and None values
    become empty cells."""

    def __init__(self, stream: TextIO, columns: Iterable[str]) -> None:
        self._writer = csv.DictWriter(stream, list(columns), restval="", lineterminator="\n")
        self._writer.writerow({name: safe_cell(name) for name in self._writer.fieldnames})

    def writerows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write ``rows``. Raises ``ValueError`` for a row with an unknown column."""
        self._writer.writerows(
            {name: safe_cell(value) for name, value in row.items()} for row in rows
        )


def safe_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with its columns' names and texts through ``safe_cell``: for a table on a page,
    whose own button writes CSV in the browser.
    """
    safe = frame.rename(columns=safe_cell)
    for position, kind in enumerate(frame.dtypes):
        if kind.kind not in "biufMm":  # numbers and dates cannot be formulas
            column = frame.iloc[:, position].astype(object)
            safe.isetitem(
                position, column.where(column.isna(), column.map(safe_cell)).to_numpy(object)
            )
    return safe


def frame_csv(frame: pd.DataFrame) -> str:
    """A data frame as CSV text, its index left out."""
    return safe_frame(frame).to_csv(index=False, lineterminator="\n")
