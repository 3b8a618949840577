"""The API page's programs work as they stand, against a running server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agegender_core.datasets.sample_image import hopper_file
from ui.common.api_snippets import LANGUAGES, program

COMMANDS = {
    "Python": [sys.executable, "faces.mjs"],
    "curl": ["bash", "faces.mjs"],
    "JavaScript": ["node", "faces.mjs"],
}


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_the_program_prints_the_answer(language: str, server: str, tmp_path: Path) -> None:
    needed = {"curl": "curl", "JavaScript": "node"}.get(language)
    if needed and shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed")
    (tmp_path / "photo.jpg").write_bytes(hopper_file())
    (tmp_path / "faces.mjs").write_text(program(language, f"{server}/gradio/"))
    done = subprocess.run(
        COMMANDS[language], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "ale" in done.stdout and any(character.isdigit() for character in done.stdout), (
        done.stdout
    )
    assert "error" not in done.stdout.lower()
