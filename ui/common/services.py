"""Where pages and tests reach what this process shares: ``services.predictor`` and the rest. Torch
is not imported before it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from agegender_core.serving.runtime import (
    LOADED,
    admission,
    freeze_gc,
    installed_weights,
    missing,
    mounted_apps,
    offered,
    predictor,
    settings,
    video_slots,
)
from agegender_core.types import Analysis, Face

if TYPE_CHECKING:
    from agegender_core.vision.image_io import ImageSource

__all__ = [
    "LOADED",
    "ImagePredictor",
    "admission",
    "freeze_gc",
    "installed_weights",
    "missing",
    "mounted_apps",
    "offered",
    "predictor",
    "settings",
    "video_slots",
]


class ImagePredictor(Protocol):
    """What pages need of a predictor. ``run`` is called from several sessions at once."""

    def run(self, source: ImageSource, faces: Sequence[Face] | None = None) -> Analysis:
        """Answer for one image. ``faces``: those found in it before; they are not looked for
        again.
        """
        ...
