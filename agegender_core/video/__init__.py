"""Faces in a video: found, followed and answered while one watches.

    from agegender_core.video import LiveAnalyser
    analyser = LiveAnalyser(load_predictor())
    for image in video:
        frame = analyser.analyse(image)   # frame.tracks: who is where, how old they look, how sure
        that is shown = analyser.draw(frame)

    analyser.py   one frame: follow, detect where it is time to, run the network, answer
    tracker.py    who is where: identities over time
    matching.py   where a small pattern has moved to; whether two crops show one face
    smoothing.py  many observations of one face to one steady answer
    budget.py     how much of each frame's time detection and the network may take
    drawing.py    boxes and words on a frame
    bench.py      frames a second and jumpiness, measured

One analyser serves one video. It keeps small patterns, running sums and each face's last crop,
never a frame, and its size is bounded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agegender_core.video.analyzer import LiveAnalyser
    from agegender_core.video.types import LiveFrame, LiveTrack

_HOMES = {"LiveAnalyser": "analyzer", "LiveFrame": "types", "LiveTrack": "types"}

__all__ = ["LiveAnalyser", "LiveFrame", "LiveTrack"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
