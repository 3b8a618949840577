"""The Guess page: the same faces for the same address, answers after the guess, an honest score."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import BusyError, DatasetError
from agegender_core.inference.model_zoo import list_weights
from agegender_core.types import AgeEstimate, Analysis
from tests.support import ROOT
from tests.support.fakes import FakePredictor, fake_age
from tests.support.pages import Backend, model_info
from ui.guess import faces, figures, game, session
from ui.guess.faces import SAMPLES
from ui.guess.game import LEAST, Played, score
from ui.guess.setup import candidates

TRAINED = {"sets": ["utkface"], "split": "train", "pictures": 9, "minutes": 1.0, "device": "CPU"}
Open = Callable[..., AppTest]


@pytest.fixture
def guess(backend: Backend, drawn_sets: Path, open_app: Any) -> Open:
    """The page with drawn faces and a model that was trained on UTKFace's train split."""
    backend.installed = [model_info(training=TRAINED)]
    return lambda **address: visit(open_app, **address)


def visit(open_app: Any, **address: Any) -> AppTest:
    app = open_app()
    for name, word in address.items():
        app.query_params[name] = str(word)
    app.switch_page("pages/guess.py").run()
    assert not app.exception
    return app


def html(app: AppTest) -> str:
    return "\n".join(element.value for element in app.html if "<style>" not in element.value)


def words(app: AppTest) -> str:
    """All that the page says."""
    parts = [*app.markdown, *app.caption, *app.subheader, *app.warning, *app.info, *app.error]
    said = [f"{getattr(part.proto, 'title', '')} {part.value}" for part in parts]
    return "\n".join([*said, html(app)]).replace("\\", "")


def address(app: AppTest) -> dict[str, str]:
    found = app.query_params.items()
    return {name: value if isinstance(value, str) else value[-1] for name, value in found}


def play(app: AppTest, years: int) -> AppTest:
    """Guess, and look at the answer."""
    app.slider[0].set_value(years).run()
    app.button(key="guess-now").click().run()
    assert not app.exception
    return app


def following(app: AppTest) -> AppTest:
    app.button(key="guess-next").click().run()
    assert not app.exception
    return app


def face_at(seed: int, number: int, dataset: str = "utkface") -> Any:
    return faces.pool(dataset).at(seed, number)


def test_nothing_is_told_before_the_guess(guess: Open) -> None:
    app = guess(dataset="utkface", seed=11)
    record = face_at(11, 1)
    assert "How old is this face?" in words(app) and "The label says" not in words(app)
    assert len(app.get("image")) == 1 and record.file not in str(app.main)
    assert "Face 1 of 19 · UTKFace, test split" in words(app)


def test_the_answer_comes_with_label_guess_interval_and_errors(guess: Open) -> None:
    app = play(guess(dataset="utkface", seed=11), 50)
    label = face_at(11, 1).age
    text = html(app)
    assert f"The label says {label}." in text and ">50</b>" in text and ">34.0</b>" in text
    assert "(80 % interval). The label lies " in text
    model = abs(fake_age(34).years - label)
    assert f"You are {abs(50 - label):.1f} years off on average, the model {model:.1f}" in text
    assert "over 1 face." in text and "4 more faces to go" in text
    assert not app.slider, "there is no second guess"


def test_the_same_address_gives_the_same_faces_to_everybody(guess: Open) -> None:
    seen = []
    for _ in range(2):
        app = guess(dataset="utkface", seed=11)
        labels = []
        for number in range(1, 4):
            app = play(app, 20)
            labels.append(re.findall(r"The label says (\d+)", html(app))[0])
            assert labels[-1] == str(face_at(11, number).age)
            following(app)
        seen.append(labels)
    assert seen[0] == seen[1]
    orders = {tuple(face_at(seed, number).row for number in range(1, 6)) for seed in range(20)}
    assert len(orders) > 15, "another game has other faces"


def test_no_face_comes_twice_and_all_are_of_the_test_split(guess: Open) -> None:
    pool = faces.pool("utkface")
    rows = [pool.at(5, number).row for number in range(1, len(pool.records) + 1)]
    assert sorted(rows) == sorted(record.row for record in pool.records)
    splits = pq.read_table(faces.dataset_path("utkface"), columns=["split"])["split"].to_pylist()
    assert {splits[row] for row in rows} == {"test"}


def test_a_game_that_nobody_named_is_drawn_and_stands_in_the_address(guess: Open) -> None:
    app = guess()
    found = address(app)
    assert found["dataset"] == "utkface" and found["model"] == "fake-weights"
    assert 0 <= int(found["seed"]) < 100_000 and "round" not in found
    assert address(following(play(app, 3)))["round"] == "2"
    assert f"guess?dataset=utkface&model=fake-weights&seed={found['seed']})" in words(app)


