"""CSV that spreadsheets may open: nothing in it runs as a formula, and nothing else is changed."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest

from agegender_core.errors import InvalidImageError
from agegender_core.output.csv_tables import CsvWriter, frame_csv, safe_cell
from agegender_core.output.tables import error_row, table_csv
from tests.support import ROOT

FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")
EVIL = (
    "=1+1.jpg",
    "+1.jpg",
    "-2+3.jpg",
    "@SUM(A1).jpg",
    "\t=1.jpg",
    "\r=1.jpg",
    "\n=1.jpg",
    " =1.jpg",
    "\u00a0=1.jpg",
    "＝1.jpg",
    '=HYPERLINK("x";"y").jpg',
)


@pytest.mark.parametrize("name", EVIL)
def test_a_formula_becomes_text(name: str) -> None:
    assert safe_cell(name)[0] == "'"
    rows = [error_row(name, InvalidImageError(name))]
    (read,) = csv.DictReader(io.StringIO(table_csv(rows), newline=""))
    assert not any(FORMULA.match(cell) for cell in read.values())
    assert read["file"].removeprefix("'").replace("'", "") == name.replace("\r", "\n")


@pytest.mark.parametrize(
    "value",
    [
        "a.jpg",
        "a=b.jpg",
        "2020-01-01.jpg",
        "a;b.jpg",
        "",
        "'quoted'",
        3,
        -3.5,
        None,
        True,
        np.float64(-1),
    ],
)
def test_nothing_else_is_changed(value: object) -> None:
    assert safe_cell(value) is value or safe_cell(value) == value


@pytest.mark.parametrize("name", ["a;=1+1;b.jpg", "a\t=1.jpg", "a, b;  @x.jpg"])
def test_a_program_that_splits_at_semicolons_or_tabs_finds_no_formula(name: str) -> None:
    text = table_csv([error_row(name, InvalidImageError("No image."))])
    cells = [cell for line in text.splitlines() for cell in re.split("[;\t]", line)]
    assert not any(FORMULA.match(cell) for cell in cells)


def test_a_data_frame() -> None:
    frame = pd.DataFrame(
        {
            "=name": ["=a", None, "c"],
            "years": [-1.5, 2.0, np.nan],
            "kind": pd.Categorical(["@x", "y", "@x"]),
            "text": pd.Series(["+1", pd.NA, "z"], dtype="string"),
            "count": pd.Series([-1, pd.NA, 3], dtype="Int64"),
            "mixed": [-4, "-4", None],
        }
    )
    before = frame.copy()
    lines = frame_csv(frame).splitlines()
    assert lines == [
        "'=name,years,kind,text,count,mixed",
        "'=a,-1.5,'@x,'+1,-1,-4",
        ",2.0,y,,,'-4",
        "c,,'@x,z,3,",
    ]
    pd.testing.assert_frame_equal(frame, before)


def test_the_writer_refuses_unknown_columns() -> None:
    stream = io.StringIO()
    writer = CsvWriter(stream, ["a", "b"])
    writer.writerows([{"a": "=1"}, {"a": None, "b": -2}])
    assert stream.getvalue() == "a,b\n'=1,\n,-2\n"
    with pytest.raises(ValueError, match="c"):
        writer.writerows([{"c": 1}])


def test_csv_is_written_in_one_place() -> None:
    """A second way of writing CSV would not know of formulas."""
    folders = ("agegender_core", "ui", "pages")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")] + list(
        ROOT.glob("*.py")
    )
    writers = re.compile(r"\.to_csv\(|csv\.(Dict)?[Ww]riter\(|savetxt\(")
    assert [path.name for path in files if writers.search(path.read_text(encoding="utf-8"))] == [
        "csv_tables.py"
    ]
