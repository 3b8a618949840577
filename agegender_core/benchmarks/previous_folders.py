"""Big folders with an earlier release and this one: the same ``batch`` command of both, in turns,
over the same drawn photos.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from agegender_core.benchmarks.batch import (
    LIGHT,
    PHONE,
    SIZE,
    JobRun,
    draw_images,
    run_job,
    size_words,
)
from agegender_core.benchmarks.releases import (
    BEFORE,
    DEFAULT,
    NOT_THERE,
    NOW,
    SAME,
    failure_words,
    in_turns,
    release_roots,
    time_of,
)
from agegender_core.benchmarks.workers import Report, child_environment
from agegender_core.evaluation.speed_reports import Absent, ReleaseJob

IMAGES, PHONES, WORKERS, TURNS = 160, 24, 2, 2
"""Small photos, 12-megapixel ones, worker processes, and how often each command runs."""
PARTS = 20
PATIENCE = 120.0
"""Seconds one command may take."""


def folder_jobs(previous: Path, report: Report) -> tuple[ReleaseJob, ...]:
    """A row a folder and network."""
    roots = release_roots(previous)
    absent = {name: why for name, root in roots.items() if (why := lack_of_batch(root, previous))}
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for size, count in ((SIZE, IMAGES), (PHONE, PHONES)):
            folder = Path(temporary) / size_words(size)
            draw_images(folder, count, size)
            for group, words in ((SAME, ("--weights", LIGHT)), (DEFAULT, ())):
                what = f"{count} of {size_words(size)}, {group}"
                rows.append(_compared(what, folder, count, words, roots, absent, report))
    return tuple(rows)


def lack_of_batch(root: Path, previous: Path) -> str | None:
    """Why the release in ``root`` runs no such folders; None where it does."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "agegender_core", "batch", "--help"],
            cwd=root,
            env=child_environment(root == previous) | {"COLUMNS": "200", "TERM": "dumb"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        return failure_words(error)
    if done.returncode == 0:
        return None
    if "No such command" in done.stderr:
        return NOT_THERE
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"batch --help failed: {last.strip()[:200]}"


def _compared(
    what: str,
    folder: Path,
    count: int,
    words: Sequence[str],
    roots: Mapping[str, Path],
    absent: Mapping[str, str],
    report: Report,
) -> ReleaseJob:
    gone = dict(absent)
    runs: dict[str, list[JobRun]] = {name: [] for name in roots}
    for number in range(TURNS):
        for name in in_turns(number):
            if name in gone:
                continue
            report(f"folder, {what}, {name}, {number + 1} of {TURNS}")
            with tempfile.TemporaryDirectory() as output:
                command = [sys.executable, "-m", "agegender_core", "batch", str(folder)]
                command += ["-o", output, "--workers", str(WORKERS), "--quiet"]
                command += ["--part-rows", str(max(1, count // PARTS)), *words]
                environment = child_environment(name == BEFORE)
                try:
                    run = run_job(command, Path(output), roots[name], environment, PATIENCE)
                except (OSError, subprocess.SubprocessError) as error:
                    gone[name] = failure_words(error)
                else:
                    runs[name].append(run)
    before, now = (_medians(runs[name] if name not in gone else ()) for name in (BEFORE, NOW))
    processor = "processor, 1,000 images"
    return ReleaseJob(
        what=what,
        quantities=(
            time_of(processor, "s", _per_1000(before[2]), _per_1000(now[2])),
            time_of("images a second once started", "", before[1], now[1], rate=True),
            time_of(
                "images a second, whole command",
                "",
                _rate(count, before[0]),
                _rate(count, now[0]),
                rate=True,
            ),
        ),
        absent=tuple(Absent(name, why) for name, why in gone.items()),
    )


def _medians(runs: Sequence[JobRun]) -> tuple[float | None, float | None, float | None]:
    """Seconds, images a second once started, processor seconds an image."""
    found: list[float | None] = []
    for values in zip(*runs, strict=True) if runs else ((), (), ()):
        known = [value for value in values if value is not None]
        found.append(round(statistics.median(known), 4) if known else None)
    return found[0], found[1], found[2]


def _per_1000(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def _rate(count: int, seconds: float | None) -> float | None:
    return None if seconds is None else round(count / seconds, 2)
