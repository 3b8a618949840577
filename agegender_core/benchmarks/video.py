"""Frames a second of a live video and how much the displayed ages jump. Measured, never asserted:
machines are noisy.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageOps

from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.evaluation.report_types import LiveBench, LiveRow
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.types import Face, Prediction
from agegender_core.video.analyzer import LiveAnalyser
from agegender_core.video.types import LiveFrame

SIZE = (640, 480)
LOOP_FPS = 30
LOOP_SECONDS = 6
SIDES = (330, 240, 190)
"""Sides in pixels of the pasted portraits for one, two and three faces: about half of it is face.
"""


def drawn_video(
    faces: int, seconds: float = LOOP_SECONDS, fps: int = LOOP_FPS, noise: float = 6.0
) -> list[Image.Image]:
    """A loop of 640x480 frames in which ``faces`` portraits move sideways, come closer and
    tilt, under changing light and with sensor noise.
    """
    people = _people(faces)
    rng = np.random.default_rng(7)
    grain = [rng.normal(0, noise, (SIZE[1], SIZE[0], 3)) for _ in range(4)]
    frames = []
    for index in range(round(seconds * fps)):
        turn = 2 * math.pi * index / (seconds * fps)
        canvas = Image.new("RGB", SIZE, (92, 100, 108))
        for number, person in enumerate(people):
            _paste(canvas, person, number, faces, turn)
        lit = np.asarray(
            ImageEnhance.Brightness(canvas).enhance(1 + 0.15 * math.sin(3 * turn)), dtype=float
        )
        frames.append(
            Image.fromarray(np.clip(lit + grain[index % len(grain)], 0, 255).astype(np.uint8))
        )
    return frames


def _people(faces: int) -> list[Image.Image]:
    """The portrait; mirrored and redder; with less contrast and bluer: as different as one image
    can be made.
    """
    portrait = sample_portrait().crop((96, 0, 352, 256))
    tints = ((255, 255, 255), (255, 205, 185), (190, 215, 255))
    mirrored = (portrait, ImageOps.mirror(portrait), ImageEnhance.Contrast(portrait).enhance(0.7))
    return [
        ImageChops.multiply(person, Image.new("RGB", person.size, tint))
        for person, tint in zip(mirrored, tints, strict=True)
    ][:faces]


def _paste(canvas: Image.Image, person: Image.Image, number: int, faces: int, turn: float) -> None:
    phase = turn + 2.1 * number
    side = round(SIDES[faces - 1] * (1 + 0.08 * math.sin(2 * phase)))
    room = SIZE[0] / faces
    x = room * (number + 0.5) + (0.5 * room - 0.5 * SIDES[faces - 1]) * math.sin(phase)
    y = SIZE[1] / 2 + 40 * math.sin(2 * phase + 1)
    tilted = person.resize((side, side), Image.Resampling.BICUBIC).rotate(
        8 * math.sin(phase), Image.Resampling.BICUBIC, fillcolor=(92, 100, 108)
    )
    canvas.paste(tilted, (round(x - side / 2), round(y - side / 2)))


@dataclass(eq=False)
class AnswerRecorder:
    """A predictor that records its single estimates: what would be shown without smoothing."""

    predictor: Any
    answers: list[tuple[Face, float]] = field(default_factory=list)

    @property
    def info(self) -> Any:
        """The predictor's own."""
        return self.predictor.info

    def predict_crops(self, crops: list[Image.Image], faces: list[Face]) -> list[Prediction]:
        """The predictor's answer."""
        predictions = self.predictor.predict_crops(crops, faces)
        self.answers = [(prediction.face, prediction.age.years) for prediction in predictions]
        return predictions


def run_live_bench(weights: str | None = None, seconds: float = 12.0) -> LiveBench:
    """Analyse videos of one, two and three faces for ``seconds`` each."""
    from agegender_core.inference.predictor import load_predictor

    predictor = load_predictor(weights)
    rows = tuple(watch(predictor, faces, seconds) for faces in (1, 2, 3))
    return LiveBench(rows, predictor.info.name, LOOP_FPS)


