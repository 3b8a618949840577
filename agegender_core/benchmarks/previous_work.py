"""Live video, attention maps and the analysis of errors with an earlier release and this one: each
a process that stays alive and is asked in turns.
"""

from __future__ import annotations

import base64
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agegender_core.benchmarks.batch import LIGHT
from agegender_core.benchmarks.bench_photos import ONE_FACE, jpeg, release_photos
from agegender_core.benchmarks.releases import (
    BEFORE,
    DEFAULT,
    NOW,
    SAME,
    in_turns,
    release_roots,
    time_of,
)
from agegender_core.benchmarks.video import LOOP_FPS, drawn_video
from agegender_core.benchmarks.workers import (
    Report,
    System,
    Worker,
    WorkerError,
    compare,
    started,
)
from agegender_core.evaluation.speed_reports import Absent, Quantity, ReleaseJob

ROUNDS = 3
"""Timed rounds, after one that is not."""
FACES, SECONDS = (1, 3), 2.0
"""Faces in the videos, and how long each is."""
ROWS = 20_000
"""Drawn predictions whose errors are analysed."""
MASKED = "gra_net_ablation_mixed"
"""A network with masks that this release and earlier ones have alike."""
QUESTIONS = (
    ("tables read", "tables of three networks read"),
    ("filter", "filters of the gallery"),
    ("sort", "orders of the gallery"),
    ("plot", "plots"),
    ("", "slices, conditions, suspects, comparisons"),
)
"""Kinds of questions by what is in their names, the first that fits."""

SIDES = (BEFORE, NOW)
Reply = dict[str, Any]


def _systems(previous: Path, kind: str, group: str, *options: str) -> dict[str, System]:
    return {
        name: System(name, kind, group, options, root=root, own_settings=name == BEFORE)
        for name, root in release_roots(previous).items()
    }


def live_jobs(previous: Path, report: Report, rounds: int = ROUNDS) -> tuple[ReleaseJob, ...]:
    """A row a network and number of faces."""
    videos = {faces: [jpeg(frame) for frame in drawn_video(faces, SECONDS)] for faces in FACES}
    files = {
        _frame(faces, number): data
        for faces, frames in videos.items()
        for number, data in enumerate(frames)
    }
    rows = []
    for group, options in ((SAME, ("--weights", LIGHT)), (DEFAULT, ())):
        with _Pair(_systems(previous, "agegender-live", group, *options), 2, report) as pair:
            pair.hand_over(files)
            for faces, frames in videos.items():
                what = f"{faces} face{'' if faces == 1 else 's'}, {group}"
                names = [_frame(faces, number) for number in range(len(frames))]
                found = pair.ask({"frames": names, "fps": LOOP_FPS}, rounds, f"live, {what}")
                rows.append(_live_row(what, len(names), found, pair.absent))
    return tuple(rows)


def _frame(faces: int, number: int) -> str:
    return f"{faces} {number}"


def _live_row(
    what: str, frames: int, found: Mapping[str, Sequence[Reply]], absent: Mapping[str, str]
) -> ReleaseJob:
    cpu, wall, faces = (
        {name: _median([float(reply[key]) for reply in replies]) for name, replies in found.items()}
        for key in ("cpu_ms", "wall_ms", "faces")
    )
    ms = [None if (one := cpu.get(name)) is None else round(one / frames, 2) for name in SIDES]
    rate = [round(1000 * frames / one, 1) if (one := wall.get(name)) else None for name in SIDES]
    seen = Quantity(name="faces", unit="", before=faces.get(BEFORE), now=faces.get(NOW))
    return ReleaseJob(
        what=what,
        quantities=(
            time_of("processor, a frame", "ms", *ms),
            time_of("frames a second", "", *rate, rate=True),
            seen,
        ),
        absent=_absent(absent),
    )


def map_jobs(previous: Path, report: Report, rounds: int = ROUNDS) -> tuple[ReleaseJob, ...]:
    """Masks of the largest face of a photo: with the network that both have, and each with the one
    it takes by itself.
    """
    rows = []
    photos = {ONE_FACE: release_photos()[ONE_FACE]}
    for group, options in ((f"both with `{MASKED}`", ("--weights", MASKED)), (DEFAULT, ())):
        systems = _systems(previous, "agegender-maps", group, *options)
        found = compare(list(systems.values()), photos, rounds, 1, report)
        by_name = {row.system: row for row in found.rows}
        failed = {row.system: row.failed for row in found.rows if row.failed is not None}
        cpu = [by_name[name].cpu_ms if name in by_name else None for name in SIDES]
        rows.append(
            ReleaseJob(
                what=f"{ONE_FACE}, {group}",
                quantities=(time_of("processor", "ms", *cpu),),
                absent=(*found.absent, *_absent(failed)),
            )
        )
    return tuple(rows)


