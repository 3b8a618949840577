"""The operator's switches, read from the environment. Everything has a safe default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender_core.errors import ConfigError

if TYPE_CHECKING:
    from agegender_core.types import ImageLimits

PATH_SETTINGS = ("data", "pictures", "reports", "cache", "weights_dir")
TEXT_SETTINGS = ("weights", "turn_username", "turn_password", *PATH_SETTINGS)
BOUNDS = {
    "max_mb": (1, 200),
    "max_megapixels": (1, 500),
    "max_pictures": (1, 1000),
    "max_faces": (1, 10_000),
    "concurrent": (1, 64),
    "waiting": (0, 10_000),
    "threads": (1, 256),
    "max_session_mb": (1, 4096),
    "uploads_mb": (100, 1_000_000),
    "keep_minutes": (0, 60),
}
"""Smallest and largest value of each setting that is a whole number."""
PACKAGE = Path(__file__).resolve().parent
INSTALLED = (PACKAGE / "shipped").is_dir()
"""Whether this is an installed package, which carries weights, configs, reports and the app in a
folder of its own.
"""
ROOT = PACKAGE / "shipped" if INSTALLED else PACKAGE.parent
"""Folder of weights/, configs/, reports/ and the app: the repository's top, or what the installed
package carries.
"""
TRUE, FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Settings:
    """``race``: show race estimates for uploads and webcam (``AGEGENDER_RACE``). Off unless the
    operator is responsible for it: the European Union's AI Act bans inferring race from people's
    biometrics (Art. 5(1)(g)); auditing labelled datasets is exempt.

    ``weights``: default weights by name (``AGEGENDER_WEIGHTS``), None for the manifest's default.
    ``offered``: weights visitors may choose, the first of them by default (``AGEGENDER_OFFERED``),
    empty for all that are for use.

    Limits. ``max_mb``: megabytes of one file (``AGEGENDER_MAX_MB``); ``max_megapixels``: of one
    image (``AGEGENDER_MAX_MEGAPIXELS``);
    ``max_pictures``: that are answered at once (``AGEGENDER_MAX_PICTURES``); ``max_faces``: the
    largest of an image that are answered (``AGEGENDER_MAX_FACES``); ``concurrent``: images that are
    worked on at the same moment for all visitors together (``AGEGENDER_CONCURRENT``); ``waiting``:
    visitors who may wait for that, further ones are turned away (``AGEGENDER_WAITING``).
    ``max_session_mb``: megabytes of files that one visit to the pages may keep in memory
    (``AGEGENDER_MAX_SESSION_MB``); ``uploads_mb``: megabytes of all uploads in
    memory, a third of it for one visitor (``AGEGENDER_UPLOADS_MB``); ``keep_minutes``: for which
    images stay after their visitor has gone, so that a refresh brings them back
    (``AGEGENDER_KEEP_MINUTES``).
    ``threads``: of torch (``AGEGENDER_THREADS``), None for torch's own choice.

    Paths, None for the usual ones. ``data``: folder with the face datasets as Parquet
    (``AGEGENDER_DATA``); ``pictures``: where the error galleries find the images of other datasets
    (``AGEGENDER_PICTURES``, «set=SOURCE;set=SOURCE» or «any»); ``reports``: what was measured
    (``AGEGENDER_REPORTS``); ``cache``: for aligned training crops (``AGEGENDER_CACHE``);
    ``weights_dir``: manifest and weights (``AGEGENDER_WEIGHTS_DIR``).

    ``turn_urls`` (``AGEGENDER_TURN_URLS``, commas between), ``turn_username`` and ``turn_password``
    (``AGEGENDER_TURN_USERNAME``,
    ``AGEGENDER_TURN_PASSWORD``): the STUN and TURN servers of the live page; none are asked unless
    named here.
    """

    race: bool = False
    weights: str | None = None
    offered: tuple[str, ...] = ()
    max_mb: int = 25
    max_megapixels: int = 65
    max_pictures: int = 60
    max_faces: int = 200
    concurrent: int = 2
    waiting: int = 40
    threads: int | None = None
    data: str | None = None
    pictures: str | None = None
    reports: str | None = None
    cache: str | None = None
    weights_dir: str | None = None
    turn_urls: tuple[str, ...] = ()
    turn_username: str | None = None
    turn_password: str | None = None
    max_session_mb: int = 160
    uploads_mb: int = 1500
    keep_minutes: int = 5

    @property
    def image_limits(self) -> ImageLimits:
        """Limits beyond which images are refused."""
        from agegender_core.types import ImageLimits

        return ImageLimits(
            max_bytes=self.max_mb * 2**20, max_pixels=self.max_megapixels * 1_000_000
        )


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment; a variable that is empty counts as not set. Raises
    ``ConfigError`` that names the variable.
    """
    values: dict[str, Any] = {
        name: _number(environment, name, low, high) for name, (low, high) in BOUNDS.items()
    }
    values |= {name: environment.get(_variable(name)) or None for name in TEXT_SETTINGS}
    values |= {
        "race": _switch(environment, "AGEGENDER_RACE"),
        "offered": _list(environment, "AGEGENDER_OFFERED"),
        "turn_urls": _turn(environment),
    }
    return Settings(**{name: value for name, value in values.items() if value is not None})


def path_setting(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """One of ``PATH_SETTINGS`` by itself, for what must work although another switch is set
    wrongly; None where it is not set.
    """
    assert name in PATH_SETTINGS
    return environment.get(_variable(name)) or None


def weights_dir() -> Path:
    """Folder of the manifest and the weights: ``AGEGENDER_WEIGHTS_DIR``, else our own."""
    return Path(path_setting("weights_dir") or ROOT / "weights")


def reports_dir() -> Path:
    """Folder of what was measured: ``AGEGENDER_REPORTS``, else our own."""
    return Path(path_setting("reports") or ROOT / "reports")


def _variable(name: str) -> str:
    return f"AGEGENDER_{name.upper()}"


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").strip().lower()
    if value not in TRUE | FALSE:
        raise ConfigError(f"{name}={value!r}: give 1 or 0")
    return value in TRUE


def _number(environment: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    variable = _variable(name)
    value = environment.get(variable, "").strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise ConfigError(f"{variable}={value!r}: give a whole number from {low:,} to {high:,}")
    return int(value)


def _list(environment: Mapping[str, str], variable: str) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            word.strip() for word in environment.get(variable, "").split(",") if word.strip()
        )
    )


def _turn(environment: Mapping[str, str]) -> tuple[str, ...]:
    urls = _list(environment, "AGEGENDER_TURN_URLS")
    for url in urls:
        if not url.startswith(("turn:", "turns:", "stun:", "stuns:")):
            raise ConfigError(
                f"AGEGENDER_TURN_URLS={url!r}: addresses begin with turn:, turns:, stun: or stuns:"
            )
    return urls
