"""Times of the detector's own loop and of facenet-pytorch's.

``python -m agegender_core.benchmarks.detection`` writes them into ``reports/detection.json``; what
else is there stays (``detection_equality`` compares the faces). Both detectors are timed
alternately in one process, so that a busy machine slows both; the ratios are what counts.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.output.files import write_json
from agegender_core.output.json_records import from_json, to_json
from agegender_core.settings import reports_dir
from agegender_core.types import Face
from agegender_core.vision._torchvision_nms import ensure_torchvision
from agegender_core.vision.cascade import THRESHOLDS, Detections
from agegender_core.vision.face_detector import Detect, MTCNNDetector

NOTHING = Detections(np.empty((0, 5), np.float32), np.empty((0, 5, 2), np.float32))


@dataclass(frozen=True)
class Times:
    """Wall clock and processor time in ms, least and median of several calls."""

    wall_least_ms: float
    wall_median_ms: float
    processor_least_ms: float
    processor_median_ms: float


@dataclass(frozen=True)
class SceneSpeed:
    """One scene: facenet-pytorch's loop (``before``), ours on one thread (``now``) and on two, and
    how many ``times_as_fast`` ours is on one thread.
    """

    scene: str
    before: Times
    now: Times
    now_two_threads: Times
    times_as_fast: float


@dataclass(frozen=True)
class Equality:
    """How the answers of both to ``images`` differ: ``faces`` of facenet-pytorch, how many of them
    have the same box in ours (``same_percent``), how many of ours are ``new``; the least IoU and
    the largest distances of same ones.

    ``turns_differ``: images that one of them turned otherwise. ``years``: how far their ages by the
    light network are apart, the largest and the mean, where they were asked for. ``apart``: each
    image whose answers differ by more than 0.1 px, in words.
    """

    images: int
    faces: int
    same_percent: float
    missing: int
    new: int
    least_iou: float
    farthest_landmark_px: float
    farthest_box_px: float = 0.0
    turns_differ: int = 0
    most_years: float | None = None
    mean_years: float | None = None
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class DetectionReport:
    """``detection.json``. ``load_at_start``: what else the machine was doing, as the system reports
    it. ``bytes_to_answer``: the whole way, before and now. ``equality``: by kind of image, measured
    at another time.
    """

    machine: str
    load_at_start: float
    speed: tuple[SceneSpeed, ...]
    bytes_to_answer: dict[str, Times]
    equality: dict[str, Equality]


def load_networks() -> SimpleNamespace:
    """facenet-pytorch's three networks with their weights: ``pnet``, ``rnet``, ``onet``."""
    with warnings.catch_warnings():  # the import rewrites the global filters
        ensure_torchvision()
        from facenet_pytorch import MTCNN
    nets = MTCNN(device=torch.device("cpu")).eval()
    return SimpleNamespace(pnet=nets.pnet, rnet=nets.rnet, onet=nets.onet)


def original(nets: SimpleNamespace) -> Detect:
    """facenet-pytorch's own loop over ``nets``, one image after the other."""
    from facenet_pytorch.models.utils.detect_face import detect_face
    from threadpoolctl import ThreadpoolController

    threads, device = ThreadpoolController(), torch.device("cpu")

    def find(pixels: np.ndarray, min_face: int) -> Detections:
        try:
            found = detect_face(
                pixels, min_face, nets.pnet, nets.rnet, nets.onet, list(THRESHOLDS), 0.709, device
            )
        except (RuntimeError, ValueError) as error:
            if "non-empty" in str(error):  # its way to report that nothing passed the first network
                return NOTHING
            raise
        boxes, points = (np.asarray(one[0], dtype=np.float32) for one in found)
        return Detections(boxes, points) if boxes.size else NOTHING

    def finds(images: Sequence[np.ndarray], min_faces: Sequence[int]) -> list[Detections]:
        with torch.inference_mode(), threads.limit(limits=1, user_api="openmp"):
            return [find(image, size) for image, size in zip(images, min_faces, strict=True)]

    return finds


class OriginalDetector(MTCNNDetector):
    """Our detector with facenet-pytorch's loop in place of our own."""

    def _networks(self) -> Detect:
        with self._lock:
            if self._run is None:
                self._run = original(load_networks())
            return self._run


