"""Worker processes that survive each other: a worker that dies costs at most the image it was at,
and is replaced.

Each worker has a pipe of its own, no shared queue: a process that is killed while it has a shared
queue's lock stops all others. A worker gets one image more than it works on. The image a worker
died at, or did not answer for within the patience, is tried once more; the second time it becomes a
failure.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from agegender_core.batch.image_refs import Item
from agegender_core.batch.pipeline import Failure, Outcome
from agegender_core.errors import AgeGenderError, DetectorError

AHEAD = 2
"""Images in a worker's hands."""
TRIES = 2
PATIENCE = 300.0
"""Seconds for one image, or for a worker to start; the largest image takes a few."""
STARTS = 3
"""Workers in a row that may die before they are ready."""
READY = "ready"
Find = Callable[[Item], Outcome]
Task = tuple[int, Item]


@dataclass(eq=False)
class _Worker:
    process: Any
    pipe: Connection
    since: float = field(default_factory=time.monotonic)
    ready: bool = False
    tasks: deque[Task] = field(default_factory=deque)


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Up to ``count`` workers, started as images come. ``make_find`` is sent to each and returns
    what it does with an image.
    """

    def __init__(
        self, make_find: Callable[[], Find], count: int, patience: float = PATIENCE
    ) -> None:
        self.make_find, self.count, self.patience = make_find, count, patience
        # A fork would copy torch's threads in whatever state they are.
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[_Worker] = []
        self.waiting: deque[Task] = deque()
        self.tries: dict[int, int] = {}
        self.starts_failed = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def has_room(self) -> bool:
        """Whether another image would find a worker."""
        return not self.waiting and (
            len(self.workers) < self.count
            or any(len(worker.tasks) < AHEAD for worker in self.workers)
        )

    def submit(self, number: int, item: Item) -> None:
        """Queue an image, under a number of its own."""
        self.waiting.append((number, item))
        self._hand_out()

    def take(self, timeout: float) -> list[tuple[int, Item, Outcome]]:
        """Images finished, at once or within ``timeout`` seconds. Raises ``DetectorError``
        where no worker can start.
        """
        finished: list[tuple[int, Item, Outcome]] = []
        pipes: dict[object, _Worker] = {worker.pipe: worker for worker in self.workers}
        for pipe in wait([worker.pipe for worker in self.workers], timeout):
            finished += self._receive(pipes[pipe])
        now = time.monotonic()
        for worker in [
            worker for worker in self.workers if worker.tasks and now - worker.since > self.patience
        ]:
            finished += self._retire_worker(worker, f"took longer than {self.patience:.0f} s")
        self._hand_out()
        return finished

    def close(self) -> None:
        """End all workers; what they were doing is lost."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.pipe.close()
        self.workers = []

    def _receive(self, worker: _Worker) -> list[tuple[int, Item, Outcome]]:
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return self._retire_worker(worker, "was killed, ran out of memory or crashed")
        worker.since = time.monotonic()
        if worker.ready:
            number, item = worker.tasks.popleft()
            self.tries.pop(number, None)
            return [(number, item, answer)]
        if answer != READY:
            raise DetectorError(f"a worker cannot start: {answer}")
        worker.ready, self.starts_failed = True, 0
        return []

    def _retire_worker(self, worker: _Worker, reason: str) -> list[tuple[int, Item, Outcome]]:
        """Remove a worker; its image is tried again or fails, the one it had not begun goes
        back.
        """
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self.workers.remove(worker)
        failed: list[tuple[int, Item, Outcome]] = []
        if not worker.ready:
            self.starts_failed += 1
            if self.starts_failed >= STARTS:
                raise DetectorError(
                    f"{STARTS} workers in a row {reason} while starting: try fewer, --workers 1;"
                    " each needs some 400 MB"
                )
        elif worker.tasks:
            number, item = worker.tasks[0]
            self.tries[number] = self.tries.get(number, 0) + 1
            if self.tries[number] >= TRIES:
                worker.tasks.popleft()
                del self.tries[number]
                failed.append(
                    (
                        number,
                        item,
                        Failure(
                            f"The process that worked on this image {reason}, twice. Try it alone,"
                            " or smaller."
                        ),
                    )
                )
        self.waiting.extendleft(reversed(worker.tasks))
        return failed

    def _hand_out(self) -> None:
        while self.waiting:
            worker = min(
                self.workers, key=lambda worker: (len(worker.tasks), not worker.ready), default=None
            )
            if len(self.workers) < self.count and (worker is None or worker.tasks):
                worker = self._start()
            if worker is None or len(worker.tasks) >= AHEAD:
                return
            task = self.waiting.popleft()
            if not worker.tasks and worker.ready:
                worker.since = time.monotonic()
            worker.tasks.append(task)
            # It has died: the next take notices it.
            with contextlib.suppress(OSError):
                worker.pipe.send(task[1])

    def _start(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_work, args=(theirs, self.make_find), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker


def _work(pipe: Connection, make_find: Callable[[], Find]) -> None:
    """A worker's life. It ends with its pipe, and so with the process that started it."""
    # Ctrl-C reaches all processes of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    with contextlib.suppress(EOFError, OSError):
        try:
            find = make_find()
        except AgeGenderError as error:
            pipe.send(str(error))
            return
        pipe.send(READY)
        while True:
            pipe.send(find(pipe.recv()))


def in_order(
    items: Iterable[Item], pool: Pool, stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Item, Outcome]]:
    """Each item and what was found, in the order of the items, whichever worker was first. After
    ``stop`` what is finished, and no more.

    Items are taken from their source only so far ahead that memory is bounded, also behind one slow
    image.
    """
    window = max(32, 8 * pool.count)
    source = iter(items)
    finished: dict[int, tuple[Item, Outcome]] = {}
    sent = due = 0
    more = True
    while not stop():
        while more and pool.has_room and sent - due < window:
            item = next(source, None)
            more = item is not None
            if item is not None:
                pool.submit(sent, item)
                sent += 1
        if due == sent and not more:
            return
        for number, item, outcome in pool.take(0.5):
            finished[number] = (item, outcome)
        while due in finished:
            yield finished.pop(due)
            due += 1
    yield from finished.values()
