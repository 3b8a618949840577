"""Faces in an image, by facenet-pytorch's MTCNN (Zhang et al. 2016), whose weights come inside its
package.

What is added to it, because real images need it:
* the image's edge is repeated outwards first, and faces at the border are detected again with more
  of it: MTCNN clips candidates at the border and stretches what is left, which shifts boxes and
  landmarks by a tenth of the face;
* small images are enlarged, large ones shrunk to a longest side, so that time and the smallest face
  found are bounded;
* where nothing certain is found upright, the image is tried turned by 90, 270 and 180 degrees:
  MTCNN rarely finds faces that lie on their side or are upside down, and then in the wrong place
  without a score low enough to drop them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agegender_core.errors import DetectorError
from agegender_core.forking import mind_forks, renewed_after_fork
from agegender_core.types import TURNS, Face
from agegender_core.vision.alignment import region

if TYPE_CHECKING:
    from agegender_core.vision.cascade import Detections

Detect = Callable[[Sequence[np.ndarray], Sequence[int]], "list[Detections]"]
"""(H, W, 3) uint8 images and the smallest face to detect in each to their faces, in their pixels.
"""

STEP = 64
"""Padded images have sides that are multiples of this, so that few distinct sizes reach the
networks: mixed sizes make memory grow.
"""


CLOSE_SIDE, CLOSE_FACE, CLOSE_UPS = 192, 48, 32
"""Pixels of a close-up's side, the smallest face to detect in it, and how many close-ups make a
batch.
"""
CLEAR_SCORE, CLEAR_ODDS = 0.99, 5.0
"""A turned image's faces are taken instead of upright ones where the surest has ``CLEAR_SCORE`` at
least and a doubt (1 - score) ``CLEAR_ODDS`` times smaller than the surest upright one's.
"""


@dataclass(frozen=True)
class DetectorConfig:
    """``longest_side``: images are shrunk to it, in pixels. ``shortest``: smaller images are
    enlarged to this longest side.

    ``min_face``: smallest face to detect, in pixels of the shrunk image. ``score``: lowest
    confidence reported, in [0, 1];
    ``turned_score``: the same for turned images, where false detections are likelier. ``sure``: an
    image in which a face has this score is not tried turned. Measured on FG-NET's photographs
    turned three ways: see ``docs/turned-photos.md``.
    """

    longest_side: int = 1024
    shortest: int = 256
    min_face: int = 24
    score: float = 0.90
    turned_score: float = 0.95
    sure: float = 0.995

    def __post_init__(self) -> None:
        if not 12 <= self.min_face <= self.longest_side:
            raise DetectorError(
                f"smallest face of {self.min_face} px: give 12 to {self.longest_side}"
            )


class MTCNNDetector:
    """Thread-safe and immutable once made. The networks are loaded at the first use."""

    def __init__(self, config: DetectorConfig | None = None) -> None:
        self.config = config or DetectorConfig()
        self._lock = threading.Lock()
        self._run: Detect | None = None
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """In a forked process: nobody is loading the networks there."""
        self._lock = threading.Lock()

    def detect(self, image: Image.Image) -> list[Face]:
        """Faces of an upright RGB image, largest first; an empty list is a normal answer. Raises
        ``DetectorError``.

        All faces share one ``turned``: it is not 0 where the faces are surer in the turned image.
        Boxes and landmarks are in pixels of ``image`` as it was passed in any case;
        ``Face.upright`` gives those of the turned image.
        """
        if image.mode != "RGB":
            raise DetectorError(
                f"the detector takes RGB images, got mode {image.mode}: load images with load_image"
            )
        faces = self.search_upright(image)
        if surest(faces) < self.config.sure:
            faces = self._turned(image, surest(faces)) or faces
        faces.sort(key=lambda face: -face.width * face.height)
        return faces

    def search_upright(self, image: Image.Image) -> list[Face]:
        """Faces that stand upright in an RGB image; no turn is tried."""
        return self._upright([image], self.config.score, self.config.min_face)[0]

    def search_tries(self, images: Sequence[Image.Image]) -> list[list[Face]]:
        """The same for images that were turned to see whether faces stand upright then: surer and
        larger ones only.
        """
        return self._upright(
            images,
            self.config.turned_score,
            max(self.config.min_face, self.config.longest_side // 25),
        )

    def _upright(
        self, images: Sequence[Image.Image], score: float, min_face: int
    ) -> list[list[Face]]:
        found = self._search(images, 0.0, score, [min_face] * len(images))
        empty = [number for number, faces in enumerate(found) if not faces]
        # A face that fills the image needs room around it; small ones were detected above.
        if empty:
            again = [images[number] for number in empty]
            sizes = [
                max(min_face, round(0.3 * self._scale(image) * min(image.size))) for image in again
            ]
            for number, faces in zip(empty, self._search(again, 0.35, score, sizes), strict=True):
                found[number] = faces
        return [_distinct(faces) for faces in self._refine_at_border(images, found)]

    def _turned(self, image: Image.Image, upright: float) -> list[Face]:
        """Faces of the image turned the way that shows the surest one, where that is
        credible; ``upright``: highest score without.

        The tries detect large faces only; the turn that won is searched as an upright image is,
        with the same answer.
        """
        best: list[Face] = []
        won = 0
        tries = self.search_tries([image.transpose(transpose) for transpose in TURNS.values()])
        for degrees, found in zip(TURNS, tries, strict=True):
            if surest(found) > surest(best):
                best, won = found, degrees
        if not takes_turned(upright, surest(best)):
            return []
        found = self.search_upright(image.transpose(TURNS[won])) or best
        return [_turn_back(face, won, image.size) for face in found]

    def _scale(self, image: Image.Image) -> float:
        longest = max(image.size)
        return min(self.config.longest_side, max(longest, self.config.shortest)) / longest

    def _search(
        self, images: Sequence[Image.Image], border: float, score: float, min_faces: Sequence[int]
    ) -> list[list[Face]]:
        """One pass over whole images with a repeated edge of ``border`` times their longest
        side.
        """
        padded, places = [], []
        for image in images:
            scale = self._scale(image)
            wide, high = (max(1, round(side * scale)) for side in image.size)
            pixels = np.asarray(
                image if scale == 1 else image.resize((wide, high), Image.Resampling.BICUBIC)
            )
            pixels, left, top = _pad(pixels, max(16, round(border * max(wide, high))))
            padded.append(pixels)
            places.append(
                (
                    np.array([left, top]),
                    np.array([image.width / wide, image.height / high]),
                    np.zeros(2),
                )
            )
        found = self._networks()(padded, min_faces)
        return [
            _faces(one, *place, score, image.size)
            for image, one, place in zip(images, found, places, strict=True)
        ]

    def _refine_at_border(
        self, images: Sequence[Image.Image], found: list[list[Face]]
    ) -> list[list[Face]]:
        """The same faces, those at a border as they are in close-ups that have room around them."""
        close = [
            (number, place)
            for number, (image, faces) in enumerate(zip(images, found, strict=True))
            for place, face in enumerate(faces)
            if _at_border(face, image.size)
        ]
        better = [list(faces) for faces in found]
        for start in range(0, len(close), CLOSE_UPS):
            some = close[start : start + CLOSE_UPS]
            shown = [_close_up(images[number], found[number][place]) for number, place in some]
            seen = self._networks()([pixels for pixels, _ in shown], [CLOSE_FACE] * len(some))
            for (number, place), one, (_, where) in zip(some, seen, shown, strict=True):
                again = _faces(one, *where, 0.0, images[number].size)
                better[number][place] = _nearest(found[number][place], again)
        return better

    def _networks(self) -> Detect:
        with self._lock:
            if self._run is None:
                self._run = _load_mtcnn()
            return self._run


def surest(faces: list[Face]) -> float:
    """The highest score; 0 where there is no face."""
    return max((face.score for face in faces), default=0.0)


def takes_turned(upright: float, turned: float) -> bool:
    """Whether the turned image's faces are the right ones, by the surest score of either in [0, 1];
    0 where nothing was found.
    """
    if not upright:
        return turned > 0
    return turned >= CLEAR_SCORE and (1 - turned) * CLEAR_ODDS <= 1 - upright


def _close_up(
    image: Image.Image, face: Face
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels of a square around the face, and how its coordinates become the image's: inset,
    stretch and offset.
    """
    left, top, right, bottom = face.box_xyxy
    side = 2.2 * max(face.width, face.height)
    x0, y0 = math.floor((left + right - side) / 2), math.floor((top + bottom - side) / 2)
    close = region(image, x0, y0, x0 + math.ceil(side), y0 + math.ceil(side))
    scaled = np.asarray(close.resize((CLOSE_SIDE, CLOSE_SIDE), Image.Resampling.BICUBIC))
    return scaled, (
        np.zeros(2),
        np.array([close.width, close.height]) / CLOSE_SIDE,
        np.array([x0, y0]),
    )


