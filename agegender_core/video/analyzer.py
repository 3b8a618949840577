"""One frame of a video: follow the known faces, detect where it is time to, run the network on
those that wait, answer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from agegender_core.types import Face, Prediction
from agegender_core.video import overlay
from agegender_core.video.frame_budget import FrameBudget
from agegender_core.video.smoothing import ENOUGH, Smoother, observation_weight
from agegender_core.video.tracker import SURE, Tracked, Tracker
from agegender_core.video.types import LiveFrame, LiveTiming, LiveTrack
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import DetectorConfig, MTCNNDetector

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

    from agegender_core.inference.model_zoo import ModelInfo

OFTEN, SELDOM = 0.12, 1.0
"""Seconds between two detections at least and at most."""
USUAL, EMPTY = 0.25, 0.25
"""Seconds between two detections while all is well, and while nobody is there."""
DETECT_SHARE = 0.4
"""Share of the time that detection may take on a slow machine; it then runs less often than usual.
"""
AGAIN, SOON = 0.25, 0.1
"""Seconds after which the network sees a face again, and while there is no answer yet: observations
of the same moment are no evidence.
"""
STEADY, RECENT = 0.85, 0.25
"""Correlation and seconds since the detection within which a followed face's landmarks are good
enough for another observation.
"""
WINDOW = 2.0
"""Seconds over which frames per second are averaged."""
SCORE = 0.95
"""Lowest detector's score of a face in a video: false detections come and go."""


class CropPredictor(Protocol):
    """What is needed of a ``Predictor``."""

    @property
    def info(self) -> ModelInfo:
        """The model's entry of the manifest."""
        ...

    def predict_crops(self, crops: list[Image.Image], faces: list[Face]) -> list[Prediction]:
        """Aligned crops and their faces to predictions."""
        ...


class UprightDetector(MTCNNDetector):
    """Finds upright faces only: in a video the turned image, which costs three more searches, is
    not worth trying on every empty frame.
    """

    def _turned(self, image: Image.Image, unsure: Sequence[Face]) -> list[Face]:
        return []


