"""The operator's switches, read from the environment. Everything has a safe default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from agegender_core.errors import ConfigError

TRUE, FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Settings:
    """``race``: show race estimates for uploads and webcam (``AGEGENDER_RACE``). Off unless the operator answers for it: the European
    Union's AI Act bans inferring race from people's biometrics (Art. 5(1)(g)); auditing labelled data sets is exempt.

    ``weights``: default weights by name (``AGEGENDER_WEIGHTS``), None for the manifest's default.
    """

    race: bool = False
    weights: str | None = None


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. Raises ``ConfigError`` for a switch that is neither on nor off."""
    return Settings(race=_switch(environment, "AGEGENDER_RACE"), weights=environment.get("AGEGENDER_WEIGHTS") or None)


def _switch(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").strip().lower()
    if value not in TRUE | FALSE:
        raise ConfigError(f"{name}={value!r}: give 1 or 0")
    return value in TRUE
