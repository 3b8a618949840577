"""What the commands that train share: recipes by name, and ``--set KEY=VALUE``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import typer

from agegender_core.errors import ConfigError
from agegender_core.settings import ROOT


def recipe_path(text: str) -> Path:
    """File of a recipe: a path, or the name of one in ``configs/``, from whatever directory. Raises
    ``typer.BadParameter``.
    """
    return config_path(text, ROOT / "configs", "recipes")


def config_path(text: str, folder: Path, what: str) -> Path:
    """File of a configuration: a path, or the name of one in ``folder``, whose files are called
    ``what``. Raises ``typer.BadParameter``.
    """
    for path in (Path(text), ROOT / text, folder / f"{text}.toml"):
        if path.is_file():
            return path
    ours = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
    raise typer.BadParameter(f"{text!r} is no file and none of our {what}: {ours}")


def parse_override(text: str) -> tuple[str, Any]:
    """``schedule.epochs=2`` to key and value, the value read as TOML. Raises ``ConfigError``."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set {text!r}: expected KEY=VALUE, for example schedule.epochs=2")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value
