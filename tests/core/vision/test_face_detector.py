"""The real detector on the one real portrait, on composed images, and on images without faces."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from agegender_core.datasets import read_row
from agegender_core.errors import DetectorError
from agegender_core.types import InputSpec
from agegender_core.vision._torchvision_nms import nms
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import DetectorConfig, MTCNNDetector, takes_turned
from agegender_core.vision.image_io import load_image

pytestmark = pytest.mark.slow

WEAK_WHEN_TURNED = (59, 261, 431)
"""Rows of FG-NET that show something with a score from 0.90 to 0.99 when they are turned."""


@pytest.fixture(scope="module")
def detector() -> MTCNNDetector:
    return MTCNNDetector()


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    overlap = max(0.0, x1 - x0) * max(0.0, y1 - y0)
    return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)


def test_portrait_has_one_face_with_landmarks_in_place(
    detector: MTCNNDetector, portrait: Image.Image
) -> None:
    (face,) = detector.detect(portrait)
    assert face.score > 0.99 and face.turned == 0 and face.source == "mtcnn"
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0] and left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0] and iou(face.box_xyxy, (178, 60, 268, 176)) > 0.8


@pytest.mark.parametrize(
    "turn,degrees", [("ROTATE_90", 270), ("ROTATE_180", 180), ("ROTATE_270", 90)]
)
def test_turned_images_get_a_second_try_and_say_so(
    detector: MTCNNDetector, portrait: Image.Image, turn: str, degrees: int
) -> None:
    (upright,) = detector.detect(portrait)
    turned = portrait.transpose(Image.Transpose[turn])
    (face,) = detector.detect(turned)
    assert face.turned == degrees
    spec = InputSpec(size=64)
    wanted, got = (
        np.asarray(align(image, found, spec), float)
        for image, found in ((portrait, upright), (turned, face))
    )
    assert np.abs(wanted - got).mean() < 12, (
        "the crop of a turned image should look like that of the upright one"
    )


@pytest.mark.parametrize(
    "side,turn,degrees",
    [(240, "ROTATE_270", 90), (320, "ROTATE_270", 90), (120, "ROTATE_180", 180)],
)
def test_a_weak_find_does_not_keep_a_turned_image_from_being_turned(
    detector: MTCNNDetector, portrait: Image.Image, side: int, turn: str, degrees: int
) -> None:
    turned = portrait.resize((side, side)).transpose(Image.Transpose[turn])
    weak = detector.search_upright(turned)
    assert weak and max(face.score for face in weak) < 0.99, (
        "this image shows nothing then: choose another"
    )
    (face,) = detector.detect(turned)
    assert face.turned == degrees and face.score > 0.999


@pytest.mark.parametrize(
    "upright,turned,taken",
    [
        (0.0, 0.0, False),  # nothing anywhere
        (0.0, 0.96, True),  # nothing upright
        (0.93, 0.9999, True),
        (0.994, 0.9999, True),
        (0.994, 0.998, False),  # surer, but not clearly so
        (0.92, 0.985, False),  # five times surer, but not sure
        (0.97, 0.0, False),
    ],
)
def test_turned_faces_are_taken_where_they_are_clearly_surer(
    upright: float, turned: float, taken: bool
) -> None:
    assert takes_turned(upright, turned) is taken


def test_a_sure_upright_face_costs_no_other_tries(
    portrait: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        MTCNNDetector,
        "_turned",
        lambda self, image, upright: pytest.fail("the portrait was tried turned"),
    )
    assert len(MTCNNDetector().detect(portrait)) == 1


def test_small_faces_of_a_turned_image_are_found_too(
    detector: MTCNNDetector, portrait: Image.Image
) -> None:
    sheet = Image.new("RGB", (1000, 500), (120, 130, 120))
    sheet.paste(portrait.resize((480, 480)), (10, 10))
    # A face of 29 px.
    small = portrait.crop((110, 0, 350, 240)).resize((78, 78), Image.Resampling.LANCZOS)
    for x, y in ((600, 60), (740, 240), (880, 380)):
        sheet.paste(small, (x, y))
    upright, turned = (
        detector.detect(sheet),
        detector.detect(sheet.transpose(Image.Transpose.ROTATE_180)),
    )
    assert len(upright) == len(turned) == 4 and {face.turned for face in turned} == {180}
    for one, other in zip(upright, turned, strict=True):
        assert np.abs(np.array(one.box_xyxy) - other.upright(sheet.size).box_xyxy).max() < 0.1


@pytest.mark.data
def test_real_turned_photographs_that_show_a_weak_find(detector: MTCNNDetector) -> None:
    answers = []
    for row in WEAK_WHEN_TURNED:
        _, data = read_row("fgnet", row)
        photo = load_image(data)
        for turn, degrees in (("ROTATE_90", 270), ("ROTATE_180", 180), ("ROTATE_270", 90)):
            faces = detector.detect(photo.transpose(Image.Transpose[turn]))
            answers.append({face.turned for face in faces} == {degrees})
        answers.append(all(face.turned == 0 for face in detector.detect(photo)))
    assert all(answers), answers


def test_a_crowd_is_not_cut_by_the_detector(detector: MTCNNDetector, portrait: Image.Image) -> None:
    head = portrait.crop((110, 0, 350, 240)).resize((68, 68), Image.Resampling.LANCZOS)
    sheet = Image.new("RGB", (1020, 1020), (120, 130, 120))
    for place in range(225):
        sheet.paste(head, (68 * (place % 15), 68 * (place // 15)))
    faces = detector.detect(sheet)
    assert len(faces) > 210
    assert not hasattr(detector.config, "max_faces"), (
        "faces are cut in one place, where they are counted"
    )


def test_many_faces_small_and_large_sorted_by_size(
    detector: MTCNNDetector, portrait: Image.Image
) -> None:
    head = portrait.crop((110, 0, 350, 240))
    sheet = Image.new("RGB", (1000, 700), (120, 130, 120))
    places = []
    for index, side in enumerate((320, 200, 120, 90, 65)):
        x, y = 20 + 330 * (index % 3), 20 + 360 * (index // 3)
        sheet.paste(head.resize((side, side), Image.Resampling.LANCZOS), (x, y))
        places.append((x + 0.29 * side, y + 0.25 * side, x + 0.66 * side, y + 0.73 * side))
    faces = detector.detect(sheet)
    assert len(faces) == 5
    areas = [face.width * face.height for face in faces]
    assert areas == sorted(areas, reverse=True)
    for place in places:  # the smallest face is 24 px wide
        assert max(iou(place, face.box_xyxy) for face in faces) > 0.5


def test_a_face_that_fills_the_image_is_found_in_place(
    detector: MTCNNDetector, portrait: Image.Image
) -> None:
    (whole,) = detector.detect(portrait)
    left, top, right, bottom = (round(value) for value in whole.box_xyxy)
    (tight,) = detector.detect(portrait.crop((left, top, right, bottom)))
    assert (
        np.abs(tight.landmarks + np.array([left, top]) - whole.landmarks).max() < 0.04 * whole.width
    )


def test_face_cut_by_the_border_keeps_its_landmarks(
    detector: MTCNNDetector, portrait: Image.Image
) -> None:
    (whole,) = detector.detect(portrait)
    cut = round(whole.box_xyxy[0] + 0.08 * whole.width)
    (face,) = detector.detect(portrait.crop((cut, 0, 512, 512)))
    assert np.abs(face.landmarks + np.array([cut, 0]) - whole.landmarks).max() < 0.06 * whole.width


def drawn_scenes() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (240, 320, 3), dtype=np.uint8))
    house = Image.new("RGB", (400, 300), (150, 190, 230))
    draw = ImageDraw.Draw(house)
    draw.rectangle((120, 140, 280, 290), fill=(170, 90, 60))
    draw.polygon([(100, 140), (200, 60), (300, 140)], fill=(120, 40, 40))
    return [
        Image.new("RGB", (20, 20), "white"),
        Image.new("RGB", (3000, 40), "black"),
        noise,
        house,
    ]


@pytest.mark.parametrize("index", range(4))
def test_no_face_is_a_normal_answer(detector: MTCNNDetector, index: int) -> None:
    assert detector.detect(drawn_scenes()[index]) == []


def test_other_modes_and_impossible_sizes_are_refused(detector: MTCNNDetector) -> None:
    with pytest.raises(DetectorError, match="RGB"):
        detector.detect(Image.new("L", (100, 100)))
    with pytest.raises(DetectorError, match="smallest face"):
        DetectorConfig(min_face=3)


def test_threads_agree(detector: MTCNNDetector, portrait: Image.Image) -> None:
    alone = detector.detect(portrait)[0]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: detector.detect(portrait)[0], range(4)))
    assert all(face.box_xyxy == alone.box_xyxy for face in together)


@pytest.mark.parametrize("threads", [1, 3])
def test_helping_threads_find_the_same(
    detector: MTCNNDetector, portrait: Image.Image, threads: int
) -> None:
    alone, usual = detector.detect(portrait)[0], torch.get_num_threads()
    torch.set_num_threads(threads)  # all but one of them help
    try:
        assert np.allclose(detector.detect(portrait)[0].box_xyxy, alone.box_xyxy, atol=1e-3)
    finally:
        torch.set_num_threads(usual)


def test_detection_leaves_torch_threads_and_warning_filters_alone() -> None:
    code = (
        "import warnings, torch; before = list(warnings.filters), torch.get_num_threads()\nfrom PIL"
        " import Image\nfrom agegender_core.vision.face_detector import"
        " MTCNNDetector\nMTCNNDetector().detect(Image.new('RGB', (64, 64)))\nassert"
        " (list(warnings.filters), torch.get_num_threads()) == before, (before, warnings.filters,"
        " torch.get_num_threads())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_nms_stand_in_keeps_the_best_of_each_heap() -> None:
    boxes = torch.tensor(
        [[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 10.5]], dtype=torch.float32
    )
    scores = torch.tensor([0.8, 0.9, 0.5, 0.7])
    assert nms(boxes, scores, 0.5).tolist() == [1, 2]
    assert nms(boxes, scores, 0.95).tolist() == [1, 0, 2]
    assert nms(boxes, scores, 0.96).tolist() == [1, 0, 3, 2]
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (300, 2))
    many = torch.tensor(np.hstack([corners, corners + rng.uniform(5, 40, (300, 2))]))
    kept = nms(many, torch.tensor(rng.uniform(size=300)), 0.4).tolist()
    assert all(
        iou(tuple(many[a].tolist()), tuple(many[b].tolist())) <= 0.4
        for i, a in enumerate(kept)
        for b in kept[:i]
    )
