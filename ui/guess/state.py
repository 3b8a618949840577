"""What the session stores for Guess; it goes with the visit."""

from __future__ import annotations

from ui.common.state import Slot

Game = tuple[str | None, int]
"""Dataset and seed."""
GUESSES = Slot[dict[Game, dict[int, int]]]("guess-guesses", dict)
"""By game, the guessed age by the face's number."""
ANSWERS = Slot["dict[tuple[str, str, int], Answer]"]("guess-answers", dict)
"""By model, dataset and row."""


def slider(key: str) -> Slot[int]:
    """Where the slider of one face stands."""
    return Slot(key)
