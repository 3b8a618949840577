"""Zips and tables of people's own sets, damaged and odd at random: each is used or refused in one
sentence, never with a traceback.

Longer by hand: ``python -m tests.security.fuzz_tables 4000``.
"""

from __future__ import annotations

import io
import random
import struct
import sys
import time
import unicodedata
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable

from agegender_core.analysis.user_upload import read_user_dataset
from agegender_core.errors import DatasetError

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(60)
NAMES = (
    "a.jpg",
    "sub/b.jpg",
    "Jos\u00e9.jpg",
    "sub\\c.jpg",
    "26_1_2_20170117.jpg",
    "31_0_0_20170118.jpg.chip.jpg",
    "A B.PNG",
    "../x.jpg",
    "/abs.jpg",
    "C:\\d.jpg",
    ".hidden.jpg",
    "__MACOSX/._a.jpg",
    "",
    "/",
    "\\",
    ".",
    "..",
    "x" * 300 + ".jpg",
    "a/" * 60 + "e.jpg",
    "n\ne.jpg",
    "zero\0.jpg",
    "\u202egpj.exe.jpg",
    "inner.zip",
    "labels.csv",
    "._labels.csv",
    "notes.txt",
    "<b>.jpg",
)
CELLS = (
    "25",
    "25.0",
    "25,0",
    "-3",
    "1e9",
    "nan",
    "inf",
    "20-29",
    "(25, 32)",
    "9" * 5000,
    "\u0663\u0664",
    "",
    " ",
    "f",
    "Male",
    "?",
    "White",
    "=1+1",
    "\u00fc",
    "x\0y",
    '"',
    "'",
    "\ufeff",
    "\ud7ff",
    "a" * 3000,
    "None",
    "0x1f",
    "+5",
    "25.5",
    "03-Sep",
)
HEADS = ("file", "File", "age", "Gender", "race", "split", "filename", "x", "", "\ufefffile")
CODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1252",
    "cp437",
    "mac-roman",
)


def some_zip(dice: random.Random) -> bytes:
    """A zip with odd names, ways to pack, links and passwords."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(buffer, "w", dice.choice((0, 8, 8, 12, 14))) as archive:
            for number in range(dice.randrange(8)):
                member = zipfile.ZipInfo("x")
                member.filename = dice.choice(NAMES if number else ("20_0_0_20170101.jpg", "a.jpg"))
                member.compress_type = dice.choice((0, 8, 8, 12, 14))
                member.external_attr = dice.choice(
                    (0, 0, 0o100644 << 16, 0o100644 << 16, 0o120777 << 16, 0o010644 << 16, 0x10)
                )
                content = (
                    some_table(dice)
                    if member.filename.endswith(".csv")
                    else PICTURE * dice.randrange(20)
                )
                archive.writestr(member, content)
    return buffer.getvalue()


def some_table(dice: random.Random) -> bytes:
    """A table with odd columns, cells, line ends and codings."""
    delimiter, end = dice.choice(",;\t|"), dice.choice(("\n", "\r\n", "\r"))
    heads = (
        [dice.choice(HEADS) for _ in range(dice.randrange(7))]
        if dice.random() < 0.4
        else ["file", "age", "gender"]
    )
    rows = [
        heads,
        *(
            [dice.choice(NAMES + CELLS) for _ in range(dice.randrange(9))]
            for _ in range(dice.randrange(9))
        ),
    ]
    rows += [["a.jpg", "25.0", "f"]] + [
        [name, dice.choice(CELLS), dice.choice(CELLS)] for name in dice.sample(NAMES, 6)
    ]
    text = end.join(
        delimiter.join(f'"{cell}"' if dice.random() < 0.2 else cell for cell in row) for row in rows
    )
    text = (
        dice.choice(
            ("", "", "", f"sep={delimiter}{end}", f'"sep={delimiter}"{end}', "sep=", "\ufeff", end)
        )
        + text
    )
    text = unicodedata.normalize(dice.choice(("NFC", "NFD")), text)
    return text.encode(dice.choice(CODINGS), errors="replace")


def mutated(dice: random.Random, content: bytes) -> bytes:
    """``content`` with bytes changed, cut, doubled, swapped, or with a field of 16 or 32 bits set
    to an extreme.
    """
    data = bytearray(content)
    for _ in range(dice.choice((0, 0, 1, 1, 2, 4, 16)) if data else 0):
        place, kind = dice.randrange(max(len(data), 1)), dice.randrange(6)
        if kind == 0:
            data[place : place + 1] = bytes([dice.randrange(256)])
        elif kind == 1:
            del data[place : place + dice.choice((1, 4, 40))]
        elif kind == 2:
            data[place:place] = data[place : place + dice.choice((1, 8, 60))]
        elif kind == 3:
            data[place : place + 4] = struct.pack(
                "<I", dice.choice((0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            )
        elif kind == 4:
            data[place : place + 2] = struct.pack("<H", dice.choice((0, 1, 0xFFFF, 0x8000)))
        else:
            data = data[:place]
    return bytes(data)


def a_zip(dice: random.Random) -> list[tuple[str, bytes]]:
    """A damaged zip as it would be uploaded, now and then with a table beside it."""
    given = [("set.zip", mutated(dice, some_zip(dice)))]
    return given + ([("labels.csv", some_table(dice))] if dice.random() < 0.3 else [])


def a_table(dice: random.Random) -> list[tuple[str, bytes]]:
    """A damaged table beside sound images."""
    images = [(name, PICTURE) for name in ("a.jpg", *dice.sample(NAMES[1:], 5))]
    return [
        (
            dice.choice(("labels.csv", "labels.tsv", "L.CSV", "._labels.csv")),
            mutated(dice, some_table(dice)),
        ),
        *images,
    ]


def tried(
    make: Callable[[random.Random], list[tuple[str, bytes]]], count: int, seed: int = 0
) -> tuple[Counter[str], float]:
    """How many of ``count`` uploads were used and refused, and the longest in seconds. Raises
    ``AssertionError`` that names the seed of one that ended otherwise.
    """
    found: Counter[str] = Counter()
    slowest = 0.0
    for number in range(seed, seed + count):
        given, started = make(random.Random(number)), time.perf_counter()
        try:
            own = read_user_dataset(given)
            assert own.records and set(own.contents) == {record.file for record in own.records}
            assert all(file and reason and "\n" not in reason for file, reason in own.bad)
            found["used"] += 1
        except DatasetError as error:
            assert 10 < len(str(error)) < 1600 and "Traceback" not in str(error), (
                f"{make.__name__} {number}: {error!s:.300}"
            )
            found["refused in a sentence"] += 1
        except Exception as error:
            raise AssertionError(
                f"{make.__name__} {number}: {type(error).__name__}: {error!s:.300}"
            ) from error
        slowest = max(slowest, time.perf_counter() - started)
    return found, slowest


if __name__ == "__main__":
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    for kind in (a_zip, a_table):
        print(kind.__name__, *tried(kind, how_many))
