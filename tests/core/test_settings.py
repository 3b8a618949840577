"""The operator's switches: defaults, every variable, and words for what cannot be."""

from __future__ import annotations

import pytest

from agegender_core.errors import ConfigError
from agegender_core.settings import Settings, read_settings


def test_nothing_set_is_the_default() -> None:
    assert (
        read_settings({})
        == Settings()
        == read_settings({"AGEGENDER_MAX_MB": " ", "AGEGENDER_RACE": "", "AGEGENDER_OFFERED": ","})
    )


def test_every_variable_is_read() -> None:
    found = read_settings(
        {
            "AGEGENDER_RACE": "on",
            "AGEGENDER_WEIGHTS": "one",
            "AGEGENDER_OFFERED": "one, two,one",
            "AGEGENDER_MAX_MB": "5",
            "AGEGENDER_MAX_MEGAPIXELS": "12",
            "AGEGENDER_MAX_PICTURES": "7",
            "AGEGENDER_MAX_FACES": "9",
            "AGEGENDER_CONCURRENT": "3",
            "AGEGENDER_WAITING": "0",
            "AGEGENDER_THREADS": "1",
            "AGEGENDER_DATA": "/sets",
            "AGEGENDER_PICTURES": "utkface=/pictures",
            "AGEGENDER_REPORTS": "/reports",
            "AGEGENDER_CACHE": "/cache",
            "AGEGENDER_WEIGHTS_DIR": "/weights",
            "AGEGENDER_TURN_URLS": "turn:here:3478, stun:there",
            "AGEGENDER_TURN_USERNAME": "me",
            "AGEGENDER_TURN_PASSWORD": "secret",
            "AGEGENDER_MAX_SESSION_MB": "8",
            "AGEGENDER_UPLOADS_MB": "110",
            "AGEGENDER_KEEP_MINUTES": "0",
        }
    )
    places = ("/sets", "utkface=/pictures", "/reports", "/cache", "/weights")
    turn = ("turn:here:3478", "stun:there")
    assert found == Settings(
        True, "one", ("one", "two"), 5, 12, 7, 9, 3, 0, 1, *places, turn, "me", "secret", 8, 110, 0
    )
    assert found.image_limits.max_bytes == 5 * 2**20 and found.image_limits.max_pixels == 12_000_000


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AGEGENDER_RACE", "maybe", "give 1 or 0"),
        ("AGEGENDER_MAX_MB", "0", "from 1 to 200"),
        ("AGEGENDER_MAX_MB", "2.5", "whole number"),
        ("AGEGENDER_MAX_FACES", "-1", "from 1 to 10,000"),
        ("AGEGENDER_WAITING", "many", "from 0 to"),
        ("AGEGENDER_TURN_URLS", "http://turn", "turn:"),
    ],
)
def test_what_cannot_be_is_named(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}='{value}'.*{words}"):
        read_settings({variable: value})