def test_an_address_may_open_in_the_middle(guess: Open) -> None:
    app = play(guess(dataset="utkface", seed=11, round=4), 20)
    assert f"The label says {face_at(11, 4).age}." in html(app) and "over 1 face." in html(app)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": "1e9"},
        {"seed": "-1"},
        {"seed": "١"},
        {"round": "0"},
        {"round": "123456"},
        {"dataset": "../../etc"},
        {"dataset": "fairface7"},
        {"seed": "<script>alert(1)</script>"},
        {"sead": "11"},
    ],
)
def test_what_an_address_says_is_checked(guess: Open, wrong: dict[str, str]) -> None:
    app = guess(**wrong)
    assert "A part of this address cannot be used" in words(app)
    assert "How old is this face?" in words(app) and "<script>" not in html(app)
    (name,) = wrong
    assert address(app).get(name) != wrong[name]


def test_a_face_after_the_last_is_the_last(guess: Open) -> None:
    app = guess(dataset="utkface", seed=11, round=500)
    assert "Face 19 of 19" in words(app) and address(app)["round"] == "19"
    app = play(app, 40)
    assert app.button(key="guess-next").label == "New game"
    following(app)
    assert address(app)["seed"] != "11" and "Face 1 of 19" in words(app)


def test_a_dataset_of_ranges_or_one_that_is_not_here_is_not_played(guess: Open) -> None:
    assert faces.playable() == ["utkface", "all_age_faces"], "FairFace has ranges"
    app = guess(dataset="fgnet")
    assert "The faces of FG-NET are not here" in words(app) and "UTKFace, test" in words(app)


def test_who_leads_is_said_from_five_faces_on(guess: Open, backend: Backend) -> None:
    backend.predictor = Fixed(100)
    app = guess(dataset="utkface", seed=11)
    for number in range(1, LEAST + 1):
        label = face_at(11, number).age
        play(app, label)
        if number < LEAST:
            assert "to go." in html(app) and "95 % interval" not in html(app)
            following(app)
    assert "You are 0.0 years off on average" in html(app)
    assert "You lead." in html(app) and "95 % interval −" in html(app)


def test_start_again_forgets_the_score_and_draws_other_faces(guess: Open) -> None:
    app = play(guess(dataset="utkface", seed=11), 20)
    app.button(key="guess-restart").click().run()
    assert not app.exception and address(app)["seed"] != "11"
    assert "years off on average" not in html(app) and "How old is this face?" in words(app)


def test_another_model_is_scored_on_the_same_guesses(guess: Open, backend: Backend) -> None:
    backend.installed.append(
        model_info("second", "Second network", default=False, training=TRAINED)
    )
    app = play(guess(dataset="utkface", seed=11), 20)
    label = face_at(11, 1).age
    backend.predictor = Fixed(90)
    app.selectbox(key="guess_model").select("second").run()
    assert not app.exception and backend.asked[-1] == ("second", False)
    assert f"off on average, the model {abs(90 - label):.1f}" in html(app)
    assert f"You are {abs(20 - label):.1f} years" in html(app)


def test_the_score_survives_another_page(guess: Open) -> None:
    app = play(guess(dataset="utkface", seed=11), 20)
    app.switch_page("pages/about.py").run()
    app.switch_page("pages/guess.py").run()
    assert "over 1 face." in html(app) and f"The label says {face_at(11, 1).age}" in html(app)


def test_another_dataset_is_another_game(guess: Open) -> None:
    app = following(play(guess(dataset="utkface", seed=11), 20))
    app.selectbox(key="guess_dataset").select("all_age_faces").run()
    assert not app.exception and "Face 1 of 19 · All-Age-Faces" in words(app)
    assert "years off on average" not in html(app)
    app.selectbox(key="guess_dataset").select("utkface").run()
    assert "over 1 face." in html(app), "the first game is still there"


class Fixed(FakePredictor):
    """Answers with one age."""

    def __init__(self, years: float) -> None:
        object.__setattr__(self, "years", years)
        super().__init__()

    def run(self, source: Any) -> Analysis:
        from dataclasses import replace

        found = super().run(source)
        age = AgeEstimate(float(self.years))
        return replace(found, predictions=tuple(replace(one, age=age) for one in found.predictions))


def test_the_answer_is_ready_before_the_guess_and_asked_once(guess: Open, backend: Backend) -> None:
    app = guess(dataset="utkface", seed=11)
    assert backend.runs == 1
    following(play(app, 20))
    assert backend.runs == 2, "one for each face"


