"""Parts of the Attention page without a page around them: covers, the finding's sentence, and jobs
beside the page.
"""

from __future__ import annotations

import base64
import io
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor

from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_types import AblationReport, AblationRun, Estimate
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.output.share_image import BRAND, FACE_SIZE, SIZE, share_png
from agegender_core.types import AgeEstimate
from tests.support.attention_reports import attention_report_of, change_of
from ui.attention import cover as cover_tab
from ui.attention import cover_share, jobs
from ui.attention.covers import Cover, read_pad, read_word
from ui.attention.finding import FlatteningCost, flattening_cost, signed, trained_without


def painted(size: int, rows: slice, columns: slice) -> Cover:
    pixels = np.zeros((size, size), bool)
    pixels[rows, columns] = True
    return Cover(size, None, np.packbits(pixels).tobytes())


@pytest.mark.parametrize(
    "cover",
    [
        Cover(32, (8, 4, 8)),
        Cover(64, (0, 56, 8)),
        painted(32, slice(3, 9), slice(1, 30)),
        Cover(32),
    ],
)
def test_a_cover_travels_in_an_address(cover: Cover) -> None:
    word = cover.word()
    assert len(word) < 100 and word.isascii() and not set(word) & set("&=#+/ ")
    again = read_word(word, cover.size) or Cover(cover.size)
    np.testing.assert_array_equal(again.pixels, cover.pixels)


def test_patch_and_paint_lie_over_each_other() -> None:
    cover = Cover(32, (0, 0, 4), painted(32, slice(10, 12), slice(0, 32)).painted)
    assert (
        cover.pixels[:4, :4].all() and cover.pixels[10:12].all() and cover.pixels.sum() == 16 + 64
    )
    np.testing.assert_array_equal(read_word(cover.word(), 32).pixels, cover.pixels)


def test_a_cover_is_scaled_to_the_crop_of_another_model() -> None:
    assert read_word("8.4.8.32", 64) == Cover(64, (16, 8, 16))
    half = read_word(painted(32, slice(0, 16), slice(0, 32)).word(), 64)
    assert half.pixels[:32].all() and not half.pixels[32:].any()


@pytest.mark.parametrize(
    "word",
    [
        "",
        None,
        "1.2.3",
        "40.0.8.32",
        "0.0.0.32",
        "0.0.40.32",
        "1.1.1.9999",
        "b32.",
        "b32.!!",
        "b32.AAAA",
        "b9999.AAAA",
        "b0.",
        "٣.1.1.32",
    ],
)
def test_words_that_name_no_cover_are_ignored(word: str | None) -> None:
    assert read_word(word, 32) is None


def test_a_word_that_unpacks_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(10_000_000), 9)).decode()
    assert read_word(f"b32.{bomb}", 32) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        {},
        {"patch": None, "bits": ""},
        {"patch": [1, 2]},
        {"patch": ["a", 1, 2]},
        {"patch": [0, 0, 99]},
        {"bits": "%%"},
        {"bits": "AAAA"},
    ],
)
def test_what_a_browser_must_not_send_is_no_cover(value: Any) -> None:
    assert read_pad(value, 32) is None


def test_what_the_pad_sends() -> None:
    bits = base64.b64encode(painted(32, slice(0, 1), slice(0, 8)).painted).decode()
    cover = read_pad({"patch": [4, 5, 6], "bits": bits}, 32)
    assert cover.patch == (4, 5, 6) and cover.pixels[0, :8].all() and cover.pixels.sum() == 8 + 36


@pytest.mark.parametrize(
    "effect,words",
    [
        (
            FlatteningCost(1.66, 1.2, 2.16, 500, "UTKFace, test"),
            "error grows by 1.66 years: where it looks matters.",
        ),
        (
            FlatteningCost(0.1, 0.05, 0.15, 500, "UTKFace, test"),
            "grows by 0.10 years: where it looks matters, but little.",
        ),
        (
            FlatteningCost(-0.023, -0.11, 0.06, 500, "UTKFace, test"),
            "stays the same (−0.02 years): where it looks does not matter",
        ),
        (
            FlatteningCost(0.26, -0.02, 0.54, 500, "UTKFace, test"),
            "changes by +0.26 years: too uncertain to say whether",
        ),
        (
            FlatteningCost(-0.5, -0.8, -0.2, 500, "UTKFace, test"),
            "shrinks by 0.50 years: where it looks harms",
        ),
    ],
)
def test_the_finding_follows_the_interval(effect: FlatteningCost, words: str) -> None:
    assert words in effect.sentence()
    assert (
        effect.evidence().startswith("500 faces of UTKFace, test, 95 % interval")
        and "earlier" not in effect.evidence()
    )


def test_the_finding_is_read_from_the_report() -> None:
    found = (0.4, 0.3, 0.5)
    report = attention_report_of(
        changes_n=50, changes=(change_of("all", "off", found), change_of("all", "mean", found))
    )
    assert flattening_cost(report) == FlatteningCost(0.4, 0.3, 0.5, 40, "UTKFace, test")
    assert "earlier version of this model" in flattening_cost(report, current=False).evidence()
    assert (
        flattening_cost(attention_report_of(changes=(change_of("all", "mean", None),))) is None
        and flattening_cost(attention_report_of()) is None
    )


