"""Images a second of ``batch`` on both engines, over the same drawn folder. Measured, never
asserted: machines are noisy.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageEnhance

from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.evaluation.report_types import BatchBench, BatchRow

IMAGES = 400
SIZE = (640, 480)


def run_batch_bench(images: int = IMAGES, workers: int = 2) -> BatchBench:
    """A row an engine: the whole command, its start included. «ray» where it is installed."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        folder.mkdir()
        _draw(folder, images)
        for engine in ("local", "ray"):
            if engine == "local" or _ray_is_installed():
                rows.append(_row(folder, Path(temporary) / engine, engine, images, workers))
    return BatchBench(tuple(rows), f"{SIZE[0]}x{SIZE[1]} JPEG with one face")


def batch_bench_table(bench: BatchBench) -> str:
    """Markdown."""
    lines = [
        "| engine | images | workers | seconds, start included | images a second |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in bench.rows:
        numbers = (
            f"{row.pictures} | {row.workers} | {row.seconds:.1f} | {row.pictures_a_second:.1f}"
        )
        lines.append(f"| {row.engine} | {numbers} |")
    return "\n".join(
        [*lines, "", f"Each a {bench.picture}; both engines in one run, one after the other."]
    )


def _draw(folder: Path, count: int) -> None:
    photo = Image.new("RGB", SIZE, (96, 96, 96))
    photo.paste(sample_portrait().resize((480, 480)), (80, 0))
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


def _row(folder: Path, out: Path, engine: str, images: int, workers: int) -> BatchRow:
    options = ["--engine", engine, "--workers", str(workers), "--quiet"]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "agegender_core", "batch", str(folder), "-o", str(out), *options],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - started
    return BatchRow(engine, images, workers, round(seconds, 1), round(images / seconds, 1))
