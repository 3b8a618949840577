"""One or a few threads that help with pieces of one image's detection.

OpenMP's threads meet at the end of every operation and wait for each other in a loop; with hundreds
of small operations on a busy machine that costs more than it saves. Here a thread takes whole
pieces of work, and the caller does by itself what no thread has begun when it comes to it. So a
busy machine loses nothing, and nobody waits for a thread that is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from agegender_core.forking import renewed_after_fork

MOST = 3
"""Threads beside the caller's; detection has no work for more."""


class Helpers:
    """Calls functions at the same time. Thread-safe: callers share the threads, which are started
    at first use.

    ``count``: threads beside the caller's own. ``prepare``: called once in each of them.
    """

    def __init__(self, count: int, prepare: Callable[[], None] = lambda: None) -> None:
        self.count, self.prepare = count, prepare
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        renewed_after_fork(self)

    def renew_after_fork(self) -> None:
        """In a forked process: the threads are not there."""
        self._lock, self._pool = threading.Lock(), None

    def __call__(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """What the tasks return, in their order; the caller begins with the first. What one raises
        is raised.
        """
        if len(tasks) < 2 or self.count < 1:
            return [task() for task in tasks]
        pool = self._threads()
        waiting: list[Future[Any]] = [pool.submit(task) for task in tasks[1:]]
        results: list[Any] = [None] * len(tasks)
        try:
            results[0] = tasks[0]()
            for number in range(len(tasks) - 1, 0, -1):
                future = waiting[number - 1]
                results[number] = tasks[number]() if future.cancel() else future.result()
        finally:
            for future in waiting:
                future.cancel()
        return results

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.count, "detection", self.prepare)
            return self._pool