def test_signed_numbers() -> None:
    assert [signed(value) for value in (1.2, -0.023, 0.001, -0.001)] == [
        "+1.20",
        "−0.02",
        "0.00",
        "0.00",
    ]
    assert signed(25.88, 1) == "+25.9"


def test_what_the_search_says() -> None:
    assert (
        cover_tab.result_words(8, 6.31, 49, True)
        == "+6.3 years: the patch that makes this face look oldest of 49 places tried with a patch"
        " of 8 × 8 pixels."
    )
    assert "none of them makes this face look younger" in cover_tab.result_words(8, 0.4, 49, False)


def test_a_job_reports_and_ends() -> None:
    go = threading.Event()

    def work(report: Any) -> str:
        report(1, 4)
        go.wait(10)
        return "found"

    job = jobs.Job(work)
    while not job.done:
        assert job.running
    assert job.seconds_left() == pytest.approx(3 * (job._reported - job.started))
    go.set()
    assert job.wait(10) and job.result == "found" and not job.running


def test_a_job_is_cancelled_at_its_next_report_and_the_next_one_gets_its_turn() -> None:
    steps: list[int] = []
    held = threading.Event()

    def work(report: Any) -> None:
        for step in range(1000):
            report(step, 1000)
            steps.append(step)
            held.wait(10)

    job = jobs.Job(work)
    waiting = jobs.Job(lambda report: "next")
    while not steps:
        assert job.running
    assert waiting.started is None, "one at a time"
    job.cancel()
    held.set()
    assert job.wait(10) and job.result is None and job.error is None and len(steps) < 1000
    assert waiting.wait(10) and waiting.result == "next"


def test_a_job_nobody_asks_after_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ABANDONED", -1.0)
    job = jobs.Job(lambda report: "never")
    assert job.wait(10) and job.result is None


def test_a_failing_job_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Any) -> None:
        raise ZeroDivisionError

    def refuse(_: Any) -> None:
        raise ConfigError("no such thing")

    first, second = jobs.Job(fail), jobs.Job(refuse)
    assert (
        first.wait(10)
        and "Something unexpected" in first.error
        and second.wait(10)
        and second.error == "no such thing"
    )


def test_durations() -> None:
    words = [jobs.duration_words(seconds) for seconds in (None, 0.2, 7, 33, 58, 200)]
    assert words == [
        "about a minute",
        "about 1 s",
        "about 7 s",
        "about 35 s",
        "about a minute",
        "about 3 minutes",
    ]


def test_the_covered_face_is_shared_with_both_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    sharp = io.BytesIO()
    Image.new("L", (256, 256), 128).save(sharp, "JPEG")
    info = SimpleNamespace(
        title="Some network",
        measured={"utkface test": {"n": 9, "mae": 4.9}},
        training={},
        decoding=SimpleNamespace(kind="distribution"),
    )
    subject = SimpleNamespace(
        info=info, sharp=sharp.getvalue, answer=SimpleNamespace(image=SimpleNamespace(name="a.jpg"))
    )
    cover = Cover(32, (0, 0, 16))
    before, after = ((AgeEstimate(years=years), None) for years in (38.9, 42.1))
    drawn: list[tuple] = []
    monkeypatch.setattr(
        cover_share, "share_png", lambda *given: drawn.append(given) or share_png(*given)
    )
    file = cover_share.png(subject, cover, before, after, "25 % of the face covered")
    with Image.open(io.BytesIO(file)) as image:
        assert image.size == SIZE and image.format == "PNG"
    panel, age, text, _ = drawn[0]
    left, right = (panel.getpixel((x, FACE_SIZE[1] // 2 - 100)) for x in (50, 400))
    assert left == ImageColor.getrgb(BRAND) and right == (128, 128, 128)
    assert age is after[0] and (text.age, text.unit) == ("42", "years")
    assert text.lines == ("3.2 years older.", "25 % of the face covered; 39 years before")
    assert text.model == "Some network"


@pytest.mark.parametrize(
    ("without", "lesson"),
    [((6.6, 6.7), "learn as well without"), ((7.3, 7.5), "learn better with masks")],
)
def test_masks_are_compared_with_none_over_seeds(
    without: tuple[float, float],
    lesson: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def run(variant: str, seed: int, mae: float) -> AblationRun:
        estimate = Estimate(mae, mae - 0.2, mae + 0.2, 100)
        return AblationRun(
            variant=variant,
            seed=seed,
            commit="abc",
            minutes=10.0,
            pictures=100,
            pictures_seen=1200,
            mae=estimate,
            gender_accuracy=None,
        )

    runs = [run("masks", 0, 6.6), run("masks", 1, 6.8), run("masks", 2, 9.0)]
    runs += [run("no_masks", seed, mae) for seed, mae in enumerate(without)]
    variants = {"masks": "with", "no_masks": "without"}
    report = AblationReport(
        name="controls",
        title="Masks",
        recipe="net",
        set="utkface",
        split="test",
        settings={},
        baseline="masks",
        variants=variants,
        runs=tuple(runs),
    )
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path))
    assert trained_without("net") == ""
    write_json(tmp_path / "ablations" / "controls.json", to_json(report))
    words = trained_without("net")
    mean = sum(without) / 2
    assert "2 pairs of short runs on UTKFace" in words and lesson in words
    assert f"6.70 years with masks and by {mean:.2f} with every mask held at 1" in words
    assert trained_without("other") == ""
