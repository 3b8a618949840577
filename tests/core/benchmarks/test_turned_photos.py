"""Measuring how often turned photographs are recognised, on made-up scores and on two real
searches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agegender_core.benchmarks import turned_photos
from agegender_core.benchmarks.turned_photos import (
    measure,
    only_where_nothing_was_found,
    report,
    search,
    turn_of,
)
from agegender_core.types import TURNS
from agegender_core.vision.face_detector import MTCNNDetector


def scores(upright: dict[int, float], turned: dict[int, float]) -> dict[str, dict[str, float]]:
    places = (0, 90, 180, 270)
    return {
        "upright": {str(place): upright.get(place, 0.0) for place in places},
        "turned": {str(place): turned.get(place, 0.0) for place in places},
    }


EASY = scores({0: 0.9999}, {0: 0.9999})
WEAK = scores({0: 0.9999, 90: 0.95, 180: 0.993, 270: 0.9}, {0: 0.9999, 180: 0.96})
DOUBTFUL = scores({0: 0.97, 90: 0.996}, {0: 0.9985, 90: 0.9999})
"""Upright it shows something weak; turned by 90 degrees chance finds are surer than its face,
whichever way it comes."""


def test_turns_are_those_that_bring_the_photograph_back() -> None:
    for photograph in (EASY, WEAK):
        assert [turn_of(photograph, place, 0.995)[0] for place in (0, 90, 180, 270)] == [
            0,
            270,
            180,
            90,
        ]
    assert turn_of(EASY, 0, 0.995) == (0, False) and turn_of(EASY, 90, 0.995) == (270, True)
    assert [
        turn_of(WEAK, place, 0.995, only_where_nothing_was_found)[0] for place in (0, 90, 180, 270)
    ] == [0, 0, 0, 0]


def test_a_turn_left_open_is_decided_by_the_whole_search() -> None:
    one = scores({0: 0.9999, 180: 0.988}, {0: 0.9956})
    assert turn_of(one, 180, 0.995) == (180, True)
    assert turn_of(scores({0: 0.995, 180: 0.988}, {0: 0.9956}), 180, 0.995) == (0, True)
    assert turn_of(scores({0: 0.9999, 180: 0.97}, {0: 0.98}), 180, 0.995) == (0, True)


def test_rough_attempts_are_no_part_of_the_rule_before() -> None:
    one = scores({0: 0.9999}, {}) | {"rough 90": {"90": 0.0, "180": 0.0, "270": 0.999}}
    assert measure({"a": one}, 0.995).recognised["90"] == 100
    assert report({"a": one}).before.recognised["90"] == 0


def test_the_report_is_written_into_the_folder_of_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setattr(turned_photos, "collect", lambda _: {"a": EASY})
    turned_photos.main()
    stored = json.loads((tmp_path / "reports" / "turned_photos.json").read_text())
    assert stored["photographs"] == 1 and not list(Path().iterdir())


def test_shares_are_counted() -> None:
    found = measure({"a": EASY, "b": WEAK, "c": DOUBTFUL, "d": EASY}, 0.995)
    assert found.recognised == {"90": 75.0, "270": 75.0, "180": 75.0}
    assert (
        found.turned_wrongly == 1
        and found.turned_wrongly_percent == 25.0
        and found.paid_percent == 25.0
    )


def test_a_search_agrees_with_what_the_detector_answers(portrait: Image.Image) -> None:
    detector = MTCNNDetector()
    photo = portrait.resize((240, 240))
    found = search(detector, photo)
    for place in (0, 270):
        turned = photo.transpose(TURNS[place]) if place else photo
        turn, _ = turn_of(found, place, detector.config.sure)
        assert {face.turned for face in detector.detect(turned)} == {turn}
    assert 0.9 < found["upright"]["270"] < 0.99 < found["upright"]["0"]


@pytest.mark.data
def test_a_few_real_photographs() -> None:
    from agegender_core.datasets import read_row
    from agegender_core.vision.image_io import load_image

    photographs = {
        str(row): search(MTCNNDetector(), load_image(read_row("fgnet", row)[1]))
        for row in (59, 431)
    }
    found = measure(photographs, 0.995)
    assert np.mean(list(found.recognised.values())) == 100 and found.turned_wrongly == 0
