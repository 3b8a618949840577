"""Processes that answer photos when asked (``photo_worker.py``), from the asking side.

Each system under comparison, a peer or a release of this package, is a process of its own that
stays alive and is asked in turns, so that a busy machine slows all alike. One that is missing, dies
or hangs is reported in a sentence and the others go on.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agegender_core.errors import AgeGenderError
from agegender_core.evaluation.speed_reports import Absent, FaceSeen, PhotoTime, SystemTimed
from agegender_core.openmp import SPINS
from agegender_core.settings import PACKAGE

SCRIPT = Path(__file__).with_name("photo_worker.py")
PATIENCE_START, PATIENCE = 120.0, 60.0
"""Seconds a system may take to start, and for one photo."""
REST = 0.02
"""Seconds between two questions, in which the last one's waiting threads go to sleep."""
Report = Callable[[str], None]


class WorkerError(AgeGenderError):
    """A worker is gone: its message says why."""


@dataclass(frozen=True)
class System:
    """What is asked: ``name`` as tables show it, ``kind`` and ``options`` of ``photo_worker.py``.

    ``group``: ratios are within it. ``python``: which runs it. ``root``: folder with the package
    it may use. ``own_settings``: leaves this release's environment variables out.
    """

    name: str
    kind: str
    group: str = ""
    options: tuple[str, ...] = ()
    python: str = sys.executable
    root: Path = PACKAGE.parent
    own_settings: bool = False

    def command(self, threads: int) -> list[str]:
        """Its command line."""
        words = [self.python, str(SCRIPT), self.kind, "--threads", str(threads)]
        return [*words, "--root", str(self.root), *self.options]


