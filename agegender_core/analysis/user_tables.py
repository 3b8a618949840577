"""The table of a visitor's own images: from bytes to rows, and from rows to images. Bounded in
size, and independent of any web framework.

Accepts what people save: UTF-8, UTF-16 and Windows' code page, with or without a byte-order mark,
commas, semicolons or tabs, a first line «sep=;», names with backslashes, in another case, with
other folders before them, or with accents in the other Unicode form.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from agegender_core.errors import DatasetError

Row = dict[str, str | None]

MAX_TABLE, MAX_LINE, MAX_COLUMNS, MAX_ROWS = 8 * 2**20, 20_000, 200, 100_000
"""Bytes of a table, characters of one line, columns and rows. 200 columns and 100,000 rows are
enough for every official table.
"""
MAX_NAME, MAX_PARTS = 1000, 32
"""Characters and folders of a name. Longer names match no image."""
COLUMNS = ("file", "age", "age_group", "gender", "sex", "race", "subject", "split")
"""Columns that are read; the others are dropped."""
FILE_COLUMNS = ("file", "filename", "file_name", "file name", "image", "path")
"""Possible names of the column of file names; the first of these counts."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte-order marks; UTF-32's begins like UTF-16's, so it comes first."""
NO_TEXT = (
    (b"PK", "an Excel or zip file"),
    (b"\xd0\xcf\x11\xe0", "an Excel file"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
)
SAVE = "save it as CSV with the columns file, age, gender"


def read_rows(name: str, table: bytes) -> list[Row]:
    """Rows of a CSV by the columns in ``COLUMNS``, stripped, None where empty. Raises
    ``DatasetError`` with a remedy.
    """
    if len(table) > MAX_TABLE:
        raise DatasetError(
            f"{name} is larger than {MAX_TABLE // 2**20} MB: keep the rows of your images, columns"
            " file, age, gender"
        )
    text, delimiter = _delimited(decoded(name, table))
    reader = csv.reader(_lines(name, text), delimiter=delimiter)
    try:
        heads = [_head(cell) for cell in next(reader, [])]
        positions = _columns(name, heads)
        rows = [row for row in _rows(name, reader, positions) if any(row.values())]
    except csv.Error as error:
        raise DatasetError(f"{name} cannot be read as a CSV ({error}): {SAVE}") from error
    return rows


def decoded(name: str, table: bytes) -> str:
    """The text in any usual encoding. Raises ``DatasetError`` for what is not text."""
    for start, kind in NO_TEXT:
        if table.startswith(start):
            raise DatasetError(f"{name} is {kind}, not text: {SAVE}")
    for mark, coding in MARKS:
        if table.startswith(mark):
            return table[len(mark) :].decode(coding, errors="replace")
    zeros = [table[start:4000:2].count(0) for start in (0, 1)]
    if max(zeros) > 0.4 * len(table[:4000:2]) and min(zeros) < 0.1 * len(table[:4000:2]):
        return table.decode("utf-16-be" if zeros[0] > zeros[1] else "utf-16-le", errors="replace")
    if b"\0" in table:
        raise DatasetError(f"{name} is not text: {SAVE}")
    try:
        return table.decode("utf-8")
    except UnicodeDecodeError:
        return table.decode("cp1252", errors="replace")


def _delimited(text: str) -> tuple[str, str]:
    """The text from its header on, and its delimiter: that of the line «sep=», else the most
    frequent one in the header.
    """
    if declared := re.match(r'\s*"?sep=(\t|[^\s"])"?[\s,;]*?(\r\n|\r|\n|$)', text, re.IGNORECASE):
        return text[declared.end() :], declared[1]
    text = text.lstrip("\r\n")
    header = re.sub(r'"[^"\r\n]*"', "", re.split(r"[\r\n]", text[: 2 * MAX_LINE], maxsplit=1)[0])
    return text, max(",;\t|", key=header.count)


def _lines(name: str, text: str) -> Iterator[str]:
    for line in io.StringIO(text, newline=""):
        if len(line) > MAX_LINE:
            raise DatasetError(f"{name} has a line of more than {MAX_LINE:,} characters: {SAVE}")
        yield line


def _head(cell: str) -> str:
    return unicodedata.normalize("NFC", cell).strip().strip("\ufeff").lower()


def _columns(name: str, heads: Sequence[str]) -> dict[str, int]:
    """Column to its position. Raises ``DatasetError`` if no column has file names."""
    if len(heads) > MAX_COLUMNS:
        raise DatasetError(f"{name} has {len(heads):,} columns, more than {MAX_COLUMNS}: {SAVE}")
    file = next((head for head in FILE_COLUMNS if head in heads), None)
    if file is None:
        shown = ", ".join(short(head, 30) or "(empty)" for head in heads[:8]) + (
            " …" if len(heads) > 8 else ""
        )
        raise DatasetError(
            f"{name} is a CSV with the columns {shown or 'none'}: it needs file, age, gender"
        )
    return {"file": heads.index(file)} | {
        head: heads.index(head) for head in COLUMNS[1:] if head in heads
    }


def _rows(name: str, reader: Iterable[list[str]], positions: dict[str, int]) -> Iterator[Row]:
    for number, cells in enumerate(reader):
        if number >= MAX_ROWS:
            raise DatasetError(f"{name} has more than {MAX_ROWS:,} rows: keep those of your images")
        found = {
            column: cells[position].strip() or None if position < len(cells) else None
            for column, position in positions.items()
        }
        yield {
            column: None if value is None else short(value, MAX_NAME if column == "file" else 100)
            for column, value in found.items()
        }


def short(text: str, most: int = 100) -> str:
    """``text``, truncated to ``most`` characters."""
    return text if len(text) <= most else text[:most] + "…"


def tidy(name: str) -> str:
    """A file's name as it is compared and shown: slashes forwards, accents in one form, no «./»
    before it.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def match_names(names: Sequence[str], files: Iterable[str]) -> list[tuple[str | None, str]]:
    """For each name in a table the file it refers to, or None and why not.

    A name matches a file if one is the end of the other, in whole parts, by case or else ignoring
    it. A name with other folders before the same last part matches only if that last part is unique
    both in the table and among the images. ``files`` are tidy.
    """
    files = list(files)
    exact, folded = _endings(files), _endings(files, fold=True)
    found: list[tuple[str | None, str]] = []
    for name in map(tidy, names):
        file, shared = _look_up(name, exact)
        if file is None and not shared:
            file, shared = _look_up(name.casefold(), folded)
        found.append(
            (
                file,
                (
                    "several images have this name: add its folder"
                    if shared
                    else "names an image that was not uploaded"
                ),
            )
        )
    _by_last_part(names, folded, found)
    return _without_rivals(names, found)


def _endings(files: Iterable[str], fold: bool = False) -> dict[str, str | None]:
    """All endings of the files, in whole parts, to the file; None for one that several share."""
    found: dict[str, str | None] = {}
    whole: dict[str, str | None] = {}
    for file in files:
        parts = (file.casefold() if fold else file).split("/")
        whole["/".join(parts)] = None if "/".join(parts) in whole else file
        for start in range(1, len(parts)):
            end = "/".join(parts[start:])
            found[end] = None if end in found else file
    return found | whole


def _look_up(name: str, endings: dict[str, str | None]) -> tuple[str | None, bool]:
    """The file that ``name`` refers to, and whether there are several candidates. Its own endings
    count if they are a file's whole name.
    """
    if name in endings:
        return endings[name], endings[name] is None
    parts = name.split("/")
    for start in range(max(1, len(parts) - MAX_PARTS), len(parts)):
        end = "/".join(parts[start:])
        file = endings.get(end)
        if file is not None and len(file.split("/")) == len(parts) - start:
            return file, False
    return None, False


def _by_last_part(
    names: Sequence[str], folded: dict[str, str | None], found: list[tuple[str | None, str]]
) -> None:
    """Fill in, where nothing matches better, the only file with the same last part."""
    lasts = [tidy(name).casefold().rpartition("/")[2] for name in names]
    counts, taken = Counter(lasts), {file for file, _ in found if file is not None}
    for index, last in enumerate(lasts):
        file = folded.get(last)
        if found[index][0] is None and counts[last] == 1 and file is not None and file not in taken:
            found[index] = (file, "")


def _without_rivals(
    names: Sequence[str], found: list[tuple[str | None, str]]
) -> list[tuple[str | None, str]]:
    """If rows with different names match one file, the row with exactly its name gets it; without
    such a row none does.
    """
    rivals: dict[str, set[str]] = {}
    for name, (file, _) in zip(names, found, strict=True):
        if file is not None:
            rivals.setdefault(file, set()).add(tidy(name))
    why = "several names in the CSV match one image: upload the images in their folders"
    return [
        (
            (file, reason)
            if file is None or len(rivals[file]) == 1 or tidy(name) == file
            else (None, why)
        )
        for name, (file, reason) in zip(names, found, strict=True)
    ]
