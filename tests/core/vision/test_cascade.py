"""The cascade against facenet-pytorch's own loop with the same networks: the same faces, whatever
is given.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from agegender_core.benchmarks.detection import load_networks, original
from agegender_core.errors import DetectorError
from agegender_core.vision import cascade_networks
from agegender_core.vision.cascade import (
    BLOCK,
    Cascade,
    Detections,
    _crops,
    _squares,
    keep,
    pyramid,
    running_sums,
)
from agegender_core.vision.cascade_networks import load_weights
from agegender_core.vision.helper_threads import Helpers
from tests.support.memory import forget_the_peak, peak_mb

Find = Callable[[np.ndarray, int], Detections]


@pytest.fixture(scope="module")
def nets() -> SimpleNamespace:
    return load_networks()


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade(*load_weights())


@pytest.fixture(scope="module")
def slow(nets: SimpleNamespace) -> Find:
    finds = original(nets)
    return lambda pixels, min_face: finds([pixels], [min_face])[0]


def same(one: Detections, other: Detections) -> bool:
    """Boxes and landmarks within a hundredth of a pixel, scores within a ten thousandth."""
    if one.boxes.shape != other.boxes.shape or one.points.shape != other.points.shape:
        return False
    return np.allclose(one.boxes[:, :4], other.boxes[:, :4], atol=0.01) and bool(
        np.allclose(one.boxes[:, 4], other.boxes[:, 4], atol=1e-4)
        and np.allclose(one.points, other.points, atol=0.01)
    )


def scenes(portrait: Image.Image) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    head = portrait.crop((110, 0, 350, 240))
    group = Image.new("RGB", (420, 300), (120, 130, 120))
    for number, side in enumerate((130, 96, 70, 55)):
        group.paste(
            head.resize((side, side), Image.Resampling.LANCZOS),
            (5 + 100 * number, 10 + 45 * number),
        )
    cut = portrait.crop((200, 40, 400, 300))
    noise = rng.integers(0, 256, (170, 211, 3), dtype=np.uint8)
    images = {
        "portrait": portrait.resize((300, 300)),
        "odd sides": portrait.resize((277, 301)),
        "group": group,
        "cut by the border": cut,
        "turned": portrait.resize((240, 240)).transpose(Image.Transpose.ROTATE_270),
        "upside down": portrait.resize((240, 240)).transpose(Image.Transpose.ROTATE_180),
        "tight": portrait.crop((178, 60, 268, 176)).resize((64, 83)),
        "wide": Image.new("RGB", (640, 30), "navy"),
        "grey": portrait.convert("L").resize((200, 200)).convert("RGB"),
        "dark": portrait.resize((200, 200)).point(lambda value: value // 5),
    }
    return {name: np.asarray(image) for name, image in images.items()} | {"noise": noise}


@pytest.mark.parametrize("min_face", [24, 40])
def test_the_same_faces_in_all_scenes(
    cascade: Cascade, slow: Find, portrait: Image.Image, min_face: int
) -> None:
    found = {name: cascade([pixels], [min_face])[0] for name, pixels in scenes(portrait).items()}
    different = [
        name
        for name, pixels in scenes(portrait).items()
        if not same(found[name], slow(pixels, min_face))
    ]
    assert not different
    assert (
        len(found["portrait"].boxes) >= 1
        and len(found["group"].boxes) >= 4
        and not len(found["wide"].boxes)
    )


@pytest.mark.parametrize(
    "size", [(12, 12), (13, 40), (24, 24), (25, 31), (48, 26), (49, 50), (97, 35)]
)
def test_the_same_at_the_smallest_sizes(
    cascade: Cascade, slow: Find, portrait: Image.Image, size: tuple[int, int]
) -> None:
    pixels = np.asarray(portrait.crop((160, 40, 290, 200)).resize(size))
    for min_face in (12, 24):
        assert same(cascade([pixels], [min_face])[0], slow(pixels, min_face))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (11, 11)])
def test_what_is_smaller_than_a_face_has_none(cascade: Cascade, size: tuple[int, int]) -> None:
    (found,) = cascade([np.zeros((*size, 3), np.uint8)], [12])
    assert found.boxes.shape == (0, 5) and found.points.shape == (0, 5, 2)


def test_images_searched_together_are_answered_as_by_themselves(
    cascade: Cascade, portrait: Image.Image
) -> None:
    images = list(scenes(portrait).values())
    images += [images[0][::-1].copy(), images[0]]  # of one size
    sizes = [24 + 8 * (number % 3) for number in range(len(images))]
    alone = [cascade([image], [size])[0] for image, size in zip(images, sizes, strict=True)]
    together = cascade(images, sizes)
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))
    assert cascade([], []) == []


def test_helpers_change_nothing(cascade: Cascade, portrait: Image.Image) -> None:
    images = list(scenes(portrait).values())[:4]
    helped, alone = cascade(images, [24] * 4, Helpers(2)), cascade(images, [24] * 4)
    for one, other in zip(helped, alone, strict=True):
        assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.points, other.points)


@pytest.mark.parametrize("size", [(96, 128), (97, 131), (64, 65), (33, 90)])
def test_first_network_and_levels_are_the_originals(
    cascade: Cascade, nets: SimpleNamespace, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    table, pixels = running_sums(image), torch.from_numpy(image).permute(2, 0, 1)[None].float()
    levels = pyramid(*size, 20)
    assert len(levels) >= 2
    for level in levels:
        shrunk = level.shrink(table)
        wanted = interpolate(pixels, size=shrunk.shape[:2], mode="area")
        assert np.abs(shrunk - wanted[0].permute(1, 2, 0).numpy()).max() < 1e-3
        ((scores, shifts),) = cascade.pnet(shrunk[None])
        with torch.inference_mode():
            boxes, probabilities = nets.pnet((wanted - 127.5) / 128)
        assert scores.shape == tuple(probabilities.shape[2:])
        assert np.abs(scores - probabilities[0, 1].numpy()).max() < 1e-4
        assert np.abs(shifts - boxes[0].permute(1, 2, 0).numpy()).max() < 1e-4


def test_candidates_are_resized_as_the_original_resizes_them() -> None:
    rng = np.random.default_rng(2)
    images = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((80, 100, 3), (61, 47, 3))]
    boxes = np.array(
        [(5, 6, 40, 41), (-9, -4, 30, 35), (70, 50, 130, 110), (300, 5, 320, 25), (3, 3, 12, 12)],
        float,
    )
    owners = np.array([0, 0, 0, 0, 1])
    tables = [running_sums(image) for image in images]
    squares, there = _squares(tables, boxes, owners)
    assert there.tolist() == [True, True, True, False, True]
    crops = _crops(tables, squares[there], owners[there], 24)
    for crop, (left, top, right, bottom), owner in zip(
        crops, squares[there], owners[there], strict=True
    ):
        part = (
            torch.from_numpy(images[owner][top:bottom, left:right]).permute(2, 0, 1)[None].float()
        )
        assert (
            np.abs(
                interpolate(part, size=(24, 24), mode="area")[0].permute(1, 2, 0).numpy() - crop
            ).max()
            < 1e-3
        )


def greedy(boxes: np.ndarray, scores: np.ndarray, most: float, smaller: bool) -> list[int]:
    """One box after the other, in plain words."""
    more, kept = (1 if smaller else 0), []
    sizes = (boxes[:, 2] - boxes[:, 0] + more) * (boxes[:, 3] - boxes[:, 1] + more)
    for index in np.argsort(-scores, kind="stable"):
        for other in kept:
            wide = (
                min(boxes[index, 2], boxes[other, 2]) - max(boxes[index, 0], boxes[other, 0]) + more
            )
            high = (
                min(boxes[index, 3], boxes[other, 3]) - max(boxes[index, 1], boxes[other, 1]) + more
            )
            overlap = max(wide, 0) * max(high, 0)
            whole = (
                min(sizes[index], sizes[other])
                if smaller
                else sizes[index] + sizes[other] - overlap
            )
            if overlap > most * whole:
                break
        else:
            kept.append(int(index))
    return kept


@pytest.mark.parametrize("smaller", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 50, 400])
def test_boxes_kept_are_those_of_the_greedy_way(count: int, smaller: bool) -> None:
    rng = np.random.default_rng(count)
    corners = rng.integers(0, 60, (count, 2)).astype(np.float32)
    boxes = np.hstack([corners, corners + rng.integers(3, 30, (count, 2))]).astype(np.float32)
    scores = rng.integers(0, 40, count).astype(np.float32)  # many are equal
    for most in (0.3, 0.5, 0.7):
        assert keep(boxes, scores, most, smaller=smaller).tolist() == greedy(
            boxes, scores, most, smaller
        )


def test_long_chains_and_more_boxes_than_fit_at_once() -> None:
    count = BLOCK + 300
    left = np.arange(count, dtype=np.float32) * 3
    # Each overlaps its neighbours only.
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1)
    scores = -np.arange(count, dtype=np.float32)
    assert keep(boxes, scores, 0.5).tolist() == list(range(0, count, 2))
    rng = np.random.default_rng(0)
    order = rng.permutation(count)
    assert sorted(order[keep(boxes[order], scores[order], 0.5)].tolist()) == list(
        range(0, count, 2)
    )


def test_memory_stays_flat_over_images_of_many_sizes(
    cascade: Cascade, portrait: Image.Image
) -> None:
    rng = np.random.default_rng(5)

    def search(count: int) -> int:
        for _ in range(count):
            wide, high = rng.integers(64, 400, 2)
            cascade([np.asarray(portrait.resize((int(wide), int(high))))], [32])
        return peak_mb()

    cascade([np.asarray(portrait.resize((400, 400)))], [32])
    forget_the_peak()
    before = search(30)
    assert search(90) - before < 40, "megabytes"


def test_weights_are_the_packages(nets: SimpleNamespace) -> None:
    for ours, theirs in zip(load_weights(), (nets.pnet, nets.rnet, nets.onet), strict=True):
        wanted = theirs.state_dict()
        assert ours.keys() == wanted.keys()
        assert all(torch.equal(ours[name], wanted[name]) for name in wanted)


def test_missing_and_damaged_weights_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade_networks, "find_spec", lambda name: None)
    with pytest.raises(DetectorError, match=r"weights are missing.*requirements\.txt"):
        load_weights()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pnet.pt").write_bytes(b"not weights")
    there = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(cascade_networks, "find_spec", lambda name: there)
    with pytest.raises(DetectorError, match="cannot be read"):
        load_weights()


def test_the_detector_needs_no_torchvision() -> None:
    """It takes longer to import than all else that a first answer needs."""
    code = (
        "import sys\n"
        "sys.modules['torchvision'] = None\n"
        "from agegender_core.datasets.sample_image import sample_portrait\n"
        "from agegender_core.vision.face_detector import MTCNNDetector\n"
        "assert len(MTCNNDetector().detect(sample_portrait())) == 1\n"
        "assert 'facenet_pytorch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
