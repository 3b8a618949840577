"""How often a photograph on its side or upside down is recognised, and how often an upright one is
turned by mistake.

``python -m agegender_core.benchmarks.turned_photos`` searches every photograph of FG-NET in four
positions, each with the settings for upright images and with those for rotation attempts. The
scores are cached, so that the rule can be changed and measured again in a second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from agegender_core.datasets import iter_images, read_records
from agegender_core.datasets.crop_cache import cache_dir
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.types import TURNS
from agegender_core.vision.face_detector import (
    CLEAR_ODDS,
    CLEAR_SCORE,
    DetectorConfig,
    MTCNNDetector,
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
(«turned»); 0 if nothing is detected."""


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
    """The scores of one upright RGB photograph in all positions: eight searches."""
    images = [image.transpose(TURNS[degrees]) if degrees else image for degrees in POSITIONS]
    names = [str(degrees) for degrees in POSITIONS]
    upright = [surest(detector.search_upright(one)) for one in images]
    turned = [surest(faces) for faces in detector.search_tries(images)]
    return {
        "upright": dict(zip(names, upright, strict=True)),
        "turned": dict(zip(names, turned, strict=True)),
    }


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
    tries = {degrees: scores["turned"][str((position + degrees) % 360)] for degrees in TURNS}
    best = max(tries, key=lambda degrees: tries[degrees])
    return (best if decide(upright, tries[best]) else 0), True


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
    """The rule before this one, for comparison."""
    return not upright and turned > 0


def _photographs(known: Mapping[str, Scores]) -> Iterator[tuple[str, Image.Image]]:
    files = {record.row: record.file for record in read_records(SET) if record.file not in known}
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
        before=measure(photographs, 1e-9, only_where_nothing_was_found),
        other_thresholds={
            str(other): measure(photographs, other) for other in (0.99, 0.997, 0.999)
        },
    )


if __name__ == "__main__":
    found = to_json(report(collect(cache_dir() / "turned-fgnet.json")))
    write_json(Path("reports") / "turned_photos.json", found)
    print(json.dumps(found, indent=1))