def scene(wide: int, high: int, faces: int) -> Image.Image:
    """The portrait ``faces`` times, from 1, side by side on grey."""
    image = Image.new("RGB", (wide, high), (110, 120, 110))
    side = min(high, wide // faces)
    for number in range(faces):
        image.paste(
            sample_portrait().resize((side, side)),
            (wide * number // faces + (wide // faces - side) // 2, 0),
        )
    return image


def scenes() -> dict[str, Image.Image]:
    """What is timed, by name."""
    return {
        "640x480, one face": scene(640, 480, 1),
        "640x480, three faces": scene(640, 480, 3),
        "640x480, nothing": Image.new("RGB", (640, 480), "navy"),
        "640x480, on its side": scene(480, 640, 1).transpose(Image.Transpose.ROTATE_90),
        "320x240, one face": scene(320, 240, 1),
        "1920x1080, two faces": scene(1920, 1080, 2),
    }


def timed(callables: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Times]:
    """Times of each, called alternately."""
    wall: dict[str, list[float]] = {name: [] for name in callables}
    used: dict[str, list[float]] = {name: [] for name in callables}
    for turn in range(repeats + 1):
        for name, call in callables.items():
            started, before = time.perf_counter(), time.process_time()
            call()
            if turn:  # the first is for warming up
                wall[name].append(1000 * (time.perf_counter() - started))
                used[name].append(1000 * (time.process_time() - before))
    return {
        name: Times(
            wall_least_ms=round(min(wall[name]), 1),
            wall_median_ms=round(statistics.median(wall[name]), 1),
            processor_least_ms=round(min(used[name]), 1),
            processor_median_ms=round(statistics.median(used[name]), 1),
        )
        for name in callables
    }


def speed(repeats: int = 15) -> list[SceneSpeed]:
    """Every scene, timed."""
    before, now, rows = OriginalDetector(), MTCNNDetector(), []
    threads = torch.get_num_threads()

    def search(detector: MTCNNDetector, image: Image.Image, count: int) -> list[Face]:
        torch.set_num_threads(count)
        return detector.detect(image)

    try:
        for name, image in scenes().items():
            calls: dict[str, Callable[[], Any]] = {
                "before": partial(search, before, image, 1),
                "now": partial(search, now, image, 1),
                "now_two_threads": partial(search, now, image, 2),
            }
            times = timed(calls, repeats)
            ratio = times["before"].processor_median_ms / times["now"].processor_median_ms
            rows.append(SceneSpeed(name, **times, times_as_fast=round(ratio, 2)))
    finally:
        torch.set_num_threads(threads)
    return rows


def bytes_to_answer(repeats: int = 15) -> dict[str, Times]:
    """From the bytes of a 640x480 JPEG with one face to its answer, with the default network."""
    from agegender_core.inference.predictor import Predictor, load_predictor

    buffer = io.BytesIO()
    scene(640, 480, 1).save(buffer, "JPEG", quality=90)
    now = load_predictor()
    before = Predictor(now.info, now.network, OriginalDetector().detect)
    data = buffer.getvalue()
    return timed({"before": lambda: before.run(data), "now": lambda: now.run(data)}, repeats)


def stored(folder: Path) -> DetectionReport:
    """``detection.json``, as it is in ``folder``. Raises ``DatasetError``."""
    path = folder / "detection.json"
    if not path.is_file():
        return DetectionReport("", 0.0, (), {}, {})
    return from_json(DetectionReport, json.loads(path.read_text()))


def save(report: DetectionReport, folder: Path) -> None:
    """Write ``detection.json``."""
    write_json(folder / "detection.json", to_json(report))


def run(folder: Path, repeats: int = 15) -> DetectionReport:
    """Time everything and write it into ``detection.json``."""
    from agegender_core.benchmarks.networks import machine_name  # which runs this file's timing too

    report = replace(
        stored(folder),
        machine=f"{machine_name()}, torch {torch.__version__}",
        load_at_start=round(os.getloadavg()[0], 1),
        speed=tuple(speed(repeats)),
        bytes_to_answer=bytes_to_answer(repeats),
    )
    save(report, folder)
    return report


def main() -> None:
    """Time everything, write it into the reports and print it."""
    print(json.dumps(to_json(run(reports_dir())), indent=1))


if __name__ == "__main__":
    main()
