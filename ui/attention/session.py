"""One face and the model that explains it: what is computed of them, each result once for the
session.

Masks of a face come from one forward pass and are cached by the crop's digest and the weights'
name; whatever control is moved, neither the detector nor that pass runs again. The cache is bounded
and lives in the session's own state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import streamlit as st

from agegender_core.types import AgeEstimate, Categorical, Prediction
from ui.attention import state
from ui.attention.covers import Cover
from ui.common import gated, services
from ui.common.images import encoded
from ui.common.session_results import Answer

if TYPE_CHECKING:
    from PIL import Image

    from agegender_core.explain.attention import AttentionMaps, AttentionNetwork, Change
    from agegender_core.inference.model_zoo import ModelInfo

MOST = {
    "maps": 12,
    "answers": 400,
    "saliency": 60,
    "faces": 24,
    "curves": 24,
    "own": 4,
    "searches": 24,
    "strips": 24,
}
"""Entries of each kind a session caches; the oldest make room. The masks of one face take about a
megabyte.
"""
OWN_TURNS = {"faces", "strips", "searches"}
"""Kinds that need no network, or take slots for their own steps."""
SHARP_SIDE = 256
"""Side of the face drawn under a mask, in pixels."""

Estimate = tuple[AgeEstimate, Categorical | None]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Subject:
    """Face ``index`` (from 0) of ``answer``, and the network ``info`` describes. ``predictor``: the
    one behind the answer.
    """

    info: ModelInfo
    predictor: Any
    answer: Answer
    index: int

    @property
    def prediction(self) -> Prediction:
        """The answer about the face."""
        return self.answer.predictions[self.index]

    @property
    def own_masks(self) -> bool:
        """Whether the network has attention masks; others have saliency maps only."""
        from agegender_core.explain.attention import ARCHITECTURES

        return self.info.architecture in ARCHITECTURES

    @property
    def network(self) -> AttentionNetwork:
        """The network, ready to be explained; for those with masks."""
        from agegender_core.explain.attention import AttentionNetwork

        return AttentionNetwork(self.info, self.predictor.network)

    @cached_property
    def key(self) -> tuple[str, str]:
        """Name of the weights and digest of the crop."""
        return self.info.name, hashlib.sha256(self.prediction.crop.tobytes()).hexdigest()

    def maps(self) -> AttentionMaps:
        """Masks of the face, and all that comes with them."""
        return cached(
            "maps",
            self.key,
            lambda: self.network.explain(self.prediction.crop, self.prediction.face),
        )

    def saliency(self, method: str, target: str) -> np.ndarray:
        """(h, w) map in [0, 1] that ``method`` makes of the network from outside: not its own
        mask.
        """
        from agegender_core.explain.saliency import normalised, saliency_map

        def make() -> np.ndarray:
            with st.spinner("Computing saliency, once for each face …"):
                return normalised(
                    saliency_map(
                        self.predictor.network, self.info, self.prediction.crop, method, target
                    )
                )

        return cached("saliency", (*self.key, method, target), make)

    def answered(
        self, changes: Mapping[str, Change], seed: int = 0, cover: Cover | None = None
    ) -> Estimate:
        """The answer with ``changes`` made to the masks, by block, and a ``cover`` over the
        crop.
        """
        chosen = {name: change for name, change in changes.items() if change != "own"}
        covered = (
            b"" if cover is None or not cover.pixels.any() else np.packbits(cover.pixels).tobytes()
        )
        if not chosen and not covered:
            return self.prediction.age, self.prediction.gender
        seed = seed if "shuffled" in chosen.values() else 0
        return cached(
            "answers",
            (*self.key, tuple(sorted(chosen.items())), seed, covered),
            lambda: self._ask(chosen, seed, cover, covered),
        )

    def _ask(
        self, changes: Mapping[str, Change], seed: int, cover: Cover | None, covered: bytes
    ) -> Estimate:
        crop = self.covered(cover) if covered else self.prediction.crop
        if changes:
            network = self.network
            own = (
                cached("own", (*self.key, covered), lambda: network.own(crop))
                if set(changes.values()) != {"off"}
                else None
            )
            return network.answer(crop, changes, seed, own)
        (answer,) = self.predictor.predict_crops([crop], [self.prediction.face])
        return answer.age, answer.gender

    def covered(self, cover: Cover | None) -> Image.Image:
        """The crop with ``cover`` over it."""
        from agegender_core.explain.attention import with_covered_pixels

        return (
            self.prediction.crop
            if cover is None
            else with_covered_pixels(self.prediction.crop, cover.pixels)
        )

    def sharp(self) -> bytes:
        """The crop's part of the image with more pixels than the network sees, as JPEG; in grey, so
        that all colours are the map's.
        """
        return cached("faces", self.key, self._sharp)

    def _sharp(self) -> bytes:
        from agegender_core.types import InputSpec
        from agegender_core.vision.alignment import align

        face = align(
            gated.image(self.answer.image.data, services.settings().image_limits),
            self.prediction.face,
            InputSpec(SHARP_SIDE, self.info.input.margin),
        )
        return encoded(face.convert("L"), quality=90)


def subject(info: ModelInfo, answer: Answer, index: int, race: bool) -> Subject:
    """Face ``index`` of an answer by ``info``. Raises ``WeightsError`` or ``DetectorError``."""
    return Subject(info, services.predictor(info.name, race), answer, index)


def networks(installed: Sequence[ModelInfo]) -> tuple[list[ModelInfo], list[ModelInfo]]:
    """Those of ``installed`` with masks of their own, those for use before those made for
    comparisons, and the others.
    """
    from agegender_core.explain.attention_models import with_masks

    own = with_masks(installed)
    return own, [info for info in installed if info not in own]


def cached(kind: str, key: tuple[Any, ...], make: Callable[[], T]) -> T:
    """What ``make`` returned for ``key`` before, or returns now, with a slot in the queue where it
    needs a network. ``kind``: key of ``MOST``.
    """
    store: dict[tuple[Any, ...], T] = state.results(kind).stored()
    if key not in store:
        # The face was let in before, so a control of it is never refused: it waits its turn.
        turn = nullcontext() if kind in OWN_TURNS else gated.slot(already_admitted=True)
        with turn:
            store[key] = make()
        for old in list(store)[: -MOST[kind]]:
            del store[old]
    return store[key]
