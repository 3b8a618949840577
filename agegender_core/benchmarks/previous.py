"""An earlier release beside this one: the same photos from bytes to answer, starts, where the time
of one photo goes, big folders, the app, live video, attention maps and the analysis of errors, in
turns in one run.

``agegender bench --previous PATH``, where PATH is a checkout of that release with its weights.
"""

from __future__ import annotations

import base64
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from agegender_core.benchmarks.bench_photos import ONE_FACE, release_photos
from agegender_core.benchmarks.cold_start import ran
from agegender_core.benchmarks.networks import machine_name
from agegender_core.benchmarks.previous_app import app_jobs
from agegender_core.benchmarks.previous_folders import folder_jobs
from agegender_core.benchmarks.previous_work import error_jobs, live_jobs, map_jobs
from agegender_core.benchmarks.releases import (
    SAME,
    checked_release,
    commit_words,
    failure_words,
    release_systems,
)
from agegender_core.benchmarks.workers import (
    Report,
    System,
    Worker,
    WorkerError,
    child_environment,
    compare,
    started,
)
from agegender_core.errors import AgeGenderError
from agegender_core.evaluation.speed_reports import (
    Absent,
    PreviousReport,
    ProfileRow,
    ReleaseJob,
    StartTime,
)
from agegender_core.settings import PACKAGE

ROUNDS, STARTS, PROFILED = 5, 3, 5
"""Timed answers, starts, and photos in each of the two profiles that are averaged."""
THREADS = (1, 2)

KINDS_OF_WORK = (
    ("decoding the file", r"ImagingDecoder|ImageFile\.py"),
    ("convolutions", r"conv2d|_convolution_pointwise|conv\.py"),
    ("max-pooling", r"max_pool2d|torch\.maximum|_max[23]\b"),
    (
        "resizing candidates and pyramid",
        r"adaptive_avg_pool2d|interpolate|imresample|cumsum|'take' of 'numpy"
        r"|cascade\.py:(shrink|_crops|_cells|running_sums)",
    ),
    ("PReLU", r"prelu"),
    ("dense layers", r"nn\.linear|linear\.py"),
    (
        "non-maximum suppression",
        r"nms|cascade\.py:(_best|_overlapping|keep)|boxes\.py|_coordinate_trick",
    ),
)
"""What profiles are summed up by: a pattern of functions' names each. The first fit counts."""
ELSE = "everything else, Python itself included"


def run_previous(
    path: Path, repeats: int = ROUNDS, starts: int = STARTS, report: Report = lambda text: None
) -> PreviousReport:
    """Compare the release in ``path`` with this one. Raises ``ConfigError`` where it is none."""
    previous, load = checked_release(path), os.getloadavg()[0]
    systems, photos = release_systems(previous), release_photos()
    found = [compare(systems, photos, repeats, count, report) for count in THREADS]
    absent = list(dict.fromkeys(gone for one in found for gone in one.absent))
    try:
        profile = profile_both(systems[2], systems[3], photos[ONE_FACE], report)
    except WorkerError as error:
        profile = ()
        absent.append(Absent("profile", str(error)))
    try:
        starts_found = start_times(previous, photos[ONE_FACE], starts, report)
    except subprocess.CalledProcessError as error:
        starts_found = ()
        absent.append(Absent("starts", f"a command failed with exit code {error.returncode}"))
    jobs = release_jobs(previous, report, absent)
    return PreviousReport(
        machine=f"{machine_name()}, torch {torch.__version__}",
        load_at_start=round(load, 1),
        rounds=repeats,
        previous=commit_words(previous),
        now=commit_words(PACKAGE.parent),
        systems=found[0].systems,
        rows=tuple(row for one in found for row in one.rows),
        starts=starts_found,
        profiled=f"{ONE_FACE}, {SAME}" if profile else "",
        profile=profile,
        absent=tuple(absent),
        **jobs,
    )


