"""Images a second of ``batch`` on both engines, over the same drawn folders, and what they cost of
processor time. Measured, never asserted: machines are noisy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.evaluation.report_types import BatchBench, BatchRow

IMAGES = 400
SIZE, PHONE = (640, 480), (4032, 3024)
LIGHT = "multitask_cnn_dist"
"""The weights of least work."""
SHARE = 4
"""A run over every fourth image shows what the start takes."""


@dataclass(frozen=True)
class Cost:
    """Of one command: wall-clock and processor seconds, its processes included."""

    seconds: float
    processor: float


def run_batch_bench(images: int = IMAGES, workers: int = 2) -> BatchBench:
    """A row an engine, weights and kind of image: the whole command, its start included. «ray»
    where it is installed; a fifth as many phone photographs.
    """
    rows = []
    engines = ["local", "ray"] if _ray_is_installed() else ["local"]
    with tempfile.TemporaryDirectory() as temporary:
        for size, count, names in (
            (SIZE, images, (None, LIGHT)),
            (PHONE, max(SHARE, images // 5), (LIGHT,)),
        ):
            folder = Path(temporary) / f"{size[0]}x{size[1]}"
            _draw(folder / "part", count // SHARE, size)
            _draw(folder / "rest", count - count // SHARE, size)
            rows += [
                _row(folder, engine, weights, count, workers, size)
                for weights in names
                for engine in engines
            ]
    return BatchBench(tuple(rows), f"{SIZE[0]}x{SIZE[1]} JPEG with one face")


def batch_bench_table(bench: BatchBench) -> str:
    """Markdown."""
    costs = any(row.processor_seconds_per_1000 is not None for row in bench.rows)
    heads = ["engine", "images", "workers", "seconds, start included", "images a second"]
    heads += [
        "once started",
        "processor seconds per 1,000",
        "image",
        "weights",
    ] * costs
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(['---'] * len(heads))} |"]
    for row in bench.rows:
        cells = [row.engine, f"{row.pictures}", f"{row.workers}", f"{row.seconds:.1f}"]
        cells.append(f"{row.pictures_a_second:.1f}")
        if costs:
            cells += [_shown(row.started_pictures_a_second), _shown(row.processor_seconds_per_1000)]
            cells += [row.picture, row.weights]
        lines.append(f"| {' | '.join(cells)} |")
    note = "Each a JPEG with one face" if costs else f"Each a {bench.picture}"
    return "\n".join([*lines, "", f"{note}; both engines in one run, one after the other."])


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _draw(folder: Path, count: int, size: tuple[int, int]) -> None:
    """``count`` JPEGs with the portrait; large ones have a camera's noise, so that they have as
    many bytes as its photographs.
    """
    folder.mkdir(parents=True)
    photo = Image.new("RGB", SIZE, (96, 96, 96))
    photo.paste(sample_portrait().resize((480, 480)), (80, 0))
    if size != SIZE:
        pixels = np.asarray(photo.resize(size, Image.Resampling.BICUBIC), np.float32)
        noise = np.random.default_rng(0).normal(0, 5, pixels.shape)
        photo = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
    for index in range(count):
        ImageEnhance.Brightness(photo).enhance(0.7 + 0.6 * index / count).save(
            folder / f"{index:05}.jpg", quality=90
        )


def _ray_is_installed() -> bool:
    from agegender_core.batch.ray_engine import require_ray
    from agegender_core.errors import ConfigError

    try:
        require_ray()
    except ConfigError:
        return False
    return True


def _row(
    folder: Path, engine: str, weights: str | None, images: int, workers: int, size: tuple[int, int]
) -> BatchRow:
    options = ["--engine", engine, "--workers", str(workers), "--quiet"]
    options += [] if weights is None else ["--weights", weights]
    few, all_ = (
        _measured([str(source), "-o", tempfile.mkdtemp(dir=folder.parent), *options])
        for source in (folder / "part", folder)
    )
    more = images - images // SHARE
    # On a busy machine the short run may have taken longer than the long one.
    rate = more / (all_.seconds - few.seconds) if all_.seconds > few.seconds else None
    return BatchRow(
        engine,
        images,
        workers,
        round(all_.seconds, 1),
        round(images / all_.seconds, 1),
        picture=f"{size[0]}x{size[1]}",
        weights=weights or "default",
        started_pictures_a_second=None if rate is None else round(rate, 1),
        processor_seconds_per_1000=round(1000 * (all_.processor - few.processor) / more, 1),
    )


def _measured(arguments: list[str]) -> Cost:
    started, before = time.perf_counter(), _children()
    subprocess.run(
        [sys.executable, "-m", "agegender_core", "batch", *arguments],
        check=True,
        capture_output=True,
    )
    return Cost(time.perf_counter() - started, _children() - before)


def _children() -> float:
    """Processor seconds of all processes that were started from here and have ended."""
    times = os.times()
    return times.children_user + times.children_system