def test_a_busy_server_is_asked_again(guess: Open, backend: Backend) -> None:
    backend.predictor = BusyError("Many people are asking right now.")
    app = play(guess(dataset="utkface", seed=11), 20)
    assert "Many people are asking" in words(app) and "years off" not in html(app)
    backend.predictor = FakePredictor()
    app.run()
    assert "over 1 face." in html(app) and "Many people" not in words(app)


def test_a_face_the_model_does_not_find_does_not_count(guess: Open, backend: Backend) -> None:
    backend.predictor = FakePredictor(faces=0)
    app = play(guess(dataset="utkface", seed=11), 20)
    assert f"Label: {face_at(11, 1).age} years. {session.NO_FACE}" in words(app)
    assert "years off on average" not in html(app)
    backend.predictor = FakePredictor()
    assert "over 1 face." in html(play(following(app), 20))


def test_without_datasets_the_portrait_with_a_documented_age_is_played(
    backend: Backend, open_app: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGEGENDER_DATA", str(tmp_path / "nothing"))
    app = visit(open_app)
    assert "Only a sample" in words(app) and "is not documented" in words(app)
    app = play(app, 70)
    assert "The label says 77. You were closer." in html(app)
    assert not [button for button in app.button if button.key == "guess-next"]


def test_without_weights_the_page_says_so(
    backend: Backend, drawn_sets: Path, open_app: Any
) -> None:
    backend.installed = []
    assert "No trained weights are installed" in words(visit(open_app))


def test_models_that_may_have_seen_the_faces_are_not_played_against(
    guess: Open, backend: Backend
) -> None:
    backend.installed = [
        model_info("other", "Tests too", training={"sets": ["utkface"], "split": "all"}),
        model_info("compare", "For comparison", training=TRAINED, for_comparison=True),
    ]
    app = guess(dataset="utkface", model="other")
    assert "Nobody to play against" in words(app) and "cannot be played against" in words(app)
    assert backend.runs == 0


def test_the_page_loads_no_torch_before_a_model_answers() -> None:
    code = "import sys, ui.guess.faces, ui.guess.setup\nassert 'torch' not in sys.modules"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr


def test_a_teacher_need_not_be_offered(backend: Backend) -> None:
    student = model_info("me", training=TRAINED | {"stages": [{"teacher": "u"}]})
    backend.installed = [student, model_info("u", training=TRAINED)]
    assert candidates([student], "utkface") == [student]
    backend.installed = [student]
    assert candidates([student], "utkface") == []


@pytest.mark.parametrize(
    ("training", "dataset", "seen"),
    [
        ({}, "utkface", True),
        ({"sets": ["utkface"], "split": "train"}, "utkface", False),
        ({"sets": ["utkface"], "split": "all"}, "utkface", True),
        ({"sets": ["utkface"], "split": "all"}, "all_age_faces", False),
        ({"sets": ["fgnet"], "split": "train"}, "fgnet", True),
        ({"sets": ["utkface"], "split": "train", "stages": [{"teacher": "t"}]}, "utkface", True),
        ({"sets": ["utkface"], "split": "train", "stages": [{"teacher": "u"}]}, "utkface", False),
        ({"sets": ["utkface"], "split": "train", "stages": [{"teacher": "?"}]}, "utkface", True),
        (TRAINED | {"stages": [{"start": "from x.safetensors"}]}, "utkface", True),
        (TRAINED | {"stages": [{"sets": ["fgnet"], "split": "train"}, {}]}, "fgnet", True),
        (TRAINED | {"stages": [{"sets": ["utkface"], "split": "test"}, {}]}, "utkface", True),
        (TRAINED | {"stages": [{"teacher": "u + t"}]}, "utkface", True),
        (TRAINED | {"stages": [{"teacher": "u + v"}]}, "utkface", False),
        (TRAINED | {"stages": [{"teacher": "v"}, {"teacher": "me"}]}, "utkface", False),
        ({}, SAMPLES, False),
    ],
)
def test_what_a_model_has_seen(training: dict[str, Any], dataset: str, seen: bool) -> None:
    models = {
        "t": model_info("t", training={"sets": ["utkface"], "split": "all"}),
        "u": model_info("u", training=TRAINED),
        "v": model_info("v", training=TRAINED | {"stages": [{"teacher": "me"}]}),
    }
    model = model_info("me", training=training)
    assert faces.unseen(model, dataset, models | {"me": model}) is not seen


def test_every_model_for_use_can_be_played_against() -> None:
    models = {info.name: info for info in list_weights(ROOT / "weights")}
    refused = {
        info.name
        for info in models.values()
        for name in TEST_SPLITS
        if not (info.for_comparison or faces.unseen(info, name, models))
    }
    assert models and not refused


def test_an_unreadable_dataset_is_said_and_its_path_is_not(
    guess: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> Any:
        raise DatasetError("/secret/place is broken")

    monkeypatch.setattr("ui.guess.faces.pool", broken)
    app = guess(dataset="utkface")
    assert "The faces cannot be read" in words(app) and "/secret" not in words(app)


def test_an_unreadable_face_is_said_and_its_path_is_not(
    guess: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise DatasetError("/secret/place is broken")

    monkeypatch.setattr("ui.guess.faces.image", broken)
    app = guess(dataset="utkface")
    assert "The faces cannot be read" in words(app) and "/secret" not in words(app)


def played(*errors: tuple[float, float], person: str | None = None) -> list[Played]:
    """Faces with these errors of visitor and model."""
    return [Played(50, 50 + int(you), AgeEstimate(50 + model), person) for you, model in errors]


def test_the_interval_is_students_of_the_mean_difference() -> None:
    pairs = [(3, 5.0), (1, 2.5), (8, 4.0), (0, 6.0), (2, 2.0), (4, 9.0)]
    found = score(played(*pairs))
    difference = np.array([you - model for you, model in pairs])
    half = 2.570582 * difference.std(ddof=1) / np.sqrt(len(pairs))  # t of 5 degrees, 97.5 %
    assert found is not None and found.interval is not None
    assert found.interval == pytest.approx((difference.mean() - half, difference.mean() + half))
    assert found.leader == "" and game.lead_words(found) == "Too close to call."


def test_who_leads() -> None:
    assert score([]) is None
    few = score(played(*[(1, 9.0)] * (LEAST - 1)))
    assert few is not None and few.interval is None and few.leader == ""
    assert game.lead_words(few) == "Who leads? One more face to go."
    you = score(played(*[(1, 9.0), (2, 8.0)] * LEAST))
    model = score(played(*[(9, 1.0), (8, 2.0)] * LEAST))
    assert you is not None and model is not None
    assert (game.lead_words(you), game.lead_words(model)) == ("You lead.", "The model leads.")
    assert "Your error less the model's: −7.0 years" in game.interval_words(you)


def test_faces_of_one_person_are_one_draw() -> None:
    pairs = [(1, 9.0), (2, 8.0), (1, 9.5), (3, 9.0), (2, 9.0), (1, 8.0)]
    same = score(played(*pairs, person="one"))
    assert same is not None and same.interval is None, "one person says nothing of others"
    apart = [one for n, pair in enumerate(pairs) for one in played(pair, person=f"{n}")]
    alone, unknown = score(apart), score(played(*pairs))
    assert alone is not None and unknown is not None and alone.interval is not None
    assert alone.interval == pytest.approx(unknown.interval, rel=0.2)


def test_words_of_one_face() -> None:
    for years, label, shown, off in (
        (51.4, 52, "51.4", "0.6 years too young"),
        (78.46, 77, "78.5", "1.5 years too old"),
        (50.95, 52, "51.0", "1 year too young"),
    ):
        drawn = figures.comparison(Played(label, label, AgeEstimate(years)))
        assert f"<b>{shown}</b> <small>{off}</small>" in drawn, "label, age and error add up"
    found = game.Score(5, 4.25, 3.94, (-1.0, 1.0))
    assert "4.2 years off" in game.score_words(found) and "+0.3" in game.interval_words(found)
    assert game.off_words(0.04) == "spot on" and game.off_words(1.0) == "1 year too old"
    assert game.off_words(-2.12) == "2.1 years too young"
    assert [game.signed(value) for value in (0.3, -1.24, 0.04, -0.04)] == [
        "+0.3",
        "−1.2",
        "0.0",
        "0.0",
    ]
    (one,) = played((2, 2.01))
    assert game.verdict(one) == "A draw."


def test_the_picture_of_one_face_stays_on_its_axis() -> None:
    drawn = figures.comparison(Played(0, 100, AgeEstimate(104.0, (-3.0, 120.0), 0.8)))
    shares = [float(share) for share in re.findall(r"([\d.]+)%", drawn)]
    assert shares and min(shares) >= 0 and max(shares) <= 100
    assert "The label lies inside." in drawn
    bare = figures.comparison(Played(3, 5, AgeEstimate(4.0)))
    assert "ag-guess-bar" not in bare and "The model gives no interval." in bare
