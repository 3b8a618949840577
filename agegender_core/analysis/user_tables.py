"""The table beside a visitor's own images: its bytes to rows, and rows to the images they mean.
Bounded, and no web framework.

Read as people save it: UTF-8, UTF-16 and Windows' code page, with or without a mark at the start,
commas, semicolons or tabs, a first line «sep=;», names with backslashes, in another case, with
other folders before them, or with accents written in the other Unicode form.
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
"""Bytes of a table, characters of one line, columns and rows. 200 columns and 100,000 rows hold
every official table.
"""
MAX_NAME, MAX_PARTS = 1000, 32
"""Characters of a name, and how many folders may stand in it. Names beyond that mean no image."""
COLUMNS = ("file", "age", "age_group", "gender", "sex", "race", "subject", "split")
"""Columns that are read; the others are not kept."""
FILE_COLUMNS = ("file", "filename", "file_name", "file name", "image", "path")
"""What the column of file names may be called; the first of these counts."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Marks at the start; the one of UTF-32 begins as that of UTF-16 does, so it comes first."""
NO_TEXT = (
    (b"PK", "an Excel or zip file"),
    (b"\xd0\xcf\x11\xe0", "an Excel file"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
)
SAVE = "save it as CSV with the columns file, age, gender"


def read_rows(name: str, table: bytes) -> list[Row]:
    """Rows of a CSV by the columns in ``COLUMNS``, stripped, None where empty. Raises
    ``DatasetError`` that says what to do.
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
        places = _columns(name, heads)
        rows = [row for row in _rows(name, reader, places) if any(row.values())]
    except csv.Error as error:
        raise DatasetError(f"{name} cannot be read as a CSV ({error}): {SAVE}") from error
    return rows


def decoded(name: str, table: bytes) -> str:
    """The text, whatever it was saved in. Raises ``DatasetError`` for what is no text."""
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
    """The text from its header on, and what divides its columns: as the line «sep=» says, else what
    the header has most of.
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
    """Column to its place. Raises ``DatasetError`` where no column holds file names."""
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


def _rows(name: str, reader: Iterable[list[str]], places: dict[str, int]) -> Iterator[Row]:
    for number, cells in enumerate(reader):
        if number >= MAX_ROWS:
            raise DatasetError(f"{name} has more than {MAX_ROWS:,} rows: keep those of your images")
        found = {
            column: cells[place].strip() or None if place < len(cells) else None
            for column, place in places.items()
        }
        yield {
            column: None if value is None else short(value, MAX_NAME if column == "file" else 100)
            for column, value in found.items()
        }


def short(text: str, most: int = 100) -> str:
    """``text``, cut where it is longer than any label or name worth showing."""
    return text if len(text) <= most else text[:most] + "…"


def tidy(name: str) -> str:
    """A file's name as it is compared and shown: slashes forwards, accents in one form, no «./»
    before it.
    """
    name = unicodedata.normalize("NFC", name).replace("\\", "/")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def matched(names: Sequence[str], files: Iterable[str]) -> list[tuple[str | None, str]]:
    """For each name in a table the file it means, or None and why not.

    A name means a file where one is the end of the other, whole parts, case as written or else any.
    A name with other folders before the same last part means it only where neither the table nor
    the images have that last part twice. ``files`` are tidy.
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
                    "several images have this name: give it with its folder"
                    if shared
                    else "names an image that was not given"
                ),
            )
        )
    _by_last_part(names, folded, found)
    return _without_rivals(names, found)


def _endings(files: Iterable[str], fold: bool = False) -> dict[str, str | None]:
    """All endings of the files, whole parts, to the file; None for one that several have."""
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
    """The file that ``name`` means, and whether several may be meant. Its own endings count where
    they are a file's whole name.
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
    """Fill in, where nothing fits better, the one file with the same last part."""
    lasts = [tidy(name).casefold().rpartition("/")[2] for name in names]
    counts, taken = Counter(lasts), {file for file, _ in found if file is not None}
    for index, last in enumerate(lasts):
        file = folded.get(last)
        if found[index][0] is None and counts[last] == 1 and file is not None and file not in taken:
            found[index] = (file, "")


def _without_rivals(
    names: Sequence[str], found: list[tuple[str | None, str]]
) -> list[tuple[str | None, str]]:
    """Where rows of different names mean one file, that of just its name has it; without such a one
    none has.
    """
    rivals: dict[str, set[str]] = {}
    for name, (file, _) in zip(names, found, strict=True):
        if file is not None:
            rivals.setdefault(file, set()).add(tidy(name))
    why = "several names in the CSV may mean one image: give the images in their folders"
    return [
        (
            (file, reason)
            if file is None or len(rivals[file]) == 1 or tidy(name) == file
            else (None, why)
        )
        for name, (file, reason) in zip(names, found, strict=True)
    ]
