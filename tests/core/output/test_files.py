"""Files are there whole or not at all."""

from pathlib import Path

import pytest

from agegender_core.output.files import atomic_file, write_json, write_text


def test_a_report_is_indented_json_with_a_line_break(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "report.json", {"age": "3–9"})
    assert (tmp_path / "new" / "report.json").read_bytes() == b'{\n "age": "3\\u20139"\n}\n'
    write_json(tmp_path / "report.json", {"age": "3–9"}, ascii_only=False)
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == '{\n "age": "3–9"\n}\n'


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_text(path, "old")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [(item.name, item.read_text()) for item in tmp_path.iterdir()] == [
        ("report.json", "old")
    ]
