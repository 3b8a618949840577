"""Faces in a picture, by facenet-pytorch's MTCNN (Zhang et al. 2016), whose weights come inside its package.

What is added to it, because real pictures need it:
* the picture's edge is repeated outwards first, and faces at the border are looked at again with more of it: MTCNN clips candidates at
  the border and stretches what is left, which shifts boxes and landmarks by a tenth of the face;
* small pictures are enlarged, large ones shrunk to a longest side, so that time and the smallest face found are bounded;
* where nothing is found upright, the picture is tried turned by 90, 270 and 180 degrees.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from agegender_core.alignment import region
from agegender_core.errors import DetectorError
from agegender_core.types import Face

STEP = 64
"""Padded pictures have sides that are multiples of this, so that few distinct sizes reach the networks: mixed sizes make memory grow."""

TURNS = {90: Image.Transpose.ROTATE_90, 270: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180}


@dataclass(frozen=True)
class DetectorConfig:
    """``longest_side``: pictures are shrunk to it, in pixels. ``shortest``: smaller pictures are enlarged to this longest side.

    ``min_face``: smallest face looked for, in pixels of the shrunk picture. ``score``: lowest confidence reported, in [0, 1];
    ``turned_score``: the same for turned pictures, where chance finds are likelier. ``max_faces``: the largest ones are kept.
    """

    longest_side: int = 1024
    shortest: int = 256
    min_face: int = 24
    score: float = 0.90
    turned_score: float = 0.95
    max_faces: int = 200

    def __post_init__(self) -> None:
        if not 12 <= self.min_face <= self.longest_side:
            raise DetectorError(f"smallest face of {self.min_face} px: give 12 to {self.longest_side}")


class MTCNNDetector:
    """Thread-safe and immutable once made. The networks are loaded at the first use."""

    def __init__(self, config: DetectorConfig | None = None) -> None:
        self.config = config or DetectorConfig()
        self._lock = threading.Lock()
        self._run: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]] | None = None

    def detect(self, image: Image.Image) -> list[Face]:
        """Faces of an upright RGB picture, largest first; an empty list is a normal answer. Raises ``DetectorError``.

        All faces share one ``turned``: it is not 0 where the picture had to be turned before any was found.
        """
        if image.mode != "RGB":
            raise DetectorError(f"the detector takes RGB pictures, got mode {image.mode}: load pictures with load_image")
        faces = self._upright(image, self.config.score, self.config.min_face)
        if not faces:
            faces = self._turned(image)
        faces.sort(key=lambda face: -face.width * face.height)
        return faces[: self.config.max_faces]

    def _upright(self, image: Image.Image, score: float, min_face: int) -> list[Face]:
        found = self._search(image, 0.0, score, min_face)
        if not found:  # a face that fills the picture needs room around it; small ones were looked for above
            found = self._search(image, 0.35, score, max(min_face, round(0.3 * self._scale(image) * min(image.size))))
        return _distinct([self._second_look(image, face) if _at_border(face, image.size) else face for face in found])

    def _turned(self, image: Image.Image) -> list[Face]:
        min_face = max(self.config.min_face, self.config.longest_side // 25)
        best: list[Face] = []
        for degrees, transpose in TURNS.items():
            found = self._upright(image.transpose(transpose), self.config.turned_score, min_face)
            if max((face.score for face in found), default=0.0) > max((face.score for face in best), default=0.0):
                best = [_turn_back(face, degrees, image.size) for face in found]
        return best

    def _scale(self, image: Image.Image) -> float:
        longest = max(image.size)
        return min(self.config.longest_side, max(longest, self.config.shortest)) / longest

    def _search(self, image: Image.Image, border: float, score: float, min_face: int) -> list[Face]:
        """One pass over the whole picture with a repeated edge of ``border`` times its longest side."""
        scale = self._scale(image)
        wide, high = (max(1, round(side * scale)) for side in image.size)
        pixels = np.asarray(image if scale == 1 else image.resize((wide, high), Image.Resampling.BICUBIC))
        margin = max(16, round(border * max(wide, high)))
        padded, left, top = _pad(pixels, margin)
        boxes, points = self._networks()(padded, min_face)
        stretch = np.array([image.width / wide, image.height / high])
        return _faces(boxes, points, np.array([left, top]), stretch, np.zeros(2), score, image.size)

    def _second_look(self, image: Image.Image, face: Face) -> Face:
        """The same face in a close-up that has room around it; the first find where the close-up shows nothing."""
        left, top, right, bottom = face.box_xyxy
        side = 2.2 * max(face.width, face.height)
        x0, y0 = math.floor((left + right - side) / 2), math.floor((top + bottom - side) / 2)
        close = region(image, x0, y0, x0 + math.ceil(side), y0 + math.ceil(side))
        scaled = np.asarray(close.resize((192, 192), Image.Resampling.BICUBIC))
        boxes, points = self._networks()(scaled, 48)
        stretch = np.array([close.width, close.height]) / 192
        again = _faces(boxes, points, np.zeros(2), stretch, np.array([x0, y0]), 0.0, image.size)
        best = max(again, key=lambda other: _iou(face, other), default=face)
        return best if _iou(face, best) > 0.3 else face

    def _networks(self) -> Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
        with self._lock:
            if self._run is None:
                self._run = _load_mtcnn()
            return self._run


def _load_mtcnn() -> Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
    import torch
    from threadpoolctl import ThreadpoolController

    from agegender_core._torchvision_ops import ensure_torchvision

    try:
        with warnings.catch_warnings():  # the import below rewrites the global filters
            ensure_torchvision()
            from facenet_pytorch import MTCNN
            from facenet_pytorch.models.utils.detect_face import detect_face
    except ImportError as error:
        raise DetectorError(f"the face detector cannot be loaded ({error}): pip install -r requirements.txt") from error
    nets = MTCNN(device=torch.device("cpu")).eval()
    # Hundreds of tiny operations: one thread beats several that wait for each other. The limit holds for the calling thread alone.
    threads = ThreadpoolController()

    def run(pixels: np.ndarray, min_face: int) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 to (N, 5) boxes with scores and (N, 5, 2) points, in its pixels."""
        try:
            with torch.inference_mode(), threads.limit(limits=1, user_api="openmp"):
                boxes, points = detect_face(pixels, min_face, nets.pnet, nets.rnet, nets.onet, [0.6, 0.7, 0.7], 0.709, torch.device("cpu"))
        except RuntimeError as error:
            if "non-empty" in str(error):  # no candidate survived the first stage, or the picture is smaller than one
                return np.empty((0, 5)), np.empty((0, 5, 2))
            raise DetectorError(f"the face detector failed on a picture of {pixels.shape[1]}x{pixels.shape[0]} px: {error}") from error
        return _array(boxes[0], (0, 5)), _array(points[0], (0, 5, 2))

    return run


