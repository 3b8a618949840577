"""The parts pages are made of, each by itself."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agegender_core.errors import InvalidImageError
from agegender_core.output.counts import counted
from agegender_core.output.drawing import relative_luminance
from agegender_core.output.gender import EVEN, LIVE_DECIDED, LIVE_UNDECIDED, gender_words
from agegender_core.output.tables import analysis_json, face_rows
from agegender_core.types import AgeEstimate, Analysis, Categorical, Face, Prediction, Timing
from agegender_core.vision.face_detector import DetectorConfig
from tests.support import ROOT
from tests.support.fakes import FakePredictor, fake_age
from ui.attention.export import answer_words
from ui.common import charts, downloads, messages, result_card
from ui.common.preview import PREVIEW_SIDE, age_words, preview
from ui.common.session_results import Answer, Failure, InputImage
from ui.predict import face_grid

SOURCES = sorted([ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "ui").glob("*.py")])
CROP = Image.new("RGB", (48, 48))


def make_answer(name: str, data: bytes, faces: int = 1) -> Answer:
    analysis = FakePredictor(faces).run(data)
    said = (analysis.predictions, analysis.weights, analysis.timing, analysis.turned)
    return Answer(
        InputImage(name, data),
        *said,
        analysis_json(name, analysis),
        face_rows(name, analysis),
        preview(analysis),
    )


def prediction(**changes: object) -> Prediction:
    parts = {
        "face": Face((0, 0, 80, 80), 0.99),
        "age": fake_age(34),
        "gender": None,
        "weights": "w",
        "crop": CROP,
    }
    return Prediction(**{**parts, **changes})


def test_chart_shows_every_age_once_and_splits_at_the_interval() -> None:
    age = fake_age(34)
    inside, outside, stem = charts.age_chart(age).data
    assert len(inside.x) + len(outside.x) == 101 and sum(inside.y) + sum(
        outside.y
    ) == pytest.approx(100)
    assert age.interval is not None
    assert (min(inside.x), max(inside.x)) == tuple(round(value) for value in age.interval)
    assert inside.hovertemplate.startswith("age %{x}: %{y:.1f} %") and stem.x[0] == age.years
    without = charts.age_chart(AgeEstimate(34.0, probs=age.probs))
    assert len(without.data[0].x) == 0 and len(without.data[1].x) == 101


def test_interval_words() -> None:
    assert (
        result_card.interval_words(AgeEstimate(34, (27.4, 42.6), 0.8))
        == "Likely 27–43 (80 % interval)"
    )
    assert result_card.interval_words(AgeEstimate(34, (27.4, 42.6))) == "Likely 27–43"
    assert result_card.interval_words(AgeEstimate(34)).startswith("No interval")


def test_cautions_name_their_reasons() -> None:
    good = prediction(gender=Categorical(("Female", "Male"), 0, (0.97, 0.03)))
    assert result_card.cautions(good) == []
    doubtful = prediction(
        face=Face((0, 0, 30, 90), 0.91), gender=Categorical(("Female", "Male"), 0, (0.55, 0.45))
    )
    sure, small, even = result_card.cautions(doubtful)
    assert (
        "detector is not sure" in sure
        and "face is small" in small
        and even == "Gender: too close to call."
    )


def test_genders_are_named_by_one_rule() -> None:
    assert gender_words("Female", 0.97) == "Female 97 %"
    assert gender_words("Female", 0.62) == "Too close to call (Female 62 %)"
    assert gender_words("Male", EVEN) == "Male 70 %" and gender_words("Male", None) == "Male"
    assert gender_words(None, None) == ""
    assert LIVE_UNDECIDED < EVEN < LIVE_DECIDED
    assert f"less than {100 * EVEN:.0f} % too close to call" in (ROOT / "docs/api.md").read_text()
    close = Categorical(("Female", "Male"), 0, (0.62, 0.38))
    words = answer_words(AgeEstimate(38.9), close)
    assert words == "Estimate: 38.9 years, gender too close to call (Female 62 %)."
    sure = Categorical(("Female", "Male"), 0, (0.93, 0.07))
    assert answer_words(AgeEstimate(38.9), sure) == "Estimate: 38.9 years, Female 93 %."
    table = face_grid.face_table([prediction(gender=close), prediction(gender=sure)])
    assert list(table["Gender"]) == ["Too close to call (Female 62 %)", "Female 93 %"]
    assert "too close to call" in result_card.undecided(close) and not result_card.undecided(sure)


def test_a_range_is_drawn_in_signs_the_font_has() -> None:
    ranges = Categorical(("10-19", "20-29"), 1, (0.1, 0.9))
    assert age_words(AgeEstimate(30.4, ranges=ranges)) == "20-29"


def test_counts_and_turns_in_words() -> None:
    assert [counted(n, "part") for n in (0, 1, 2, 1234)] == [
        "0 parts",
        "1 part",
        "2 parts",
        "1,234 parts",
    ]
    assert result_card.left_out_words(1) == "1 smaller face was left out"
    assert result_card.left_out_words(7) == "7 smaller faces were left out"
    assert "turned 90° clockwise" in result_card.turned_words(270)
    assert "turned upside down" in result_card.turned_words(180)


def test_a_fast_answer_took_some_time(photo: bytes) -> None:
    answer = make_answer("a.png", photo)
    fast = dataclasses.replace(answer, timing=Timing(0, 1.2, 2.9))
    assert result_card.timing_words(fast).startswith("1 face · under 0.01 s")
    slower = dataclasses.replace(answer, timing=Timing(0, 3, 3))
    assert result_card.timing_words(slower).startswith("1 face · 0.01 s")


def test_the_smallest_face_is_the_detectors_and_the_same_everywhere() -> None:
    config = DetectorConfig()
    assert f"{config.min_face} pixels wide or more" in messages.SMALLEST_FACE
    assert f"over {config.longest_side:,} pixels" in messages.SMALLEST_FACE
    assert config.longest_side / config.min_face > 40, "1/40 of the longer side is large enough"
    assert f"better from {result_card.SMALL_FACE} pixels on" in messages.SMALLEST_FACE
    assert messages.SMALLEST_FACE in " ".join(messages.NO_FACE_TIPS)
    short = messages.SMALLEST_FACE.replace("pixels", "px").replace("; ", ", ")
    written = " ".join((ROOT / "docs/api.md").read_text().split())
    for part in short.split(", "):
        assert part.removeprefix("in an image of ") in written, part


def test_tables_of_a_network_of_ranges_name_the_range() -> None:
    ranges = Categorical(("10-19", "20-29"), 1, (0.1, 0.9))
    table = face_grid.face_table([prediction(age=AgeEstimate(30.4, ranges=ranges))])
    assert list(table["Age"]) == ["20–29"]


def test_labels_are_escaped_and_may_lack_probabilities() -> None:
    assert "<script>" not in result_card.choice(Categorical(("<script>", "b"), 0, (0.6, 0.4)))
    assert "no probability" in result_card.choice(Categorical(("Female", "Male"), 1))


def test_plain_keeps_markdown_out_of_file_names() -> None:
    assert messages.plain("a_b[c](d).jpg") == r"a\_b\[c\]\(d\)\.jpg"


def test_preview_is_small_and_survives_boxes_outside() -> None:
    image = Image.new("RGB", (4000, 500))
    faces = (
        Face((-50, -50, 200, 200), 0.9),
        Face((4100, 0, 4200, 90), 0.9),
        Face((3990, 480, 4010, 520), 0.9),
    )
    fake = FakePredictor().run(image)
    analysis = Analysis(image, tuple(prediction(face=face) for face in faces), "w", fake.timing)
    shown = Image.open(io.BytesIO(preview(analysis)))
    assert shown.format == "JPEG" and shown.size == (PREVIEW_SIDE, 160)
    assert np.asarray(shown).max() > 100  # boxes were drawn


def test_downloads_of_one_and_of_many(photo: bytes) -> None:
    one, other = make_answer("a.png", photo), make_answer("b.png", photo, faces=2)
    failure = Failure(InputImage("c.jpg", b"text"), InvalidImageError("no image"))
    assert len(json.loads(downloads.json_text([one]))["faces"]) == 1
    documents = json.loads(downloads.json_text([one, other, failure]))
    assert [len(item.get("faces", [])) for item in documents] == [1, 2, 0] and documents[2][
        "error"
    ]["message"] == "no image"
    assert len(downloads.csv_text([one, other, failure]).splitlines()) == 1 + 1 + 2 + 1
    assert Image.open(io.BytesIO(downloads.png(one))).size == (320, 240)
    archive = zipfile.ZipFile(io.BytesIO(downloads.images_zip([one, other])))
    assert archive.namelist() == ["001-a.jpg", "002-b.jpg"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_imports_run_one_way(path: Path) -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    roots = {name.split(".")[0] for name in names}
    assert roots.isdisjoint({"torch", "torchvision", "facenet_pytorch", "pages", "app"})
    if path.parent.name == "pages":
        assert "agegender_core.inference.predictor" not in names


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_theme_is_readable_and_needs_no_network(mode: str) -> None:
    text = (ROOT / ".streamlit" / "config.toml").read_text()
    assert "http" not in text
    theme = tomllib.loads(text)["theme"][mode]
    for back in ("backgroundColor", "secondaryBackgroundColor"):
        assert contrast(theme["textColor"], theme[back]) >= 7
        assert contrast(theme["primaryColor"], theme[back]) >= 4.5
        assert contrast(theme["linkColor"], theme[back]) >= 4.5
    for name in ("red", "blue", "yellow"):
        assert contrast(theme[f"{name}TextColor"], theme[f"{name}BackgroundColor"]) >= 4.5
    colours = theme["chartCategoricalColors"]
    assert len(colours) == 10  # with fewer, the browser drops them all
    assert (
        contrast(colours[0], theme["backgroundColor"]) >= 3
        and contrast(colours[2], colours[0]) >= 1.5
    )


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    bright, dark = sorted((relative_luminance(one), relative_luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
