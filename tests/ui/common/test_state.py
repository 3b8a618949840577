"""The session's values: every key stands in one place."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.support import ROOT
from ui.common.state import Slot, count_up

HOMES = {ROOT / "ui" / "common" / "state.py", ROOT / "ui" / "common" / "query_state.py"}
"""The only files that touch the session itself: slots, and the settings in a page's address."""
FEATURES = sorted(path.parent.name for path in (ROOT / "ui").glob("*/state.py"))
FILES = [*(ROOT / "ui").rglob("*.py"), *(ROOT / "pages").glob("*.py"), ROOT / "app.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_slots_touch_the_session(path: Path) -> None:
    used = any(
        isinstance(node, ast.Attribute) and node.attr == "session_state"
        for node in ast.walk(ast.parse(path.read_text()))
    )
    assert used == (path in HOMES), "list the value in the feature's module «state»"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_slots_are_made_in_modules_called_state(path: Path) -> None:
    made = any(
        isinstance(node, ast.Call) and ast.unparse(node.func).partition("[")[0] == "Slot"
        for node in ast.walk(ast.parse(path.read_text()))
    )
    assert not made or path.name == "state.py"


def test_no_two_slots_share_a_key() -> None:
    slots = [
        (name, value.key)
        for feature in FEATURES
        for name, value in vars(importlib.import_module(f"ui.{feature}.state")).items()
        if isinstance(value, Slot)
    ]
    assert len(slots) > 40
    assert [key for key, count in Counter(key for _, key in slots).items() if count > 1] == []


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A plain dictionary in the session's place."""
    made: dict[str, object] = {}
    monkeypatch.setattr("streamlit.session_state", made)
    return made


def test_a_default_is_made_each_time_and_stored_only_where_it_is_filled(
    session: dict[str, object],
) -> None:
    slot = Slot[dict[str, int]]("answers", dict)
    slot.get()["lost"] = 1
    assert slot.get() == {} and not slot.is_set() and session == {}
    slot.stored()["a"] = 1
    slot.stored()["b"] = 2
    assert slot.get() == {"a": 1, "b": 2} and session == {"answers": {"a": 1, "b": 2}}
    assert slot.pop() == {"a": 1, "b": 2} and session == {} and slot.pop() == {}


def test_a_value_that_is_set_is_not_the_default(session: dict[str, object]) -> None:
    slot = Slot[bool | None]("wish", lambda: True)
    slot.set(False)
    assert slot.get() is False and slot.is_set()
    slot.set(None)
    assert slot.get() is None, "None is a value"
    slot.set_default(False)
    assert slot.get() is None
    slot.clear()
    slot.clear()
    slot.set_default(False)
    assert slot.get() is False


def test_counting_begins_at_the_default(session: dict[str, object]) -> None:
    slot = Slot[int]("turn", int)
    count_up(slot)
    count_up(slot)
    assert session == {"turn": 2}


def test_no_slot_stands_for_its_key() -> None:
    """A widget's or component's ``key`` is a string: a slot given instead stores elsewhere."""
    slots = r"(?:state\.)?[A-Z][A-Z_]+"
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("ui", "pages")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        if (named := re.search(rf"\bkey=({slots})[,)\s]", line))
        and isinstance(_named(path, named[1].removeprefix("state.")), Slot)
    ]
    assert not found


def _named(path: Path, name: str) -> object:
    """What ``name`` is in the module at ``path``, or in its feature's ``state``."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if module.startswith("pages."):
        return None
    own = importlib.import_module(module)
    return getattr(own, name, getattr(getattr(own, "state", None), name, None))
