"""No library reports its use, and none leaves a file for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agegender_core.no_telemetry import SWITCHES

ANSWER = """
from agegender_core import analyze
from agegender_core.datasets.sample_image import sample_portrait
assert analyze(sample_portrait())[0].age.years
"""


def test_an_answer_leaves_no_file_and_no_device_number(tmp_path: Path) -> None:
    """In an environment that says nothing of its own, as a visitor's laptop does."""
    run = subprocess.run(
        [sys.executable, "-c", ANSWER],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", SWITCHES)
def test_the_environment_cannot_switch_it_on(name: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"import agegender_core, os; print(os.environ[{name!r}])"],
        env={**os.environ, name: "unheard of"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.stdout.strip() == SWITCHES[name], found.stderr
