"""Who is where: identities over time, from detections every few frames and light following in
between.

A face is the same as before where it lies close to the place it was expected at and looks alike
(``template_matching.appearance``). One that was missed for a moment is expected further along its
way; one that looks like somebody else twice in a row is somebody else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from agegender_core.types import Face
from agegender_core.video import template_matching

MAX_FACES = 12
"""Faces followed at once, the largest; bounds time and memory."""
FORGET = 1.5
"""Seconds after which a face that is gone is forgotten."""
COAST = 0.5
"""Seconds a face goes on along its way unseen, ever slower."""
SHOWN_UNSEEN = 1.0
"""Seconds a face is still shown that the detector misses but whose pattern is still there, as on a
head that turns.
"""
SURE = 0.6
"""Correlation above which a followed pattern is believed."""
STRANGER = 0.5
"""Faces that look less alike than this are two people."""
NEAR, FAR, PER_SECOND = 0.7, 2.5, 2.0
"""How far a face may have moved from where it was expected, in its own sides: at once, at most, and
more for each second unseen.
"""
SIZES = (0.55, 1.8)
"""How much smaller or larger a face may have become."""
FRESH = 0.5
"""How quickly the remembered appearance follows the present one."""
EASE = 0.4
"""Share of the way the box shown goes in one frame to where it should be: detectors tremble by a
pixel or two.
"""
CROWDED = 0.8
"""Faces closer to each other than this many sides go on along their ways: a pattern may jump over
to the face in front.
"""


@dataclass(eq=False)
class Tracked:
    """One face on its way. ``face`` is the last detection, moved to where the face is now. Owned
    and changed by its tracker alone.

    ``box``: (4,) what is drawn, ``face``'s box without its trembling. ``appearance``, ``pattern``:
    how the face is known again. ``velocity``: (2,) pixels a second. ``trust``: correlation when
    last followed. ``born``, ``seen``, ``moved``: seconds of the first and last detection and of the
    last move. ``missed``: the last detection did not find it; ``doubted``: it looked like somebody
    else then; ``measured``: detected in this frame.
    """

    id: int
    number: int
    face: Face
    appearance: np.ndarray
    pattern: np.ndarray
    born: float
    seen: float
    moved: float
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    trust: float = 1.0
    missed: bool = False
    doubted: bool = False
    measured: bool = True
    box: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.box = np.array(self.face.box_xyxy, dtype=float)

    @property
    def centre(self) -> np.ndarray:
        """(2,) middle of the box in pixels."""
        return centre_of(self.face)

    @property
    def side(self) -> float:
        """Longer side of the box in pixels."""
        return max(self.face.width, self.face.height, 1.0)

    def shown(self, seconds: float) -> bool:
        """Whether it counts as present: detected, or followed with trust."""
        return not self.missed or (self.trust >= SURE and seconds - self.seen <= SHOWN_UNSEEN)


class Tracker:
    """Give it every frame in grey, and the detections of those that were searched. Times are
    seconds on any clock that only grows.
    """

    def __init__(self) -> None:
        self.tracks: list[Tracked] = []
        self._next_id = 1

    def follow(self, gray: Image.Image, seconds: float) -> None:
        """Move every face to where it is in this frame, by its pattern or, where that is not found,
        along its way.
        """
        crowded = [track for track in self.tracks if self._crowded(track)]
        for track in self.tracks:
            self._follow(track, gray, seconds, track in crowded)
            track.box += EASE * (np.array(track.face.box_xyxy) - track.box)
        self.tracks = [
            track
            for track in self.tracks
            if seconds - track.seen <= FORGET and _inside(track, gray.size)
        ]

    def _follow(self, track: Tracked, gray: Image.Image, seconds: float, crowded: bool) -> None:
        passed = max(seconds - track.moved, 0.0)
        step = track.velocity * passed if seconds - track.seen <= COAST else np.zeros(2)
        track.measured, track.moved = False, seconds
        if track.missed and track.trust < SURE:
            _shift(track, step)
            return
        x, y = (float(value) for value in track.centre + step)
        place, track.trust = template_matching.find(
            gray,
            track.pattern,
            (x, y),
            track.side,
            4 * template_matching.PULL if crowded else template_matching.PULL,
        )
        moved = np.array(place) - track.centre if track.trust >= SURE else step
        _shift(track, moved)
        if passed > 0 and not crowded:
            track.velocity += 0.5 * (moved / passed - track.velocity)

    def _crowded(self, track: Tracked) -> bool:
        """Whether another face is so close that either may hide a part of the other."""
        return any(_close(track, other) for other in self.tracks if other is not track)

    def update(
        self, image: Image.Image, gray: Image.Image, faces: Sequence[Face], seconds: float
    ) -> None:
        """Match the detected ``faces`` of this frame with those followed until now."""
        faces = sorted(faces, key=lambda face: -face.width * face.height)[:MAX_FACES]
        appearances = [template_matching.appearance(image, face) for face in faces]
        pairs = self._pairs(faces, appearances, seconds)
        for index, track in enumerate(self.tracks):
            if index not in pairs:
                track.missed = True
                # Hidden by somebody, whose pattern is not its own.
                if any(_close(track, self.tracks[other]) for other in pairs):
                    track.trust = 0.0
                continue
            found = pairs[index]
            alike = float(track.appearance @ appearances[found])
            if alike < STRANGER and track.doubted and not self._crowded(track):
                self._rename(track, appearances[found], seconds)
                alike = 1.0
            self._renew(
                track,
                faces[found],
                appearances[found] if alike >= STRANGER else None,
                gray,
                seconds,
            )
        taken = set(pairs.values())
        for index, face in enumerate(faces):
            if index not in taken:
                self._start_track(face, appearances[index], gray, seconds)
        self._bound()

    def _pairs(
        self, faces: Sequence[Face], appearances: Sequence[np.ndarray], seconds: float
    ) -> dict[int, int]:
        """Index of a track to index of its face, by position and appearance together, all at
        once.
        """
        if not faces or not self.tracks:
            return {}
        value = np.full((len(self.tracks), len(faces)), -1.0)
        for row, track in enumerate(self.tracks):
            for column, (face, appearance) in enumerate(zip(faces, appearances, strict=True)):
                value[row, column] = _likelihood(track, face, appearance, seconds)
        rows, columns = linear_sum_assignment(value, maximize=True)
        return {
            int(row): int(column)
            for row, column in zip(rows, columns, strict=True)
            if value[row, column] > 0
        }

    def _renew(
        self,
        track: Tracked,
        face: Face,
        appearance: np.ndarray | None,
        gray: Image.Image,
        seconds: float,
    ) -> None:
        """Take over the detected position. ``appearance``: None where it looks like somebody else,
        which may be an error.
        """
        track.face, track.pattern = (
            face,
            template_matching.pattern(
                gray, tuple(centre_of(face)), max(face.width, face.height, 1.0)
            ),
        )
        track.seen = track.moved = seconds
        track.trust, track.missed, track.measured, track.doubted = (
            1.0,
            False,
            True,
            appearance is None,
        )
        if appearance is not None:
            mixed = track.appearance + FRESH * (appearance - track.appearance)
            track.appearance = mixed / max(float(np.linalg.norm(mixed)), 1e-6)

    def _rename(self, track: Tracked, appearance: np.ndarray, seconds: float) -> None:
        """Somebody else sits where this face was."""
        track.id, track.appearance, track.born = self._new_id(), appearance, seconds

    def _start_track(
        self, face: Face, appearance: np.ndarray, gray: Image.Image, seconds: float
    ) -> None:
        used = {track.number for track in self.tracks}
        number = next(number for number in range(1, len(used) + 2) if number not in used)
        known = template_matching.pattern(
            gray, tuple(centre_of(face)), max(face.width, face.height, 1.0)
        )
        self.tracks.append(
            Tracked(self._new_id(), number, face, appearance, known, seconds, seconds, seconds)
        )

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _bound(self) -> None:
        """Those there before those gone, large before small, ``MAX_FACES`` in all."""
        if len(self.tracks) > MAX_FACES:
            self.tracks = sorted(self.tracks, key=lambda track: (track.missed, -track.side))[
                :MAX_FACES
            ]

    def rescale(self, across: float, down: float) -> None:
        """The video's frames have another size now: ``across`` and ``down`` times the old one."""
        factors = np.array([across, down])
        for track in self.tracks:
            x0, y0, x1, y1 = track.face.box_xyxy
            box = (across * x0, down * y0, across * x1, down * y1)
            landmarks = None if track.face.landmarks is None else track.face.landmarks * factors
            track.face, track.velocity = (
                replace(track.face, box_xyxy=box, landmarks=landmarks),
                track.velocity * factors,
            )
            track.box = np.array(box)