@cache
def live_detector() -> UprightDetector:
    """One for all videos: frames are searched at 320 pixels, which finds faces from 48 of 640
    pixels on in about 30 ms on one core.
    """
    return UprightDetector(DetectorConfig(longest_side=320, min_face=24, score=SCORE))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within, the calling thread computes without helpers of OpenMP. A frame's networks are small,
    and the other cores decode and encode the video: two threads that wait for each other in every
    operation made a frame of three faces last half a second on a busy machine.
    """
    import torch

    torch.get_num_threads()  # a thread's first use of torch sets its number and undoes the limit
    with _openmp().limit(limits=1, user_api="openmp"):
        yield


@cache
def _openmp() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@dataclass(eq=False)
class _Known:
    """What is stored of one identity beside its position."""

    smoother: Smoother = field(default_factory=Smoother)
    crop: Image.Image | None = None
    estimated: float = float("-inf")


class LiveAnalyser:
    """One video's analysis. Thread-safe; frames are taken one at a time, in the order they come.

    ``predictor``: whose network runs, a ``Predictor`` or anything with its ``info`` and
    ``predict_crops``. ``race``: whether answers carry race, which the predictor must be made for
    too. ``fps``: the pace the budget keeps. ``find_faces``: the detector, an RGB image to faces;
    the video's own by default.
    """

    def __init__(
        self,
        predictor: CropPredictor,
        race: bool = False,
        *,
        fps: float = 15.0,
        find_faces: Callable[[Image.Image], list[Face]] | None = None,
    ) -> None:
        self.predictor, self.race = predictor, race
        self._find = find_faces or live_detector().detect
        self._budget, self._tracker = FrameBudget(fps), Tracker()
        self._known: dict[int, _Known] = {}
        self._size: tuple[int, int] | None = None
        self._searched = float("-inf")
        self._past: deque[tuple[float, bool]] = deque(maxlen=240)
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Let the slow first passes of detector and network happen now. Raises
        ``DetectorError``.
        """
        self._find(Image.new("RGB", (320, 240)))
        side = self.predictor.info.input.size
        self.predictor.predict_crops(
            [Image.new("RGB", (side, side))], [Face((0.0, 0.0, side, side), 1.0)]
        )

    def analyse(self, image: Image.Image, seconds: float | None = None) -> LiveFrame:
        """The answer for one RGB frame. ``seconds``: when it was taken, on a clock that only grows;
        now by default.

        Raises ``DetectorError``.
        """
        with self._lock, _one_thread():
            return self._analyse(image, time.monotonic() if seconds is None else seconds)

    def draw(self, frame: LiveFrame, mirror: bool = False) -> Image.Image:
        """A copy of the frame with its faces marked; ``mirror``: as in a mirror, with readable
        words.
        """
        return overlay.draw(frame, mirror)

    def _analyse(self, image: Image.Image, seconds: float) -> LiveFrame:
        image = image if image.mode == "RGB" else image.convert("RGB")
        started = time.perf_counter()
        self._budget.next_frame()
        if self._size is not None and self._size != image.size:
            self._tracker.rescale(image.width / self._size[0], image.height / self._size[1])
        self._size = image.size
        gray = image.convert("L")
        self._tracker.follow(gray, seconds)
        followed = time.perf_counter()
        self._budget.spend(1000 * (followed - started))
        detected = self._time_to_search(seconds)
        if detected:
            self._tracker.update(image, gray, self._find(image), seconds)
            self._searched = seconds
        searched = time.perf_counter()
        self._budget.spend(1000 * (searched - followed), "detect", int(detected))
        answered = self._estimate(image, seconds)
        estimated = time.perf_counter()
        self._budget.spend(1000 * (estimated - searched), "estimate", answered)
        timing = LiveTiming(
            *(
                1000 * (end - start)
                for start, end in ((started, followed), (followed, searched), (searched, estimated))
            )
        )
        return self._live_frame(image, seconds, timing, detected)

    def _time_to_search(self, seconds: float) -> bool:
        """Soon where somebody is new or was lost from sight, less often where it costs much, never
        seldom enough to lose people.
        """
        passed = seconds - self._searched
        tracks = self._tracker.tracks
        if not tracks:
            wanted = EMPTY
        elif any(
            track.doubted or (not track.missed and (track.trust < SURE or self._new(track)))
            for track in tracks
        ):
            wanted = OFTEN
        else:
            wanted = USUAL
        wanted = min(max(wanted, self._budget.price("detect") / 1000 / DETECT_SHARE), SELDOM)
        return passed >= SELDOM or (
            passed >= wanted and (self._budget.saved_ms > 0 or passed >= 2 * wanted)
        )

    def _new(self, track: Tracked) -> bool:
        known = self._known.get(track.id)
        return known is None or (
            known.smoother.evidence < ENOUGH and known.smoother.observations < 12
        )

    def _estimate(self, image: Image.Image, seconds: float) -> int:
        """Run the network on the faces that have waited longest, as many as the budget allows.
        Returns how many.
        """
        waiting = []
        for track in self._tracker.tracks:
            known = self._known.setdefault(track.id, _Known())
            due = seconds - known.estimated >= (SOON if self._new(track) else AGAIN)
            placed = track.measured or (track.trust >= STEADY and seconds - track.seen <= RECENT)
            if due and placed and not track.doubted:
                waiting.append((known, track))
        waiting.sort(key=lambda pair: pair[0].estimated)
        late = bool(waiting) and seconds - waiting[0][0].estimated >= SELDOM
        waiting = waiting[: max(self._budget.affords("estimate"), int(late))]
        if not waiting:
            return 0
        faces = [track.face for _, track in waiting]
        crops = [align(image, face, self.predictor.info.input) for face in faces]
        for (known, track), prediction in zip(
            waiting, self.predictor.predict_crops(crops, faces), strict=True
        ):
            known.crop, known.estimated = prediction.crop, seconds
            known.smoother.add(
                prediction if self.race else replace(prediction, race=None),
                seconds,
                observation_weight(track.face),
            )
        return len(waiting)

    def _live_frame(
        self, image: Image.Image, seconds: float, timing: LiveTiming, detected: bool
    ) -> LiveFrame:
        alive = {track.id for track in self._tracker.tracks}
        self._known = {
            identity: known for identity, known in self._known.items() if identity in alive
        }
        shown = sorted(
            (track for track in self._tracker.tracks if track.shown(seconds)),
            key=lambda track: track.number,
        )
        tracks = tuple(self._track(track, seconds) for track in shown)
        self._past.append((seconds, detected))
        while seconds - self._past[0][0] > WINDOW:
            self._past.popleft()
        span = seconds - self._past[0][0]
        fps = (len(self._past) - 1) / span if span > 0 else 0.0
        share = sum(was for _, was in self._past) / len(self._past)
        return LiveFrame(
            image, tracks, self.predictor.info.name, seconds, timing, detected, fps, share
        )

    def _track(self, track: Tracked, seconds: float) -> LiveTrack:
        known = self._known.get(track.id, _Known())
        x0, y0, x1, y1 = map(float, track.box)
        face = replace(track.face, box_xyxy=(x0, y0, x1, y1))
        return LiveTrack(
            track.id,
            track.number,
            face,
            track.measured,
            known.smoother.answer(),
            known.crop,
            seconds - track.born,
        )
