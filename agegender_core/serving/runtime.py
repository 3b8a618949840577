"""What all front ends of one process have in common: its models, the admission queue and the
operator's settings. Thread-safe.

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
from pathlib import Path
from typing import TYPE_CHECKING

from agegender_core.errors import ConfigError
from agegender_core.forking import renewed_after_fork
from agegender_core.serving.admission import AdmissionQueue, SlotLeases
from agegender_core.serving.decoding_pool import Pool
from agegender_core.settings import Settings, read_settings, weights_dir

if TYPE_CHECKING:
    from PIL import Image

    from agegender_core.inference.model_zoo import ModelInfo
    from agegender_core.inference.predictor import Predictor

LOADED = 3
"""Networks cached for all visitors; the one longest unused is dropped first. The largest takes
400 MB.
"""


class Predictors:
    """Loads a network at its first use and caches the last ``most``. A request for one that is
    being loaded waits for it.
    """

    def __init__(self, most: int = LOADED) -> None:
        self.most = most
        self._cached: OrderedDict[str, Future[Predictor]] = OrderedDict()
        self._lock = threading.Lock()
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """In a forked process: nobody is loading what was being loaded, and nobody is admitted or
        waiting.
        """
        self._lock = threading.Lock()
        self._cached = OrderedDict(
            (name, promise) for name, promise in self._cached.items() if promise.done()
        )
        admission.cache_clear()
        video_slots.cache_clear()

    def __call__(self, weights: str | None, race: bool = False) -> Predictor:
        """The predictor for weights by name (None: the manifest's default). Raises ``WeightsError``
        or ``DetectorError``.
        """
        name = _info(weights).name
        with self._lock:
            promise = self._cached.get(name)
            new = promise is None
            if promise is None:
                promise = self._cached[name] = Future()
            self._cached.move_to_end(name)
            while len(self._cached) > self.most:
                self._cached.popitem(last=False)
        if new:
            self._fulfil(name, promise)
        loaded = promise.result()
        return replace(loaded, race=True) if race else loaded

    def loaded(self) -> list[str]:
        """Names of the networks in memory, the one longest unused first."""
        with self._lock:
            return [
                name
                for name, promise in self._cached.items()
                if promise.done() and promise.exception() is None
            ]

    def clear(self) -> None:
        """Forget all networks."""
        with self._lock:
            self._cached.clear()

    def _fulfil(self, name: str, promise: Future[Predictor]) -> None:
        try:
            promise.set_result(_load(name))
        except BaseException as error:
            with self._lock:
                if self._cached.get(name) is promise:
                    del self._cached[name]
            promise.set_exception(error)


predictor = Predictors()
"""The networks of this process: ``predictor(weights, race)``."""


@lru_cache(maxsize=1)
def admission() -> AdmissionQueue:
    """The queue that every image goes through. Raises ``ConfigError``."""
    chosen = settings()
    return AdmissionQueue(chosen.concurrent, chosen.waiting)


@lru_cache(maxsize=1)
def decoders() -> Pool:
    """Threads in which images are decoded before they wait in the queue: as many as images are
    worked on at once, two at most, for each may take as many bytes as its pixels. Raises
    ``ConfigError``.
    """
    chosen = settings()
    return Pool(min(2, chosen.concurrent), chosen.waiting, "decoder")


@lru_cache(maxsize=1)
def video_slots() -> SlotLeases:
    """Slots for live videos: as many as images are worked on at once. Raises
    ``ConfigError``.
    """
    return SlotLeases(settings().concurrent)


mounted_apps: dict[str, str] = {}
"""Front ends beside this one on the same port, by name, and their paths: «gradio» where
``serve.py`` serves both.
"""

missing: dict[str, str] = {}
"""Front ends that belong beside this one and could not start, by name, and why."""


def settings() -> Settings:
    """The operator's switches. Raises ``ConfigError``."""
    return read_settings()


def installed_weights() -> list[ModelInfo]:
    """Weights whose file exists, the default first and those made for comparisons last. Raises
    ``WeightsError`` for a broken manifest.
    """
    return [info for info in manifest() if info.installed]


def manifest() -> tuple[ModelInfo, ...]:
    """All entries of the manifest, the default first; parsed again only after the file has changed.
    Raises ``WeightsError``.
    """
    folder = weights_dir()
    try:
        found = (folder / "manifest.toml").stat()
    except OSError:
        return _parsed(folder, None)
    return _parsed(folder, (found.st_mtime_ns, found.st_size, found.st_ino))


@lru_cache(maxsize=2)
def _parsed(folder: Path, stamp: tuple[int, int, int] | None) -> tuple[ModelInfo, ...]:
    """``stamp``: of the manifest's file, which makes a changed one another key."""
    from agegender_core.inference.model_zoo import list_weights

    return tuple(list_weights(folder))


def _info(weights: str | None) -> ModelInfo:
    """The entry called ``weights``, or the default one. Raises ``WeightsError``."""
    from agegender_core.inference.model_zoo import find_weights

    found = next((info for info in manifest() if weights in (None, info.name)), None)
    return found or find_weights(weights)  # its error lists what there is instead


def offered(installed: Sequence[ModelInfo], chosen: Settings) -> list[ModelInfo]:
    """Those of ``installed`` that visitors may choose: all unless the operator named some, which
    come in the order they were named. Raises ``ConfigError`` for an unknown name.
    """
    known = {info.name: info for info in installed}
    if unknown := [name for name in chosen.offered if name not in known]:
        raise ConfigError(
            f"AGEGENDER_OFFERED names {', '.join(unknown)}; installed are {', '.join(known)}"
        )
    return [known[name] for name in chosen.offered] if chosen.offered else list(installed)


@cache
def freeze_gc(what: str) -> None:
    """Once ``what`` is loaded, leave all there is out of every later search for garbage.

    Streamlit searches after each run of a page: with torch's and pandas' objects in it, that held
    the next click up by 150 ms.
    """
    gc.collect()
    gc.freeze()


def _load(name: str) -> Predictor:
    """A network that has done its slow first passes: the detector's, which all networks share, and
    its own.
    """
    from PIL import Image

    from agegender_core.inference import predictor as core
    from agegender_core.types import Face

    chosen = settings()
    loaded = core.load_predictor(
        name, limits=chosen.image_limits, max_faces=chosen.max_faces, threads=chosen.threads
    )
    _warm_detector(loaded.find_faces)
    side = loaded.info.input.size
    loaded.predict_crops([Image.new("RGB", (side, side))], [Face((0.0, 0.0, side, side), 1.0)])
    freeze_gc("networks")
    return loaded


@cache
def _warm_detector(find_faces: Callable[[Image.Image], object]) -> None:
    from PIL import Image

    find_faces(Image.new("RGB", (64, 64)))
