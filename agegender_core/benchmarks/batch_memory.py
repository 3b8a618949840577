"""Whether memory grows while ``batch`` works through thousands of images, on both engines: all
processes of the command together. Measured, never asserted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from agegender_core.benchmarks.batch import LIGHT, engines, finished_parts
from agegender_core.benchmarks.process_tree import ProcessTree, is_supported
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_types import BatchMemoryBench, BatchMemoryRow
from agegender_core.output.markdown import markdown_head, markdown_row

IMAGES = 5_400
MARKS = (1_000, 2_500, 5_000)
"""Images after which memory is read. The command must still run then, so there are some more."""
PART_ROWS = 100
SIZES = tuple((width, width * 3 // 4) for width in range(160, 480, 8))
"""Of the images, in turns: mixed sizes are what makes memory grow."""
LOOK = 0.5
"""Seconds between two looks into the folder of parts."""


def run_batch_memory_bench(
    images: int = IMAGES, marks: Sequence[int] = MARKS, workers: int = 2
) -> BatchMemoryBench:
    """Memory once each of ``marks`` of ``images`` is in parts; «ray» where it is installed. Raises
    ``ConfigError`` where the system does not show its processes.
    """
    if not is_supported():
        raise ConfigError("memory of all processes of a command can be read on Linux only")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        write_images(folder, images)
        rows = [
            row
            for engine in engines()
            for row in _held(folder, Path(temporary) / engine, engine, marks, workers)
        ]
    return BatchMemoryBench(tuple(rows), images, workers)


def batch_memory_table(bench: BatchMemoryBench) -> str:
    """Markdown."""
    lines = [
        *markdown_head(["engine", "images in parts", "memory of all processes", "processes"]),
    ]
    for row in bench.rows:
        cells = [row.engine, f"{row.images:,}", f"{row.memory_mb:,} MB", str(row.processes)]
        lines.append(markdown_row(cells))
    note = (
        f"{bench.images:,} drawn images of {len(SIZES)} sizes, {bench.workers} workers, the light"
        " network; pages that processes share are counted once."
    )
    return "\n".join([*lines, "", note])


def write_images(folder: Path, count: int) -> None:
    """``count`` JPEGs of ``SIZES``: each size is written once, the others are links to it."""
    folder.mkdir(parents=True)
    for number in range(count):
        path, first = folder / f"{number:06}.jpg", folder / f"{number % len(SIZES):06}.jpg"
        if number >= len(SIZES):
            os.link(first, path)
            continue
        image = Image.new("RGB", SIZES[number], (96, 96, 96))
        side = image.height
        image.paste(sample_portrait().resize((side, side)), ((image.width - side) // 2, 0))
        image.save(path, quality=90)


def _held(
    folder: Path, output: Path, engine: str, marks: Sequence[int], workers: int
) -> Iterator[BatchMemoryRow]:
    command = [sys.executable, "-m", "agegender_core", "batch", str(folder), "-o", str(output)]
    command += ["--engine", engine, "--workers", str(workers), "--weights", LIGHT]
    command += ["--part-rows", str(PART_ROWS), "--quiet"]
    due = list(marks)
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        ProcessTree(process.pid) as tree,
    ):
        while due and _runs_on(process):
            done = sum(part.rows for part in finished_parts(output))
            if done >= due[0]:
                yield BatchMemoryRow(engine, done, *tree.memory_mb())
                due = [mark for mark in due if mark > done]
        process.wait()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _runs_on(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process still runs after a while."""
    try:
        process.wait(LOOK)
    except subprocess.TimeoutExpired:
        return True
    return False
