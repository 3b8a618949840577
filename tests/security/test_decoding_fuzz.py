"""Mutated images: read or refused with our errors, never a crash, a hang or another error. More of
them by hand, see ``fuzz_images``.
"""

from __future__ import annotations

import sys

import pytest

from tests.security import fuzz_images
from tests.security.fuzz_images import FORMATS, Report, mutated, outcome, run, seeds

pytestmark = pytest.mark.slow

COUNT = 1200
CRASH = "import os; print('{\"base\": 1}', flush=True); os.kill(os.getpid(), 11)"
STUCK = "import time; print('{\"base\": 1}', flush=True); time.sleep(60)"


def test_mutated_pictures_in_eight_formats() -> None:
    report = run(COUNT, seed=7)
    assert report.failures == {}, report.words()
    assert report.by_format == dict.fromkeys(FORMATS, COUNT // len(FORMATS))
    assert report.outcomes["read"] > COUNT // 10 and report.outcomes["truncated"] > COUNT // 10
    assert report.peak_mb < 1000, report.words()


def test_what_once_went_wrong() -> None:
    """Numbers of images that were answered with another error."""
    for seed, number in ((2, 420), (2, 4851)):
        assert outcome(mutated(number, seed)[1]) in ("read", "truncated", "too_many_pixels")


def test_every_seed_is_a_sound_picture() -> None:
    for kind, files in seeds().items():
        assert [outcome(data) for data in files] == ["read"] * len(files), kind


def test_the_same_seed_gives_the_same_pictures() -> None:
    assert [mutated(number, 3) for number in range(40)] == [
        mutated(number, 3) for number in range(40)
    ]
    assert mutated(1, 3) != mutated(1, 4)


@pytest.mark.parametrize(("code", "name"), [(CRASH, "crash"), (STUCK, "hang")])
def test_crashes_and_hangs_are_seen_and_survived(
    monkeypatch: pytest.MonkeyPatch, code: str, name: str
) -> None:
    monkeypatch.setattr(fuzz_images, "GIVE_UP", 3.0)
    monkeypatch.setattr(fuzz_images, "_command", lambda *_: [sys.executable, "-c", code])
    report = run(2)
    assert (
        report.outcomes == {name: 2}
        and set(report.failures) == {0, 1}
        and f"2 {name}" in report.words()
    )


def test_other_errors_and_slow_pictures_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_given: object, **_named: object) -> None:
        raise KeyError("tag")

    monkeypatch.setattr("agegender_core.vision.image_io.load_image", wrong)
    assert outcome(b"") == "untyped KeyError: 'tag'"
    report = Report()
    for told, seconds in (("untyped KeyError: 'tag'", 0.1), ("read", 5.5), ("truncated", 0.1)):
        fuzz_images._add(
            report,
            {
                "number": len(report.outcomes),
                "kind": "PNG",
                "told": told,
                "seconds": seconds,
                "peak": 9.0,
            },
        )
    assert report.outcomes == {"untyped": 1, "hang": 1, "truncated": 1} and set(
        report.failures
    ) == {0, 1}
