"""Faces to crops. Training crops and webcam crops are made by this one piece of code.

The five landmarks are mapped onto one template by a least-squares similarity transform (rotation,
uniform scale, shift; Umeyama 1991). Where landmarks are missing, or collapse as they do on
profiles, the square around the face box takes the template's place. All coordinates are continuous
pixels: an image spans [0, width] x [0, height] and the centre of its first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from agegender_core.types import Face, InputSpec

TEMPLATE = np.array(
    [(0.305, 0.291), (0.692, 0.291), (0.493, 0.529), (0.323, 0.697), (0.680, 0.695)]
)
"""(5, 2) landmark positions as fractions of the template square: median landmarks of UTKFace chips.
"""

MAX_TILT = 60.0
"""A fitted in-plane rotation beyond this many degrees is not believed."""

SCALE_RANGE = (0.5, 1.7)
"""Believable side of the fitted template square, as a multiple of the face box's side."""


def similarity_to_template(landmarks: np.ndarray) -> np.ndarray:
    """(2, 3) similarity that maps the unit template square onto ``landmarks`` (5, 2) with the least
    squared error.
    """
    source_mean, target_mean = TEMPLATE.mean(axis=0), landmarks.mean(axis=0)
    source, target = TEMPLATE - source_mean, landmarks - target_mean
    # A similarity without reflection is multiplication by a complex number: the least-squares one
    # has a closed form.
    z, w = source @ (1, 1j), target @ (1, 1j)
    factor = np.vdot(z, w) / np.vdot(z, z)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.hstack([linear, (target_mean - linear @ source_mean)[:, None]])


def face_frame(face: Face) -> np.ndarray:
    """(2, 3) similarity from the unit template square to pixels of the image.

    By landmarks or, where they are missing or cannot be believed, by the box.
    """
    if face.landmarks is not None:
        frame = similarity_to_template(np.asarray(face.landmarks, dtype=float))
        if _believable(frame, face):
            return frame
    return _box_frame(face)


def _believable(frame: np.ndarray, face: Face) -> bool:
    side = math.hypot(frame[0, 0], frame[1, 0])
    ratio = side / max(face.width, face.height, 1e-6)
    # A face found after turning the image by 90 degrees counter-clockwise lies 90 degrees clockwise
    # in the image itself.
    tilt = math.degrees(math.atan2(frame[1, 0], frame[0, 0])) - face.turned
    tilt = (tilt + 180) % 360 - 180
    return (
        bool(np.isfinite(frame).all())
        and SCALE_RANGE[0] <= ratio <= SCALE_RANGE[1]
        and abs(tilt) <= MAX_TILT
    )


def _box_frame(face: Face) -> np.ndarray:
    left, top, right, bottom = face.box_xyxy
    side = max(right - left, bottom - top)
    angle = math.radians(face.turned)
    linear = side * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    return np.hstack([linear, (centre - linear @ (0.5, 0.5))[:, None]])


def align(image: Image.Image, face: Face, spec: InputSpec) -> Image.Image:
    """Upright square RGB crop of ``spec.size`` pixels a side; what lies outside the image repeats
    its edge.

    ``image``: RGB. Shrinking is anti-aliased, so a crop looks the same whatever the image's
    resolution.
    """
    to_template = (1 + 2 * spec.margin) / spec.size
    frame = face_frame(face)
    linear = frame[:, :2] * to_template  # one output pixel in source pixels
    offset = frame[:, 2] - frame[:, :2] @ (spec.margin, spec.margin)
    return _warp(image, np.hstack([linear, offset[:, None]]), spec.size)


def _warp(image: Image.Image, output_to_source: np.ndarray, size: int) -> Image.Image:
    corners = (
        np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)]) @ output_to_source.T
    )  # (4, 2)
    scale = math.hypot(output_to_source[0, 0], output_to_source[1, 0])
    border = 2 * math.ceil(max(scale, 1)) + 2
    x0, y0 = np.floor(corners.min(axis=0)).astype(int) - border
    x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + border
    part = region(image, x0, y0, x1, y1)
    matrix = output_to_source - [[0, 0, x0], [0, 0, y0]]
    if scale > 1:
        wide, high = (max(1, round(side / scale)) for side in part.size)
        matrix = matrix * [[wide / part.width], [high / part.height]]
        part = part.resize((wide, high), Image.Resampling.BICUBIC)
    return part.transform(
        (size, size), Image.Transform.AFFINE, tuple(matrix.ravel()), Image.Resampling.BICUBIC
    )


def region(image: Image.Image, x0: int, y0: int, x1: int, y1: int) -> Image.Image:
    """Pixels [x0, x1) x [y0, y1); outside the image its edge is repeated."""
    inner = (max(x0, 0), max(y0, 0), min(x1, image.width), min(y1, image.height))
    if inner == (x0, y0, x1, y1):
        return image.crop(inner)
    rows = np.clip(np.arange(y0, y1), 0, image.height - 1)
    columns = np.clip(np.arange(x0, x1), 0, image.width - 1)
    # Only what is needed leaves Pillow: all of a large image takes longer than detection.
    left, top = int(columns[0]), int(rows[0])
    pixels = np.asarray(image.crop((left, top, int(columns[-1]) + 1, int(rows[-1]) + 1)))
    return Image.fromarray(pixels[(rows - top)[:, None], columns - left])
