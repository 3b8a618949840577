"""Torch's threads sleep while they wait, in every program we start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agegender_core import openmp
from tests.support import ROOT


@pytest.mark.parametrize("name", openmp.OWN_CHOICE)
def test_the_environments_choice_stays(name: str) -> None:
    environment = {name: "7"}
    openmp.sleep_soon(environment)
    assert environment == {name: "7"}


def test_without_a_choice_threads_sleep() -> None:
    environment: dict[str, str] = {}
    openmp.sleep_soon(environment)
    assert environment == {"GOMP_SPINCOUNT": openmp.SPINS}


def started(code: str) -> str:
    """What a fresh process prints."""
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "AGEGENDER_OFFERED": ""},
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


SAY = "import os, sys; print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"


def test_the_command_line_says_so_before_torch_is_there() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--version']\nfrom agegender_core.__main__ import main\n"
        f"try: main()\nexcept SystemExit: pass\n{SAY}"
    )
    assert started(code).splitlines()[-1] == f"False {openmp.SPINS}"


def test_the_server_says_so_before_torch_is_there() -> None:
    """And torch is left to the thread that loads the first network: the pages need not wait."""
    assert started(f"import serve\n{SAY}").splitlines()[-1] == f"False {openmp.SPINS}"


def test_the_package_as_a_library_changes_no_environment() -> None:
    assert started(f"import agegender_core.types, agegender_core.settings\n{SAY}") == "False None"
