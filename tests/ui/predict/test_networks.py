"""Choosing a network: what each kind of answer looks like, the card, and that changing it keeps the
image and its faces.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.errors import ConfigError, InvalidImageError
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.settings import Settings
from agegender_core.types import AgeEstimate, Categorical, Face
from agegender_core.vision.face_detector import MTCNNDetector
from tests.support.fakes import FAKE_WEIGHTS, FakePredictor
from tests.support.networks import HEADS, RANGE_PROBS, TRAINING, write_networks
from tests.support.pages import (
    APP,
    Backend,
    alerts,
    cards,
    html,
    model_info,
    open_tab,
    png,
    upload,
)
from ui.common import charts, model_card, result_card, services
from ui.common.image_input import SAMPLE

NO_CURVE = "gives one number and no distribution"
RANGES = Categorical(("0-2", "3-9", "10-19"), 1, (0.004, 0.9, 0.096))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[ModelInfo]:
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def installed(
    networks: list[ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[ModelInfo]]:
    """The real services with a small network of each kind."""
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(networks[0].folder))
    monkeypatch.delenv("AGEGENDER_RACE", raising=False)
    monkeypatch.delenv("AGEGENDER_WEIGHTS", raising=False)
    services.predictor.clear()
    yield networks
    services.predictor.clear()


@pytest.fixture
def detections(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the images faces were looked for in."""
    seen, detect = [], MTCNNDetector.detect

    def counted(self: MTCNNDetector, image: Image.Image) -> list[Face]:
        seen.append(image.size)
        return detect(self, image)

    monkeypatch.setattr(MTCNNDetector, "detect", counted)
    return seen


def choose(app: AppTest, name: str) -> AppTest:
    app.selectbox(key="weights").select(name).run()
    assert not app.exception and not app.error
    return app


def captions(app: AppTest) -> str:
    return "\n".join(line.value for line in app.caption).replace("\\", "")


def test_every_kind_answers_in_its_own_way(
    installed: list[ModelInfo], open_app: Callable[[], AppTest]
) -> None:
    app = open_tab(open_app(), SAMPLE)
    said = {
        "distribution": "<b>36</b><span>years</span>",
        "groups": "<b>30–39</b><span>years</span>",
        "regression": "<b>36</b><span>years</span>",
        "decade_digit": "<b>36</b><span>years</span>",
        "two_values": "<b>40</b><span>years</span>",
    }
    assert set(said) == set(HEADS)
    for name, headline in said.items():
        text = html(choose(app, name))
        assert cards(app) == 1 and headline in text, name
        assert "Male" in text and ("no probability" in text) == (name == "two_values")
        drawn = name in ("distribution", "groups")
        assert len(app.get("plotly_chart")) == drawn and (NO_CURVE in captions(app)) != drawn, name
        assert ("(80 % interval)" in text) == (name != "groups"), name
        assert ("ag-interval" in text) and "nobody has measured" not in text
    assert "Likely 27–45 (80 %" in html(
        choose(app, "regression")
    ) and "46 %, the likeliest of 9 ranges" in html(choose(app, "groups"))


def test_changing_the_network_looks_for_no_face_again(
    installed: list[ModelInfo], open_app: Callable[[], AppTest], detections: list[tuple[int, int]]
) -> None:
    app = open_tab(open_app(), SAMPLE)
    assert detections.count((512, 512)) == 1 and any(
        "Detection" in line.help for line in app.caption
    )
    boxes = {}
    for name in HEADS:
        choose(app, name)
        (answer,) = [
            answer for answer in app.session_state["answers"].values() if answer.weights == name
        ]
        boxes[name] = answer.document["faces"][0]["face"]
        assert any("known from before" in line.help for line in app.caption) == (
            name != "distribution"
        )
    assert detections.count((512, 512)) == 1
    assert all(box == boxes["distribution"] for box in boxes.values())
    assert len(app.session_state["faces"]) == 1


