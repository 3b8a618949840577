"""Comparing two detectors: what is counted as a difference, what is listed, and that a run that was
stopped goes on. On drawn images and made-up answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agegender_core.benchmarks import detection, detection_equality
from agegender_core.benchmarks.detection import stored
from agegender_core.benchmarks.detection_equality import (
    Kind,
    compare,
    difference,
    drawn_images,
    drawn_large_images,
    run,
    summary,
)
from agegender_core.types import Face
from agegender_core.vision.face_detector import MTCNNDetector

GREY = Image.new("RGB", (64, 64))


def face(left: float, side: float = 40.0, turned: int = 0) -> Face:
    landmarks = np.full((5, 2), left + side / 2)
    return Face((left, left, left + side, left + side), 0.99, landmarks, turned=turned)


def test_faces_are_the_same_missing_or_new() -> None:
    found = summary(
        [
            difference("same", GREY, [face(0)], [face(0.01)]),
            difference("moved", GREY, [face(0)], [face(1)]),
            difference("lost", GREY, [face(0), face(100)], [face(0)]),
            difference("new", GREY, [], [face(0)]),
            difference("turned", GREY, [face(0)], [face(0, turned=90)]),
            difference("empty", GREY, [], []),
        ]
    )
    assert (found.images, found.faces, found.missing, found.new) == (6, 5, 1, 1)
    assert found.same_percent == 80.0 and found.turns_differ == 1
    assert found.farthest_box_px == found.farthest_landmark_px == 1.0
    assert found.least_iou == pytest.approx(39**2 / (2 * 40**2 - 39**2), abs=1e-5)
    assert [words.split(":")[0] for words in found.apart] == ["moved", "lost", "new", "turned"]
    assert found.most_years is None


def test_boxes_that_hardly_overlap_are_two_differences() -> None:
    found = difference("far", GREY, [face(0)], [face(4)])
    assert (found.same, found.new) == (0, 1)


@pytest.mark.slow
def test_a_run_goes_on_and_keeps_the_other_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portrait: Image.Image
) -> None:
    monkeypatch.setattr(detection_equality, "cache_dir", lambda: tmp_path / "cache")
    searched: list[str] = []

    def images() -> Iterator[tuple[str, Image.Image]]:
        for side in (200, 160):
            yield f"{side}", portrait.resize((side, side))

    def search(detector: MTCNNDetector, image: Image.Image) -> list[Face]:
        searched.append(type(detector).__name__)
        return detector.detect(image)

    first = run(tmp_path, {"one": Kind(images, search, ages=True)})
    assert len(searched) == 4 and set(searched) == {"OriginalDetector", "MTCNNDetector"}
    assert first["one"].same_percent == 100 and first["one"].faces == 2
    assert first["one"].most_years is not None and first["one"].most_years < 0.02
    again = run(tmp_path, {"one": Kind(images, search, ages=True)})
    assert len(searched) == 4 and again == first
    run(tmp_path, {"other": Kind(images, search)})
    assert set(stored(tmp_path).equality) == {"one", "other"}


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of reports; the one stood in is another."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    return tmp_path / "reports"


def test_the_comparison_is_written_into_the_folder_of_reports(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = Kind(lambda: iter([("one", GREY)]), lambda *_: [])
    monkeypatch.setattr(detection_equality, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(detection_equality, "KINDS", {"grey": none})
    detection_equality.main()
    assert stored(reports).equality["grey"].images == 1 and not list(Path().iterdir())


def test_the_timing_is_written_into_the_folder_of_reports(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "speed", lambda _: [])
    monkeypatch.setattr(detection, "bytes_to_answer", lambda _: {})
    detection.main()
    assert stored(reports).machine and not list(Path().iterdir())


def test_drawn_images_are_the_same_every_time() -> None:
    for drawn in (drawn_images, drawn_large_images):
        (one, first), (two, second) = next(drawn(1)), next(drawn(1))
        assert one == two and first.tobytes() == second.tobytes()
    assert [name for name, _ in drawn_images(3)] == ["drawn 0", "drawn 1", "drawn 2"]


def test_a_different_answer_shows() -> None:
    def search(detector: MTCNNDetector, image: Image.Image) -> list[Face]:
        return [] if type(detector) is MTCNNDetector else [face(0)]

    found = compare(Kind(lambda: iter([("one", GREY)]), search), {}, lambda: None)
    assert summary(found).missing == 1
