"""The tests themselves: they touch no file of the repository, and share what they share through
fixtures and ``tests.support``.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, untouched

TESTS = ROOT / "tests"


def imported_modules(path: Path) -> list[str]:
    """Modules that a file imports, those that may be names in a package included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def of_other_tests(path: Path) -> list[str]:
    """Imports of test files and of ``conftest``s, whose fixtures pytest finds by itself."""
    return [
        module
        for module in imported_modules(path)
        if module.startswith("tests.")
        and any(part == "conftest" or part.startswith("test_") for part in module.split("."))
    ]


def test_no_file_imports_from_a_test_file() -> None:
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 100
    assert {str(path): found for path in files if (found := of_other_tests(path))} == {}


@pytest.mark.parametrize(
    "line",
    ["from tests.ui.test_a import b", "from tests.ui import test_a", "import tests.conftest"],
)
def test_an_import_from_a_test_file_is_seen(line: str, tmp_path: Path) -> None:
    path = tmp_path / "test_b.py"
    path.write_text(f"def late():\n    {line}\n")
    assert of_other_tests(path)


def test_added_changed_and_removed_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "some"
    folder.mkdir(parents=True)
    for name in ("kept.json", "changed.json", "removed.json"):
        (folder / name).write_text("{}")
    (tmp_path / "elsewhere.json").write_text("{}")
    before = untouched.snapshot(tmp_path)
    assert untouched.differences(before, untouched.snapshot(tmp_path)) == []
    (folder / "changed.json").write_text("{ }")
    (folder / "removed.json").unlink()
    (folder / "added.json").write_text("{}")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "code.pyc").write_text("")
    (tmp_path / "elsewhere.json").write_text("{ }")
    assert untouched.differences(before, untouched.snapshot(tmp_path)) == [
        "reports/some/added.json: added",
        "reports/some/changed.json: changed",
        "reports/some/removed.json: removed",
    ]


def test_a_run_that_touches_the_repository_fails(tmp_path: Path) -> None:
    """In a process of its own, on a folder that stands for the repository."""
    (tmp_path / "test_writes.py").write_text(
        "from pathlib import Path\n"
        "def test_writes(pytestconfig):\n"
        "    folder = pytestconfig.rootpath / 'reports'\n"
        "    folder.mkdir(exist_ok=True)\n"
        "    (folder / 'curve.json').write_text('{}')\n"
    )
    (tmp_path / "guard.py").write_text(
        "from pathlib import Path\n"
        "from tests.support import untouched\n"
        "untouched.ROOT = Path(__file__).parent\n"
        "from tests.support.untouched import *\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "guard", "-p", "no:cacheprovider"]
    command += [f"--rootdir={tmp_path}", str(tmp_path)]
    ran = subprocess.run(
        command,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout and "reports/curve.json: added" in ran.stdout


@pytest.mark.parametrize(("tests", "code"), [("core", "agegender_core"), ("ui", "ui")])
def test_tests_mirror_the_folders_of_the_code(tests: str, code: str) -> None:
    top = TESTS / tests
    folders = {path.parent.relative_to(top) for path in top.rglob("test_*.py")}
    assert len(folders) > 5
    assert [str(folder) for folder in folders if not (ROOT / code / folder).is_dir()] == []