def error_jobs(
    previous: Path, report: Report, rounds: int = ROUNDS, rows: int = ROWS
) -> tuple[ReleaseJob, ...]:
    """A row a kind of question about the errors of three networks on ``rows`` drawn images."""
    with ExitStack() as stack:
        systems = {}
        for name, system in _systems(previous, "agegender-errors", "").items():
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            systems[name] = replace(system, options=("--folder", folder, "--rows", str(rows)))
        pair = stack.enter_context(_Pair(systems, 1, report))
        found = pair.ask({"questions": True}, rounds, "analysis of errors")
    spent = {
        name: {
            what: _median([float(one["cpu_ms"][what]) for one in replies])
            for what in replies[0]["cpu_ms"]
        }
        for name, replies in found.items()
        if replies
    }
    asked = [
        (title, by_kind(spent.get(BEFORE, {}), kind), by_kind(spent.get(NOW, {}), kind))
        for kind, title in QUESTIONS
    ]
    return tuple(
        _question_row(title, before, now, pair.absent)
        for title, before, now in asked
        if before or now
    )


def by_kind(spent: Mapping[str, float | None], kind: str) -> dict[str, float]:
    """Milliseconds of those questions whose first kind in ``QUESTIONS`` is ``kind``."""
    return {
        what: value
        for what, value in spent.items()
        if value is not None and next(known for known, _ in QUESTIONS if known in what) == kind
    }


def _question_row(
    title: str, before: Mapping[str, float], now: Mapping[str, float], absent: Mapping[str, str]
) -> ReleaseJob:
    """The sum of all questions of a kind. Titles of questions change between releases, their
    number seldom: where it did, those with the same title are compared.
    """
    if before and now and len(before) != len(now):
        both = before.keys() & now.keys()
        before, now = ({what: side[what] for what in both} for side in (before, now))
    sums = [round(sum(side.values()), 1) if side else None for side in (before, now)]
    count = len(now or before)
    return ReleaseJob(
        what=title if count == 1 else f"{title}, {count}",
        quantities=(time_of("processor", "ms", *sums),),
        absent=_absent(absent),
    )


class _Pair:
    """Both releases' workers while entered; ``absent``: those that are gone, and why."""

    def __init__(self, systems: Mapping[str, System], threads: int, report: Report) -> None:
        self._systems, self._threads, self._report = systems, threads, report
        self._workers: dict[str, Worker] = {}
        self.absent: dict[str, str] = {}

    def __enter__(self) -> _Pair:
        for name, system in self._systems.items():
            self._report(f"starting {system.kind}, {name}")
            self._try(name, partial(self._start, name, system))
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def hand_over(self, files: Mapping[str, bytes]) -> None:
        """Give both all files."""
        for name in list(self._workers):
            for file, data in files.items():
                message = {"photo": file, "data": base64.b64encode(data).decode()}
                if self._try(name, partial(self._ask, name, message)) is None:
                    break

    def ask(self, message: Mapping[str, Any], rounds: int, what: str) -> dict[str, list[Reply]]:
        """Replies of each by name, in turns; none of one that is gone."""
        found: dict[str, list[Reply]] = {name: [] for name in self._systems}
        for number in range(rounds + 1):
            for name in in_turns(number):
                if name in self._workers:
                    self._report(f"{what}, {name}, round {number} of {rounds}")
                    reply = self._try(name, partial(self._ask, name, message))
                    if reply is not None and number:  # the first is for warming up
                        found[name].append(reply)
        return {name: replies for name, replies in found.items() if name in self._workers}

    def _start(self, name: str, system: System) -> Reply:
        self._workers[name] = started(system, self._threads)
        return {}

    def _ask(self, name: str, message: Mapping[str, Any]) -> Reply:
        return self._workers[name].ask(message)

    def _try(self, name: str, work: Callable[[], Reply]) -> Reply | None:
        try:
            return work()
        except WorkerError as error:
            self.absent[name] = str(error)
            if worker := self._workers.pop(name, None):
                worker.close()
            return None


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 2) if values else None


def _absent(reasons: Mapping[str, str]) -> tuple[Absent, ...]:
    return tuple(Absent(name, why) for name, why in reasons.items())
