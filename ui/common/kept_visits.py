"""What visitors left behind a moment ago, in memory, for the same tab to have it back after a
refresh. Bounded in number, in bytes and in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST = 100
"""Visitors who have left and whose images are kept at the same moment."""
PACE = 5.0
"""Seconds between two looks at who has left."""
Content = Mapping[str, Any]
"""Values of a session by their keys: the session's own objects, so that what a visitor removes is
removed here."""


@dataclass(eq=False)
class Visit:
    """``browser`` and ``tab``: whose it is; ``size``: counts the bytes of ``content``; ``left``:
    when its session was first found closed, None while it is open.
    """

    session: str
    browser: str
    tab: str
    content: Content
    size: Callable[[], int]
    left: float | None = None


class KeptVisits:
    """``is_open``: whether a session is connected; ``seconds``: for which the content of one that
    is not stays; ``most``: bytes of all of them together. Thread-safe.
    """

    def __init__(
        self,
        is_open: Callable[[str], bool],
        seconds: float,
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_open, self.seconds, self.most, self.clock = is_open, seconds, most, clock
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()

    def keep(self, visit: Visit) -> None:
        """An open session of a tab has this content."""
        with self._lock:
            self._visits[visit.session] = visit

    def forget(self, session: str) -> None:
        """The session has nothing that could be missed."""
        with self._lock:
            self._visits.pop(session, None)

    def known(self, browser: str, but: str) -> bool:
        """Whether something of a session in this browser is here, ``but`` for one session."""
        with self._lock:
            self._look()
            return any(
                visit.browser == browser and visit.session != but for visit in self._visits.values()
            )

    def is_elsewhere(self, browser: str, tab: str, but: str) -> bool:
        """Whether a session of this tab is still open, ``but`` for one."""
        with self._lock:
            self._look()
            return any(visit.left is None for visit in self._of(browser, tab, but))

    def take(self, browser: str, tab: str, session: str) -> Visit | None:
        """What this tab left last, which is kept no more; None where its session is still open, or
        nothing is here.
        """
        with self._lock:
            self._look()
            mine = self._of(browser, tab, session)
            newest = next((visit for visit in self._gone() if visit in mine), None)
            return None if newest is None else self._visits.pop(newest.session)

    def sweep(self) -> None:
        """Drop what is too old or too much."""
        with self._lock:
            self._look()

    def bytes(self) -> int:
        """Bytes of what those who left have here."""
        with self._lock:
            return sum(visit.size() for visit in self._gone())

    def _of(self, browser: str, tab: str, but: str) -> list[Visit]:
        return [
            visit
            for visit in self._visits.values()
            if (visit.browser, visit.tab) == (browser, tab) and visit.session != but
        ]

    def _gone(self) -> list[Visit]:
        """Those who left, the last one first."""
        gone = [(visit.left, visit) for visit in self._visits.values() if visit.left is not None]
        return [visit for _, visit in sorted(gone, key=lambda pair: -pair[0])]

    def _look(self) -> None:
        now = self.clock()
        for visit in list(self._visits.values()):
            if self.is_open(visit.session):
                visit.left = None
            elif visit.left is None:
                visit.left = now
        room = self.most
        for number, visit in enumerate(self._gone()):
            size = visit.size()
            if (
                not size
                or size > room
                or number >= MOST
                or (visit.left is not None and now - visit.left >= self.seconds)
            ):
                del self._visits[visit.session]
            else:
                room -= size


@contextlib.asynccontextmanager
async def swept(visits: KeptVisits) -> AsyncIterator[None]:
    """Sweep again and again for the time of the block."""

    async def sweeping() -> None:
        while True:
            visits.sweep()
            await asyncio.sleep(PACE)

    task = asyncio.create_task(sweeping())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
