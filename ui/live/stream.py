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

ALIVE = 1.5
"""Seconds since the last frame for which a video counts as running."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What arrived so far. ``frame``: the newest answer, None before the first and after the end;
    ``silent``: seconds since a frame came;
    ``failed``: the newest frame could not be analysed; ``busy``: others have all the places for
    videos.
    """

    frame: LiveFrame | None
    count: int
    silent: float | None
    failed: bool
    busy: bool = False


class Stream:
    """``mirror``: whether the image is sent back as in a mirror. ``places``: one of which the video
    needs; none asked for without.
    """

    def __init__(
        self, analyser: LiveAnalyser, mirror: bool = True, places: SlotLeases | None = None
    ) -> None:
        self.mirror, self._places = mirror, places
        self._analyser = analyser
        self._lock = threading.Lock()
        self._frame: LiveFrame | None = None
        self._held: Image.Image | None = None
        self._count, self._failed, self._busy = 0, False, False
        self._arrived: float | None = None
        self._held_since, self._paused = 0.0, 0.0

    def receive(self, frame: VideoFrame) -> VideoFrame:
        """The frame to send back for the one that came: marked, or the held one. An error leaves
        the image unmarked and is kept.
        """
        from av import VideoFrame

        with self._lock:
            self._arrived, self._count = time.monotonic(), self._count + 1
            held, analyser, mirror, seconds = (
                self._held,
                self._analyser,
                self.mirror,
                self._arrived - self._paused,
            )
        if held is not None:
            return VideoFrame.from_ndarray(np.asarray(held), format="rgb24")
        image = _picture(frame)
        if self._places is not None and not self._places.take(self):
            with self._lock:
                self._busy, self._frame = True, None
            return VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
        try:
            told = analyser.analyse(image, seconds)
            marked = draw(told, mirror)
        except Exception:
            # The video must go on; the log says what the error was, never what the frame showed.
            LOG.exception("a frame of %dx%d pixels could not be analysed", *image.size)
            with self._lock:
                self._failed = True
            return VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
        with self._lock:
            self._frame, self._failed, self._busy = told, False, False
        return VideoFrame.from_ndarray(np.asarray(marked), format="rgb24")

    def ended(self) -> None:
        """The camera was closed: its last frame is forgotten and its place given back. A frame that
        is held stays.
        """
        with self._lock:
            self._frame, self._arrived, self._busy = None, None, False
        if self._places is not None:
            self._places.leave(self)

    def begin(self) -> None:
        """Count from nothing: another try to connect."""
        with self._lock:
            self._count, self._arrived, self._frame, self._failed = 0, None, None, False

    def use(self, analyser: LiveAnalyser) -> None:
        """Ask another network from the next frame on."""
        with self._lock:
            self._analyser = analyser

    def hold(self) -> tuple[LiveFrame, Image.Image] | None:
        """Keep sending the newest frame. Returns it as it is seen, mirrored or not, and marked;
        None where there is none.
        """
        with self._lock:
            frame, mirror = self._frame, self.mirror
        if frame is None:
            return None
        frame = mirrored(frame.settled()) if mirror else frame.settled()
        marked = draw(frame)
        with self._lock:
            self._held, self._held_since = marked, time.monotonic()
        return frame, marked

    def go_on(self) -> None:
        """Let go of the held frame. The video's clock stood still meanwhile, so that faces that are
        still there keep their numbers.
        """
        with self._lock:
            if self._held is not None:
                self._held, self._paused = None, self._paused + time.monotonic() - self._held_since

    def alive(self) -> bool:
        """Whether frames are arriving."""
        with self._lock:
            return self._arrived is not None and time.monotonic() - self._arrived < ALIVE

    def seen(self) -> Seen:
        """What arrived so far."""
        with self._lock:
            silent = None if self._arrived is None else time.monotonic() - self._arrived
            return Seen(self._frame, self._count, silent, self._failed, self._busy)


def _picture(frame: VideoFrame) -> Image.Image:
    """RGB image of a frame, at most ``LONGEST_SIDE`` pixels long."""
    scale = min(1.0, LONGEST_SIDE / max(frame.width, frame.height))
    if scale < 1:
        frame = frame.reformat(
            width=max(2, round(frame.width * scale / 2) * 2),
            height=max(2, round(frame.height * scale / 2) * 2),
        )
    return Image.fromarray(frame.to_ndarray(format="rgb24"))
