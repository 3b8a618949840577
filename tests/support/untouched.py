"""A plugin of ``tests/conftest.py``: a run in which a file of the repository was added, changed or
removed has failed, whatever its tests say. Tests write into folders of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import ROOT

WATCHED = ("agegender_core", "configs", "docs", "pages", "reports", "ui", "weights")
Snapshot = dict[str, tuple[int, int]]
BEFORE = pytest.StashKey[Snapshot]()


def snapshot(root: Path) -> Snapshot:
    """Size and time of change of every file in the watched folders of ``root``; compiled Python is
    left out.
    """
    found = {}
    for folder in WATCHED:
        for path in (root / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                status = path.stat()
                found[str(path.relative_to(root))] = (status.st_size, status.st_mtime_ns)
    return found


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """What happened to which file, a line each."""
    return sorted(
        f"{name}: {'added' if name not in before else 'changed' if name in after else 'removed'}"
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Once a run; a worker of a divided run leaves it to the process that started it."""
    if not hasattr(session.config, "workerinput"):
        session.config.stash[BEFORE] = snapshot(ROOT)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Names the files in red and fails the run."""
    before = session.config.stash.get(BEFORE, None)
    if before is None or not (lines := differences(before, snapshot(ROOT))):
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.write_line("")
        terminal.section("files of the repository were touched during the run", red=True)
        terminal.write_line("\n".join(lines))
        terminal.write_line("Unless you edited them meanwhile, a test writes outside its folder.")
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
