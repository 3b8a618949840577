"""What those who left have in memory: who gets it back, and when it goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ui.common import kept_visits
from ui.common.kept_visits import MOST, KeptVisits, Visit

DAY = 86_400.0


class World:
    """Open sessions, a clock and the store that looks at both."""

    def __init__(self, most: int = 1000) -> None:
        self.open: set[str] = set()
        self.now = 0.0
        self.visits = KeptVisits(self.open.__contains__, 300.0, most, lambda: self.now)

    def leave(self, session: str, browser: str = "b", tab: str = "t", size: int = 10) -> Visit:
        """A session that had something and was closed."""
        visit = Visit(session, browser, tab, {"own": session}, lambda: size)
        self.visits.keep(visit)
        self.visits.sweep()
        return visit

    def sizes(self) -> int:
        self.visits.sweep()
        return self.visits.bytes()


def test_the_same_tab_has_it_back_once() -> None:
    world = World()
    visit = world.leave("old")
    assert world.visits.known("b", "new") and not world.visits.known("b", "old")
    assert world.visits.take("b", "t", "new") is visit
    assert world.visits.take("b", "t", "newer") is None and world.sizes() == 0


@pytest.mark.parametrize(("browser", "tab"), [("x", "t"), ("b", "x"), ("", ""), ("t", "b")])
def test_nobody_else_has_it(browser: str, tab: str) -> None:
    world = World()
    world.leave("old")
    assert world.visits.take(browser, tab, "new") is None and world.sizes() == 10


def test_an_open_session_keeps_its_own() -> None:
    world = World()
    world.open.add("old")
    world.leave("old")
    world.now = DAY
    assert world.visits.take("b", "t", "new") is None and world.sizes() == 0
    assert world.visits.is_elsewhere("b", "t", "new")
    world.open.clear()
    assert world.sizes() == 10 and not world.visits.is_elsewhere("b", "t", "new")
    world.open.add("old")  # the connection was lost and came back
    assert world.visits.take("b", "t", "new") is None


def test_it_is_dropped_some_minutes_after_the_session_was_closed() -> None:
    world = World()
    world.open.add("old")
    world.leave("old")
    world.now = DAY
    world.open.clear()
    assert world.sizes() == 10
    world.now += 299
    assert world.sizes() == 10
    world.now += 1
    assert world.sizes() == 0 and world.visits.take("b", "t", "new") is None


def test_it_is_bounded_in_bytes_and_the_oldest_goes_first() -> None:
    world = World(most=25)
    for number in range(3):
        world.now += 1
        world.leave(f"old{number}", tab=f"t{number}")
    assert world.sizes() == 20
    assert world.visits.take("b", "t0", "new") is None
    assert world.visits.take("b", "t2", "new") is not None
    world.leave("large", tab="large", size=26)
    assert world.visits.take("b", "large", "new") is None


def test_it_is_bounded_in_visitors() -> None:
    world = World(most=10**9)
    for number in range(2 * MOST):
        world.now += 1
        world.leave(f"old{number}", browser=f"b{number}")
    assert world.sizes() == 10 * MOST and not world.visits.known("b0", "new")


def test_where_nothing_is_left_there_is_nothing_to_have_back() -> None:
    world = World()
    held = {"own": [1]}
    world.visits.keep(Visit("old", "b", "t", held, lambda: len(held["own"])))
    assert world.visits.known("b", "new")
    held["own"].clear()
    assert not world.visits.known("b", "new") and world.visits.take("b", "t", "new") is None


def test_time_alone_drops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_visits, "PACE", 0.01)
    visits: Any = KeptVisits(lambda session: False, 0.05, 100)
    visits.keep(Visit("old", "b", "t", {}, lambda: 10))

    async def wait() -> None:
        async with kept_visits.swept(visits):
            await asyncio.sleep(0.3)

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:  # browser tests' driver has a loop in this one
        thread.submit(asyncio.run, wait()).result()
    assert visits.bytes() == 0 and not visits._visits
