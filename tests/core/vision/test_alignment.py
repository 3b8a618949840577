"""Crops land on the template whatever the face's place, size and turn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from agegender_core.types import Face, InputSpec
from agegender_core.vision.alignment import (
    TEMPLATE,
    align,
    face_frame,
    region,
    similarity_to_template,
)

SPEC = InputSpec(size=120, margin=0.1)
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))


def placed(side: float, degrees: float, centre: tuple[float, float]) -> np.ndarray:
    """(5, 2) template landmarks turned clockwise as seen, scaled to ``side`` pixels and moved to
    ``centre``.
    """
    angle = math.radians(degrees)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (TEMPLATE - 0.5) @ rotation.T * side + centre


def dotted(landmarks: np.ndarray, size: tuple[int, int], radius: float) -> Image.Image:
    image = Image.new("RGB", size, (90, 90, 90))
    draw = ImageDraw.Draw(image)
    for (x, y), colour in zip(landmarks, COLOURS, strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image


def dot_centre(crop: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    distance = np.abs(np.asarray(crop, dtype=int) - colour).sum(axis=2)
    ys, xs = np.nonzero(distance < 120)
    assert len(xs), f"no {colour} dot in the crop"
    return np.array([xs.mean() + 0.5, ys.mean() + 0.5])


def face_of(
    landmarks: np.ndarray, side: float, centre: tuple[float, float], turned: int = 0
) -> Face:
    half = side / 2
    return Face(
        (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half),
        1.0,
        landmarks,
        turned=turned,
    )


@pytest.mark.parametrize("side,degrees", [(100, 0), (100, 25), (100, -40), (420, 10), (48, 0)])
def test_landmarks_land_on_the_template(side: float, degrees: float) -> None:
    centre = (310.0, 270.0)
    landmarks = placed(side, degrees, centre)
    image = dotted(landmarks, (640, 560), side * 0.03)
    crop = align(image, face_of(landmarks, side, centre), SPEC)
    assert crop.size == (120, 120) and crop.mode == "RGB"
    expected = (TEMPLATE + SPEC.margin) / (1 + 2 * SPEC.margin) * SPEC.size
    for colour, place in zip(COLOURS, expected, strict=True):
        assert np.abs(dot_centre(crop, colour) - place).max() < 1.5


@pytest.mark.parametrize("turned,degrees", [(90, 90), (180, 180), (270, -90)])
def test_turned_faces_come_out_upright_by_landmarks_and_by_box(turned: int, degrees: float) -> None:
    centre = (200.0, 200.0)
    landmarks = placed(160, degrees, centre)
    image = dotted(landmarks, (400, 400), 5)
    with_points = align(image, face_of(landmarks, 160, centre, turned), SPEC)
    with_box = align(
        image, Face(face_of(landmarks, 160, centre).box_xyxy, 1.0, None, turned=turned), SPEC
    )
    for crop in (with_points, with_box):
        assert np.abs(dot_centre(crop, COLOURS[0]) - (TEMPLATE[0] + 0.1) / 1.2 * 120).max() < 2


def test_unbelievable_landmarks_fall_back_to_the_box() -> None:
    box = (100.0, 100.0, 200.0, 200.0)
    collapsed = np.full((5, 2), 150.0) + np.random.default_rng(0).normal(0, 3, (5, 2))
    upside_down = placed(100, 180, (150, 150))
    expected = face_frame(Face(box, 1.0))
    for landmarks in (collapsed, upside_down):
        assert np.allclose(face_frame(Face(box, 1.0, landmarks)), expected)


def test_similarity_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(3)
    landmarks = placed(80, 15, (60, 70)) + rng.normal(0, 2, (5, 2))
    best = similarity_to_template(landmarks)

    def error(frame: np.ndarray) -> float:
        return float(((TEMPLATE @ frame[:, :2].T + frame[:, 2] - landmarks) ** 2).sum())

    for nudge in rng.normal(0, 1e-2, (50, 4)):
        a, b, x, y = nudge
        other = best + np.array([[a, -b, x], [b, a, y]])
        assert error(best) <= error(other)


def test_outside_the_image_the_edge_repeats() -> None:
    image = Image.new("RGB", (50, 50), (200, 30, 30))
    crop = np.asarray(align(image, Face((-40.0, -40.0, 40.0, 40.0), 1.0), SPEC))
    assert (crop == (200, 30, 30)).all()


def test_crops_do_not_depend_on_resolution() -> None:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).resize(
        (400, 400), Image.Resampling.BICUBIC
    )
    big = small.resize((1600, 1600), Image.Resampling.BICUBIC)
    spec = InputSpec(size=64)
    one = np.asarray(align(small, Face((100.0, 100.0, 300.0, 300.0), 1.0), spec), float)
    other = np.asarray(align(big, Face((400.0, 400.0, 1200.0, 1200.0), 1.0), spec), float)
    assert np.abs(one - other).mean() < 4


def test_widened_spec_keeps_the_scale() -> None:
    spec = InputSpec(size=64, margin=0.1)
    wide = spec.widened(96)
    assert wide.size == 96 and np.isclose(
        wide.size / (1 + 2 * wide.margin), spec.size / (1 + 2 * spec.margin)
    )
    image = Image.fromarray(
        np.random.default_rng(1).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    )
    face = Face((100.0, 100.0, 200.0, 200.0), 1.0)
    narrow, broad = (
        np.asarray(align(image, face, spec), int),
        np.asarray(align(image, face, wide), int),
    )
    assert np.abs(broad[16:80, 16:80] - narrow).mean() < 3


@pytest.mark.parametrize(
    "corners",
    [
        (3, 4, 20, 17),
        (-5, -7, 12, 9),
        (25, 10, 50, 44),
        (-9, 5, 60, 8),
        (-20, -20, -4, -3),
        (45, 2, 52, 70),
    ],
)
def test_a_region_outside_the_image_repeats_its_edge(corners: tuple[int, int, int, int]) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    x0, y0, x1, y1 = corners
    padded = np.pad(pixels, ((60, 60), (60, 60), (0, 0)), mode="edge")
    wanted = padded[60 + y0 : 60 + y1, 60 + x0 : 60 + x1]
    assert np.array_equal(np.asarray(region(Image.fromarray(pixels), *corners)), wanted)
