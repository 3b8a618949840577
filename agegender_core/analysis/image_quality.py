"""Image conditions as numbers: sharpness, exposure, colour, size and pose of the main face.

All but size and pose are measured on the crop that networks get, aligned by ``alignment``, at
``CROP``: a face of any size in any image is measured at the same scale. Pixel values run from 0 to
255.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from agegender_core.types import Face, InputSpec
from agegender_core.vision.alignment import align, face_frame

CROP = InputSpec()
"""64 px a side with a margin of a tenth: the face itself is 53 px wide."""
LUMA = np.array([0.299, 0.587, 0.114])
DARKEST, BRIGHTEST = 4, 251
"""Pixels at most, or at least, this bright have no detail left."""
NOSE = 0.45
"""How far the tip of a nose is in front of the plane of eyes and mouth, in mean widths of these
two; a rough average over people.
"""
ROUNDING = 20.0
"""Added to the coarse detail: what is below it, in squared steps of 256, is rounding and not
detail of a face.
"""

MEASURES = ("sharpness", "luminance", "crushed", "blown", "chroma", "face_side", "yaw", "roll")
"""``sharpness``: variance of the Laplacian at ``CROP`` against that at half the size.
``luminance``: mean luma, 0 to 1; it depends on skin as well as light, so compare it within a group
of people. ``crushed``, ``blown``: shares of pixels at the dark and the bright end. ``chroma``:
spread of the colours around their mean against the mean luma; toned black-and-white images have
almost none. ``face_side``: side of the face in pixels of the image as it is stored. ``yaw``:
degrees the head is turned, positive where the nose points to the image's right; ``roll``: degrees
it is tilted clockwise. Both are NaN without landmarks.
"""

COLUMNS = ("file", "readable", "face_found", *MEASURES)
"""Columns of ``conditions/<set>.parquet``, a row an image."""


@dataclass(frozen=True)
class Condition:
    """A possible problem of an image. ``applies``: table of ``COLUMNS`` to (N,) bool; False where
    it was not measured.
    """

    name: str
    title: str
    rule: str
    applies: Callable[[pd.DataFrame], pd.Series]


BLURRED, DARK, BRIGHT, CLIPPED, GREY, SMALL, PROFILE = 0.18, 0.2, 0.7, 0.2, 0.03, 48.0, 45.0
"""Thresholds of the conditions below, in the units of ``MEASURES``, chosen by viewing FairFace's
images sorted by each measure. A face below ``SMALL`` is enlarged even for the networks with the
smallest input.
"""

CONDITIONS: dict[str, Condition] = {
    item.name: item
    for item in (
        Condition(
            "blurred", "blurred", f"sharpness below {BLURRED:g}", lambda t: t["sharpness"] < BLURRED
        ),
        Condition(
            "dark", "dark", f"mean luminance below {DARK:g}", lambda t: t["luminance"] < DARK
        ),
        Condition(
            "bright",
            "bright",
            f"mean luminance above {BRIGHT:g}",
            lambda t: t["luminance"] > BRIGHT,
        ),
        Condition(
            "clipped",
            "shadows or lights without detail",
            f"a share above {CLIPPED:g} of the pixels is black or white",
            lambda t: t["crushed"] + t["blown"] > CLIPPED,
        ),
        Condition(
            "grey", "black and white", f"chroma below {GREY:g}", lambda t: t["chroma"] < GREY
        ),
        Condition(
            "small_face",
            "small face",
            f"side of the face below {SMALL:g} px",
            lambda t: t["face_side"] < SMALL,
        ),
        Condition(
            "profile",
            "seen from the side",
            f"head turned by more than {PROFILE:g} degrees",
            lambda t: t["yaw"].abs() > PROFILE,
        ),
        Condition(
            "no_face",
            "no face found",
            "the detector finds no face",
            lambda t: ~t["face_found"].astype(bool),
        ),
    )
}


def measure(image: Image.Image, face: Face) -> dict[str, float]:
    """``MEASURES`` of one ``face`` in an upright RGB image."""
    pixels = np.asarray(align(image, face, CROP), float)  # (64, 64, 3)
    luma = pixels @ LUMA
    return {
        "sharpness": sharpness(luma),
        "luminance": float(luma.mean() / 255),
        "crushed": float((luma <= DARKEST).mean()),
        "blown": float((luma >= BRIGHTEST).mean()),
        "chroma": chroma(pixels),
        **pose(face),
    }


def sharpness(luma: np.ndarray) -> float:
    """Variance of the Laplacian of (H, W) luma against its variance at half the size: the share
    of fine detail. Contrast cancels out, and so do large edges, such as that of a face before a
    bright wall. Blur of a pixel or more leaves little.
    """
    half = (luma[::2, ::2] + luma[1::2, ::2] + luma[::2, 1::2] + luma[1::2, 1::2]) / 4
    return float(laplacian(luma).var() / (laplacian(half).var() + ROUNDING))


def laplacian(luma: np.ndarray) -> np.ndarray:
    """(H, W) to (H - 2, W - 2): the sum of the four neighbours less four times the pixel."""
    return (
        luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    )


def chroma(pixels: np.ndarray) -> float:
    """Root mean square distance of the colours of (H, W, 3) RGB pixels from their mean, in Cb and
    Cr, against the mean luma.
    """
    luma = pixels @ LUMA
    blue, red = 0.564 * (pixels[..., 2] - luma), 0.713 * (pixels[..., 0] - luma)
    return float(math.sqrt(blue.var() + red.var()) / max(luma.mean(), 1.0))


def pose(face: Face) -> dict[str, float]:
    """``face_side``, ``yaw`` and ``roll`` of ``MEASURES``.

    Yaw: how far the nose is from the line between the middle of the eyes and the middle of the
    mouth, relative to the width of both. If the head turns by t, the width shrinks by cos t and the
    nose moves by ``NOSE`` sin t. Five points give only a rough angle.
    """
    frame = face_frame(face)
    side = math.hypot(frame[0, 0], frame[1, 0])
    if face.landmarks is None:
        return {"face_side": side, "yaw": math.nan, "roll": math.nan}
    points = np.asarray(face.landmarks, float)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = (mouth - eyes) / max(float(np.linalg.norm(mouth - eyes)), 1e-9)
    across = np.array([down[1], -down[0]])
    aside = float((points[2] - eyes) @ across)
    width = float(((points[1] - points[0]) @ across + (points[4] - points[3]) @ across) / 2)
    yaw = math.atan2(aside, NOSE * max(width, 0.0))
    return {
        "face_side": side,
        "yaw": math.degrees(yaw),
        "roll": math.degrees(math.atan2(frame[1, 0], frame[0, 0])),
    }


def conditions_met(table: pd.DataFrame) -> pd.DataFrame:
    """(N, conditions) bool of a table of ``COLUMNS``: which of ``CONDITIONS`` apply."""
    return pd.DataFrame(
        {name: item.applies(table).fillna(False).astype(bool) for name, item in CONDITIONS.items()},
        index=table.index,
    )


def empty_row(file: str, readable: bool) -> Mapping[str, object]:
    """A row of ``COLUMNS`` of an image without a face to measure."""
    return {
        "file": file,
        "readable": readable,
        "face_found": False,
        **dict.fromkeys(MEASURES, math.nan),
    }
