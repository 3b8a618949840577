"""What front ends and the API call: images as bytes in, answers out, each image admitted once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

from agegender_core.errors import (
    AgeGenderError,
    ConfigError,
    InvalidImageError,
    NoFaceError,
    WeightsMissingError,
)
from agegender_core.serving import runtime

if TYPE_CHECKING:
    from agegender_core.explain.attention import AttentionMaps
    from agegender_core.serving.api_schema import AgeJson, AttentionJson, ChoiceJson, FaceJson
    from agegender_core.types import Analysis

OnPosition = Callable[[int], None]
"""Gets the number of callers ahead in the queue."""


def choices() -> list[str]:
    """Names of the networks visitors may choose, the default first. Raises ``ConfigError`` or
    ``WeightsError``.
    """
    chosen = runtime.settings()
    entries = runtime.offered(runtime.installed_weights(), chosen)
    if not entries:
        raise WeightsMissingError("no trained weights are installed")
    names = [info.name for info in entries if not info.for_comparison] or [
        info.name for info in entries
    ]
    default = chosen.weights or names[0]
    return sorted(names, key=lambda name: name != default)


def attention_choices() -> list[str]:
    """Names of the offered networks with masks of their own, the most general first."""
    from agegender_core.explain.attention_models import with_masks

    chosen, found = runtime.settings().offered, with_masks(runtime.installed_weights())
    return [info.name for info in found if not chosen or info.name in chosen]


def predict(
    data: bytes,
    weights: str | None = None,
    on_position: OnPosition | None = None,
    already_admitted: bool = False,
    caller: Hashable | None = None,
) -> Analysis:
    """All faces of one image. ``caller``: who asks, an address for example; in the queue
    callers take turns.

    Raises ``InvalidImageError``, ``DetectorError``, ``WeightsError``, ``ConfigError`` or
    ``BusyError``.
    """
    from agegender_core.vision.image_io import check_header

    # What is refused without decoding need not wait.
    check_header(data, limits=runtime.settings().image_limits)
    runner = runtime.predictor(_allowed(weights), runtime.settings().race)
    with runtime.admission().admit(on_position, already_admitted, caller):
        return runner.run(data)


def predict_batch(
    images: Sequence[tuple[str, bytes | None]],
    weights: str | None = None,
    already_admitted: bool = False,
    caller: Hashable | None = None,
) -> Iterator[tuple[str, Analysis | Exception]]:
    """Each image's name with its answer, or with what was wrong with it, as they come. None for
    bytes that could not be read.

    Raises ``ConfigError`` where there are none or more than the operator allows, and as ``predict``
    for the network.
    """
    most = runtime.settings().max_pictures
    if not images:
        raise ConfigError("there are no images: give one at least")
    if len(images) > most:
        raise ConfigError(
            f"{len(images)} images are more than the {most} answered at once: give them in parts"
        )
    runtime.predictor(_allowed(weights))
    return _answered(images, weights, already_admitted, caller)


def attention(
    data: bytes,
    weights: str | None = None,
    face: int = 0,
    on_position: OnPosition | None = None,
    already_admitted: bool = False,
    caller: Hashable | None = None,
) -> AttentionMaps:
    """Masks of a network that has them for one face, 0 for the largest. Raises as ``predict`` and
    ``NoFaceError``.
    """
    from dataclasses import replace

    from agegender_core.explain.attention import AttentionNetwork

    names = attention_choices()
    if not names:
        raise WeightsMissingError("none of the networks on offer has attention masks")
    name = weights or names[0]
    if name not in names:
        raise ConfigError(
            f"{name!r} has no attention masks or is not on offer: choose one of {', '.join(names)}"
        )
    runner = runtime.predictor(name)
    with runtime.admission().admit(on_position, already_admitted, caller):
        analysis = runner.run(data)
        found = analysis.predictions
        if not 0 <= face < len(found):
            there = (
                "no face was found"
                if not found
                else f"there are {len(found)}, counted from 0 for the largest"
            )
            raise NoFaceError(f"face {face} is not in the image: {there}")
        maps = AttentionNetwork(runner.info, runner.network).explain(
            found[face].crop, found[face].face
        )
    return replace(maps, weights=name, face=found[face].face.scaled(analysis.scale))


def attention_json(file: str, maps: AttentionMaps) -> AttentionJson:
    """JSON-ready mapping of one face's masks."""
    return {
        "file": file,
        "weights": maps.weights,
        "face": None if maps.face is None else cast("FaceJson", maps.face.as_dict()),
        "age": cast("AgeJson", maps.age.as_dict()),
        "gender": None if maps.gender is None else cast("ChoiceJson", maps.gender.as_dict()),
        "crop": maps.crop.width,
        "blocks": [
            {
                "name": block.name,
                "shape": list(block.mask.shape),
                "gate": None if block.gate is None else round(block.gate, 4),
                "gate_words": block.gate_words(),
                "mean": block.mean().round(4).astype(float).tolist(),
                "maximum": block.maximum().round(4).astype(float).tolist(),
                "effect": block.effect().round(4).astype(float).tolist(),
            }
            for block in maps.blocks
        ],
    }


def _answered(
    images: Iterable[tuple[str, bytes | None]],
    weights: str | None,
    already_admitted: bool,
    caller: Hashable | None,
) -> Iterator[tuple[str, Analysis | Exception]]:
    for name, data in images:
        try:
            if data is None:
                raise InvalidImageError("The file could not be read. Give it again.", "not_found")
            yield name, predict(data, weights, already_admitted=already_admitted, caller=caller)
            already_admitted = True
        except AgeGenderError as error:
            yield name, error


def _allowed(weights: str | None) -> str:
    names = choices()
    if weights is None:
        return names[0]
    everything = [
        info.name for info in runtime.offered(runtime.installed_weights(), runtime.settings())
    ]
    if weights not in everything:
        raise ConfigError(f"{weights!r} is not on offer: choose one of {', '.join(names)}")
    return weights