def test_ranges_are_in_the_download(
    installed: list[ModelInfo], open_app: Callable[[], AppTest]
) -> None:
    app = choose(open_tab(open_app(), SAMPLE), "groups")
    (answer,) = [
        answer for answer in app.session_state["answers"].values() if answer.weights == "groups"
    ]
    age = answer.document["faces"][0]["age"]
    assert age["group"] == "30-39" and age["probs"] is None
    assert list(age["group_probs"].values()) == pytest.approx(
        [value / sum(RANGE_PROBS) for value in RANGE_PROBS], abs=2e-3
    )


def test_loaded_networks_are_bounded_and_shared(
    installed: list[ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    from agegender_core.inference import predictor

    loads, load = [], predictor.load_predictor
    monkeypatch.setattr(
        predictor,
        "load_predictor",
        lambda weights, **how: loads.append(weights) or load(weights, **how),
    )
    for name in [*HEADS, "two_values", "decade_digit", "regression"]:
        services.predictor(name, False)
    assert loads == list(HEADS)  # the last three were still there
    services.predictor("groups", False)
    assert loads[-1] == "groups" and services.LOADED == 3


def test_a_spinner_names_the_network_that_is_loaded(
    backend: Backend, open_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    @contextmanager
    def spinner(text: str) -> Iterator[None]:
        said.append(text.replace("\\", ""))
        yield

    monkeypatch.setattr(st, "spinner", spinner)
    backend.installed = [
        model_info(),
        model_info("large", "Large network", default=False, parameters=33_400_000),
    ]
    app = open_tab(open_app(), SAMPLE)
    assert said == [
        "Loading Fake network (0.0M parameters). The first time takes a few seconds …",
        "Detecting faces …",
    ]
    choose(app, "large")
    assert said[2:] == [
        "Loading Large network (33M parameters). The first time takes a few seconds …",
        "Reading the faces …",
    ]
    choose(app, "fake-weights")
    assert len(said) == 4  # its answer was kept


def test_changing_the_network_keeps_the_image_and_the_grid(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    backend.predictor = FakePredictor(faces=20)
    backend.installed = [model_info(), model_info("other", "Other network", default=False)]
    app = upload(open_app(), *[png(f"{number}.png", photo + bytes(number)) for number in range(3)])
    app.selectbox(key="picture-choice").select_index(2).run()
    assert len(app.dataframe[1].value) == 20 and backend.detections == 3
    choose(app, "other")
    assert app.selectbox(key="picture-choice").value == 2 and len(app.dataframe[1].value) == 20
    assert backend.runs == 6 and backend.detections == 3


def test_faces_kept_are_bounded(
    backend: Backend, open_app: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.common.session_results.MAX_ANSWERS", 2)
    app = open_app()
    for number in range(4):
        upload(app, png("a.png", photo + bytes(number)))
    assert len(app.session_state["faces"]) == 2 and backend.detections == 4


def test_a_picture_without_faces_is_searched_once(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    backend.predictor = FakePredictor(faces=0)
    backend.installed = [model_info(), model_info("other", "Other network", default=False)]
    choose(upload(open_app(), png("wall.png", photo)), "other")
    assert backend.runs == 2 and backend.detections == 1


def test_the_chosen_network_outlives_a_look_at_another_page(
    backend: Backend, open_app: Any
) -> None:
    backend.installed = [model_info(), model_info("other", "Other network", default=False)]
    app = choose(open_app(), "other")
    app.switch_page("pages/about.py").run()
    app.switch_page("pages/predict.py").run()
    assert app.selectbox(key="weights").value == "other"


def at(**params: str) -> AppTest:
    """Predict at an address, run once."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def test_the_address_names_the_chosen_network_and_a_reload_keeps_it(
    backend: Backend, open_app: Any
) -> None:
    backend.installed = [model_info(), model_info("other", "Other network", default=False)]
    app = open_app()
    assert dict(app.query_params) == {}, "the default needs no name"
    choose(app, "other")
    assert dict(app.query_params) == {"weights": "other"}
    again = at(weights="other")
    assert again.selectbox(key="weights").value == "other" and backend.asked[-1][0] == "other"
    assert not alerts(again)
    choose(again, FAKE_WEIGHTS)
    assert dict(again.query_params) == {}


@pytest.mark.parametrize("name", ["nobody", "compared", "x" * 9000])
def test_a_network_that_does_not_answer_here_is_reported(
    backend: Backend, open_app: Any, name: str
) -> None:
    backend.installed = [
        model_info(),
        model_info("compared", default=False, for_comparison=True),
    ]
    app = at(weights=name)
    assert "A part of this address cannot be used" in alerts(app)
    assert f"«{name[:300]}» is no model that answers here" in alerts(app)
    assert "Answered by **Fake network**" in " ".join(one.value for one in app.caption)
    assert dict(app.query_params) == {}


def test_the_card_says_what_the_network_is(
    installed: list[ModelInfo], open_app: Callable[[], AppTest]
) -> None:
    app = choose(open_app(), "groups")
    text = html(app)
    for fact in (
        "Network of groups",
        "Somebody, Somewhere (2019)",
        f"{installed[1].parameters:,} parameters",
        "64 × 64 pixels",
        "UTKFace, FairFace: 64,038 images, 42 minutes on CPU, 1 thread",
        "<td>UTKFace, test</td><td>3,134</td><td>60.1 % in 9 ranges</td><td>93.8 %</td>",
        "<td>FairFace, test</td><td>2,478</td><td>56.3 % in 9 ranges</td><td>90.2 %</td>",
        "<td>FG-NET, all</td><td>1,002</td><td>55.0 % in 9 ranges</td><td>–</td>",
        "Made up.",
        "UTKFace: research only.",
    ):
        assert fact in text, fact
    assert "(models)" in captions(app) and "One of 9 age ranges" in captions(app)
    assert (
        "UTKFace, test: right age range for 60.1 %, gender correct 93.8 % of the time."
        in captions(app)
    )
    assert "<td>4.9 years</td>" in html(choose(app, "regression"))
    assert (
        "UTKFace, test: age off by 4.9 years on average, gender correct 93.8 % of the time."
        in captions(app)
    )


def test_the_card_gives_the_error_with_age_bands_alike() -> None:
    numbers = {"n": 3134, "mae": 4.57, "balanced_mae": 5.32}
    text = model_card.card(model_info(measured={"utkface test": numbers}))
    assert "<td>4.6 years (5.3)</td>" in text and "every age band counted alike" in text


def test_the_card_counts_all_stages_of_training() -> None:
    one = {"start": "from scratch", "minutes": 98.4, "pictures": 1000, "pictures_seen": 33_700}
    two = one | {"start": "from the published weights", "minutes": 105.0, "pictures_seen": 36_200}
    training = TRAINING | {"pictures": 1000, "minutes": 105.0, "stages": [one, two]}
    words = "1,000 images, 69.9 passes, 203 minutes in 2 stages"
    assert words in model_card.card(model_info(training=training))
    del two["pictures_seen"]  # not kept
    words = "1,000 images, 203 minutes in 2 stages"
    assert words in model_card.card(model_info(training=training))


def test_the_card_does_without_measurements_and_escapes() -> None:
    bare = model_info(title="<script>", caveats="")
    text = model_card.card(bare)
    assert (
        "<script>" not in text
        and "Not measured yet" in text
        and "Trained on" not in text
        and "Caveats" not in text
    )
    assert (
        model_card.summary_line(bare)
        == "0.0M parameters. An age with its distribution, and gender."
    )
    assert (
        model_card.loading_words(model_info(parameters=33_400_000))
        == "Fake network (33M parameters)"
    )


def test_age_words_suit_the_kind() -> None:
    both = {"mae": 4.68, "fairface9_accuracy": 0.614}
    assert model_card.age_words(both, "distribution") == "4.7 years"
    assert model_card.age_words(both, "groups") == "61.4 % in 9 ranges"
    assert (
        model_card.age_words({"fairface9_accuracy": 0.555}, "distribution") == "55.5 % in 9 ranges"
    )
    assert model_card.age_words({"gender_accuracy": 0.9}, "regression") == ""


def test_range_chart_has_a_bar_a_range_with_its_probability() -> None:
    figure = charts.range_chart(RANGES)
    chosen, others = figure.data
    assert (
        list(chosen.x) == ["3–9"]
        and list(chosen.text) == ["90 %"]
        and list(others.x) == ["0–2", "10–19"]
    )
    assert list(others.text) == ["<1 %", "10 %"] and sum([*chosen.y, *others.y]) == pytest.approx(
        100
    )
    assert (
        list(figure.layout.xaxis.categoryarray) == ["0–2", "3–9", "10–19"]
        and figure.layout.xaxis.type == "category"
    )
    assert chosen.hovertemplate.startswith("%{x} years: %{y:.1f} %")
    assert (
        charts.range_chart_words(RANGES)
        == "Age ranges by probability: 3-9 90 %, 10-19 10 %, 0-2 0 %"
    )


def test_range_words() -> None:
    age = AgeEstimate(6.6, group="3-9", ranges=RANGES)
    assert result_card.range_words(age) == "90 %, the likeliest of 3 ranges. Average estimate: 7."
    with_interval = AgeEstimate(6.6, (2.0, 11.0), 0.8, group="3-9", ranges=RANGES)
    assert result_card.range_words(with_interval).endswith(". Likely 2–11 (80 % interval)")
    assert "<b>3–9</b>" in result_card.head(age, 1) and "<b>7</b>" in result_card.head(
        AgeEstimate(6.6), 1
    )


def test_the_table_of_faces_shows_ranges_where_there_are_no_intervals(
    installed: list[ModelInfo], open_app: Callable[[], AppTest], portrait: Image.Image
) -> None:
    buffers = [io.BytesIO(), io.BytesIO()]
    for side, buffer in zip((512, 480), buffers, strict=True):
        portrait.resize((side, side)).save(buffer, "PNG")
    app = choose(
        upload(
            open_app(),
            *[png(f"{number}.png", buffer.getvalue()) for number, buffer in enumerate(buffers)],
        ),
        "groups",
    )
    table = app.dataframe[0].value
    assert table["Age"].tolist() == ["30–39", "30–39"], "a range and no year"
    assert "From" not in table and "Range" not in table
    assert "From" in choose(app, "regression").dataframe[0].value


def test_the_operators_limits_reach_the_predictor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, portrait: Image.Image
) -> None:
    write_networks(tmp_path)
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("AGEGENDER_MAX_MEGAPIXELS", "1")
    monkeypatch.setenv("AGEGENDER_MAX_FACES", "1")
    services.predictor.clear()
    try:
        loaded = services.predictor(None, False)
        two = Image.new("RGB", (portrait.width * 2, portrait.height))
        two.paste(portrait, (0, 0))
        two.paste(portrait, (portrait.width, 0))
        answer = loaded.run(two)
        assert len(answer.predictions) == 1 and answer.left_out == 1
        with pytest.raises(InvalidImageError, match="megapixels"):
            loaded.run(two.resize((1200, 1200)))
    finally:
        services.predictor.clear()


def test_offered_networks_are_those_the_operator_names() -> None:
    entries = [model_info("one"), model_info("two", default=False)]
    assert services.offered(entries, Settings()) == entries
    assert services.offered(entries, Settings(offered=("two",))) == entries[1:]
    with pytest.raises(ConfigError, match="AGEGENDER_OFFERED names three; installed are one, two"):
        services.offered(entries, Settings(offered=("two", "three")))
