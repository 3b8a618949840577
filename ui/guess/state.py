"""What the session stores for Guess; it goes with the visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.common.state import Slot

if TYPE_CHECKING:
    from ui.common.session_results import Answer

Game = tuple[str | None, int]
"""Dataset and seed."""
GUESSES = Slot[dict[Game, dict[int, int]]]("guess-guesses", dict)
"""By game, the guessed age by the face's number."""
ANSWERS: Slot[dict[tuple[str, str, int], Answer]] = Slot("guess-answers", dict)
"""By model, dataset and row."""


def slider(key: str) -> Slot[int]:
    """Where the slider of one face stands."""
    return Slot(key)