def release_jobs(
    previous: Path, report: Report, absent: list[Absent]
) -> dict[str, tuple[ReleaseJob, ...]]:
    """What is measured beside photos and starts, by the report's fields. A part that fails as a
    whole is added to ``absent``, and the others go on.
    """
    found: dict[str, tuple[ReleaseJob, ...]] = {}

    def app() -> tuple[ReleaseJob, ...]:
        times, found["memory"] = app_jobs(previous, report)
        return times

    parts: dict[str, Callable[[], tuple[ReleaseJob, ...]]] = {
        "folders": lambda: folder_jobs(previous, report),
        "app": app,
        "live": lambda: live_jobs(previous, report),
        "maps": lambda: map_jobs(previous, report),
        "errors": lambda: error_jobs(previous, report),
    }
    for name, measure in parts.items():
        try:
            found[name] = measure()
        except (AgeGenderError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            absent.append(Absent(name, failure_words(error)))
    return found


def start_times(previous: Path, photo: bytes, starts: int, report: Report) -> tuple[StartTime, ...]:
    """Import, and the command line to its first answer, ``starts`` times each in turns."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo.jpg"
        file.write_bytes(photo)
        commands = {
            "import agegender_core": ("-c", "import agegender_core"),
            "command line: one photo answered": ("-m", "agegender_core", "predict", str(file)),
        }
        rows = []
        for what, words in commands.items():
            times: dict[Path, list[tuple[float, float]]] = {previous: [], PACKAGE.parent: []}
            for number in range(starts + 1):
                report(f"{what}, {number} of {starts}")
                for root, measured in times.items():
                    spent = ran([sys.executable, *words], root, child_environment(root == previous))
                    if number:  # the first time files come from the disk
                        measured.append(spent)
            rows.append(_start(what, times[previous], times[PACKAGE.parent]))
    return tuple(rows)


def _start(
    what: str, before: Sequence[tuple[float, float]], now: Sequence[tuple[float, float]]
) -> StartTime:
    (before_wall, before_cpu), (now_wall, now_cpu) = (
        tuple(statistics.median(values) for values in zip(*times, strict=True))
        for times in (before, now)
    )
    return StartTime(
        what=what,
        before_wall_s=round(before_wall, 3),
        before_cpu_s=round(before_cpu, 3),
        now_wall_s=round(now_wall, 3),
        now_cpu_s=round(now_cpu, 3),
        times_as_fast=round(before_cpu / now_cpu, 2),
    )


def profile_both(
    before: System, now: System, photo: bytes, report: Report
) -> tuple[ProfileRow, ...]:
    """Where one photo's processor time goes on one thread, in both. Raises ``WorkerError``."""
    workers: list[Worker] = []
    try:
        for system in (before, now):
            report(f"profile: starting {system.name}")
            workers.append(started(system, 1))
        message = {"photo": ONE_FACE, "data": base64.b64encode(photo).decode()}
        for worker in workers:
            worker.ask(message)
            worker.ask({"ask": ONE_FACE})
        sums: list[list[dict[str, tuple[float, float]]]] = [[], []]
        for _ in range(2):
            for worker, found in zip(workers, sums, strict=True):
                answer = worker.ask({"profile": ONE_FACE, "times": PROFILED})
                found.append(by_kind(answer["functions"]))
    finally:
        for worker in workers:
            worker.close()
    means = [_mean(found) for found in sums]
    rows = [ProfileRow(kind, *means[0][kind], *means[1][kind]) for kind in means[0]]
    return tuple(sorted(rows, key=lambda row: (row.what == ELSE, -row.before_ms)))


def by_kind(functions: Sequence[Sequence[float | str]]) -> dict[str, tuple[float, float]]:
    """Calls and milliseconds by kind of work, of [name, calls, ms] of functions. Calls of
    ``ELSE`` are 0: they would say nothing.
    """
    found = {kind: (0.0, 0.0) for kind, _ in (*KINDS_OF_WORK, (ELSE, ""))}
    for name, calls, ms in functions:
        kind = next((k for k, pattern in KINDS_OF_WORK if re.search(pattern, str(name))), ELSE)
        # Python around a built-in would count each call twice.
        counted = float(calls) if str(name).startswith("<") and kind != ELSE else 0.0
        found[kind] = (found[kind][0] + counted, found[kind][1] + float(ms))
    return found


def _mean(found: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    return {
        kind: (
            round(statistics.mean(one[kind][0] for one in found), 1),
            round(statistics.mean(one[kind][1] for one in found), 2),
        )
        for kind in found[0]
    }
