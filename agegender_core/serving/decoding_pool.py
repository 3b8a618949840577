"""A small pool of threads for work that takes memory: bounded, fair between callers, separate from
everybody else's threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import TypeVar

from agegender_core.errors import BusyError
from agegender_core.serving.admission import BUSY
from agegender_core.serving.fair_queue import FairLine, Ticket

T = TypeVar("T")
IDLE = 30.0
"""Seconds after which a thread without work ends."""


class Pool:
    """Runs ``workers`` pieces of work at the same moment, and keeps ``waiting`` more in a line that
    is fair between callers. Threads start when they are needed and end when idle. Thread-safe.
    """

    def __init__(self, workers: int, waiting: int, name: str = "pool") -> None:
        self.workers, self.waiting, self.name = workers, waiting, name
        self._line = FairLine()
        self._work: dict[Ticket, tuple[Future, Callable]] = {}
        self._threads = self._busy = 0
        self._changed = threading.Condition()

    def submit(self, work: Callable[[], T], caller: Hashable | None = None) -> Future[T]:
        """A promise of the result of ``work``. Raises ``BusyError`` where the line is full;
        cancelling the promise gives up a place that has not been served.
        """
        promise: Future[T] = Future()
        with self._changed:
            if self._full():
                raise BusyError(BUSY)
            self._work[self._line.join(caller)] = (promise, work)
            if self._threads < min(self.workers, self._busy + len(self._line)):
                self._threads += 1
                threading.Thread(target=self._serve, name=self.name, daemon=True).start()
            self._changed.notify()
        return promise

    def run(self, work: Callable[[], T], caller: Hashable | None = None) -> T:
        """The result of ``work``, once it is there. Raises what it raises, and ``BusyError``."""
        return self.submit(work, caller).result()

    def full(self) -> bool:
        """Whether the next piece of work would be turned away."""
        with self._changed:
            return self._full()

    def _full(self) -> bool:
        return self._busy + len(self._line) >= self.workers + self.waiting

    def _serve(self) -> None:
        while (taken := self._next()) is not None:
            promise, work = taken
            del taken
            if promise.set_running_or_notify_cancel():
                _fulfil(promise, work)
            del promise, work  # nothing stays in memory while waiting for more
            with self._changed:
                self._busy -= 1

    def _next(self) -> tuple[Future, Callable] | None:
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._line) > 0, IDLE):
                self._threads -= 1
                return None
            ticket = self._line.first()
            assert ticket is not None
            self._line.leave(ticket, served=True)
            self._busy += 1
            return self._work.pop(ticket)


def _fulfil(promise: Future, work: Callable) -> None:
    try:
        result = work()
    except BaseException as error:  # reaches whoever waits for the result
        promise.set_exception(error)
    else:
        promise.set_result(result)
