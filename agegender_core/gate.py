"""A gate before the work: so many inside at once, so many in the queue, all others are turned away politely; places for what lasts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agegender_core.errors import BusyError

LOOK = 0.5
"""Seconds after which someone in the queue is told again where they stand."""


class Gate:
    """Lets ``inside`` callers work at the same moment and ``waiting`` more stand in a queue, first come, first served. Thread-safe."""

    def __init__(self, inside: int, waiting: int) -> None:
        self.inside, self.waiting = inside, waiting
        self._busy = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, tell: Callable[[int], None] | None = None, begun: bool = False) -> Iterator[None]:
        """Work inside of it. ``tell`` hears how many are before one, again and again until it is one's turn; what it raises ends the wait.

        Raises ``BusyError`` where the queue is full, unless the work has ``begun``: a long job that takes a turn for each of its steps is
        not broken off halfway.
        """
        self._enter(tell, begun)
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _enter(self, tell: Callable[[int], None] | None, begun: bool) -> None:
        me = object()
        with self._changed:
            if not begun and (self._busy >= self.inside or self._queue) and len(self._queue) >= self.waiting:
                raise BusyError("Many people are asking right now. Nothing of yours was lost: try again in a minute.")
            self._queue.append(me)
        try:
            while (before := self._before(me)) is not None:
                if tell is not None:
                    tell(before)
        except BaseException:
            with self._changed:
                if me in self._queue:
                    self._queue.remove(me)
                else:
                    self._busy -= 1
                self._changed.notify_all()
            raise

    def _before(self, me: object) -> int | None:
        """Come in where it is one's turn, and give None; otherwise wait a little and give how many are before one."""
        with self._changed:
            if not self._may(me):
                self._changed.wait(LOOK)
            if not self._may(me):
                return self._queue.index(me) + 1
            self._queue.popleft()
            self._busy += 1
            self._changed.notify_all()
            return None

    def _may(self, me: object) -> bool:
        return self._queue[0] is me and self._busy < self.inside


class Places:
    """So many places for what lasts, such as films. Who has one says so again and again or loses it after ``lost`` seconds. Thread-safe."""

    def __init__(self, most: int, lost: float = 10.0) -> None:
        self.most, self.lost = most, lost
        self._taken: dict[object, float] = {}
        self._lock = threading.Lock()

    def take(self, who: object, now: float | None = None) -> bool:
        """Take a place or keep the one ``who`` has; whether there was one. ``now``: by ``time.monotonic``."""
        now = time.monotonic() if now is None else now
        with self._lock:
            self._taken = {one: seen for one, seen in self._taken.items() if now - seen <= self.lost}
            if who not in self._taken and len(self._taken) >= self.most:
                return False
            self._taken[who] = now
            return True

    def leave(self, who: object) -> None:
        """Give the place back, if ``who`` has one."""
        with self._lock:
            self._taken.pop(who, None)
