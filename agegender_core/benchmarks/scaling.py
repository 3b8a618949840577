"""What a photo takes by number of faces, by megapixels and by threads, and a face by batch size.

``agegender bench --part scaling``. All points of a curve are measured in turns. One thread, unless
the curve is about threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from agegender_core.benchmarks.batch import LIGHT
from agegender_core.benchmarks.bench_photos import camera_photo, group, jpeg
from agegender_core.benchmarks.detection import Times, scene, timed
from agegender_core.benchmarks.networks import machine_name
from agegender_core.benchmarks.workers import Report
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.evaluation.speed_reports import ScalingPoint, ScalingReport
from agegender_core.inference.forward import run_network
from agegender_core.inference.predictor import Predictor, load_predictor
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.vision.preprocessing import to_batch

REPEATS = 5
FACES = (0, 1, 2, 3, 6, 12, 24)
SIZES = {
    0.3: (640, 480),
    1: (1152, 864),
    2: (1632, 1224),
    4: (2304, 1728),
    8: (3264, 2448),
    12: (4032, 3024),
    24: (5664, 4248),
}
"""Width and height by megapixels."""
THREADS = (1, 2)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class _Job:
    """What is timed for a point: one call, which answers for ``share`` faces of a batch or one
    photo, and says how many faces it found.
    """

    line: str
    x: float
    call: Callable[[], int]
    threads: int = 1
    share: int = 1


def run_scaling(
    repeats: int = REPEATS,
    report: Report = lambda text: None,
    faces: Sequence[int] = FACES,
    megapixels: Sequence[float] = tuple(SIZES),
    batches: Sequence[int] = BATCHES,
) -> ScalingReport:
    """All four curves. Raises ``WeightsError`` where weights are missing."""
    load, before = os.getloadavg()[0], torch.get_num_threads()
    predictors = {"default network": load_predictor(), "light network": load_predictor(LIGHT)}
    try:
        curves = {}
        for name, jobs in (
            ("faces", _by_faces(predictors, faces)),
            ("megapixels", _by_size(predictors, megapixels)),
            ("threads", _by_threads(predictors)),
            ("batch", _by_batch(predictors, batches)),
        ):
            report(f"scaling by {name}")
            curves[name] = _points(jobs, repeats)
    finally:
        torch.set_num_threads(before)
    default, light = predictors.values()
    return ScalingReport(
        machine=machine_name(),
        torch=str(torch.__version__),
        weights=default.info.name,
        light_weights=light.info.name,
        load_at_start=round(load, 1),
        repeats=repeats,
        **curves,
    )


def _points(jobs: Sequence[_Job], repeats: int) -> tuple[ScalingPoint, ...]:
    found: dict[str, int] = {}

    def call(key: str, job: _Job) -> None:
        torch.set_num_threads(job.threads)
        found[key] = job.call()

    calls: dict[str, Callable[[], Any]] = {
        f"{job.line} {job.x}": partial(call, f"{job.line} {job.x}", job) for job in jobs
    }
    times: dict[str, Times] = timed(calls, repeats)
    return tuple(
        ScalingPoint(
            line=job.line,
            x=job.x,
            wall_ms=round(times[key].wall_median_ms / job.share, 2),
            cpu_ms=round(times[key].processor_median_ms / job.share, 2),
            faces=found[key],
        )
        for key, job in zip(calls, jobs, strict=True)
    )


def _photo(predictor: Predictor, data: bytes) -> int:
    return len(predictor.predict(data))


def _by_faces(predictors: dict[str, Predictor], faces: Sequence[int]) -> list[_Job]:
    photos = {count: jpeg(group(count)) for count in faces}
    return [
        _Job(name, count, partial(_photo, predictor, data))
        for name, predictor in predictors.items()
        for count, data in photos.items()
    ]


def _by_size(predictors: dict[str, Predictor], megapixels: Sequence[float]) -> list[_Job]:
    default = predictors["default network"]
    return [
        _Job("one face", size, partial(_photo, default, jpeg(camera_photo(*SIZES[size]))))
        for size in megapixels
    ]


def _by_threads(predictors: dict[str, Predictor]) -> list[_Job]:
    default = predictors["default network"]
    works: dict[str, Callable[[], int]] = {
        "640x480, one face": partial(_photo, default, jpeg(scene(640, 480, 1))),
        "1280x960, 12 faces": partial(_photo, default, jpeg(group(12))),
        "12 megapixels, one face": partial(_photo, default, jpeg(camera_photo(*SIZES[12]))),
        "network, batch of 64": _batch(default, 64),
    }
    return [
        _Job(name, threads, call, threads) for name, call in works.items() for threads in THREADS
    ]


def _by_batch(predictors: dict[str, Predictor], batches: Sequence[int]) -> list[_Job]:
    return [
        _Job(name, size, _batch(predictor, size), share=size)
        for name, predictor in predictors.items()
        for size in batches
    ]


def _batch(predictor: Predictor, size: int) -> Callable[[], int]:
    """The network alone on ``size`` faces."""
    face = predictor.run(sample_portrait()).predictions[0]
    crops = to_batch([face.crop] * size, predictor.info.input)  # (N, 3, H, W)

    def call() -> int:
        run_network(predictor.network, crops, predictor.info.flip)
        return size

    return call


def scaling_table(report: ScalingReport) -> str:
    """Markdown: a table for each curve."""
    per_face = "ms a face"
    curves = (
        ("Photo of 1280x960 by number of faces", "faces", report.faces, "ms a photo"),
        ("Photo with one face by megapixels", "megapixels", report.megapixels, "ms a photo"),
        ("By threads of torch", "threads", report.threads, "ms"),
        ("The network alone by batch size", "batch", report.batch, per_face),
    )
    parts = [
        _curve_table(title, axis, points, unit, wall=axis == "threads")
        for title, axis, points, unit in curves
    ]
    parts.append(
        f"Medians of {report.repeats} rounds, all points of a curve in turns; processor time of"
        " one thread, by threads the clock. Default network:"
        f" `{report.weights}`; light network: `{report.light_weights}`. Machine: {report.machine},"
        f" torch {report.torch}, with a load of {report.load_at_start:g} at the start."
    )
    return "\n\n".join(parts)


def _curve_table(
    title: str, axis: str, points: Sequence[ScalingPoint], unit: str, wall: bool
) -> str:
    columns = list(dict.fromkeys(point.x for point in points))
    lines = [
        *markdown_head([f"{title}: {unit}", *(f"{x:g}" for x in columns)]),
    ]
    for name in dict.fromkeys(point.line for point in points):
        values = {
            point.x: point.wall_ms if wall else point.cpu_ms
            for point in points
            if point.line == name
        }
        cells = [f"{values[x]:.{1 if axis == 'batch' else 0}f}" for x in columns]
        lines.append(markdown_row([name, *cells]))
    return "\n".join(lines)
