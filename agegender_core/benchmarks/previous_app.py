"""The app of an earlier release and this one, each started where it lies: from nothing to the first
page and the first photo, and what the server holds after many photos.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from agegender_core.benchmarks.cold_start import (
    ApiCall,
    Server,
    numbered_photo,
    photo_of,
    running_server,
)
from agegender_core.benchmarks.process_tree import ProcessTree, is_supported
from agegender_core.benchmarks.releases import (
    BEFORE,
    NOT_THERE,
    NOW,
    failure_words,
    in_turns,
    release_roots,
    time_of,
)
from agegender_core.benchmarks.workers import Report, child_environment
from agegender_core.evaluation.speed_reports import Absent, Quantity, ReleaseJob

STARTS, PHOTOS = 2, 300
"""Starts that are timed, after one that is not; photos the last server answers."""
PAGE, ANSWER = "app: first page can be served", "app: first photo answered"
NO_PROC = "this system does not show its processes"
Start = Callable[[Path, Mapping[str, str]], AbstractContextManager[Server]]


class _AppSide:
    """One release: what was measured of it, and what it could not."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self.root, self.environment = root, environment
        self.call: ApiCall | None = None
        self.times: dict[str, list[tuple[float, float]]] = {PAGE: [], ANSWER: []}
        self.memory: dict[int, int] = {}
        self.absent: dict[str, str] = {}

    def start(self, number: int, last: bool, photos: int, start: Start) -> None:
        """Start it, take its times unless this is the first time, and end it."""
        served = False
        try:
            with start(self.root, self.environment) as server:
                served = True
                tree = ProcessTree(server.process.pid)
                page = _spent(server, tree)
                if number == 0:  # its files come from the disk, and its API is looked for
                    self.call = server.api_call()
                    if self.call is None:
                        self.absent = {ANSWER: NOT_THERE, "memory": NOT_THERE}
                else:
                    self.times[PAGE].append(page)
                if self.call is None:
                    return
                server.answer(photo_of((640, 480), 0), self.call)
                if number:
                    self.times[ANSWER].append(_spent(server, tree))
                if last:
                    self._feed(server, tree, photos)
        except (OSError, RuntimeError, ValueError) as error:
            for name in (ANSWER, "memory") if served else (PAGE, ANSWER, "memory"):
                if not self.times.get(name):
                    self.absent.setdefault(name, failure_words(error))

    def _feed(self, server: Server, tree: ProcessTree, photos: int) -> None:
        assert self.call is not None
        for number in range(1, photos + 1):
            server.answer(numbered_photo(number), self.call)
            if number in (1, photos):
                self.memory[number] = tree.memory_mb()[0]


def app_jobs(
    previous: Path,
    report: Report,
    starts: int = STARTS,
    photos: int = PHOTOS,
    start: Start = running_server,
) -> tuple[tuple[ReleaseJob, ...], tuple[ReleaseJob, ...]]:
    """Rows of times, and rows of memory."""
    roots = release_roots(previous)
    if not is_supported():
        gone = (Absent(BEFORE, NO_PROC), Absent(NOW, NO_PROC))
        return (ReleaseJob(what=PAGE, quantities=(), absent=gone),), ()
    sides = {
        name: _AppSide(root, child_environment(name == BEFORE)) for name, root in roots.items()
    }
    for number in range(starts + 1):
        for name in in_turns(number):
            report(f"app, {name}, start {number} of {starts}")
            sides[name].start(number, number == starts, photos, start)
    return tuple(_start_row(what, sides) for what in (PAGE, ANSWER)), tuple(
        _memory_row(count, sides) for count in dict.fromkeys((1, photos))
    )


def _spent(server: Server, tree: ProcessTree) -> tuple[float, float]:
    """Seconds since its start: by the clock, and of processor time in all its processes."""
    tree.look()
    return server.spent()[0], tree.processor_seconds


def _start_row(what: str, sides: Mapping[str, _AppSide]) -> ReleaseJob:
    medians: dict[str, tuple[float | None, float | None]] = {}
    for name, side in sides.items():
        times = side.times[what]
        medians[name] = (None, None)
        if times and what not in side.absent:
            wall, cpu = (round(statistics.median(one), 3) for one in zip(*times, strict=True))
            medians[name] = (wall, cpu)
    (before_wall, before_cpu), (now_wall, now_cpu) = medians[BEFORE], medians[NOW]
    return ReleaseJob(
        what=what,
        quantities=(
            time_of("processor", "s", before_cpu, now_cpu),
            time_of("clock", "s", before_wall, now_wall),
        ),
        absent=_absent(what, sides),
    )


def _memory_row(count: int, sides: Mapping[str, _AppSide]) -> ReleaseJob:
    before, now = (sides[name].memory.get(count) for name in (BEFORE, NOW))
    share = round(now / before, 2) if before and now else None
    return ReleaseJob(
        what=f"after {count:,} photo{'' if count == 1 else 's'}",
        quantities=(Quantity(name="memory", unit="MB", before=before, now=now, share=share),),
        absent=_absent("memory", sides),
    )


def _absent(what: str, sides: Mapping[str, _AppSide]) -> tuple[Absent, ...]:
    return tuple(
        Absent(name, side.absent[what]) for name, side in sides.items() if what in side.absent
    )