def _nearest(face: Face, again: list[Face]) -> Face:
    """The face that lies where ``face`` does; itself where none does."""
    best = max(again, key=lambda other: _iou(face, other), default=face)
    return best if _iou(face, best) > 0.3 else face


def _load_mtcnn() -> Detect:
    import torch

    mind_forks()
    from threadpoolctl import ThreadpoolController

    from agegender_core.vision.cascade import Cascade, one_by_one
    from agegender_core.vision.cascade_networks import load_weights
    from agegender_core.vision.helper_threads import MOST, Helpers

    cascade = Cascade(*load_weights())
    # Hundreds of small operations: one of OpenMP's threads beats several that wait for each other.
    # The limit applies to the thread that sets it alone, and only after torch has set its own.
    threads = ThreadpoolController()

    def alone() -> None:
        torch.get_num_threads()
        threads.limit(limits=1, user_api="openmp")

    helpers = cache(lambda count: Helpers(count, alone))

    def run(images: Sequence[np.ndarray], min_faces: Sequence[int]) -> list[Detections]:
        count = min(torch.get_num_threads() - 1, MOST)
        try:
            with torch.inference_mode(), threads.limit(limits=1, user_api="openmp"):
                return cascade(images, min_faces, helpers(count) if count > 0 else one_by_one)
        except RuntimeError as error:
            sizes = ", ".join(f"{image.shape[1]}x{image.shape[0]}" for image in images)
            raise DetectorError(
                f"the face detector failed on an image of {sizes} px: {error}"
            ) from error

    return run


