"""Uploads outlive a visit to another page, for as long as the session, until they are removed."""

from __future__ import annotations

from typing import Any

from tests.support.pages import Backend, cards, own_answers, png, upload
from ui.common import examples
from ui.common.state import SAVED_UPLOADS


def away_and_back(app: Any) -> None:
    """To another page and back to Predict."""
    app.switch_page("pages/about.py").run()
    app.switch_page("pages/predict.py").run()
    assert not app.exception


def shows_the_sample(app: Any) -> bool:
    """Whether the answer on the page is that of the sample, as on a first visit."""
    return cards(app) == 1 and any("NASA" in line.value for line in app.caption)


def said(app: Any) -> str:
    return "\n".join(item.value for item in app.markdown).replace("\\", "")


def test_uploads_and_answers_are_there_again(backend: Backend, open_app: Any, photo: bytes) -> None:
    app = upload(open_app(), png("one.png", photo))
    assert cards(app) == 1 and "Still here" not in said(app)
    away_and_back(app)
    assert cards(app) == 1 and "Still here: one.png" in said(app)
    assert backend.runs == 1, "the answer is kept as well"
    away_and_back(app)
    assert cards(app) == 1


def test_remove_forgets_them(backend: Backend, open_app: Any, photo: bytes) -> None:
    app = upload(open_app(), png("one.png", photo))
    away_and_back(app)
    app.button(key="remove-uploads").click().run()
    assert (
        shows_the_sample(app) and not app.session_state[SAVED_UPLOADS.key] and not own_answers(app)
    )
    assert list(app.session_state["faces"]) == [examples.image(examples.FIRST).digest]
    away_and_back(app)
    assert shows_the_sample(app)


def test_a_new_choice_takes_their_place(backend: Backend, open_app: Any, photo: bytes) -> None:
    app = upload(open_app(), png("one.png", photo))
    away_and_back(app)
    upload(app, png("two.png", photo), png("three.png", photo))
    assert [picture.name for picture in app.session_state[SAVED_UPLOADS.key]["Predict"]] == [
        "two.png",
        "three.png",
    ]


def test_what_is_taken_out_of_the_uploader_is_gone(
    backend: Backend, open_app: Any, photo: bytes
) -> None:
    app = upload(open_app(), png("one.png", photo))
    app.file_uploader[0].set_value([]).run()
    assert shows_the_sample(app)
    away_and_back(app)
    assert shows_the_sample(app) and "Still here" not in said(app)
