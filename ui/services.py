"""Where pages and tests reach what this process shares: ``services.predictor`` and the rest. Torch is not imported before it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from agegender_core.shared import LOADED, films, gate, installed_weights, neighbours, offered, predictor, settings, settle
from agegender_core.types import Analysis, Face

if TYPE_CHECKING:
    from agegender_core.imaging import ImageSource

__all__ = ["LOADED", "Runs", "films", "gate", "installed_weights", "neighbours", "offered", "predictor", "settings", "settle"]


class Runs(Protocol):
    """What pages need of a predictor. ``run`` is called from several sessions at once."""

    def run(self, source: ImageSource, faces: Sequence[Face] | None = None) -> Analysis:
        """Answer for one picture. ``faces``: those found in it before; they are not looked for again."""
        ...
