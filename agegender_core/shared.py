"""What all front ends of one process have in common: its networks, the gate and the operator's switches. Thread-safe.

Nothing here knows a web framework, and torch is not imported before the first network is loaded.
"""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from agegender_core.errors import ConfigError
from agegender_core.gate import Gate, Places
from agegender_core.settings import Settings, read_settings

if TYPE_CHECKING:
    from PIL import Image

    from agegender_core.predictor import Predictor
    from agegender_core.weights import WeightsEntry

LOADED = 3
"""Networks kept in memory for all visitors; the one longest unused makes room. The largest of them holds 400 MB."""


class Predictors:
    """Loads a network when it is first asked for and keeps the last ``most``. Who asks for one that is being loaded waits for it."""

    def __init__(self, most: int = LOADED) -> None:
        self.most = most
        self._kept: OrderedDict[str, Future[Predictor]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, weights: str | None, race: bool = False) -> Predictor:
        """The predictor for weights by name (None: the manifest's default). Raises ``WeightsError`` or ``DetectorError``."""
        from agegender_core.weights import find_weights

        name = find_weights(weights).name
        with self._lock:
            promise = self._kept.get(name)
            new = promise is None
            if promise is None:
                promise = self._kept[name] = Future()
            self._kept.move_to_end(name)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        if new:
            self._fulfil(name, promise)
        loaded = promise.result()
        return replace(loaded, race=True) if race else loaded

    def loaded(self) -> list[str]:
        """Names of the networks in memory, the one longest unused first."""
        with self._lock:
            return [name for name, promise in self._kept.items() if promise.done() and promise.exception() is None]

    def clear(self) -> None:
        """Forget all networks."""
        with self._lock:
            self._kept.clear()

    def _fulfil(self, name: str, promise: Future[Predictor]) -> None:
        try:
            promise.set_result(_load(name))
        except BaseException as error:
            with self._lock:
                if self._kept.get(name) is promise:
                    del self._kept[name]
            promise.set_exception(error)


predictor = Predictors()
"""The networks of this process: ``predictor(weights, race)``."""


@lru_cache(maxsize=1)
def gate() -> Gate:
    """The gate that everybody goes through with a picture. Raises ``ConfigError``."""
    chosen = settings()
    return Gate(chosen.concurrent, chosen.waiting)


@lru_cache(maxsize=1)
def films() -> Places:
    """Places for live films: as many as pictures are worked on at once. Raises ``ConfigError``."""
    return Places(settings().concurrent)


neighbours: dict[str, str] = {}
"""Front ends beside this one on the same port, by name, and their paths: «gradio» where ``serve.py`` serves both."""


def settings() -> Settings:
    """The operator's switches. Raises ``ConfigError``."""
    return read_settings()


def installed_weights() -> list[WeightsEntry]:
    """Weights whose file is there, the default first and those made for comparisons last. Raises ``WeightsError`` for a broken manifest."""
    from agegender_core.weights import list_weights

    return [entry for entry in list_weights() if entry.installed]


def offered(installed: Sequence[WeightsEntry], chosen: Settings) -> list[WeightsEntry]:
    """Those of ``installed`` that visitors may choose: all unless the operator named some. Raises ``ConfigError`` for an unknown name."""
    if unknown := [name for name in chosen.offered if name not in {entry.name for entry in installed}]:
        raise ConfigError(f"AGEGENDER_OFFERED names {', '.join(unknown)}; installed are {', '.join(entry.name for entry in installed)}")
    return [entry for entry in installed if not chosen.offered or entry.name in chosen.offered]


@cache
def settle(what: str) -> None:
    """Once ``what`` is loaded, leave all there is out of every later search for garbage.

    Streamlit searches after each run of a page: with torch's and pandas' objects in it, that held the next click up by 150 ms.
    """
    gc.collect()
    gc.freeze()


def _load(name: str) -> Predictor:
    """A network that has done its slow first passes: the detector's, which all networks share, and its own."""
    from PIL import Image

    from agegender_core import predictor as core
    from agegender_core.types import Face

    chosen = settings()
    loaded = core.load_predictor(name, limits=chosen.image_limits, max_faces=chosen.max_faces, threads=chosen.threads)
    _warm_detector(loaded.find_faces)
    side = loaded.card.input.size
    loaded.predict_crops([Image.new("RGB", (side, side))], [Face((0.0, 0.0, side, side), 1.0)])
    settle("networks")
    return loaded


@cache
def _warm_detector(find_faces: Callable[[Image.Image], object]) -> None:
    from PIL import Image

    find_faces(Image.new("RGB", (64, 64)))
