"""What turned photos cost: which searches are made for which image."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from PIL import Image

from agegender_core.types import Face
from agegender_core.vision.face_detector import (
    CLEAR_SCORE,
    MTCNNDetector,
    is_clear,
)


class Counted(MTCNNDetector):
    """Answers searches from a script and counts them: ``rough`` and ``fine`` are the scores of the
    turns in their order, ``upright`` those of the image as it is, ``whole`` that of the turn that
    is searched like an upright one.
    """

    def __init__(
        self,
        upright: Sequence[tuple[float, float]],
        rough: Sequence[float],
        fine: Sequence[float] = (0.0, 0.0, 0.0),
        whole: float = 0.9999,
    ) -> None:
        super().__init__()
        self.upright, self.rough, self.fine, self.whole = upright, rough, fine, whole
        self.calls: list[str] = []

    def search_upright(self, image: Image.Image) -> list[Face]:
        self.calls.append("upright")
        if len(self.calls) == 1:
            return [face(score, side) for score, side in self.upright]
        return [face(self.whole, 200.0)]

    def search_roughly(self, images: Sequence[Image.Image]) -> list[list[Face]]:
        self.calls.append("rough")
        assert len(images) == 3
        return [[face(score, 200.0)] if score else [] for score in self.rough]

    def search_tries(self, images: Sequence[Image.Image]) -> list[list[Face]]:
        self.calls.append("fine")
        return [[face(score, 50.0)] if score else [] for score in self.fine]


def face(score: float, side: float) -> Face:
    return Face((10.0, 10.0, 10.0 + side, 10.0 + side), score)


PHOTO = Image.new("RGB", (640, 480))


@pytest.mark.parametrize(
    "upright,rough,fine,calls,turned",
    [
        # A sure upright face: nothing else is looked at.
        ([(0.999, 100.0)], (0.999, 0, 0), (0, 0, 0), "upright", 0),
        # A clear rough one: the finer tries are left out, the winner is searched once.
        ([], (0, 0.9999, 0), (0, 0, 0), "upright rough upright", 270),
        # Small faces only: the finer tries decide.
        ([], (0, 0, 0), (0, 0, 0.97), "upright rough fine upright", 180),
        ([], (0, 0, 0), (0, 0, 0), "upright rough fine", 0),
        # What is unsure upright may be chance, small or large.
        ([(0.95, 150.0)], (0, 0, 0), (0, 0, 0.9999), "upright rough fine upright", 180),
        ([(0.95, 40.0)], (0, 0, 0), (0, 0, 0.9999), "upright rough fine upright", 180),
        ([(0.95, 150.0)], (0.9999, 0, 0), (0, 0, 0), "upright rough upright", 90),
    ],
)
def test_searches_of_an_image(
    upright: list[tuple[float, float]],
    rough: tuple[float, float, float],
    fine: tuple[float, float, float],
    calls: str,
    turned: int,
) -> None:
    detector = Counted(upright, rough, fine)
    faces = detector.detect(PHOTO)
    assert " ".join(detector.calls) == calls
    assert {one.turned for one in faces} == ({turned} if faces else set())


# Too little for a turn in the tries, where it is not surer than what was found upright.
ALMOST = ([(0.988, 100.0)], (0, 0, 0.9956))


def test_a_turn_that_the_tries_leave_open_is_searched_whole() -> None:
    detector = Counted(*ALMOST)
    (found,) = detector.detect(PHOTO)
    assert found.turned == 180 and detector.calls == ["upright", "rough", "fine", "upright"]


def test_a_turn_that_stays_unsure_is_not_taken() -> None:
    (found,) = Counted(*ALMOST, whole=0.995).detect(PHOTO)
    assert found.turned == 0 and found.score == 0.988


def test_what_the_tries_hardly_see_costs_no_further_search() -> None:
    detector = Counted([(0.95, 100.0)], (0, 0, 0.98))
    (found,) = detector.detect(PHOTO)
    assert found.turned == 0 and detector.calls == ["upright", "rough", "fine"]


def test_clear_is_more_than_taken() -> None:
    assert is_clear(0.0, CLEAR_SCORE) and not is_clear(0.0, CLEAR_SCORE - 0.01)
    assert not is_clear(0.99, 0.995) and is_clear(0.9, 0.9999)


def test_a_turned_phone_photograph_is_shrunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    class Sizes(Counted):
        def search_roughly(self, images: Sequence[Image.Image]) -> list[list[Face]]:
            seen.extend(image.size for image in images)
            return super().search_roughly(images)

    large = Image.new("RGB", (2048, 1536))
    (one,) = Sizes([], (0.9999, 0, 0)).detect(large)
    assert set(seen) == {(768, 1024), (1024, 768)} and one.turned == 90


@pytest.mark.slow
def test_an_empty_image_is_searched_for_a_filling_face_in_few_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = MTCNNDetector()
    run, sizes = detector._networks(), []

    def counted(images: Sequence, min_faces: Sequence[int]) -> list:
        sizes.extend(image.shape[:2] for image in images)
        return run(images, min_faces)

    detector._run = counted
    assert detector.search_upright(Image.new("RGB", (640, 480), "navy")) == []
    assert len(sizes) == 2 and max(sizes[1]) < 0.5 * max(sizes[0])
