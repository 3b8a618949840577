"""What callers from outside may ask, front end or API: pictures as bytes in, answers out, one turn at the gate for each picture."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from agegender_core import shared
from agegender_core.errors import AgeGenderError, ConfigError, InvalidImageError, NoFaceError, WeightsMissingError

if TYPE_CHECKING:
    from agegender_core.attention import AttentionMaps
    from agegender_core.schema import AttentionJson
    from agegender_core.types import Analysis

Tell = Callable[[int], None]
"""Hears how many are before one in the queue."""


def choices() -> list[str]:
    """Names of the networks visitors may choose, the default first. Raises ``ConfigError`` or ``WeightsError``."""
    chosen = shared.settings()
    entries = shared.offered(shared.installed_weights(), chosen)
    if not entries:
        raise WeightsMissingError("no trained weights are installed")
    names = [entry.name for entry in entries if not entry.for_comparison] or [entry.name for entry in entries]
    default = chosen.weights or names[0]
    return sorted(names, key=lambda name: name != default)


def attention_choices() -> list[str]:
    """Names of the offered networks with masks of their own, the most general first."""
    from agegender_core.attention import attention_entries

    chosen = shared.settings().offered
    return [entry.name for entry in attention_entries() if not chosen or entry.name in chosen]


def check(data: bytes) -> None:
    """Refuse what is no picture we accept, before it waits in a queue. Raises ``InvalidImageError``."""
    from agegender_core.imaging import check_image

    with _checking():
        check_image(data, limits=shared.settings().image_limits)


def predict(data: bytes, weights: str | None = None, tell: Tell | None = None, begun: bool = False) -> Analysis:
    """All faces of one picture. Raises ``InvalidImageError``, ``DetectorError``, ``WeightsError``, ``ConfigError`` or ``BusyError``."""
    runner = shared.predictor(_allowed(weights), shared.settings().race)
    with shared.gate().turn(tell, begun):
        return runner.run(data)


def predict_batch(
    pictures: Sequence[tuple[str, bytes | None]], weights: str | None = None, begun: bool = False
) -> Iterator[tuple[str, Analysis | Exception]]:
    """Each picture's name with its answer, or with what was wrong with it, as they come. None for bytes that could not be read.

    Raises ``ConfigError`` where there are none or more than the operator allows, and as ``predict`` for the network.
    """
    most = shared.settings().max_pictures
    if not pictures:
        raise ConfigError("there are no pictures: give one at least")
    if len(pictures) > most:
        raise ConfigError(f"{len(pictures)} pictures are more than the {most} answered at once: give them in parts")
    shared.predictor(_allowed(weights))
    return _answered(pictures, weights, begun)


def attention(data: bytes, weights: str | None = None, face: int = 0, tell: Tell | None = None, begun: bool = False) -> AttentionMaps:
    """Where a network with masks looked in one face, 0 for the largest. Raises as ``predict`` and ``NoFaceError``."""
    from dataclasses import replace

    from agegender_core.attention import AttentionNetwork

    names = attention_choices()
    if not names:
        raise WeightsMissingError("none of the networks on offer has attention masks")
    name = weights or names[0]
    if name not in names:
        raise ConfigError(f"{name!r} has no attention masks or is not on offer: choose one of {', '.join(names)}")
    runner = shared.predictor(name)
    with shared.gate().turn(tell, begun):
        found = runner.run(data).predictions
        if not 0 <= face < len(found):
            there = "no face was found" if not found else f"there are {len(found)}, counted from 0 for the largest"
            raise NoFaceError(f"face {face} is not in the picture: {there}")
        maps = AttentionNetwork(runner.card, runner.network).look(found[face].crop, found[face].face)
    return replace(maps, weights=name)


def attention_json(file: str, maps: AttentionMaps) -> AttentionJson:
    """JSON-ready mapping of one face's masks."""
    return {
        "file": file,
        "weights": maps.weights,
        "face": None if maps.face is None else maps.face.as_dict(),
        "age": maps.age.as_dict(),
        "gender": None if maps.gender is None else maps.gender.as_dict(),
        "crop": maps.crop.width,
        "blocks": [
            {
                "name": block.name,
                "shape": list(block.mask.shape),
                "gate": None if block.gate is None else round(block.gate, 4),
                "gate_words": block.gate_words(),
                "mean": block.mean().round(4).astype(float).tolist(),
                "maximum": block.maximum().round(4).astype(float).tolist(),
            }
            for block in maps.blocks
        ],
    }


def _answered(pictures: Iterable[tuple[str, bytes | None]], weights: str | None, begun: bool) -> Iterator[tuple[str, Analysis | Exception]]:
    for name, data in pictures:
        try:
            if data is None:
                raise InvalidImageError("The file could not be read. Give it again.", "not_found")
            yield name, predict(data, weights, begun=begun)
            begun = True
        except AgeGenderError as error:
            yield name, error


def _allowed(weights: str | None) -> str:
    names = choices()
    if weights is None:
        return names[0]
    everything = [entry.name for entry in shared.offered(shared.installed_weights(), shared.settings())]
    if weights not in everything:
        raise ConfigError(f"{weights!r} is not on offer: choose one of {', '.join(names)}")
    return weights


@lru_cache(maxsize=1)
def _checking() -> threading.Semaphore:
    """So many pictures are checked at the same moment: each may take as many bytes as its pixels."""
    return threading.Semaphore(shared.settings().concurrent)
