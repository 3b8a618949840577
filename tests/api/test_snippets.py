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
    done = _run(language, server, tmp_path, hopper_file())
    assert done.returncode == 0, done.stderr
    assert "ale" in done.stdout and any(character.isdigit() for character in done.stdout), (
        done.stdout
    )
    assert "error" not in done.stdout.lower()


@pytest.mark.parametrize(
    ("photo", "sentence"),
    [
        pytest.param(bytes(range(256)) * 8, "This is not an image that can be read.", id="damaged"),
        pytest.param(hopper_file()[:400], "damaged", id="cut short"),
        pytest.param(bytes(3 * 2**20), "exceeds the maximum", id="too large"),
    ],
)
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_the_program_prints_the_servers_sentence_for_a_bad_photo(
    language: str, server: str, tmp_path: Path, photo: bytes, sentence: str
) -> None:
    done = _run(language, server, tmp_path, photo)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and sentence in said, said
    assert not any(word in said for word in ("Traceback", "TypeError", "nothing here")), said


def _run(
    language: str, server: str, folder: Path, photo: bytes
) -> subprocess.CompletedProcess[str]:
    """The program about ``photo`` in ``folder``, run to its end."""
    needed = {"curl": "curl", "JavaScript": "node"}.get(language)
    if needed and shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed")
    (folder / "photo.jpg").write_bytes(photo)
    (folder / "faces.mjs").write_text(program(language, f"{server}/gradio/"))
    return subprocess.run(
        COMMANDS[language], cwd=folder, capture_output=True, text=True, timeout=120
    )
