"""An earlier release in a checkout of its own, and what is said of it beside this one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from agegender_core.benchmarks.batch import LIGHT
from agegender_core.benchmarks.workers import System
from agegender_core.errors import ConfigError
from agegender_core.evaluation.speed_reports import Absent, Quantity
from agegender_core.settings import PACKAGE

DEFAULT, SAME = "each with its default network", f"both with `{LIGHT}`"
BEFORE, NOW = "previous release", "this release"
NOT_THERE = "not in that release"
"""Why a release was not measured on what it cannot do; ``photo_worker.py`` says the same."""


def checked_release(path: Path) -> Path:
    """``path``, made absolute, if it is a checkout of an earlier release of this package with
    weights. Raises ``ConfigError``.
    """
    folder = path.expanduser().resolve()
    hint = "make one with: git worktree add PATH COMMIT"
    if not folder.is_dir():
        raise ConfigError(f"--previous {path}: there is no such folder; {hint}")
    if not (folder / "agegender_core" / "__init__.py").is_file():
        raise ConfigError(
            f"--previous {path}: this is no checkout of this project, as it has no folder"
            f" agegender_core; {hint}"
        )
    if folder == PACKAGE.parent:
        raise ConfigError(f"--previous {path}: this is the release that is running; {hint}")
    weights = folder / "weights"
    if not (weights / "manifest.toml").is_file() or not any(weights.glob("*.safetensors")):
        raise ConfigError(f"--previous {path}: this checkout has no weights in its folder weights/")
    return folder


def commit_words(folder: Path) -> str:
    """«f6d56ec of 2026-11-24», or the version where git knows nothing of ``folder``."""
    command = ["git", "-C", str(folder), "log", "-1", "--format=%h of %cs"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "commit unknown"
    return done.stdout.strip() if done.returncode == 0 else "commit unknown"


def release_systems(previous: Path) -> tuple[System, ...]:
    """Both releases with their defaults, and with the light network that both have."""
    light = ("--weights", LIGHT)
    return (
        System(f"{BEFORE}, default", "agegender", DEFAULT, root=previous, own_settings=True),
        System(f"{NOW}, default", "agegender", DEFAULT),
        System(f"{BEFORE}, light", "agegender", SAME, light, root=previous, own_settings=True),
        System(f"{NOW}, light", "agegender", SAME, light),
    )


def release_roots(previous: Path) -> dict[str, Path]:
    """Where each release lies, by its name."""
    return {BEFORE: previous, NOW: PACKAGE.parent}


def in_turns(number: int) -> tuple[str, str]:
    """Both releases, the other one first in every second round."""
    return (BEFORE, NOW) if number % 2 == 0 else (NOW, BEFORE)


def time_of(
    name: str, unit: str, before: float | None, now: float | None, *, rate: bool = False
) -> Quantity:
    """A time of both releases, or a rate, and how many times as fast this one is."""
    ratio = None
    if before and now:
        ratio = round(now / before if rate else before / now, 2)
    return Quantity(name=name, unit=unit, before=before, now=now, times_as_fast=ratio)


def failure_words(error: Exception) -> str:
    """Why something was not measured, in a sentence that shows no path of this machine."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"a command failed with exit code {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"a command did not end within {error.timeout:g} seconds"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


def real_failures(absent: Sequence[Absent]) -> list[Absent]:
    """Those that a release should have answered."""
    return [one for one in absent if one.reason != NOT_THERE]
