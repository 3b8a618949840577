"""A game's settings: where they live in the session, and how they travel in the page's address.

An address names a dataset, a model, the game (``seed``: which faces come in which order) and the
face that it opens with; never a file, a guess or a score.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from agegender_core.datasets.registry import TEST_SPLITS
from ui.common.query_state import Address, Setting, bring_up_to_date, choice, number, text
from ui.guess.faces import SAMPLES

SEEDS = 100_000
LAST = 99_999

ADDRESS = Address(
    "guess",
    {
        "dataset": Setting(None, choice(*TEST_SPLITS, SAMPLES)),
        "model": Setting(None, text),
        "seed": Setting(None, number(0, SEEDS - 1)),
        "round": Setting(1, number(1, LAST)),
    },
)
key, get, put, coerce_to_options = ADDRESS.key, ADDRESS.get, ADDRESS.put, ADDRESS.coerce_to_options


def read() -> list[str]:
    """Take what the session does not know yet from the address; what of it cannot be read is
    returned. A game that nobody named is drawn.
    """
    wrong = ADDRESS.read()
    if get("seed") is None:
        new_game()
    return wrong


def new_game() -> None:
    """Other faces, from the first."""
    put("seed", secrets.randbelow(SEEDS))
    put("round", 1)


def first_round() -> None:
    """The first face of the same game."""
    put("round", 1)


def write() -> None:
    """Bring the address up to date."""
    bring_up_to_date(ADDRESS.changed())


def link() -> str:
    """Address of this game from its first face, beside this page's."""
    words = {name: word for name, word in ADDRESS.changed().items() if name != "round"}
    return f"guess?{urlencode(words)}"
