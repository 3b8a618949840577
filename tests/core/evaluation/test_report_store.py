"""Reports are parsed again only after their file has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agegender_core.errors import DatasetError
from agegender_core.evaluation import report_store
from agegender_core.evaluation.report_store import read_bench


def test_a_report_is_parsed_once_until_its_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    real = report_store.from_json
    monkeypatch.setattr(
        report_store, "from_json", lambda kind, value: parsed.append(value) or real(kind, value)
    )
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"machine": "first"}))
    assert [read_bench(tmp_path).machine for _ in range(3)] == ["first"] * 3
    assert len(parsed) == 1
    path.write_text(json.dumps({"machine": "second one"}))
    assert read_bench(tmp_path).machine == "second one" and len(parsed) == 2


def test_a_report_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text("nonsense")
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"bench\.json cannot be read"):
            read_bench(tmp_path)
    path.write_text("{}")
    assert read_bench(tmp_path) is not None
