"""What Gradio's answers are drawn with, without a server."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

import gradio_app
from agegender_core.types import AgeEstimate, Analysis, Timing
from tests.support.fakes import FAKE_WEIGHTS, fake_prediction
from ui.gradio import components, figures


def analysis(faces: int) -> Analysis:
    image = Image.new("RGB", (640, 320), (90, 100, 110))
    found = tuple(fake_prediction(image, number, faces) for number in range(faces))
    return Analysis(image, found, FAKE_WEIGHTS, Timing(1, 1, 1), 0)


def test_every_face_has_a_curve_of_its_own() -> None:
    text = components.cards(analysis(3))
    assert text.count('<svg class="ag-curve"') == 3 and text.count("ag-number") == 3
    assert len({part.split("</svg>")[0] for part in text.split("<svg")[1:]}) == 3


def test_a_curve_shows_the_interval_and_needs_a_distribution() -> None:
    probs = np.zeros(101)
    probs[[20, 30, 60]] = 0.25, 0.5, 0.25
    drawn = figures.age_curve(AgeEstimate(35.0, (19.6, 40.0), 0.8, probs))
    assert drawn.count('class="ag-in"') == 2 and drawn.count('class="ag-out"') == 1
    assert "point estimate 35; interval 20 to 40" in drawn
    assert figures.age_curve(AgeEstimate(35.0)) == ""


def test_snippets_name_files_of_the_caller_and_no_address() -> None:
    for made in (components.photo("image"), components.files("files")):
        example = json.dumps([made.example_payload(), made.example_value()])
        assert "http" not in example and "photo.jpg" in example


def test_nothing_empty_is_shown_before_an_answer() -> None:
    demo = gradio_app.build()
    kinds = [
        (block.get_block_name(), getattr(block, "visible", True)) for block in demo.blocks.values()
    ]
    assert [visible for kind, visible in kinds if kind == "dataframe"] == [False, False]
    assert not any(kind == "plot" for kind, _ in kinds)