def live_bench_table(bench: LiveBench) -> str:
    """Markdown."""
    jumps = ("age from look to look: shown", "unsmoothed", "largest step: shown", "unsmoothed")
    head = ("faces", "frames a second", "could be", "slowest frame", *jumps)
    lines = markdown_head(head)
    for row in bench.rows:
        cells = (
            str(row.faces),
            f"{row.fps:.0f} of {bench.film_fps}",
            f"{row.fps_possible:.0f}",
            f"{row.slowest_frame_ms} ms",
            f"{row.age_jump_shown:.2f} years",
            f"{row.age_jump_single_looks:.2f}",
            f"{row.largest_jump_shown:.1f} years",
            f"{row.largest_jump_single_looks:.1f}",
        )
        lines.append(markdown_row(cells))
    words = (
        f"Drawn videos of {SIZE[0]}x{SIZE[1]}, answered by `{bench.weights}`, frames analysed"
        " and drawn, without browser and network."
    )
    return "\n".join([*lines, "", words])


def watch(predictor: Any, faces: int, seconds: float) -> LiveRow:
    """Analyse and draw a video of ``LOOP_FPS`` for ``seconds``. Frames that arrive while another is
    being analysed are dropped, as with a camera.
    """
    frames = drawn_video(faces)
    recorder = AnswerRecorder(predictor)
    analyser = LiveAnalyser(recorder)
    analyser.warm()
    shown: dict[int, list[float]] = {}
    single: dict[int, list[float]] = {}
    frames_out: list[LiveFrame] = []
    busy, last, started = 0.0, -1, time.perf_counter()
    while (now := time.perf_counter() - started) < seconds:
        newest = int(now * LOOP_FPS)
        if newest == last:
            time.sleep(0.001)
            continue
        last, recorder.answers = newest, []
        frame = analyser.analyse(frames[newest % len(frames)], now)
        analyser.draw(frame, mirror=True)
        busy += time.perf_counter() - started - now
        _note(frame, recorder.answers, shown, single)
        frames_out.append(replace(frame, image=Image.new("RGB", (1, 1))))
    took = time.perf_counter() - started
    return LiveRow(
        faces=faces,
        fps=round(len(frames_out) / took, 1),
        fps_possible=round(len(frames_out) / busy, 1),
        slowest_frame_ms=round(max(frame.timing.total_ms for frame in frames_out)),
        median_frame_ms=round(statistics.median(frame.timing.total_ms for frame in frames_out), 1),
        detected_share=round(statistics.mean(frame.detected for frame in frames_out), 3),
        identities=len({track.id for frame in frames_out for track in frame.tracks}),
        age_jump_shown=_jump(shown.values()),
        age_jump_single_looks=_jump(single.values()),
        largest_jump_shown=_largest(shown.values()),
        largest_jump_single_looks=_largest(single.values()),
    )


def _note(
    frame: LiveFrame,
    answers: Sequence[tuple[Face, float]],
    shown: dict[int, list[float]],
    single: dict[int, list[float]],
) -> None:
    """For every single estimate in this frame: its years, and the years shown on that face."""
    for face, years in answers:
        middle = (face.box_xyxy[0] + face.box_xyxy[2]) / 2
        track = min(
            frame.tracks,
            key=lambda one: abs((one.box_xyxy[0] + one.box_xyxy[2]) / 2 - middle),
            default=None,
        )
        if track is not None and track.answer is not None:
            shown.setdefault(track.id, []).append(track.answer.years)
            single.setdefault(track.id, []).append(years)


def _jump(series: Iterable[Sequence[float]]) -> float:
    """Mean absolute change of the age from one estimate to the next, in years."""
    steps = [abs(after - before) for years in series for before, after in pairwise(years)]
    return round(statistics.mean(steps), 2) if steps else 0.0


def _largest(series: Iterable[Sequence[float]]) -> float:
    steps = [abs(after - before) for years in series for before, after in pairwise(years)]
    return round(max(steps, default=0.0), 1)
