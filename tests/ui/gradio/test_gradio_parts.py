"""What Gradio's answers are drawn with, without a server."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from agegender_core.types import AgeEstimate, Analysis, Categorical, Timing
from tests.support import ROOT
from tests.support.fakes import FAKE_WEIGHTS, fake_prediction
from ui.common.messages import SMALLEST_FACE
from ui.gradio import figures


def analysis(faces: int) -> Analysis:
    image = Image.new("RGB", (640, 320), (90, 100, 110))
    found = tuple(fake_prediction(image, number, faces) for number in range(faces))
    return Analysis(image, found, FAKE_WEIGHTS, Timing(1, 1, 1), 0)


def test_every_face_has_a_curve_of_its_own(gradio_parts: ModuleType) -> None:
    text = gradio_parts.cards(analysis(3))
    assert text.count('<svg class="ag-curve"') == 3 and text.count("ag-number") == 3
    assert len({part.split("</svg>")[0] for part in text.split("<svg")[1:]}) == 3


def test_the_table_names_a_gender_by_the_rule(gradio_parts: ModuleType) -> None:
    found = analysis(1)
    close = Categorical(("Female", "Male"), 0, (0.62, 0.38))
    predictions = (dataclasses.replace(found.predictions[0], gender=close),)
    table = gradio_parts.table([("a.jpg", dataclasses.replace(found, predictions=predictions))])
    assert list(table["Gender"]) == ["Too close to call (Female 62 %)"]
    empty = gradio_parts.table([("a.jpg", analysis(0))])
    assert "Gender" not in empty and list(empty["Note"]) == ["No face found."]


def test_a_network_of_ranges_has_no_year_in_the_table(gradio_parts: ModuleType) -> None:
    found = analysis(1)
    ranges = Categorical(("10-19", "20-29"), 1, (0.1, 0.9))
    age = AgeEstimate(30.4, group="20-29", ranges=ranges)
    predictions = (dataclasses.replace(found.predictions[0], age=age),)
    table = gradio_parts.table([("a.jpg", dataclasses.replace(found, predictions=predictions))])
    assert "Age" not in table and list(table["Range"]) == ["20–29"]


def test_words_of_a_batch(gradio_parts: ModuleType) -> None:
    answers = [("a.jpg", analysis(1)), ("b.jpg", ValueError("no")), ("c.jpg", analysis(0))]
    assert "3 images, 1 face, 1 failed." in gradio_parts.batch_words(answers)
    assert "1 image, 2 faces, 0 failed." in gradio_parts.batch_words([("a.jpg", analysis(2))])
    words = gradio_parts.cards(analysis(0))
    assert SMALLEST_FACE in words


def test_columns_are_wide_enough_for_their_headings(gradio_parts: ModuleType) -> None:
    table = gradio_parts.table([("a.jpg", analysis(1))])
    widths = gradio_parts.shown(table)["column_widths"]
    assert len(widths) == len(table.columns) and min(widths) >= 70


def test_a_curve_shows_the_interval_and_needs_a_distribution() -> None:
    probs = np.zeros(101)
    probs[[20, 30, 60]] = 0.25, 0.5, 0.25
    drawn = figures.age_curve(AgeEstimate(35.0, (19.6, 40.0), 0.8, probs))
    assert drawn.count('class="ag-in"') == 2 and drawn.count('class="ag-out"') == 1
    assert "point estimate 35; interval 20 to 40" in drawn
    assert figures.age_curve(AgeEstimate(35.0)) == ""


def test_snippets_name_files_of_the_caller_and_no_address(gradio_parts: ModuleType) -> None:
    for made in (gradio_parts.photo("image"), gradio_parts.files("files")):
        example = json.dumps([made.example_payload(), made.example_value()])
        assert "http" not in example and "photo.jpg" in example


def test_nothing_empty_is_shown_before_an_answer(gradio_parts: ModuleType) -> None:
    from ui.gradio import front_end

    demo = front_end.build()
    kinds = [
        (block.get_block_name(), getattr(block, "visible", True)) for block in demo.blocks.values()
    ]
    assert [visible for kind, visible in kinds if kind == "dataframe"] == [False, False]
    assert not any(kind == "plot" for kind, _ in kinds)


IMPORT = """
import os, sys, tempfile
from pathlib import Path

told = lambda: {name: value for name, value in os.environ.items() if name.startswith("GRADIO_")}
before = told()
import gradio_app, ui.gradio.hooks, ui.gradio.mounting
from ui.gradio import preparation

folders = lambda: list(Path(tempfile.gettempdir()).iterdir())
assert told() == before and folders() == [] and "gradio" not in sys.modules
try:
    preparation.folder()
except RuntimeError as error:
    assert "prepare()" in str(error)
else:
    raise AssertionError("a folder that nobody made")
folder = preparation.prepare()
assert preparation.prepare() == preparation.folder() == folder and folders() == [folder]
assert folder.stat().st_mode & 0o777 == 0o700, "others of this machine must not look into it"
assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
import gradio

assert gradio.Textbox().GRADIO_CACHE == str(folder), "Gradio writes elsewhere"
"""


def test_gradio_is_prepared_when_it_is_asked_for_and_not_by_an_import(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert list(tmp_path.iterdir()) == [], "the folder ends with the process"
