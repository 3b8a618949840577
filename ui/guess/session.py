"""A visitor's game: guesses and the models' answers, in the session and nowhere else."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from agegender_core.datasets import FaceRecord
from agegender_core.errors import AgeGenderError
from agegender_core.types import AgeEstimate
from ui.common import gated, services
from ui.guess import faces, state
from ui.guess import query_params as link
from ui.guess.faces import Pool
from ui.guess.game import Played

LOG = logging.getLogger(__name__)
MOST = 1000
"""Guesses of one game, and answers of models, that a session keeps."""
NO_FACE = "The model found no face here, so this one does not count."


@dataclass(frozen=True)
class NoAnswer:
    """Why the model did not answer."""

    why: str


Answer = AgeEstimate | NoAnswer


def guesses() -> dict[int, int]:
    """Guessed age by the number of the face, of the game that is played."""
    return state.GUESSES.stored().setdefault((link.get("dataset"), link.get("seed")), {})


def guess(number: int, slider: str) -> None:
    """The visitor's guess for face ``number``, as the ``slider`` says. The first one counts."""
    mine = guesses()
    if len(mine) < MOST:
        mine.setdefault(number, int(state.slider(slider).get()))


def next_face(number: int, count: int) -> None:
    """Turn to the face after ``number``; after the last of ``count`` comes a new game."""
    if number < count:
        link.put("round", number + 1)
    else:
        start_again()


def start_again() -> None:
    """Forget this game and draw another."""
    guesses().clear()
    link.new_game()


def answer(pool: Pool, record: FaceRecord, model: str) -> Answer:
    """The model's answer, asked once a session. Raises ``AgeGenderError`` where it cannot be had
    now: a busy server, a model that cannot be loaded.
    """
    kept = state.ANSWERS.stored()
    where = (model, f"{pool.name}-{pool.stamp}", record.row)
    if where not in kept:
        encoded = faces.image(pool, record)
        marked = faces.marked(pool, record, encoded)
        predictor = services.predictor(model, False)
        with gated.slot():
            found = predictor.run(encoded, marked).predictions
        while len(kept) >= MOST:
            del kept[next(iter(kept))]
        kept[where] = found[0].age if found else NoAnswer(NO_FACE)
    return kept[where]


def prepare(pool: Pool, record: FaceRecord, model: str) -> None:
    """Have the answer ready while the visitor looks at the face."""
    try:
        answer(pool, record, model)
    except AgeGenderError as error:
        LOG.info("not ready: %s", error)  # it is asked again, and reported, once there is a guess


def played(pool: Pool, model: str) -> dict[int, Played]:
    """All guessed faces that the model answered, by their number. Raises ``AgeGenderError``."""
    done = {}
    for number, guessed in sorted(guesses().items()):
        record = pool.at(link.get("seed"), number)
        age = answer(pool, record, model)
        if not isinstance(age, NoAnswer) and record.age is not None:
            done[number] = Played(record.age, guessed, age, record.subject)
    return done
