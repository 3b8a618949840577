"""The Predict page from a visitor's side: what is shown for good, bad, many and missing images."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from agegender_core.errors import DetectorError, WeightsMissingError
from agegender_core.inference.model_zoo import list_weights
from agegender_core.serving.admission import AdmissionQueue
from agegender_core.types import AgeEstimate, Analysis
from agegender_core.vision.image_io import MAX_BYTES
from tests.support.fakes import FakePredictor
from tests.support.pages import (
    Backend,
    alerts,
    cards,
    html,
    model_info,
    open_tab,
    own_answers,
    png,
    upload,
)
from ui.common import examples, services
from ui.common.image_input import CAMERA, SAMPLE, UPLOAD, privacy_sentence
from ui.common.state import SAVED_UPLOADS, SOURCE
from ui.predict import face_grid


def test_the_samples_answer_stands_there_on_the_first_load(backend: Backend, open_app: Any) -> None:
    app = open_app()
    assert not app.exception
    assert app.title[0].value == "Age and gender from faces"
    assert cards(app) == 1 and len(app.get("plotly_chart")) == 1 and backend.shipped_runs == 1
    text = html(app)
    assert "<b>34</b><span>years</span>" in text and "Likely " in text and "(80 % interval)" in text
    assert "Female" in text and "97.0 %" in text and "Detection score 0.99" in text
    (line,) = [line for line in app.caption if line.value.startswith("1 face · 0.01 s")]
    assert "NASA" in line.value and line.help == "Detection 5 ms, alignment 0 ms, model 4 ms"
    assert "Answered by **Fake network**" in captions(app)


def test_the_next_visitor_waits_for_no_network(backend: Backend, open_app: Any) -> None:
    open_app()
    asked = len(backend.asked)
    assert cards(open_app()) == 1 and backend.shipped_runs == 1 and len(backend.asked) == asked


def test_every_example_is_answered_by_a_click(backend: Backend, open_app: Any) -> None:
    app = open_app()
    for number, (key, example) in enumerate(examples.EXAMPLES.items(), start=1):
        app.button(key=f"example-{key}").click().run()
        assert not app.exception and cards(app) == 1 and backend.shipped_runs == number
        assert example.source in captions(app).replace("\\", "")


def test_an_example_takes_the_place_of_uploads_and_the_other_way_round(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    app = upload(open_app(), png("a.png", photo))
    assert "a.png" in downloads_of(app)
    app.button(key="example-hopper").click().run()
    assert "a.png" not in downloads_of(app) and "Hopper" in captions(app)
    upload(app, png("b.png", photo))
    assert "Hopper" not in captions(app) and "b-faces.json" in downloads_of(app)


def downloads_of(app: AppTest) -> str:
    """File names of the download buttons."""
    return " ".join(
        str(button.proto.help) + str(button.key) for button in app.get("download_button")
    ).replace("a-faces", "a.png")


def test_why_this_answer_opens_attention_with_that_face_and_model(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    backend.predictor = FakePredictor(faces=3)
    app = upload(open_app(), png("three.png", photo))
    app.button(key="why-2").click().run()
    # AppTest does not follow st.switch_page; the browser test does.
    app.switch_page("pages/attention.py").run()
    assert app.session_state["page"] == "Attention"
    assert (
        app.session_state["attention_face"] == 2
        and app.session_state["attention_weights"] == "fake-weights"
    )
    (image,) = app.session_state[SAVED_UPLOADS.key]["Attention"]
    assert image.name == "three.png" and image.data == photo
    assert backend.runs == 1, "the answer is the one of the card"


def test_why_on_the_sample_opens_the_sample_there(backend: Backend, open_app: Any) -> None:
    app = open_app()
    app.button(key="why-1").click().run()
    app.switch_page("pages/attention.py").run()
    assert (
        app.session_state["page"] == "Attention"
        and app.session_state[SOURCE.key] == SAMPLE
        and backend.shipped_runs == 1
    )


def test_uploads_outlive_a_look_at_another_tab(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    app = upload(open_app(), png("a.png", photo))
    open_tab(app, SAMPLE)
    open_tab(app, UPLOAD)
    # One for each image, none for the way back.
    assert cards(app) == 1 and (backend.runs, backend.shipped_runs) == (
        1,
        1,
    )


def test_one_bad_file_leaves_the_others_alone(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    app = upload(
        open_app(), ("notes_[draft].jpg", b"not an image", "image/jpeg"), png("good.png", photo)
    )
    assert "No answer for notes_[draft].jpg" in alerts(app) and "This is a text file" in alerts(app)
    assert cards(app) == 1
    assert "**2 images, 1 face, 1 not read**" in [item.value for item in app.markdown]


def test_an_unexpected_error_is_one_pictures_own(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    class Stumbles(FakePredictor):
        def run(self, source: Any) -> Analysis:
            if source.endswith(b"!"):
                raise RuntimeError("secret detail")
            return super().run(source)

    backend.predictor = Stumbles()
    app = upload(open_app(), png("odd.png", photo + b"!"), png("good.png", photo))
    assert "No answer for odd.png" in alerts(app) and "secret detail" not in alerts(app)
    assert cards(app) == 1


def test_many_bad_files_share_one_card(backend: Backend, open_app: Any) -> None:
    app = upload(open_app(), *[(f"{number}.jpg", b"text", "image/jpeg") for number in range(9)])
    assert len(app.error) == 1 and "No answer for 9 images" in alerts(app)


def test_no_face_comes_with_advice(backend: Backend, open_app: Any, photo: bytes) -> None:
    backend.predictor = FakePredictor(faces=0)
    app = upload(open_app(), png("wall.png", photo))
    assert "No face found in wall.png" in alerts(app) and "both eyes" in alerts(app)
    assert cards(app) == 0 and not app.error
    assert "Answered by" not in captions(app) and "Model: **Fake network**" in captions(app)
    assert not app.get("download_button"), "there is nothing to save"


def test_nothing_is_said_to_be_answered_where_no_image_was(backend: Backend, open_app: Any) -> None:
    app = upload(open_app(), ("notes.jpg", b"not an image", "image/jpeg"))
    assert "No answer for notes.jpg" in alerts(app)
    assert "Answered by" not in captions(app) and "Model: **Fake network**" in captions(app)
    assert not app.get("download_button")


def test_too_large_a_file_is_told_its_limit(backend: Backend, open_app: Any) -> None:
    app = upload(open_app(), ("huge.jpg", b"\xff\xd8\xff" + bytes(MAX_BYTES), "image/jpeg"))
    assert "larger than 25 MB" in alerts(app)


@pytest.mark.parametrize(("mb", "shown"), [("10", 10), ("200", 60)])
def test_the_uploader_has_the_limit_of_an_image(
    backend: Backend, open_app: Any, monkeypatch: pytest.MonkeyPatch, mb: str, shown: int
) -> None:
    """Nothing above what the server takes of one file."""
    monkeypatch.setenv("AGEGENDER_MAX_MB", mb)
    monkeypatch.setattr("ui.common.image_input.st.get_option", lambda name: 60)
    assert open_app().file_uploader[0].proto.max_upload_size_mb == shown


def test_a_turned_picture_is_noted(backend: Backend, open_app: Any, photo: bytes) -> None:
    backend.predictor = FakePredictor(turned=90)
    assert "The image is shown turned 90° counter-clockwise" in html(
        upload(open_app(), png("side.png", photo))
    )


def test_another_network_says_as_well_how_many_faces_were_left_out(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    class Cuts(FakePredictor):
        def run(self, source: Any) -> Analysis:
            return dataclasses.replace(
                super().run(source),
                left_out=7 if backend.detections == 1 and backend.runs == 1 else 0,
            )

    backend.predictor, backend.installed = (
        Cuts(),
        [model_info(), model_info("other", "Other network", default=False)],
    )
    app = upload(open_app(), png("crowd.png", photo))
    assert "7 smaller faces were left out" in captions(app)
    app.selectbox[0].select("other").run()
    assert backend.runs == 2 and backend.detections == 1
    assert "7 smaller faces were left out" in captions(app)


def captions(app: AppTest) -> str:
    return "\n".join(element.value for element in app.caption)


def test_a_crowd_is_a_grid_to_sort_with_one_line_of_summary(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    backend.predictor = FakePredictor(faces=face_grid.CARDS)
    app = upload(open_app(), png("six.png", photo))
    assert cards(app) == len(app.get("plotly_chart")) == face_grid.CARDS and not app.dataframe
    backend.predictor = FakePredictor(faces=20)
    app = upload(open_app(), png("crowd.png", photo))
    (table,) = [frame.value for frame in app.dataframe]
    assert len(table) == 20 and list(table.columns) == ["", "Face", "Age", "Interval", "Gender"]
    assert cards(app) == 1 == len(app.get("plotly_chart")) and "Face 1" in html(app)
    ages = table["Age"]
    assert f"**20 faces, {ages.min():.0f}–{ages.max():.0f}, median {ages.median():.0f}**" in [
        item.value for item in app.markdown
    ]
    assert (
        table["Face"].str.startswith("data:image/jpeg").all()
        and table["Interval"].str.startswith("data:image/svg").all()
    )


def test_faces_are_numbered_from_left_to_right(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    class RightFirst(FakePredictor):
        def run(self, source: Any) -> Analysis:
            analysis = super().run(source)
            return dataclasses.replace(analysis, predictions=analysis.predictions[::-1])

    backend.predictor = RightFirst(faces=4)
    app = upload(open_app(), png("row.png", photo))
    (answer,) = own_answers(app)
    lefts = [one.face.box_xyxy[0] for one in answer.predictions]
    assert (
        lefts
        == sorted(lefts)
        == pytest.approx(
            [face["face"]["box_xyxy"][0] for face in answer.document["faces"]], abs=0.1
        )
    )
    assert [row["face"] for row in answer.rows] == [1, 2, 3, 4]


def test_many_pictures_show_one_at_a_time(backend: Backend, open_app: Any, photo: bytes) -> None:
    backend.predictor = FakePredictor(faces=2)
    app = upload(open_app(), *[png(f"={number}.png", photo) for number in range(5)])
    assert len(app.get("plotly_chart")) == 2 and backend.runs == 5
    assert set(app.dataframe[0].value["Image"]) == {f"'={number}.png" for number in range(5)}, (
        "the table's own button writes CSV: no name in it may be a formula"
    )
    app.selectbox(key="picture-choice").select_index(3).run()
    assert app.selectbox(key="picture-choice").value == 3
    assert len(app.dataframe[0].value) == 10 and backend.runs == 5


def test_a_rerun_recomputes_nothing_and_keeps_no_pixels(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    app = upload(open_app(), png("a.png", photo))
    app.run()
    assert backend.runs == 1
    (answer,) = own_answers(app)
    assert len(answer.preview) < 100_000
    assert not any(isinstance(value, Image.Image | np.ndarray) for value in vars(answer).values())


def test_memory_for_answers_is_bounded(
    backend: Backend, open_app: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.common.session_results.MAX_ANSWERS", 3)
    app = open_app()
    for number in range(5):
        upload(app, png(f"{number}.png", photo))
    assert len(app.session_state["answers"]) == 3
    upload(app, *[png(f"{number}.png", photo) for number in range(6)])
    assert len(app.session_state["answers"]) == 6  # what is at hand stays
    monkeypatch.setattr("ui.common.session_results.MAX_ANSWER_BYTES", 0)
    upload(app, png("last.png", photo))
    assert [key[1] for key in app.session_state["answers"]] == ["last.png"]


def test_race_is_hidden_unless_the_operator_wants_it(
    backend: Backend, open_app: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = upload(open_app(), png("a.png", photo))
    assert set(backend.asked) == {("fake-weights", False)} and "White" not in html(app)
    monkeypatch.setenv("AGEGENDER_RACE", "1")
    backend.predictor = FakePredictor(race=True)
    app = upload(open_app(), png("a.png", photo))
    assert backend.asked[-1] == ("fake-weights", True) and "White" in html(app)
    open_tab(app, CAMERA)
    assert "race category" in html(app)


def test_people_are_told_before_the_camera_opens(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    app = open_tab(open_app(), CAMERA)
    assert privacy_sentence(race=False) in html(app)
    assert not app.camera_input
    app.button(key="camera_button").click().run()
    assert len(app.camera_input) == 1 and privacy_sentence(race=False) in html(app)
    order = [element.type for element in app.columns[0]]
    assert order.index("html") < order.index("camera_input")
    app.camera_input[0].upload("shot.jpg", photo).run()
    assert cards(app) == 1
    app.button(key="camera_button").click().run()
    assert not app.camera_input and cards(app) == 0


def test_without_weights_the_page_says_what_to_do(backend: Backend, open_app: Any) -> None:
    backend.installed = []
    app = open_app()
    assert not app.exception and "No trained weights are installed" in alerts(app)
    assert "agegender weights list" in alerts(app) and not app.file_uploader


@pytest.mark.parametrize(
    "error",
    [
        WeightsMissingError("/srv/secret/weights.safetensors is missing"),
        DetectorError("no /srv/secret"),
    ],
)
def test_a_network_that_cannot_start_keeps_paths_to_the_log(
    backend: Backend, open_app: Any, photo: bytes, error: Exception
) -> None:
    backend.predictor = error
    app = upload(open_app(), png("a.png", photo))
    assert len(app.error) == 1 and "secret" not in alerts(app) and cards(app) == 0


def test_a_wrong_switch_is_named(
    backend: Backend, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_RACE", "maybe")
    assert "AGEGENDER_RACE" in alerts(open_app())


def test_weights_can_be_chosen_where_there_are_several(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    app = upload(open_app(), png("a.png", photo))
    assert not app.selectbox
    backend.installed = [model_info(), model_info("other", "Other network", default=False)]
    app = upload(open_app(), png("a.png", photo))
    app.selectbox(key="weights").select("other").run()
    assert backend.asked[-1] == ("other", False)


def test_a_network_without_a_distribution_gets_no_curve(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    class TwoValues(FakePredictor):
        def run(self, source: Any) -> Analysis:
            analysis = super().run(source)
            age = AgeEstimate(41.6, (30.2, 53.0), 0.8, None, "40-49")
            return dataclasses.replace(
                analysis,
                predictions=tuple(dataclasses.replace(p, age=age) for p in analysis.predictions),
            )

    backend.predictor = TwoValues()
    app = upload(open_app(), png("a.png", photo))
    assert not app.get("plotly_chart") and any(
        "no distribution" in line.value for line in app.caption
    )
    assert "Likely 30–53 (80 % interval)" in html(app)


def test_about_page_opens(backend: Backend, open_app: Any) -> None:
    app = open_app().switch_page("pages/about.py").run()
    assert not app.exception and app.title[0].value == "About"
    assert any("Terms of the training data" in line.value for line in app.caption)


def test_the_real_predictor_answers_the_sample(
    open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not any(item.installed for item in list_weights()):
        pytest.skip("no trained weights are installed")
    monkeypatch.delenv("AGEGENDER_RACE", raising=False)
    monkeypatch.delenv("AGEGENDER_WEIGHTS", raising=False)
    app = open_tab(open_app(), SAMPLE)
    assert cards(app) == 1 and len(app.get("plotly_chart")) == 1 and not app.error


def test_a_full_queue_refuses_politely_and_answers_later(
    backend: Backend, open_app: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = AdmissionQueue(1, 0)
    monkeypatch.setattr("ui.common.services.admission", lambda: gate)
    with gate.admit():
        app = upload(open_app(), png("good.png", photo))
        assert (
            "Many people are asking right now" in alerts(app)
            and cards(app) == 0
            and backend.runs == 0
        )
    app.run()
    assert cards(app) == 1 and backend.runs == 1 and "Many people" not in alerts(app)


def test_sessions_of_one_address_do_not_shut_another_visitor_out(
    backend: Backend, open_app: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = AdmissionQueue(5, 0)
    monkeypatch.setattr("ui.common.services.admission", lambda: gate)
    with contextlib.ExitStack() as others:
        for _ in range(gate.share):
            others.enter_context(gate.admit(caller="10.0.0.1"))
        monkeypatch.setattr("ui.common.gated.client", lambda: "10.0.0.1")
        app = upload(open_app(), png("good.png", photo))
        assert "from your address" in alerts(app) and cards(app) == 0 and backend.runs == 0
        monkeypatch.setattr("ui.common.gated.client", lambda: "10.0.0.2")
        app = upload(open_app(), png("good.png", photo))
        assert cards(app) == 1 and not app.error


def test_who_waits_is_told_and_then_answered(
    backend: Backend, open_app: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, told = AdmissionQueue(1, 5), threading.Event()
    monkeypatch.setattr("ui.common.services.admission", lambda: gate)
    caption = DeltaGenerator.caption

    def heard(self: DeltaGenerator, text: str, **how: Any) -> DeltaGenerator:
        if "You are number 2 in the queue" in text:
            told.set()
        return caption(self, text, **how)

    monkeypatch.setattr(DeltaGenerator, "caption", heard)
    inside = threading.Event()

    def occupy() -> None:
        with gate.admit():
            inside.set()
            told.wait(30)

    other = threading.Thread(target=occupy)
    other.start()
    assert inside.wait(30)
    app = upload(open_app(), png("good.png", photo))
    other.join(30)
    assert told.is_set() and cards(app) == 1


def test_the_operators_number_of_pictures_counts(
    backend: Backend, open_app: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_MAX_PICTURES", "1")
    monkeypatch.setenv("AGEGENDER_MAX_MB", "7")
    app = upload(open_app(), png("one.png", photo), png("two.png", photo))
    assert backend.runs == 1 and any("up to 7 MB" in item.value for item in app.caption)


def test_about_points_to_gradio_where_it_is_served(
    open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app().switch_page("pages/about.py").run()
    assert not any("/predict_batch" in block.value for block in app.markdown)
    monkeypatch.setitem(services.mounted_apps, "gradio", "/gradio/")
    assert any("[The same in Gradio](/gradio/)" in block.value for block in app.run().markdown)


def test_about_says_when_gradio_could_not_start(
    open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app().switch_page("pages/about.py").run()
    assert not app.warning
    monkeypatch.setitem(services.missing, "gradio", "ValueError, see the server's log")
    (warning,) = app.run().warning
    assert "log says why" in warning.value and not any(
        "/predict_batch" in block.value for block in app.markdown
    )