def centre_of(face: Face) -> np.ndarray:
    """(2,) middle of a face's box in pixels."""
    left, top, right, bottom = face.box_xyxy
    return np.array([(left + right) / 2, (top + bottom) / 2])


def _likelihood(track: Tracked, face: Face, appearance: np.ndarray, seconds: float) -> float:
    """Above 0 where ``face`` may be ``track``, more the closer and the more alike; at most 2."""
    unseen = seconds - track.seen
    side = math.sqrt(track.side * max(face.width, face.height, 1.0))
    lost = track.missed or track.trust < SURE
    reach = min(NEAR + (PER_SECOND * unseen if lost else 0.0), FAR)
    distance = float(np.linalg.norm(centre_of(face) - track.centre)) / side
    size = max(face.width, face.height, 1.0) / track.side
    alike = float(track.appearance @ appearance)
    if distance > reach or not SIZES[0] <= size <= SIZES[1] or (track.missed and alike < STRANGER):
        return -1.0
    return (1 - distance / reach) * 0.5 + 1.5 * max(alike, 0.0) + 1e-3


def _shift(track: Tracked, by: np.ndarray) -> None:
    dx, dy = float(by[0]), float(by[1])
    left, top, right, bottom = track.face.box_xyxy
    landmarks = None if track.face.landmarks is None else track.face.landmarks + np.array([dx, dy])
    track.face = replace(
        track.face, box_xyxy=(left + dx, top + dy, right + dx, bottom + dy), landmarks=landmarks
    )
    track.box = track.box + np.array([dx, dy, dx, dy])


def _close(track: Tracked, other: Tracked) -> bool:
    return float(np.linalg.norm(track.centre - other.centre)) < CROWDED * max(
        track.side, other.side
    )


def _inside(track: Tracked, size: tuple[int, int]) -> bool:
    x, y = track.centre
    return 0 <= x <= size[0] and 0 <= y <= size[1]
