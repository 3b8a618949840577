"""The sample portrait is one file with one answer, whichever front end shows it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from agegender_core import load_predictor
from agegender_core.datasets.sample_image import sample_file, sample_portrait
from agegender_core.output.drawing import label_texts
from agegender_core.serving import service
from ui.common import examples, result_card


def test_every_front_end_shows_the_same_file(gradio_parts: ModuleType) -> None:
    upright, on_its_side = (Path(path).read_bytes() for (path,) in gradio_parts.examples())
    assert examples.image(examples.FIRST).data == upright == sample_file()
    assert on_its_side == sample_file(Image.Transpose.ROTATE_90)


def test_one_picture_has_one_answer(tmp_path: Path, gradio_parts: ModuleType) -> None:
    (tmp_path / "sample.png").write_bytes(sample_file())
    answers = [
        load_predictor().run(str(tmp_path / "sample.png")),  # the command line
        load_predictor().run(sample_portrait()),  # Python
        service.predict(examples.image(examples.FIRST).data),  # Streamlit and the API
        service.predict(Path(gradio_parts.examples()[0][0]).read_bytes()),  # Gradio
    ]
    told = [answer.as_dict() | {"timing": None} for answer in answers]
    assert all(one == told[0] for one in told)
    age = answers[0].predictions[0].age
    low, high = (round(end) for end in age.interval)
    assert f"({low}-{high})" in label_texts(1, answers[0].predictions[0])[0], (
        "the drawn label says what the card says"
    )
    assert f"{low}–{high}" in result_card.interval_words(age)


def test_the_sample_on_its_side_is_answered_nearly_the_same(gradio_parts: ModuleType) -> None:
    upright, on_its_side = (
        service.predict(Path(path).read_bytes()) for (path,) in gradio_parts.examples()
    )
    assert on_its_side.turned == 270 and upright.turned == 0
    assert on_its_side.predictions[0].age.years == pytest.approx(
        upright.predictions[0].age.years, abs=1
    )


def test_the_caption_of_the_second_portrait_is_true_of_the_default_model() -> None:
    assert "The default model takes her for a man: sure of it" in examples.HOPPER
    (answer,) = load_predictor().predict(examples.image("hopper").data)
    assert answer.gender is not None and answer.gender.label == "Male"
    assert answer.gender.probs is not None and max(answer.gender.probs) > 0.9