def _array(value: Any, empty: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value, dtype=float)
    return array if array.size else np.empty(empty)


def _pad(pixels: np.ndarray, margin: int) -> tuple[np.ndarray, int, int]:
    """Repeat the edge by at least ``margin`` on every side, up to multiples of ``STEP``. Returns pixels, left and top margin."""
    sides = []
    for length in pixels.shape[:2]:
        total = math.ceil((length + 2 * margin) / STEP) * STEP - length
        sides.append((total // 2, total - total // 2))
    return np.pad(pixels, (*sides, (0, 0)), mode="edge"), sides[1][0], sides[0][0]


def _faces(
    boxes: np.ndarray, points: np.ndarray, inset: np.ndarray, stretch: np.ndarray, offset: np.ndarray, score: float, size: tuple[int, int]
) -> list[Face]:
    """Detector's boxes to faces in the picture's pixels: what lies wholly outside the picture is an echo in the repeated edge."""
    faces = []
    for box, landmarks in zip(boxes, points, strict=True):
        corners = (box[:4].reshape(2, 2) - inset) * stretch + offset
        centre = corners.mean(axis=0)
        if box[4] < score or not np.isfinite(corners).all() or (centre < 0).any() or (centre > size).any():
            continue
        xyxy = tuple(float(value) for value in corners.ravel())
        faces.append(Face(xyxy, float(box[4]), (landmarks - inset) * stretch + offset))
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
    """Second looks may land on the same face twice: keep the surer one."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda item: -item.score):
        if all(_iou(face, other) < 0.5 for other in kept):
            kept.append(face)
    return kept


def _turn_back(face: Face, degrees: int, size: tuple[int, int]) -> Face:
    """A face found in the picture turned counter-clockwise by ``degrees``, in coordinates of the unturned picture of ``size``."""
    width, height = size

    def back(points: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        turned = {90: (width - y, x), 180: (width - x, height - y), 270: (y, height - x)}[degrees]
        return np.stack(turned, axis=1)

    corners = back(np.array(face.box_xyxy).reshape(2, 2))
    box = (*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    landmarks = None if face.landmarks is None else back(face.landmarks)
    return Face(box, face.score, landmarks, face.source, degrees)
