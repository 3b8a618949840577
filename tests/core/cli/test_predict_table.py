"""``predict`` on a terminal: a table to read, and JSON for whatever reads it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from agegender_core.cli.predict_table import FILE, fitted, header, lines, safe

FACE = {
    "file": "a.jpg",
    "face": 1,
    "age": 34.2,
    "age_group": "30-39",
    "age_low": 21.4,
    "age_high": 46.6,
}
GENDER = {"gender": "Female", "gender_probability": 0.983}


def test_a_row_for_each_face() -> None:
    rows = [
        {**FACE, **GENDER},
        {
            "file": "a.jpg",
            "face": 2,
            "age": 35.0,
            "age_group": "30-39",
            "gender": "Male",
        },  # one number
        {"file": "b.jpg", "face": None},
        {"file": "c.jpg", "face": None, "error": "It is no image."},
    ]
    name = "a.jpg".ljust(FILE)
    assert lines(rows, False).splitlines() == [
        f"{name}    1  34.2    21–47      Female 98%",
        f"{name}    2  35.0    –          Male",
        f"{'b.jpg'.ljust(FILE)} no face found",
        f"{'c.jpg'.ljust(FILE)} It is no image.",
    ]
    assert header(False).split() == ["File", "Face", "Age", "Interval", "Gender"]
    columns = [header(False).index(word) for word in ("Age", "Interval", "Gender")]
    assert [lines(rows, False).index(word) for word in ("34.2", "21–47", "Female")] == columns


def test_a_network_of_ranges_gives_the_likeliest() -> None:
    row = {**FACE, "age_low": None, "age_high": None}
    assert "  30–39   –" in lines([row], False, ranges=True)


def test_a_gender_too_close_to_call_says_so() -> None:
    row = {**FACE, "gender": "Female", "gender_probability": 0.62}
    assert lines([row], False).endswith("Female 62%, too close to call\n")


def test_race_only_where_asked_for() -> None:
    row = {**FACE, **GENDER, "race": "East Asian", "race_probability": 0.5}
    assert "East Asian 50%" in lines([row], True) and header(True).endswith("Race\n")
    assert "East Asian" not in lines([row], False)


@pytest.mark.parametrize(
    "name",
    ["a\x1b[31mred.jpg", "a\nb.jpg", "a\r.jpg", "\u202egpj.exe", "a\u2028b.jpg", "\x9b2J.jpg"],
)
def test_a_terminal_obeys_no_name(name: str) -> None:
    shown = lines([{"file": name, "face": None, "error": f"no image: {name}"}], False)
    assert shown.count("\n") == 1 and shown.rstrip("\n").isprintable()
    assert safe(name) in shown


@pytest.mark.parametrize(
    "name", ["x" * 80 + ".jpg", "写真" * 40 + ".jpg", "e\u0301" * 60, "写.jpg"]
)
def test_names_take_their_columns(name: str) -> None:
    shown = fitted(name, FILE)
    wide = sum("\u4e00" <= letter <= "\u9fff" for letter in shown)
    marks = shown.count("\u0301")
    assert len(shown) + wide - marks == FILE
    assert len(name) < FILE or name.endswith(shown.strip("… "))


def test_on_a_terminal_and_in_a_pipe(tmp_path: Path) -> None:
    """The real command on a pseudo-terminal and in a pipe, with a file that is no image."""
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    command = [sys.executable, "-m", "agegender_core", "predict", "bad.jpg", "--quiet"]
    where = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}}
    piped = subprocess.run(command, capture_output=True, text=True, check=False, **where)
    assert json.loads(piped.stdout)["error"]["reason"]
    ours, theirs = pty.openpty()
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.DEVNULL, check=False, **where)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == piped.returncode == 1
    assert shown.startswith("File ") and shown.splitlines()[1].startswith("bad.jpg ")