def _pad(pixels: np.ndarray, margin: int) -> tuple[np.ndarray, int, int]:
    """Repeat the edge by at least ``margin`` on every side, up to multiples of ``STEP``. Returns
    pixels, left and top margin.
    """
    sides = []
    for length in pixels.shape[:2]:
        total = math.ceil((length + 2 * margin) / STEP) * STEP - length
        sides.append((total // 2, total - total // 2))
    return np.pad(pixels, (*sides, (0, 0)), mode="edge"), sides[1][0], sides[0][0]


def _faces(
    found: Detections,
    inset: np.ndarray,
    stretch: np.ndarray,
    offset: np.ndarray,
    score: float,
    size: tuple[int, int],
) -> list[Face]:
    """Detector's boxes to faces in the image's pixels: what lies wholly outside the image is an
    echo in the repeated edge.
    """
    faces = []
    for box, landmarks in zip(found.boxes.astype(float), found.points.astype(float), strict=True):
        corners = (box[:4].reshape(2, 2) - inset) * stretch + offset
        centre = corners.mean(axis=0)
        if (
            box[4] < score
            or not np.isfinite(corners).all()
            or (centre < 0).any()
            or (centre > size).any()
        ):
            continue
        left, top, right, bottom = corners.ravel().tolist()
        faces.append(
            Face(
                (left, top, right, bottom),
                float(box[4]),
                (landmarks - inset) * stretch + offset,
            )
        )
    return faces


def _at_border(face: Face, size: tuple[int, int]) -> bool:
    left, top, right, bottom = face.box_xyxy
    room = 0.15 * max(face.width, face.height)
    return left < room or top < room or right > size[0] - room or bottom > size[1] - room


def _iou(one: Face, other: Face) -> float:
    a, b = np.array(one.box_xyxy), np.array(other.box_xyxy)
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(overlap / max(one.width * one.height + other.width * other.height - overlap, 1e-9))


def _distinct(faces: list[Face]) -> list[Face]:
    """Close-ups may find the same face twice: keep the one with the higher score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda item: -item.score):
        if all(_iou(face, other) < 0.5 for other in kept):
            kept.append(face)
    return kept


def _turn_back(face: Face, degrees: int, size: tuple[int, int]) -> Face:
    """A face found in the image turned counter-clockwise by ``degrees``, in coordinates of the
    unturned image of ``size``.
    """
    width, height = size

    def back(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        turned = {90: (width - y, x), 180: (width - x, height - y), 270: (y, height - x)}[degrees]
        return np.stack(turned, axis=1)

    corners = back(np.array(face.box_xyxy).reshape(2, 2))
    box = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    landmarks = None if face.landmarks is None else back(face.landmarks)
    return Face(box, face.score, landmarks, face.source, degrees)
