"""«Share» on the cards: what the image says, when it is drawn, and that nothing of it stays."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.inference.decoding import DecodingSpec
from agegender_core.inference.model_zoo import list_weights
from agegender_core.labels import FAIRFACE_GROUPS, GENDERS, group_names
from agegender_core.output import share_image as drawing
from agegender_core.output.share_image import FACE_SIZE, PILLOW_FONTS, SIZE
from agegender_core.types import AgeEstimate, Categorical, Prediction
from tests.support import ROOT
from tests.support.fakes import FakePredictor, fake_prediction
from tests.support.pages import Backend, model_info, own_answers
from ui.common import examples, session_results, share_parts
from ui.predict import share, state

MEASURED = {"utkface test": {"n": 3134, "mae": 4.68}, "fairface test": {"n": 9, "mae": 9.0}}


@pytest.fixture
def prediction(portrait: Image.Image) -> Prediction:
    return fake_prediction(portrait, 0, 1, race=True)


def changed(prediction: Prediction, **changes: Any) -> Prediction:
    return dataclasses.replace(prediction, **changes)


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"), int)


def test_the_words_are_the_answers_and_the_manifests(prediction: Prediction) -> None:
    model = model_info(title="A network", measured=MEASURED, training={"sets": ["utkface"]})
    text = share.share_text(prediction, model)
    assert (text.age, text.unit) == ("34", "years")
    assert text.lines[0].startswith("Likely ") and text.lines[0].endswith("(80 % interval)")
    assert text.lines[1:] == ("Gender: Female, 97 %",)
    assert text.measured == "UTKFace test, n = 3,134: MAE 4.7 years"
    assert (text.model, text.caution) == ("A network", "")
    assert text.project == "Age and gender from faces"


def test_race_is_nowhere_on_it(prediction: Prediction, portrait: Image.Image) -> None:
    assert prediction.race is not None
    text = share.share_text(prediction, model_info())
    assert prediction.race.label not in str(text) and "ace category" not in str(text)
    without = changed(prediction, race=None)
    pngs = [share.prediction_png(portrait, one, model_info()) for one in (prediction, without)]
    assert pngs[0] == pngs[1]


def test_answers_that_lack_something(prediction: Prediction) -> None:
    bare = changed(prediction, gender=None, age=AgeEstimate(1.2))
    text = share.share_text(bare, None)
    assert (text.age, text.unit, text.lines) == ("1", "year", ())
    assert text.measured == "The error of this model has not been measured."
    unsure = changed(prediction, gender=Categorical(GENDERS, 1, (0.45, 0.55)))
    text = share.share_text(unsure, model_info())
    assert "Gender: too close to call (Male 55 %)" in text.lines and text.caution == ""
    certain = changed(prediction, gender=Categorical(GENDERS, 1))
    assert "Gender: Male" in share.share_text(certain, model_info()).lines


def test_a_caution_of_the_card_stands_on_the_image(prediction: Prediction) -> None:
    face = dataclasses.replace(prediction.face, score=0.6)
    text = share.share_text(changed(prediction, face=face), model_info())
    assert text.caution == "The detector is not sure that this is a face."


def test_a_network_of_ranges(prediction: Prediction) -> None:
    names = group_names(FAIRFACE_GROUPS)
    ranges = Categorical(names, 3, (0.0, 0.0, 0.1, 0.6, 0.3, 0.0, 0.0, 0.0, 0.0))
    numbers = {"fairface test": {"n": 2478, "fairface9_accuracy": 0.464}}
    model = model_info(decoding=DecodingSpec(kind="groups"), measured=numbers)
    text = share.share_text(
        changed(prediction, age=AgeEstimate(28.0, group=names[3], ranges=ranges)), model
    )
    assert text.age == "20–29" and text.lines[0] == "60 %, the likeliest of 9 ranges"
    assert text.measured == ("FairFace test, n = 2,478: age range correct for 46.4 % (9 ranges)")


@pytest.mark.parametrize("model", list_weights(ROOT / "weights"), ids=lambda model: model.name)
def test_every_shipped_model_states_its_error(model: Any) -> None:
    words = share_parts.measured_words(model)
    numbers = model.measured[f"{model.training['sets'][0]} test"]
    shown = numbers.get("mae") if model.decoding.kind != "groups" else None
    assert f"n = {numbers['n']:,}" in words
    assert (f"MAE {shown:.1f} years" if shown is not None else "age range correct for ") in words


def test_the_pages_own_fonts_are_there() -> None:
    fonts = share_parts.typefaces()
    assert fonts is not PILLOW_FONTS, "Streamlit's fonts have other names now"
    assert fonts.text(20).getname()[0].startswith("SourceSans3")
    assert fonts.display(20).getname()[0].startswith("Source Serif")
    assert fonts.bold(20).getlength("width") > fonts.text(20).getlength("width")


def test_blurring_changes_the_face_and_nothing_else(
    prediction: Prediction, portrait: Image.Image
) -> None:
    sharp, blurred = (
        opened(share.prediction_png(portrait, prediction, model_info(), hidden))
        for hidden in (False, True)
    )
    width = FACE_SIZE[0]
    assert np.abs(sharp[:, :width] - blurred[:, :width]).mean() > 10
    assert (sharp[:, width:] == blurred[:, width:]).all()


def downloads(app: AppTest) -> list[str]:
    return [button.key for button in app.get("download_button") if "share-" in str(button.key)]


def with_upload(open_app: Any, photo: bytes) -> AppTest:
    app = open_app()
    app.file_uploader[0].set_value([("three.png", photo, "image/png")]).run()
    assert not app.exception
    return app


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Prediction, bool]]:
    """What was drawn: the prediction, and whether its face was blurred."""
    calls: list[tuple[Prediction, bool]] = []
    real = share.png

    def counted(answer: Any, prediction: Prediction, blurred: bool) -> bytes:
        calls.append((prediction, blurred))
        return real(answer, prediction, blurred)

    monkeypatch.setattr(share, "png", counted)
    return calls


def test_it_is_drawn_when_it_is_asked_for_and_not_before(
    backend: Backend, open_app: Any, photo: bytes, drawn: list[tuple[Prediction, bool]]
) -> None:
    backend.predictor = FakePredictor(faces=3)
    app = with_upload(open_app, photo)
    assert [button.key for button in app.button if str(button.key).startswith("share-")] == [
        "share-1",
        "share-2",
        "share-3",
    ]
    assert drawn == [] and downloads(app) == []
    app.button(key="share-2").click().run()
    assert not app.exception and downloads(app) == ["share-save"]
    (answer,) = own_answers(app)
    assert [(one is answer.predictions[1], blurred) for one, blurred in drawn] == [(True, False)]
    app.run()
    assert downloads(app) == [] and len(drawn) == 1, "the dialog is closed"


def test_the_choice_to_blur_holds_for_the_next_face(
    backend: Backend, open_app: Any, photo: bytes, drawn: list[tuple[Prediction, bool]]
) -> None:
    app = with_upload(open_app, photo)
    app.session_state[state.SHARE_BLUR.key] = True
    app.button(key="share-1").click().run()
    assert not app.exception and [blurred for _, blurred in drawn] == [True]
    assert app.toggle(key=state.SHARE_BLUR.key).value is True


def test_the_session_keeps_no_image_of_it(backend: Backend, open_app: Any, photo: bytes) -> None:
    app = with_upload(open_app, photo)
    before = set(app.session_state.keys())
    app.button(key="share-1").click().run()
    assert downloads(app) == ["share-save"]
    new = {name: app.session_state[name] for name in app.session_state.keys() - before}
    assert all(isinstance(value, bool | type(None)) for value in new.values()), new


def test_the_whole_way_with_a_real_decoded_upload(backend: Backend, prediction: Prediction) -> None:
    picture = examples.image("hopper")
    analysis = FakePredictor().run(picture.data)
    answer = session_results.Answer(
        picture, analysis.predictions, "fake-weights", analysis.timing, 0, {}, [], b""
    )
    pixels = opened(share.png(answer, analysis.predictions[0]))
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    with Image.open(io.BytesIO(picture.data)) as image:
        panel = drawing.face_panel(image.convert("RGB"), analysis.predictions[0].face)
    assert np.abs(pixels[:, : FACE_SIZE[0]] - np.asarray(panel, int)).max() <= 4
