"""An earlier release beside this one: the same photos from bytes to answer, starts, and where the
time of one photo goes, in turns in one run.

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
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from agegender_core.benchmarks.batch import LIGHT
from agegender_core.benchmarks.bench_photos import ONE_FACE, release_photos
from agegender_core.benchmarks.cold_start import ran
from agegender_core.benchmarks.networks import machine_name
from agegender_core.benchmarks.peers import absent_words, faces_words, threads_words
from agegender_core.benchmarks.workers import (
    Report,
    System,
    Worker,
    WorkerError,
    child_environment,
    compare,
    started,
)
from agegender_core.errors import ConfigError
from agegender_core.evaluation.speed_reports import (
    Absent,
    PhotoTime,
    PreviousReport,
    ProfileRow,
    StartTime,
)
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.settings import PACKAGE

ROUNDS, STARTS, PROFILED = 5, 3, 5
"""Timed answers, starts, and photos in each of the two profiles that are averaged."""
THREADS = (1, 2)
DEFAULT, SAME = "each with its default network", f"both with `{LIGHT}`"
BEFORE, NOW = "previous release", "this release"

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


def checked_release(path: Path) -> Path:
    """``path``, made absolute, if it is a checkout of an earlier release of this package with
    weights. Raises ``ConfigError``.
    """
    folder = path.expanduser().resolve()
    hint = "make one with: git worktree add PATH COMMIT"
    if not folder.is_dir():
        raise ConfigError(f"--previous {path}: there is no such folder; {hint}")
    if not (folder / "agegender_core" / "__init__.py").is_file():
        raise ConfigError(
            f"--previous {path}: this is no checkout of this project, as it has no folder"
            f" agegender_core; {hint}"
        )
    if folder == PACKAGE.parent:
        raise ConfigError(f"--previous {path}: this is the release that is running; {hint}")
    weights = folder / "weights"
    if not (weights / "manifest.toml").is_file() or not any(weights.glob("*.safetensors")):
        raise ConfigError(f"--previous {path}: this checkout has no weights in its folder weights/")
    return folder


def release_systems(previous: Path) -> tuple[System, ...]:
    """Both releases with their defaults, and with the light network that both have."""
    light = ("--weights", LIGHT)
    return (
        System(f"{BEFORE}, default", "agegender", DEFAULT, root=previous, own_settings=True),
        System(f"{NOW}, default", "agegender", DEFAULT),
        System(f"{BEFORE}, light", "agegender", SAME, light, root=previous, own_settings=True),
        System(f"{NOW}, light", "agegender", SAME, light),
    )


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
    )


def commit_words(folder: Path) -> str:
    """«f6d56ec of 2026-11-24», or the version where git knows nothing of ``folder``."""
    command = ["git", "-C", str(folder), "log", "-1", "--format=%h of %cs"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "commit unknown"
    return done.stdout.strip() if done.returncode == 0 else "commit unknown"


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


def previous_table(report: PreviousReport) -> str:
    """Markdown: photos, starts, profile."""
    groups = dict.fromkeys(row.group for row in report.rows)
    parts = [_photo_table([row for row in report.rows if row.group == group]) for group in groups]
    if report.starts:
        parts.append(_start_table(report.starts))
    weights = [f"{system.name}: `{system.weights}`" for system in report.systems if system.weights]
    parts.append(
        f"Previous release: {report.previous}; this one: {report.now}. {'; '.join(weights)}."
        f" Medians of {report.rounds} rounds, all in turns, each kept to as many cores as it has"
        f" threads. Machine: {report.machine}, with a load of {report.load_at_start:g} at the"
        " start."
    )
    if report.absent:
        parts.append(absent_words(report.absent))
    return "\n\n".join(parts)


def _photo_table(rows: Sequence[PhotoTime]) -> str:
    """Before and now on each photo: processor time with the fewest threads, and the clock with the
    most.
    """
    least, most = (choose(row.threads for row in rows) for choose in (min, max))
    head = ["photo", f"processor, {threads_words(least)}, before", "now", "times as fast"]
    head += [f"clock, {threads_words(most)}, before", "now", "times as fast"]
    head += ["found, before", "now"]
    title = f"**{rows[0].group.capitalize()}**"
    lines = [title, "", *markdown_head(head)]
    for photo in dict.fromkeys(row.photo for row in rows):
        by_release = {
            (row.system.partition(",")[0], row.threads): row for row in rows if row.photo == photo
        }
        cells = []
        for threads, key in ((least, "cpu_ms"), (most, "wall_ms")):
            before, now = (by_release.get((release, threads)) for release in (BEFORE, NOW))
            cells += [_ms(before, key), _ms(now, key), _times(before, now, key)]
        for release in (BEFORE, NOW):
            row = by_release.get((release, least))
            cells.append("–" if row is None or row.failed else faces_words(len(row.faces)))
        lines.append(markdown_row([photo, *cells]))
    return "\n".join(lines)


def _ms(row: PhotoTime | None, key: str) -> str:
    value = None if row is None else getattr(row, key)
    return "–" if value is None else f"{value:.0f} ms"


def _times(before: PhotoTime | None, now: PhotoTime | None, key: str) -> str:
    old, new = (None if row is None else getattr(row, key) for row in (before, now))
    return "–" if old is None or not new else f"{old / new:.1f}"


def _start_table(starts: Sequence[StartTime]) -> str:
    lines = [
        *markdown_head(
            [
                "from nothing to",
                "processor, before",
                "now",
                "times as fast",
                "clock, before",
                "now",
            ]
        ),
    ]
    for row in starts:
        lines.append(
            markdown_row(
                [
                    row.what,
                    f"{row.before_cpu_s:.2f} s",
                    f"{row.now_cpu_s:.2f} s",
                    f"{row.times_as_fast:.1f}",
                    f"{row.before_wall_s:.2f} s",
                    f"{row.now_wall_s:.2f} s",
                ]
            )
        )
    return "\n".join(lines)


def profile_table(report: PreviousReport) -> str:
    """Markdown: where one photo's time goes, before and now."""
    totals = [sum(getattr(row, key) for row in report.profile) for key in ("before_ms", "now_ms")]
    lines = [
        *markdown_head(
            [
                report.profiled,
                f"before, {totals[0]:.0f} ms",
                "calls",
                f"now, {totals[1]:.0f} ms",
                "calls",
            ]
        ),
    ]
    for row in report.profile:
        lines.append(
            markdown_row(
                [
                    row.what,
                    f"{row.before_ms:.1f} ms",
                    f"{row.before_calls:.0f}" if row.before_calls else "",
                    f"{row.now_ms:.1f} ms",
                    f"{row.now_calls:.0f}" if row.now_calls else "",
                ]
            )
        )
    return "\n".join(lines)
