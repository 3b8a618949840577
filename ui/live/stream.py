"""One visitor's camera on the server's side: the newest frame in, the marked frame out. Runs on
streamlit-webrtc's thread, so nothing here touches the session; the page and the thread share this
object and its lock. Frames live here and nowhere else, two at most.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agegender_core.video.overlay import draw, mirrored
from agegender_core.video.types import LiveFrame

if TYPE_CHECKING:
    from av import VideoFrame

    from agegender_core.serving.admission import SlotLeases
    from agegender_core.video.analyzer import LiveAnalyser

LOG = logging.getLogger(__name__)
LONGEST_SIDE = 640
"""Larger frames are shrunk to it, in pixels: it bounds what a frame costs to receive, draw and
send.
"""
MOST_PIXELS = 2560 * 1600
"""Of a frame; the page asks browsers for far smaller ones. Larger ones are not converted."""

ALIVE = 1.5
"""Seconds since the last frame for which a video counts as running."""


@dataclass(frozen=True, eq=False)
class StreamStatus:
    """What arrived so far. ``frame``: the newest answer, None before the first and after the end;
    ``silent``: seconds since a frame arrived; ``failed``: the newest frame could not be analysed;
    ``busy``: others have all the video slots.
    """

    frame: LiveFrame | None
    count: int
    silent: float | None
    failed: bool
    busy: bool = False


class Stream:
    """``mirror``: whether the image is sent back as in a mirror. ``slots``: the video needs one of
    them; without them it needs none.
    """

    def __init__(
        self, analyser: LiveAnalyser, mirror: bool = True, slots: SlotLeases | None = None
    ) -> None:
        self.mirror, self._slots = mirror, slots
        self._analyser = analyser
        self._lock = threading.Lock()
        self._frame: LiveFrame | None = None
        self._frozen: Image.Image | None = None
        self._count, self._failed, self._busy = 0, False, False
        self._arrived: float | None = None
        self._frozen_since, self._paused = 0.0, 0.0

    def receive(self, frame: VideoFrame) -> VideoFrame:
        """The frame to send back for the one that arrived: marked, or the frozen one. An error
        leaves the image unmarked and shows in ``status``.
        """
        from av import VideoFrame

        with self._lock:
            self._arrived, self._count = time.monotonic(), self._count + 1
            frozen, analyser, mirror, seconds = (
                self._frozen,
                self._analyser,
                self.mirror,
                self._arrived - self._paused,
            )
        if frozen is not None:
            return VideoFrame.from_ndarray(np.asarray(frozen), format="rgb24")
        if frame.width * frame.height > MOST_PIXELS:
            with self._lock:
                self._failed = True
            return VideoFrame.from_ndarray(np.zeros((2, 2, 3), np.uint8), format="rgb24")
        if self._slots is not None and not self._slots.take(self):
            with self._lock:
                self._busy, self._frame = True, None
            return _shrunk(frame)
        image = Image.fromarray(_shrunk(frame).to_ndarray(format="rgb24"))
        try:
            estimate = analyser.analyse(image, seconds)
            marked = draw(estimate, mirror)
        except Exception:
            # The video must go on; the log says what the error was, never what the frame showed.
            LOG.exception("a frame of %dx%d pixels could not be analysed", *image.size)
            with self._lock:
                self._failed = True
            return VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
        with self._lock:
            self._frame, self._failed, self._busy = estimate, False, False
        return VideoFrame.from_ndarray(np.asarray(marked), format="rgb24")

    def ended(self) -> None:
        """The camera was closed: its last frame is forgotten and its slot released. A frozen frame
        stays.
        """
        with self._lock:
            self._frame, self._arrived, self._busy = None, None, False
        if self._slots is not None:
            self._slots.leave(self)

    def begin(self) -> None:
        """Count from zero: another try to connect."""
        with self._lock:
            self._count, self._arrived, self._frame, self._failed = 0, None, None, False

    def use(self, analyser: LiveAnalyser) -> None:
        """Analyse with another model from the next frame on."""
        with self._lock:
            self._analyser = analyser

    def freeze(self) -> tuple[LiveFrame, Image.Image] | None:
        """Send the newest frame from now on. Returns it as it is shown, mirrored or not, and
        marked; None where there is none.
        """
        with self._lock:
            frame, mirror = self._frame, self.mirror
        if frame is None:
            return None
        frame = mirrored(frame.settled()) if mirror else frame.settled()
        marked = draw(frame)
        with self._lock:
            self._frozen, self._frozen_since = marked, time.monotonic()
        return frame, marked

    def resume(self) -> None:
        """Drop the frozen frame. The video's clock stood still meanwhile, so that faces that are
        still there keep their numbers.
        """
        with self._lock:
            if self._frozen is not None:
                self._frozen, self._paused = (
                    None,
                    self._paused + time.monotonic() - self._frozen_since,
                )

    def alive(self) -> bool:
        """Whether frames are arriving."""
        with self._lock:
            return self._arrived is not None and time.monotonic() - self._arrived < ALIVE

    def status(self) -> StreamStatus:
        """What arrived so far."""
        with self._lock:
            silent = None if self._arrived is None else time.monotonic() - self._arrived
            return StreamStatus(self._frame, self._count, silent, self._failed, self._busy)


def _shrunk(frame: VideoFrame) -> VideoFrame:
    """A frame of at most ``LONGEST_SIDE`` pixels, in its own colour format."""
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    if scale < 1:
        frame = frame.reformat(
            width=max(2, round(frame.width * scale / 2) * 2),
            height=max(2, round(frame.height * scale / 2) * 2),
        )
    return frame
