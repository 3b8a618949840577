"""What a stranger may write into a page's address: odd, huge, repeated and hostile words end in the
page and one clear sentence.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.support.pages import APP, Backend
from ui.attention import query_params as attention_params
from ui.errors import query_params as errors_params

NUMBERS = (
    "-1",
    "0",
    "1e308",
    "nan",
    "inf",
    "-inf",
    "9" * 5000,
    "\u0663",
    "\u00b2",
    "0x10",
    "1_0",
    " 7 ",
    "1.5",
    "+3",
    "",
)
WORDS = (
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x",
    "a\0b",
    "<script>alert(1)</script>",
    "![x](http://evil.example/a.png)",
    "x" * 20_000,
    "\ud83d\ude00",
    "\u202egpj",
    "\n\n# head",
    "None",
    "own",
    "utkface",
    "fairface",
    "fgnet",
    "first",
    "plots",
    "take",
    "suspects",
    "compare",
    "slices",
    ",",
    ",,",
    "20-29,20-29",
    "Male,Female",
    "right",
    "sample",
    "a:b:c",
    "ages:1:2",
    "%s%n",
    "[",
    "(",
    "\\",
    "*",
    "{}",
    "{0.__class__}",
)
PAGES = {
    "errors": (*errors_params.ADDRESS.settings, *errors_params.FILTERS),
    "attention": (*attention_params.ADDRESS.settings, "set", "row", "picture"),
    "predict": ("weights", "picture", "source", "face"),
    "models": ("measure", "systems"),
    "live": ("weights",),
    "about": ("x",),
}
FLAWS = ("Traceback", "Error:", "object at 0x")


def opened(page: str, params: dict[str, Any]) -> AppTest:
    """The page behind an address."""
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.switch_page(f"pages/{page}.py")
    for name, value in params.items():
        app.query_params[name] = value
    return app.run()


def words(app: AppTest) -> str:
    """Everything in the page's messages."""
    return "\n".join(
        str(item.value)
        for item in (*app.error, *app.warning, *app.info, *app.markdown, *app.caption)
    )


def sound(app: AppTest, page: str, params: dict[str, Any]) -> None:
    """The page stands, tells no traceback and nothing of the server's files."""
    assert not app.exception, (page, params, app.exception[0].message, app.exception[0].stack_trace)
    said = words(app)
    assert not [flaw for flaw in FLAWS if flaw in said] and "root:x:" not in said
    assert len(app.warning) + len(app.error) <= 4, (page, params)
    longest = max((len(item.value) for item in (*app.warning, *app.error)), default=0)
    assert longest < 4000, (page, params)


def some_address(page: str, dice: random.Random) -> dict[str, Any]:
    """Up to four parameters of a page with words they were not made for; some are given twice."""
    names = [
        *dice.sample(PAGES[page], min(len(PAGES[page]), dice.randrange(1, 5))),
        *(["unknown"] if dice.random() < 0.2 else []),
    ]
    chosen: dict[str, Any] = {}
    for name in names:
        given = [dice.choice(NUMBERS + WORDS) for _ in range(dice.choice((1, 1, 1, 2)))]
        chosen[name] = given if len(given) > 1 else given[0]
    return chosen


@pytest.mark.parametrize("page", PAGES)
def test_random_addresses(
    page: str, backend: Backend, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Saliency asks for it, and is made up here.
    monkeypatch.setattr(Backend, "network", None, raising=False)
    monkeypatch.setattr(
        "agegender_core.explain.saliency.saliency_map", lambda *given, **named: np.zeros((4, 4))
    )
    for seed in range({"errors": 12, "attention": 6}.get(page, 2)):
        params = some_address(page, random.Random(seed))
        sound(opened(page, params), page, params)


@pytest.mark.parametrize("value", ["../../etc/passwd", "9" * 5000, "nan"])
def test_each_setting_of_the_errors_page(value: str, backend: Backend, reports: Path) -> None:
    names = [name for name in PAGES["errors"] if name != "set"]
    for start in range(0, len(names), 6):
        params = {"set": "utkface"} | dict.fromkeys(names[start : start + 6], value)
        sound(opened("errors", params), "errors", params)


ROWS = ("-1", "99999999", "9" * 5000, "nan", "\u0663", "../1")


@pytest.mark.parametrize(
    ("row", "name"), list(zip(ROWS, ("utkface", "../../etc/passwd", "x" * 20_000) * 2, strict=True))
)
def test_rows_of_sets_that_are_not_there(
    name: str, row: str, backend: Backend, reports: Path
) -> None:
    params = {"set": name, "row": row}
    app = opened("attention", params)
    sound(app, "attention", params)
    assert len(app.warning) == 1, "one clear sentence"
