"""The command line as a whole."""

from __future__ import annotations

import tomllib

from typer.testing import CliRunner

from agegender_core.cli.application import app
from tests.support import ROOT


def test_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert result.exit_code == 0 and result.stdout == f"agegender {declared}\n"
