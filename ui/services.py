"""The only place that loads a predictor. Pages and tests reach it as ``services.predictor``; torch is not imported before it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import streamlit as st
from PIL import Image

from agegender_core.settings import Settings, read_settings
from agegender_core.types import Analysis

if TYPE_CHECKING:
    from agegender_core.imaging import ImageSource
    from agegender_core.weights import WeightsEntry


class Runs(Protocol):
    """What pages need of a predictor. ``run`` is called from several sessions at once."""

    def run(self, source: ImageSource) -> Analysis:
        """Answer for one picture."""
        ...


@st.cache_resource(max_entries=3, show_spinner="Loading the network. This takes a few seconds the first time.")
def predictor(weights: str | None, race: bool) -> Runs:
    """The predictor for weights by name (None: the manifest's default), one for all sessions.

    Raises ``WeightsError`` or ``DetectorError``.
    """
    from agegender_core.predictor import load_predictor

    loaded = load_predictor(weights, race=race)
    loaded.run(Image.new("RGB", (64, 64)))  # the detector loads at its first use: now, and not on someone's clock
    return loaded


def installed_weights() -> list[WeightsEntry]:
    """Weights whose file is there, the default first. Raises ``WeightsError`` for a broken manifest."""
    from agegender_core.weights import list_weights

    return sorted((entry for entry in list_weights() if entry.installed), key=lambda entry: not entry.default)


def settings() -> Settings:
    """The operator's switches. Raises ``ConfigError``."""
    return read_settings()
