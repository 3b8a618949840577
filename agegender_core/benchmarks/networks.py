"""How long an answer takes and how much memory it needs. Measured, never asserted: machines are
noisy.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from agegender_core.benchmarks.batch import run_batch_bench
from agegender_core.benchmarks.batch_memory import run_batch_memory_bench
from agegender_core.benchmarks.cold_start import run_start_bench
from agegender_core.benchmarks.error_analysis import (
    median_ms,
    p90_ms,
    peak_memory_mb,
    run_error_bench,
)
from agegender_core.benchmarks.turned_photos import run_turned_bench
from agegender_core.benchmarks.video import run_live_bench
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_store import read_bench
from agegender_core.evaluation.report_types import BenchReport, ModelTiming
from agegender_core.inference.forward import run_network
from agegender_core.inference.model_zoo import ModelInfo, list_weights
from agegender_core.inference.predictor import load_predictor
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.vision.preprocessing import to_batch

PARTS = ("networks", "errors", "live", "batch", "batch-memory", "turned", "start")
"""Parts of the benchmark: networks and a whole photo; error galleries; videos of one to three
faces; big folders on both engines, and memory over thousands of images; photographs that are turned
or show no face; from nothing to the first answer, and memory.
"""


def run_bench(
    repeats: int = 60,
    threads: int | None = None,
    reports: Path | None = None,
    parts: Sequence[str] = PARTS,
) -> BenchReport:
    """Time every installed set of weights on the bundled portrait, the error galleries on
    synthetic predictions, synthetic videos and a synthetic folder.

    ``bench.json`` is written into ``reports`` unless None; parts that are not measured now retain
    their numbers there. Raises ``ConfigError`` for an unknown part.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ConfigError(f"unknown part {', '.join(unknown)}; known: {', '.join(PARTS)}")
    if threads:
        torch.set_num_threads(threads)
    result = (read_bench(reports) if reports is not None else None) or BenchReport()
    machine = f"{machine_name()}, torch {torch.__version__}"
    if "networks" in parts:
        result = replace(
            result,
            rows=tuple(
                row for info in list_weights() if info.installed for row in _rows(info, repeats)
            ),
            threads=torch.get_num_threads(),
            machine=machine,
            peak_memory_mb=peak_memory_mb(),
        )
    if "errors" in parts:
        result = replace(result, errors=run_error_bench())
    if "live" in parts:
        result = replace(result, live=replace(run_live_bench(), machine=machine))
    if "batch" in parts:
        result = replace(result, batch=replace(run_batch_bench(), machine=machine))
    if "batch-memory" in parts:
        result = replace(result, batch_memory=replace(run_batch_memory_bench(), machine=machine))
    if "turned" in parts:
        result = replace(
            result, turned=replace(run_turned_bench(min(repeats, 15)), machine=machine)
        )
    if "start" in parts:
        result = replace(result, start=replace(run_start_bench(), machine=machine))
    if reports is not None:
        write_json(reports / "bench.json", to_json(result))
    return result


def _rows(info: ModelInfo, repeats: int) -> list[ModelTiming]:
    predictor = load_predictor(info.name)
    portrait = sample_portrait()
    photo = Image.new("RGB", (640, 480), (96, 96, 96))
    photo.paste(portrait.resize((480, 480)), (80, 0))
    face = predictor.run(portrait).predictions[0]
    one = to_batch([face.crop], info.input)
    sixteen = to_batch([face.crop] * 16, info.input)
    views = "two views" if info.flip else "one view"
    jobs: list[tuple[str, Callable[[], object], int]] = [
        (f"network, one face, {views}", lambda: run_network(predictor.network, one, info.flip), 1),
        (
            f"network, per face of a batch of 16, {views}",
            lambda: run_network(predictor.network, sixteen, info.flip),
            16,
        ),
        ("network, one face, one view", lambda: run_network(predictor.network, one, False), 1),
        ("whole photo 640x480, one face", lambda: predictor.run(photo), 1),
    ]
    return [
        _timed(info.name, what, job, repeats, share)
        for what, job, share in dict((job[0], job) for job in jobs).values()
    ]


def _timed(
    weights: str, what: str, job: Callable[[], object], repeats: int, share: int
) -> ModelTiming:
    for _ in range(5):
        job()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        job()
        times.append(1000 * (time.perf_counter() - started) / share)
    return ModelTiming(weights, what, median_ms(times), p90_ms(times))


def machine_name() -> str:
    """Processor and number of cores, as reports state them."""
    return f"{processor()}, {os.cpu_count()} cores"


def processor() -> str:
    """Name of the processor, as the system reports it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
