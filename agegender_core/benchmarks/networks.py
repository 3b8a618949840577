"""How long an answer takes and how much memory it needs. Measured, never asserted: machines are
noisy.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from agegender_core.benchmarks.batch import run_batch_bench
from agegender_core.benchmarks.error_analysis import peak_memory_mb, run_error_bench
from agegender_core.benchmarks.video import run_live_bench
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.errors import ConfigError
from agegender_core.inference.forward import run_network
from agegender_core.inference.model_zoo import ModelInfo, list_weights
from agegender_core.inference.predictor import load_predictor
from agegender_core.output.files import write_json
from agegender_core.vision.preprocessing import to_batch

PARTS = ("networks", "errors", "live", "batch")
"""What can be measured: networks and a whole photo; error galleries; videos of one to three faces;
big folders on both engines.
"""


def run_bench(
    repeats: int = 60,
    threads: int | None = None,
    reports: Path | None = None,
    parts: Sequence[str] = PARTS,
) -> dict[str, Any]:
    """Time every installed set of weights on the bundled portrait, the error galleries on drawn
    answers, drawn videos and a drawn folder.

    ``bench.json`` is written into ``reports`` where given; parts that are not measured now keep
    their numbers there. Raises ``ConfigError`` for an unknown part.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ConfigError(f"nothing is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if threads:
        torch.set_num_threads(threads)
    path = None if reports is None else reports / "bench.json"
    result: dict[str, Any] = (
        json.loads(path.read_text()) if path is not None and path.is_file() else {}
    )
    machine = f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}"
    if "networks" in parts:
        result["rows"] = [
            row for entry in list_weights() if entry.installed for row in _rows(entry, repeats)
        ]
        result |= {
            "threads": torch.get_num_threads(),
            "machine": machine,
            "peak_memory_mb": peak_memory_mb(),
        }
    if "errors" in parts:
        result["errors"] = run_error_bench()
    if "live" in parts:
        result["live"] = run_live_bench() | {"machine": machine}
    if "batch" in parts:
        result["batch"] = run_batch_bench() | {"machine": machine}
    if path is not None:
        write_json(path, result)
    return result


def _rows(entry: ModelInfo, repeats: int) -> list[dict[str, Any]]:
    predictor = load_predictor(entry.name)
    portrait = sample_portrait()
    photo = Image.new("RGB", (640, 480), (96, 96, 96))
    photo.paste(portrait.resize((480, 480)), (80, 0))
    face = predictor.run(portrait).predictions[0]
    one = to_batch([face.crop], entry.input)
    sixteen = to_batch([face.crop] * 16, entry.input)
    views = "two views" if entry.flip else "one view"
    jobs: list[tuple[str, Callable[[], object], int]] = [
        (f"network, one face, {views}", lambda: run_network(predictor.network, one, entry.flip), 1),
        (
            f"network, per face of a batch of 16, {views}",
            lambda: run_network(predictor.network, sixteen, entry.flip),
            16,
        ),
        ("network, one face, one view", lambda: run_network(predictor.network, one, False), 1),
        ("whole photo 640x480, one face", lambda: predictor.run(photo), 1),
    ]
    return [
        {"weights": entry.name, "what": what, **_time(job, repeats, share)}
        for what, job, share in dict((job[0], job) for job in jobs).values()
    ]


def _time(job: Callable[[], object], repeats: int, share: int) -> dict[str, float]:
    for _ in range(5):
        job()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        job()
        times.append(1000 * (time.perf_counter() - started) / share)
    return {
        "median_ms": round(statistics.median(times), 2),
        "p90_ms": round(sorted(times)[int(0.9 * len(times))], 2),
    }


def processor() -> str:
    """Name of the processor, as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
