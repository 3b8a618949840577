"""Images a second of ``batch`` on both engines, over the same drawn folders, and what they cost of
processor time. Measured, never asserted: machines are noisy.

What a job does once started shows in its parts: when each was written, and how many rows it has.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image, ImageEnhance

from agegender_core.batch.ray_engine import BATCH
from agegender_core.benchmarks.detection import timed
from agegender_core.benchmarks.process_tree import ProcessTree, end, is_supported
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.evaluation.report_types import BatchBench, BatchRow, BatchStepRow
from agegender_core.inference.predictor import load_predictor
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import MTCNNDetector
from agegender_core.vision.image_io import load_image

IMAGES = 1_000
SIZE, PHONE = (640, 480), (4032, 3024)
LIGHT = "multitask_cnn_dist"
"""The weights of least work."""
REPEATS = 15
PARTS = 20
"""Parts that a job of small photographs writes."""
STARTED = 0.25
"""Share of the images after which a job counts as started: all its workers are at work by then."""


class Part(NamedTuple):
    """A finished part. ``written``: seconds since the epoch; ``rows``: one an image, as each shows
    one face.
    """

    written: float
    rows: int


class Pace(NamedTuple):
    """Of a job once started: images a second, and when that span began and ended, in seconds since
    the epoch, and the images in it.
    """

    rate: float
    began: float
    ended: float
    images: int


class JobRun(NamedTuple):
    """``seconds``: of the whole command; ``rate``: images a second once started; ``processor``:
    seconds of it an image meanwhile.
    """

    seconds: float
    rate: float | None
    processor: float | None


def run_batch_bench(images: int = IMAGES, workers: int = 2) -> BatchBench:
    """A row an engine, weights and kind of image: the whole command, its start included, and its
    pace once started. «ray» where it is installed; a fifth as many phone photographs. The engines
    take turns.
    """
    rows: list[BatchRow] = []
    steps: list[BatchStepRow] = []
    with tempfile.TemporaryDirectory() as temporary:
        for size, count, names in (
            (SIZE, images, (None, LIGHT)),
            (PHONE, images // 5, (LIGHT,)),
        ):
            folder = Path(temporary) / size_words(size)
            draw_images(folder, count, size)
            steps += _steps(next(folder.iterdir()), size)
            for weights in names:
                for engine in engines():
                    output = Path(tempfile.mkdtemp(dir=temporary))
                    rows.append(_row(folder, output, engine, weights, count, workers, size))
    return BatchBench(tuple(rows), f"{size_words(SIZE)} JPEG with one face", steps=tuple(steps))


def size_words(size: tuple[int, int]) -> str:
    """«640x480»."""
    return f"{size[0]}x{size[1]}"


def engines() -> list[str]:
    """The engines that can be measured here."""
    return ["local", "ray"] if _ray_is_installed() else ["local"]


def batch_steps_table(bench: BatchBench) -> str:
    """Markdown: what a worker does with one image."""
    pictures = list(dict.fromkeys(row.picture for row in bench.steps))
    lines = markdown_head(["step", *pictures])
    for step in dict.fromkeys(row.step for row in bench.steps):
        times = {row.picture: row.processor_ms for row in bench.steps if row.step == step}
        lines.append(markdown_row([step, *(f"{times[picture]:.1f}" for picture in pictures)]))
    return "\n".join([*lines, "", "Processor time in ms, medians, one thread."])


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
    lines = markdown_head(heads)
    for row in bench.rows:
        cells = [row.engine, f"{row.pictures}", f"{row.workers}", f"{row.seconds:.1f}"]
        cells.append(f"{row.pictures_a_second:.1f}")
        if costs:
            cells += [_shown(row.started_pictures_a_second), _shown(row.processor_seconds_per_1000)]
            cells += [row.picture, row.weights]
        lines.append(markdown_row(cells))
    note = "Each a JPEG with one face" if costs else f"Each a {bench.picture}"
    note += "; both engines in one run, one after the other."
    if costs:
        note += (
            " «Once started»: from the part with which a quarter of the images were written to the"
            " last part."
        )
    return "\n".join([*lines, "", note])


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def draw_images(folder: Path, count: int, size: tuple[int, int]) -> None:
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


def finished_parts(output: Path) -> list[Part]:
    """The parts in the folder of a job, first written first."""
    parts = [
        Part(path.stat().st_mtime, pq.read_metadata(path).num_rows)
        for path in output.glob("part-*.parquet")
    ]
    return sorted(parts)


def pace_of(parts: Sequence[Part], share: float = STARTED) -> Pace | None:
    """From the part with which ``share`` of all rows were written to the last one, so that neither
    the start nor the end of processes counts; None where that is no time.
    """
    before, total = 0, sum(part.rows for part in parts)
    for part in parts:
        before += part.rows
        if before >= share * total:
            seconds = parts[-1].written - part.written
            if seconds <= 0:
                return None
            return Pace((total - before) / seconds, part.written, parts[-1].written, total - before)
    return None


def _row(
    folder: Path,
    output: Path,
    engine: str,
    weights: str | None,
    images: int,
    workers: int,
    size: tuple[int, int],
) -> BatchRow:
    command = [sys.executable, "-m", "agegender_core", "batch", str(folder), "-o", str(output)]
    command += ["--engine", engine, "--workers", str(workers), "--quiet"]
    # Whole tasks of Ray's, so that a part is written when a task has ended, not in the next one.
    command += ["--part-rows", str(max(1, images // PARTS // BATCH) * BATCH)]
    command += [] if weights is None else ["--weights", weights]
    run = run_job(command, output)
    return BatchRow(
        engine,
        images,
        workers,
        round(run.seconds, 1),
        round(images / run.seconds, 1),
        picture=size_words(size),
        weights=weights or "default",
        started_pictures_a_second=None if run.rate is None else round(run.rate, 1),
        processor_seconds_per_1000=None
        if run.processor is None
        else round(1000 * run.processor, 1),
    )


def run_job(
    command: Sequence[str],
    output: Path,
    root: Path | None = None,
    environment: Mapping[str, str] | None = None,
    patience: float | None = None,
) -> JobRun:
    """Run a command that writes parts into ``output``. ``root``: the folder it starts in;
    ``patience``: seconds it may take.

    Raises ``CalledProcessError`` and ``TimeoutExpired``.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=root,
        env=None if environment is None else dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        with ProcessTree(process.pid) if is_supported() else nullcontext() as tree:
            try:
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                end(process)
                raise
        seconds = time.perf_counter() - started
    if code:
        raise subprocess.CalledProcessError(code, command)
    pace = pace_of(finished_parts(output))
    processor = None
    if pace and tree:
        processor = (tree.seconds_until(pace.ended) - tree.seconds_until(pace.began)) / pace.images
    return JobRun(seconds, None if pace is None else pace.rate, processor)


def _steps(file: Path, size: tuple[int, int]) -> list[BatchStepRow]:
    """What a worker does with one file, step by step, as it does it."""
    detector, spec, data = MTCNNDetector(), load_predictor(LIGHT).info.input, file.read_bytes()
    image = load_image(data)
    faces = detector.detect(image)

    def everything() -> None:
        loaded = load_image(data)
        for face in detector.detect(loaded):
            align(loaded, face, spec)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = timed(
            {
                "decode": lambda: load_image(data),
                "detect": lambda: detector.detect(image),
                "align": lambda: [align(image, face, spec) for face in faces],
                "all": everything,
            },
            REPEATS,
        )
    finally:
        torch.set_num_threads(threads)
    return [
        BatchStepRow(step, size_words(size), one.processor_median_ms) for step, one in times.items()
    ]
