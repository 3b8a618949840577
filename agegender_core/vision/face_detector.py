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
ROUGH_SIDE, ROUGH_FACE = 320, 40
"""Longest side of images searched roughly, and the smallest face to detect in them, in pixels: a
sixth of the shorter side of ordinary photographs.
"""
ROOM, FILLS, FILLED_SIDE = 0.35, 0.3, 160
"""Room around an image in which a face may fill everything, as a share of its longest side; the
smallest such face, as a share of its shortest; and the longest side that is enough to see whether
there is one, in pixels.
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
            faces = self._turned(image, faces) or faces
        faces.sort(key=lambda face: -face.width * face.height)
        return faces

    def search_upright(self, image: Image.Image) -> list[Face]:
        """Faces that stand upright in an RGB image; no turn is tried."""
        (faces,) = self._search([image], 0.0, self.config.score, [self.config.min_face])
        return _distinct(self._refine_at_border(image, faces or self._filling(image)))

    def search_roughly(self, images: Sequence[Image.Image]) -> list[list[Face]]:
        """Faces of images that were turned to see whether faces stand upright then: large ones, in
        few pixels. Cheap, and mostly enough.
        """
        score = self.config.turned_score
        sizes = [self._smallest(image, self.config.min_face, ROUGH_SIDE) for image in images]
        found = self._search(images, 0.0, score, sizes, ROUGH_SIDE)
        if max(map(surest, found), default=1.0) >= CLEAR_SCORE:
            return found
        sizes = [self._smallest(image, self._filling_face(image), FILLED_SIDE) for image in images]
        more = self._search(images, ROOM, score, sizes, FILLED_SIDE)
        return [max(pair, key=surest) for pair in zip(found, more, strict=True)]

    def search_tries(self, images: Sequence[Image.Image]) -> list[list[Face]]:
        """The same down to faces that are a third as large, with no room around the image."""
        smallest = max(self.config.min_face, self.config.longest_side // 25)
        return self._search(images, 0.0, self.config.turned_score, [smallest] * len(images))

    def _filling(self, image: Image.Image) -> list[Face]:
        """A face that fills the image needs room around it. Mostly there is none, which shows in
        few pixels where there are many.
        """
        size = self._filling_face(image)
        if max(image.size) > ROUGH_SIDE:
            # A little smaller ones too: in few pixels a face may seem so.
            rough = self._smallest(image, round(0.8 * size), FILLED_SIDE)
            if not self._search([image], ROOM, 0.0, [rough], FILLED_SIDE)[0]:
                return []
        return self._search([image], ROOM, self.config.score, [size])[0]

    def _filling_face(self, image: Image.Image) -> int:
        """Smallest face that fills the image, in pixels of the shrunk image."""
        return max(self.config.min_face, round(FILLS * self._scale(image) * min(image.size)))

    def _smallest(self, image: Image.Image, face: int, longest_side: int) -> int:
        """Smallest face to detect where the image is shrunk to ``longest_side``; ``face``: in it as
        it is searched otherwise.
        """
        shrinking = self._scale(image, longest_side) / self._scale(image)
        return max(ROUGH_FACE * longest_side // ROUGH_SIDE, round(face * shrinking), 12)

    def _turned(self, image: Image.Image, unsure: Sequence[Face]) -> list[Face]:
        """Faces of the image turned the way that shows the surest one, where that is
        credible; ``unsure``: those found without.

        The tries detect large faces only; the turn that won is searched as an upright image is,
        with the same answer. The rough ones decide where they are clear; where the tries see a
        face that is not surer than the upright one, that search does.
        """
        upright = surest(unsure)
        small = self._shrunk(image)
        turned = [small.transpose(transpose) for transpose in TURNS.values()]
        found = self.search_roughly(turned)
        if not is_clear(upright, max(map(surest, found))):
            more = self.search_tries(turned)
            found = [max(pair, key=surest) for pair in zip(found, more, strict=True)]
        best = max(range(len(found)), key=lambda number: surest(found[number]))
        if not may_take_turned(upright, surest(found[best])):
            return []
        degrees = list(TURNS)[best]
        faces = self.search_upright(image.transpose(TURNS[degrees]))
        if not takes_turned(upright, max(surest(found[best]), surest(faces))):
            return []
        if not faces:
            # Of what is too unsure for an upright image, the boxes of the finer search are better.
            rough = self.search_tries([turned[best]])[0] or found[best]
            faces = [face.scaled(max(image.size) / max(small.size)) for face in rough]
        return [_turn_back(face, degrees, image.size) for face in faces]

    def _shrunk(self, image: Image.Image) -> Image.Image:
        """The image with the pixels in which it is searched, if it has more."""
        scale = self._scale(image)
        if scale >= 1:
            return image
        wide, high = (max(1, round(side * scale)) for side in image.size)
        return image.resize((wide, high), Image.Resampling.BICUBIC)

    def _scale(self, image: Image.Image, longest_side: int | None = None) -> float:
        """What the image's sides are multiplied by before it is searched."""
        longest = max(image.size)
        return (
            min(longest_side or self.config.longest_side, max(longest, self.config.shortest))
            / longest
        )

    def _search(
        self,
        images: Sequence[Image.Image],
        border: float,
        score: float,
        min_faces: Sequence[int],
        longest_side: int | None = None,
    ) -> list[list[Face]]:
        """One pass over whole images with a repeated edge of ``border`` times their longest
        side; shrunk to ``longest_side``, the configuration's unless given, which is then
        done the quick way.
        """
        filters = (
            (Image.Resampling.BICUBIC, None)
            if longest_side is None
            else (Image.Resampling.BILINEAR, 1.0)
        )
        padded, places = [], []
        for image in images:
            scale = self._scale(image, longest_side)
            wide, high = (max(1, round(side * scale)) for side in image.size)
            pixels = np.asarray(
                image
                if scale == 1
                else image.resize((wide, high), filters[0], reducing_gap=filters[1])
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

    def _refine_at_border(self, image: Image.Image, faces: list[Face]) -> list[Face]:
        """The same faces, those at a border as they are in close-ups that have room around them."""
        close = [place for place, face in enumerate(faces) if _at_border(face, image.size)]
        better = list(faces)
        for start in range(0, len(close), CLOSE_UPS):
            some = close[start : start + CLOSE_UPS]
            shown = [_close_up(image, faces[place]) for place in some]
            seen = self._networks()([pixels for pixels, _ in shown], [CLOSE_FACE] * len(some))
            for place, one, (_, where) in zip(some, seen, shown, strict=True):
                better[place] = _nearest(faces[place], _faces(one, *where, 0.0, image.size))
        return better

    def _networks(self) -> Detect:
        with self._lock:
            if self._run is None:
                self._run = _load_mtcnn()
            return self._run


def surest(faces: Sequence[Face]) -> float:
    """The highest score; 0 where there is no face."""
    return max((face.score for face in faces), default=0.0)


def is_clear(upright: float, turned: float) -> bool:
    """Whether the turned image's faces are so sure that no closer look is needed."""
    return turned >= CLEAR_SCORE and takes_turned(upright, turned)


def takes_turned(upright: float, turned: float) -> bool:
    """Whether the turned image's faces are the right ones, by the surest score of either in [0, 1];
    0 where nothing was found.
    """
    if not upright:
        return turned > 0
    return turned >= CLEAR_SCORE and (1 - turned) * CLEAR_ODDS <= 1 - upright


def may_take_turned(upright: float, turned: float) -> bool:
    """Whether the turned image is worth a search like an upright one's: it would be taken, or its
    faces may prove surer than the tries show.
    """
    return turned >= CLEAR_SCORE or takes_turned(upright, turned)


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
    best = max(again, key=lambda other: iou(face, other), default=face)
    return best if iou(face, best) > 0.3 else face


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


def iou(one: Face, other: Face) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    a, b = np.array(one.box_xyxy), np.array(other.box_xyxy)
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(overlap / max(one.width * one.height + other.width * other.height - overlap, 1e-9))


def _distinct(faces: list[Face]) -> list[Face]:
    """Close-ups may find the same face twice: keep the one with the higher score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda item: -item.score):
        if all(iou(face, other) < 0.5 for other in kept):
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
