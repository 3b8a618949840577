"""The only place that loads a predictor. Pages and tests reach it as ``services.predictor``; torch is not imported before it is called."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

import streamlit as st

from agegender_core.errors import ConfigError
from agegender_core.gate import Gate
from agegender_core.settings import Settings, read_settings
from agegender_core.types import Analysis, Face

if TYPE_CHECKING:
    from PIL import Image

    from agegender_core.imaging import ImageSource
    from agegender_core.predictor import Predictor
    from agegender_core.weights import WeightsEntry

LOADED = 3
"""Networks kept in memory for all sessions; the one longest unused makes room. The largest of them holds 400 MB."""


class Runs(Protocol):
    """What pages need of a predictor. ``run`` is called from several sessions at once."""

    def run(self, source: ImageSource, faces: Sequence[Face] | None = None) -> Analysis:
        """Answer for one picture. ``faces``: those found in it before; they are not looked for again."""
        ...


@st.cache_resource(max_entries=LOADED, show_spinner=False)
def predictor(weights: str | None, race: bool) -> Runs:
    """The predictor for weights by name (None: the manifest's default), one for all sessions.

    Raises ``WeightsError`` or ``DetectorError``.
    """
    from agegender_core.predictor import load_predictor

    chosen = settings()
    loaded = load_predictor(weights, race=race, limits=chosen.image_limits, max_faces=chosen.max_faces, threads=chosen.threads)
    _warm(loaded)
    settle("networks")
    return loaded


def _warm(loaded: Predictor) -> None:
    """Let the slow first passes happen here: the detector's, which all networks share, and the network's."""
    from PIL import Image

    from agegender_core.types import Face

    _warm_detector(loaded.find_faces)
    side = loaded.card.input.size
    loaded.predict_crops([Image.new("RGB", (side, side))], [Face((0.0, 0.0, side, side), 1.0)])


@cache
def settle(what: str) -> None:
    """Once ``what`` is loaded, leave all there is out of every later search for garbage.

    Streamlit searches after each run of a page: with torch's and pandas' objects in it, that held the next click up by 150 ms.
    """
    gc.collect()
    gc.freeze()


@cache
def _warm_detector(find_faces: Callable[[Image.Image], object]) -> None:
    from PIL import Image

    find_faces(Image.new("RGB", (64, 64)))


def installed_weights() -> list[WeightsEntry]:
    """Weights whose file is there, the default first and those made for comparisons last. Raises ``WeightsError`` for a broken manifest."""
    from agegender_core.weights import list_weights

    return [entry for entry in list_weights() if entry.installed]


def offered(installed: Sequence[WeightsEntry], chosen: Settings) -> list[WeightsEntry]:
    """Those of ``installed`` that visitors may choose: all unless the operator named some. Raises ``ConfigError`` for an unknown name."""
    if unknown := [name for name in chosen.offered if name not in {entry.name for entry in installed}]:
        raise ConfigError(f"AGEGENDER_OFFERED names {', '.join(unknown)}; installed are {', '.join(entry.name for entry in installed)}")
    return [entry for entry in installed if not chosen.offered or entry.name in chosen.offered]


@st.cache_resource(show_spinner=False)
def gate() -> Gate:
    """The gate all sessions go through with a picture. Raises ``ConfigError``."""
    chosen = settings()
    return Gate(chosen.concurrent, chosen.waiting)


def settings() -> Settings:
    """The operator's switches. Raises ``ConfigError``."""
    return read_settings()
