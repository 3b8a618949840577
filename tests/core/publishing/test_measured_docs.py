"""Measured sections of the documents, from drawn reports."""

from __future__ import annotations

import json
from pathlib import Path

from agegender_core.evaluation.report_types import PagesReport, PageTiming
from agegender_core.publishing.measured_docs import load_section, pages_opened_table, start_section

API = {
    "clients": 3,
    "pictures": 1200,
    "answered": 1199,
    "refused_and_asked_again": 4,
    "mixed_up": [],
    "errors": ["b.jpg: 503"],
    "pictures_a_second": 13.4,
    "median_s": 1.49,
    "longest_s": 1.7,
    "memory_mb_first": 500,
    "memory_mb_settled": 510,
    "memory_mb_halfway": 520,
    "memory_mb_last": 1530,
    "memory_mb_most": 1540,
}


def test_load_is_told_with_its_errors_and_memory(tmp_path: Path) -> None:
    (tmp_path / "load.json").write_text(json.dumps({"machine": "a machine", "api": API}))
    section = load_section(tmp_path)
    assert "| 1,200 from 3, at the same time |" in section
    assert "| 1,199; 1 error; no answer to another client |" in section
    assert "500 MB at the first image, 520 halfway, 1,530 at the last, 1,540 at most" in section
    assert "browser" not in section and section.endswith("Machine: a machine.")


def test_browsers_under_load_have_a_row(tmp_path: Path) -> None:
    browsers = {"sessions": 20, "right": 19, "seconds": 50.1, "memory_mb_last": 846}
    report = {"machine": "a machine", "api": API, "browsers": browsers}
    (tmp_path / "load.json").write_text(json.dumps(report))
    assert "| 20; 19 saw their own answer; 50.1 s in all; 846 MB afterwards |" in load_section(
        tmp_path
    )


def test_pages_have_a_row_each_and_a_dash_where_nothing_was_measured() -> None:
    rows = (
        PageTiming("Live: opened", 5, 396, 414, 50, 490),
        PageTiming("Live: opened for the first time", 3, 1046, 1092, 150, 1550),
        PageTiming("About: turned to", 5, 76, 96),
        PageTiming("Guess: next face", 5, 97, 114, 210, 170),
    )
    table = pages_opened_table(PagesReport(rows, "a machine")).splitlines()
    assert table[2:] == ["| Live | 1,046 ms (150) | 396 ms (50) | – |", "| About | – | – | 76 ms |"]


def test_sections_without_a_report_are_empty(tmp_path: Path) -> None:
    assert load_section(tmp_path) == start_section(tmp_path) == ""
