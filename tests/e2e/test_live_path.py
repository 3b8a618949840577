"""What the bench of the live video makes of frames that a browser read; without a browser."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.e2e.live_bench import Note, delays, shown_fps


def notes(codes: list[int], shown: list[int], every: float = 50.0) -> list[Note]:
    return [
        Note(code, every * place, number, 640)
        for place, (code, number) in enumerate(zip(codes, shown, strict=True))
    ]


def test_every_frame_read_and_new() -> None:
    assert shown_fps(notes([1, 2, 3, 4, 5], [10, 11, 12, 13, 14])) == (20.0, 20.0)


def test_frames_that_were_shown_but_not_read_count() -> None:
    assert shown_fps(notes([1, 3, 4, 8], [10, 12, 13, 17], 100.0)) == (pytest.approx(70 / 3),) * 2


def test_a_frame_shown_twice_is_not_new() -> None:
    fps, new = shown_fps(notes([1, 1, 2, 2, 3], [1, 2, 3, 4, 5]))
    assert (fps, new) == (20.0, 10.0)


def test_nothing_read_is_no_frames() -> None:
    assert shown_fps([]) == shown_fps(notes([1], [1])) == (0.0, 0.0)


def test_a_frame_is_on_its_way_since_the_camera_showed_it() -> None:
    sent = notes([1, 2, 3], [1, 2, 3])
    back = [Note(1, 120.0, 1, 640), Note(3, 230.0, 2, 640), Note(77, 240.0, 3, 640)]
    assert delays(sent, back, 255) == [120.0, 130.0]
