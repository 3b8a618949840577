"""How often a photograph on its side or upside down is recognised, and how often an upright one is
turned by mistake.

``python -m agegender_core.benchmarks.turned_photos`` searches every photograph of FG-NET in four
positions, each with the settings for upright images and with those for rotation attempts. The
scores are cached, so that the rule can be changed and measured again in a second.

``agegender bench --part turned`` times photographs in which no sure upright face is, beside the
search that was here before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from agegender_core.benchmarks.detection import Times, scene, timed
from agegender_core.datasets import iter_images, read_records
from agegender_core.datasets.crop_cache import cache_dir
from agegender_core.evaluation.report_types import TurnedBench, TurnedRow
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.settings import reports_dir
from agegender_core.types import TURNS, Face
from agegender_core.vision.face_detector import (
    CLEAR_ODDS,
    CLEAR_SCORE,
    FILLS,
    ROOM,
    DetectorConfig,
    MTCNNDetector,
    _distinct,
    _turn_back,
    is_clear,
    may_take_turned,
    surest,
    takes_turned,
)
from agegender_core.vision.image_io import load_image

SET = "fgnet"
POSITIONS = (0, *TURNS)
"""Degrees counter-clockwise by which a photograph is turned before the detector sees it."""
SAVE_EVERY = 50

Scores = Mapping[str, Mapping[str, float]]
"""Of one photograph: highest score by position, in the first search («upright») and as an attempt
(«turned»); and by degrees of each rough attempt in a position («rough 90»). 0 if nothing is
detected."""


@dataclass(frozen=True)
class Recognition:
    """Of all photographs: per cent ``recognised`` by position; upright ones ``turned_wrongly``
    (number and per cent); per cent of upright ones that ``paid`` for the attempts.
    """

    recognised: dict[str, float]
    turned_wrongly: int
    turned_wrongly_percent: float
    paid_percent: float


@dataclass(frozen=True)
class TurnedPhotosReport:
    """``turned_photos.json``: this rule and its thresholds, the rule before it, and this one at
    other thresholds.
    """

    set: str
    photographs: int
    sure: float
    clear_score: float
    clear_odds: float
    now: Recognition
    before: Recognition
    other_thresholds: dict[str, Recognition]


def search(detector: MTCNNDetector, image: Image.Image) -> Scores:
    """The scores of one upright RGB photograph in all positions: twelve searches, four of which are
    of three attempts each.
    """
    images = [image.transpose(TURNS[degrees]) if degrees else image for degrees in POSITIONS]
    names = [str(degrees) for degrees in POSITIONS]
    upright = [surest(detector.search_upright(one)) for one in images]
    turned = [surest(faces) for faces in detector.search_tries(images)]
    found = {
        "upright": dict(zip(names, upright, strict=True)),
        "turned": dict(zip(names, turned, strict=True)),
    }
    for position in POSITIONS:
        attempts = [images[POSITIONS.index((position + degrees) % 360)] for degrees in TURNS]
        rough = map(surest, detector.search_roughly(attempts))
        found[f"rough {position}"] = dict(zip(map(str, TURNS), rough, strict=True))
    return found


def turn_of(
    scores: Scores,
    position: int,
    sure: float,
    decide: Callable[[float, float], bool] = takes_turned,
) -> tuple[int, bool]:
    """By how many degrees the detector turns a photograph in ``position``, and whether it made
    rotation attempts."""
    upright = scores["upright"][str(position)]
    if upright >= sure:
        return 0, False
    rough = scores.get(f"rough {position}", {})
    tries = {degrees: rough.get(str(degrees), 0.0) for degrees in TURNS}
    if not is_clear(upright, max(tries.values())):
        tries = {
            degrees: max(score, scores["turned"][str((position + degrees) % 360)])
            for degrees, score in tries.items()
        }
    best = max(tries, key=lambda degrees: tries[degrees])
    score = tries[best]
    if decide is takes_turned and may_take_turned(upright, score):
        score = max(score, scores["upright"][str((position + best) % 360)])
    return (best if decide(upright, score) else 0), True


def measure(
    photographs: Mapping[str, Scores],
    sure: float,
    decide: Callable[[float, float], bool] = takes_turned,
) -> Recognition:
    """How well a rule does: ``sure``, the score above which no attempt is made, and ``decide``."""
    answers = {
        position: [turn_of(one, position, sure, decide) for one in photographs.values()]
        for position in POSITIONS
    }
    count = len(photographs)
    share = {
        position: 100 * sum(turn == 360 - position for turn, _ in answers[position]) / count
        for position in TURNS
    }
    wrong = sum(turn != 0 for turn, _ in answers[0])
    return Recognition(
        recognised={str(position): round(value, 1) for position, value in share.items()},
        turned_wrongly=wrong,
        turned_wrongly_percent=round(100 * wrong / count, 2),
        paid_percent=round(100 * sum(tried for _, tried in answers[0]) / count, 1),
    )


def only_where_nothing_was_found(upright: float, turned: float) -> bool:
    """The rule before this one, for comparison; it knew no rough attempts."""
    return not upright and turned > 0


def _photographs(known: Mapping[str, Scores]) -> Iterator[tuple[str, Image.Image]]:
    files = {
        record.row: record.file
        for record in read_records(SET)
        if "rough 0" not in known.get(record.file, {})
    }
    for row, data in iter_images(SET, list(files)):
        yield files[row], load_image(data)


def collect(path: Path) -> dict[str, Scores]:
    """Scores of all photographs by file name, read from ``path`` and completed there. Raises
    ``DatasetError``, ``DetectorError``."""
    from tqdm import tqdm

    known: dict[str, Scores] = json.loads(path.read_text()) if path.is_file() else {}
    detector = MTCNNDetector()
    for number, (file, image) in enumerate(tqdm(_photographs(known), unit="photograph"), 1):
        known[file] = search(detector, image)
        if number % SAVE_EVERY == 0:
            write_json(path, known)
    write_json(path, known)
    return known


def _without_rough(scores: Scores) -> Scores:
    return {key: value for key, value in scores.items() if not key.startswith("rough")}


def report(photographs: Mapping[str, Scores]) -> TurnedPhotosReport:
    """The report of ``photographs``."""
    sure = DetectorConfig().sure
    return TurnedPhotosReport(
        set=SET,
        photographs=len(photographs),
        sure=sure,
        clear_score=CLEAR_SCORE,
        clear_odds=CLEAR_ODDS,
        now=measure(photographs, sure),
        before=measure(
            {file: _without_rough(one) for file, one in photographs.items()},
            1e-9,
            only_where_nothing_was_found,
        ),
        other_thresholds={
            str(other): measure(photographs, other) for other in (0.99, 0.997, 0.999)
        },
    )


class EarlierTries(MTCNNDetector):
    """The search as it was before rough attempts: for comparison."""

    def search_upright(self, image: Image.Image) -> list[Face]:
        """Faces that stand upright."""
        return self._earlier([image], self.config.score, self.config.min_face)[0]

    def _earlier(
        self, images: Sequence[Image.Image], score: float, min_face: int
    ) -> list[list[Face]]:
        found = self._search(images, 0.0, score, [min_face] * len(images))
        empty = [number for number, faces in enumerate(found) if not faces]
        if empty:
            again = [images[number] for number in empty]
            sizes = [
                max(min_face, round(FILLS * self._scale(image) * min(image.size)))
                for image in again
            ]
            for number, faces in zip(empty, self._search(again, ROOM, score, sizes), strict=True):
                found[number] = faces
        return [
            _distinct(self._refine_at_border(image, faces))
            for image, faces in zip(images, found, strict=True)
        ]

    def _turned(self, image: Image.Image, unsure: Sequence[Face]) -> list[Face]:
        turned = [image.transpose(transpose) for transpose in TURNS.values()]
        size = max(self.config.min_face, self.config.longest_side // 25)
        tries = self._earlier(turned, self.config.turned_score, size)
        degrees, best = max(zip(TURNS, tries, strict=True), key=lambda pair: surest(pair[1]))
        if not takes_turned(surest(unsure), surest(best)):
            return []
        found = self.search_upright(image.transpose(TURNS[degrees])) or best
        return [_turn_back(face, degrees, image.size) for face in found]


def scenes() -> dict[str, Image.Image]:
    """Images of 640x480 that are timed, by name; the first is an ordinary photograph."""
    upright = scene(480, 640, 1)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    return {
        "upright, one face": scene(640, 480, 1),
        "on its side": upright.transpose(TURNS[90]),
        "upside down": scene(640, 480, 1).transpose(TURNS[180]),
        "nothing, plain": Image.new("RGB", (640, 480), "navy"),
        "nothing, noise": Image.fromarray(noise),
    }


def run_turned_bench(repeats: int = 15) -> TurnedBench:
    """Processor time of one thread for each scene, this search and the earlier one alternately."""
    before, now = EarlierTries(), MTCNNDetector()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = {
            name: timed(
                {"before": partial(before.detect, image), "now": partial(now.detect, image)},
                repeats,
            )
            for name, image in scenes().items()
        }
    finally:
        torch.set_num_threads(threads)
    ordinary = next(iter(times.values()))
    return TurnedBench(
        tuple(
            TurnedRow(
                scene=name,
                before_ms=row["before"].processor_median_ms,
                now_ms=row["now"].processor_median_ms,
                before_ratio=_ratio(row["before"], ordinary["before"]),
                now_ratio=_ratio(row["now"], ordinary["now"]),
            )
            for name, row in times.items()
        )
    )


def _ratio(one: Times, other: Times) -> float:
    return round(one.processor_median_ms / other.processor_median_ms, 2)


def turned_bench_table(bench: TurnedBench) -> str:
    """Markdown."""
    lines = [
        "| 640x480 | before, ms | of an ordinary photo | now, ms | of an ordinary photo |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in bench.rows:
        lines.append(
            f"| {row.scene} | {row.before_ms:.0f} | {row.before_ratio:.1f} | {row.now_ms:.0f} |"
            f" {row.now_ratio:.1f} |"
        )
    return "\n".join([*lines, "", "Processor time of one thread, both in turns in one run."])


def main() -> None:
    """Measure all photographs, write the report and print it."""
    found = to_json(report(collect(cache_dir() / "turned-fgnet.json")))
    write_json(reports_dir() / "turned_photos.json", found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