class Worker:
    """A running system. ``about``: what it said of itself when it was ready.

    Raises ``WorkerError`` where it does not start within ``patience_start`` seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        patience_start: float = PATIENCE_START,
        patience: float = PATIENCE,
    ) -> None:
        self._patience = patience
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed when the worker is
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=None if environment is None else dict(environment),
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            self._errors.close()
            raise WorkerError(f"{command[0]} cannot be run: {error.strerror}") from error
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.about: dict[str, Any] = self._answer(patience_start).get("ready", {})
        except WorkerError:
            self.close()
            raise

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer to one message. Raises ``WorkerError`` where it died, hangs or talks nonsense:
        it is closed then; and where it answers that it could not: it may be asked again.
        """
        assert self._process.stdin is not None
        # A large file fills the pipe: one that does not read would hold this process up for ever.
        watch = threading.Timer(self._patience, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._gone("it ended, or did not listen") from error
        finally:
            watch.cancel()
        return self._answer(self._patience)

    @property
    def alive(self) -> bool:
        """Whether it may be asked again."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it may be gone, with something still to be written to it
            self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _answer(self, patience: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            raise self._gone(f"it did not answer within {patience:g} seconds", kill=True) from None
        if not line:
            raise self._gone("it ended")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._gone(f"it answered {line.strip()[:80]!r}, which is no answer", kill=True)
        if "error" in answer:
            raise WorkerError(str(answer["error"]))
        return answer

    def _gone(self, reason: str, kill: bool = False) -> WorkerError:
        """The reason with what it printed last."""
        if kill:
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._errors.seek(0)
        printed = self._errors.read().decode(errors="replace").strip().splitlines()
        return WorkerError(f"{reason}: {printed[-1].strip()[:200]}" if printed else reason)


@dataclass
class Timings:
    """What one system said of one photo: milliseconds of each round, and its last answer."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    faces: tuple[FaceSeen, ...] = ()
    failed: str | None = None


@dataclass(frozen=True)
class Comparison:
    """All systems on all photos: ``rows`` in the photos' order, ``systems`` that answered, and
    those ``absent``.
    """

    rows: tuple[PhotoTime, ...]
    systems: tuple[SystemTimed, ...]
    absent: tuple[Absent, ...]


def compare(
    systems: Sequence[System],
    photos: Mapping[str, bytes],
    rounds: int,
    threads: int,
    report: Report = lambda text: None,
    start: Callable[[System, int], Worker] | None = None,
) -> Comparison:
    """Ask all ``systems`` for all ``photos`` in turn, ``rounds`` times after one to warm up.

    Ratios are to the first system of the same group. ``report`` hears what is being done.
    """
    with running(systems, threads, report, start or started) as (workers, absent):
        _hand_over(workers, photos, absent)
        found = {
            photo: _in_turn(workers, photo, rounds, absent, report, f"{threads} threads, {photo}")
            for photo in photos
        }
        firsts = {system.group: system for system in reversed(systems)}
        rows = [
            row
            for photo, by_system in found.items()
            for row in _rows(photo, by_system, threads, firsts)
        ]
        timed = tuple(
            SystemTimed(
                name=system.name,
                group=system.group,
                version=str(worker.about.get("version", "")),
                weights=worker.about.get("weights"),
                load_s=worker.about.get("load_s"),
            )
            for system, worker in workers.items()
        )
    return Comparison(tuple(rows), timed, tuple(absent))


def started(system: System, threads: int) -> Worker:
    """A running worker of ``system``. Raises ``WorkerError``."""
    environment = child_environment(system.own_settings) | {"OMP_NUM_THREADS": str(threads)}
    return Worker(system.command(threads), environment)


def child_environment(own_settings: bool) -> dict[str, str]:
    """The environment without what this command line chose for itself (see ``openmp``): each
    release makes its own choice. ``own_settings``: without this release's settings, too, so that an
    earlier one finds its own weights.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if (name, value) != ("GOMP_SPINCOUNT", SPINS)
        and not (own_settings and name.startswith("AGEGENDER_"))
    }


@contextmanager
def running(
    systems: Sequence[System],
    threads: int,
    report: Report,
    start: Callable[[System, int], Worker],
) -> Iterator[tuple[dict[System, Worker], list[Absent]]]:
    """Workers of those systems that start, and why the others do not."""
    workers: dict[System, Worker] = {}
    absent: list[Absent] = []
    try:
        for system in systems:
            report(f"starting {system.name}")
            try:
                workers[system] = start(system, threads)
            except WorkerError as error:
                absent.append(Absent(system.name, str(error)))
        yield workers, absent
    finally:
        for worker in workers.values():
            worker.close()


def _hand_over(
    workers: dict[System, Worker], photos: Mapping[str, bytes], absent: list[Absent]
) -> None:
    """Give every worker all files, so that none is read while time is taken."""
    for system, worker in list(workers.items()):
        try:
            for name, data in photos.items():
                worker.ask({"photo": name, "data": base64.b64encode(data).decode()})
        except WorkerError as error:
            _drop(system, workers, absent, error)


def _drop(
    system: System, workers: dict[System, Worker], absent: list[Absent], error: WorkerError
) -> None:
    workers.pop(system).close()
    absent.append(Absent(system.name, str(error)))


def _in_turn(
    workers: dict[System, Worker],
    photo: str,
    rounds: int,
    absent: list[Absent],
    report: Report,
    what: str,
) -> dict[System, Timings]:
    """Every worker's timings of one photo. One that dies is dropped; one that only fails here has
    that as its answer.
    """
    found = {system: Timings() for system in workers}
    for number in range(rounds + 1):
        report(f"{what}, round {number} of {rounds}")
        for system, worker in list(workers.items()):
            if found[system].failed is not None:
                continue
            time.sleep(REST)
            try:
                answer = worker.ask({"ask": photo})
                faces = tuple(FaceSeen(face["years"], face["gender"]) for face in answer["faces"])
                wall, cpu = float(answer["wall_ms"]), float(answer["cpu_ms"])
            except (KeyError, TypeError, ValueError):
                _drop(system, workers, absent, WorkerError("its answer lacks times or faces"))
            except WorkerError as error:
                if worker.alive:
                    found[system].failed = str(error)
                else:
                    _drop(system, workers, absent, error)
            else:
                found[system].faces = faces
                if number:  # the first is for warming up
                    found[system].wall_ms.append(wall)
                    found[system].cpu_ms.append(cpu)
    return {
        system: one
        for system, one in found.items()
        if system in workers and (one.cpu_ms or one.failed)
    }


def _rows(
    photo: str, found: Mapping[System, Timings], threads: int, firsts: Mapping[str, System]
) -> Iterator[PhotoTime]:
    """A row a system. ``firsts``: what ratios are to, by group."""
    medians = {
        system: tuple(
            round(statistics.median(times), 2) if times and one.failed is None else None
            for times in (one.wall_ms, one.cpu_ms)
        )
        for system, one in found.items()
    }
    for system, (wall, cpu) in medians.items():
        first_wall, first_cpu = medians.get(firsts[system.group], (None, None))
        yield PhotoTime(
            photo=photo,
            system=system.name,
            group=system.group,
            threads=threads,
            wall_ms=wall,
            cpu_ms=cpu,
            wall_ratio=_ratio(wall, first_wall),
            cpu_ratio=_ratio(cpu, first_cpu),
            faces=found[system].faces,
            failed=found[system].failed,
        )


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else round(one / other, 3)
