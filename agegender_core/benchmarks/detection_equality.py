"""Whether the detector's own loop finds the faces that facenet-pytorch's finds.

``python -m agegender_core.benchmarks.detection_equality`` writes it into
``reports/detection.json``; what else is there stays. Needs FG-NET and a quarter of an hour. What
was compared is kept in the cache folder until the detector's code changes, so a run that was
stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from agegender_core.benchmarks.detection import Equality, OriginalDetector, save, stored
from agegender_core.datasets.crop_cache import cache_dir
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.output.files import write_json
from agegender_core.output.json_records import from_json, to_json
from agegender_core.settings import PACKAGE, reports_dir
from agegender_core.types import TURNS, Face
from agegender_core.vision.face_detector import MTCNNDetector, iou
from agegender_core.vision.image_io import load_image

if TYPE_CHECKING:
    from agegender_core.inference.predictor import Predictor

SAME_IOU = 0.9
"""Boxes that overlap by at least this are the same."""
NEAR_PX = 0.1
"""Boxes and landmarks that are farther apart are listed."""
LIGHT = "multitask_cnn_dist"
SAVE_EVERY = 25
LARGE = (4032, 3024)

Named = Iterator[tuple[str, Image.Image]]
Search = Callable[[MTCNNDetector, Image.Image], list[Face]]


@dataclass(frozen=True)
class Difference:
    """How far two answers to one image are apart: ``faces`` of the first, how many have the
    ``same`` box in the second, how many of the second are ``new``; the least ``iou`` of same ones,
    the largest distances of their ``boxes`` and ``landmarks`` in pixels, and of their ages where
    they were asked for. ``turned``: whether both were turned alike, where both have faces.
    """

    name: str
    faces: int
    same: int
    new: int
    iou: float
    boxes: float
    landmarks: float
    turned: bool = True
    years: tuple[float, ...] = ()


@dataclass(frozen=True)
class Kind:
    """Images to compare: what they are and how they are searched; ``ages``: whether the light
    network is asked too.
    """

    images: Callable[[], Named]
    search: Search = field(default=MTCNNDetector.search_upright)
    ages: bool = False


def difference(
    name: str,
    image: Image.Image,
    one: Sequence[Face],
    other: Sequence[Face],
    network: Predictor | None = None,
) -> Difference:
    """Compare two answers to one image; by the ages that ``network`` gives, too."""
    left, pairs = list(other), []
    for face in one:
        best = max(left, key=partial(iou, face), default=None)
        if best is not None and iou(face, best) >= SAME_IOU:
            left.remove(best)
            pairs.append((face, best))
    landmarks = [
        float(np.abs(a.landmarks - b.landmarks).max())
        for a, b in pairs
        if a.landmarks is not None and b.landmarks is not None
    ]
    return Difference(
        name,
        faces=len(one),
        same=len(pairs),
        new=len(left),
        iou=min((iou(a, b) for a, b in pairs), default=1.0),
        boxes=max(
            (float(np.abs(np.subtract(a.box_xyxy, b.box_xyxy)).max()) for a, b in pairs),
            default=0.0,
        ),
        landmarks=max(landmarks, default=0.0),
        turned=not (one and other) or one[0].turned == other[0].turned,
        years=_years_apart(image, pairs, network) if network else (),
    )


def _years_apart(
    image: Image.Image, pairs: Sequence[tuple[Face, Face]], network: Predictor
) -> tuple[float, ...]:
    from agegender_core.vision.alignment import align

    faces = [face for pair in pairs for face in pair]
    crops = [align(image, face, network.info.input) for face in faces]
    ages = [one.age.years for one in network.predict_crops(crops, faces)]
    return tuple(abs(a - b) for a, b in zip(ages[::2], ages[1::2], strict=True))


def summary(differences: Sequence[Difference]) -> Equality:
    """Differences summed over images."""
    faces = sum(one.faces for one in differences)
    same = sum(one.same for one in differences)
    years = [age for one in differences for age in one.years]
    return Equality(
        images=len(differences),
        faces=faces,
        same_percent=round(100 * same / max(faces, 1), 3),
        missing=faces - same,
        new=sum(one.new for one in differences),
        least_iou=round(min((one.iou for one in differences), default=1.0), 5),
        farthest_landmark_px=round(max((one.landmarks for one in differences), default=0.0), 4),
        farthest_box_px=round(max((one.boxes for one in differences), default=0.0), 4),
        turns_differ=sum(not one.turned for one in differences),
        most_years=round(max(years), 4) if years else None,
        mean_years=round(float(np.mean(years)), 4) if years else None,
        apart=tuple(_in_words(one) for one in differences if _is_apart(one)),
    )


def _is_apart(one: Difference) -> bool:
    return (
        one.same < one.faces
        or one.new > 0
        or not one.turned
        or max(one.boxes, one.landmarks) > NEAR_PX
    )


def _in_words(one: Difference) -> str:
    words = f"{one.name}: {one.same} of {one.faces} faces the same, {one.new} new"
    words += "" if one.turned else ", turned otherwise"
    return f"{words}, boxes {one.boxes:.2f} px and landmarks {one.landmarks:.2f} px apart"


def drawn_images(count: int) -> Named:
    """Groups, tiny images, faces cut by the edge, tilted and turned ones, of odd sizes, made from
    the portrait with a fixed seed.
    """
    rng, head = np.random.default_rng(11), sample_portrait().crop((110, 0, 350, 240))
    for number in range(count):
        wide, high = (
            int(side)
            for side in (rng.integers(20, 90, 2) if number % 5 == 0 else rng.integers(90, 460, 2))
        )
        image = Image.new(
            "RGB", (wide, high), tuple(int(value) for value in rng.integers(60, 190, 3))
        )
        for _ in range(int(rng.integers(1, 7))):
            side = int(rng.integers(20, max(21, min(wide, high) + 30)))
            face = head.resize((side, side), Image.Resampling.LANCZOS).rotate(
                float(rng.uniform(-25, 25)), Image.Resampling.BICUBIC
            )
            image.paste(
                face,
                (
                    int(rng.integers(-side // 3, max(1, wide - side // 2))),
                    int(rng.integers(-side // 3, max(1, high - side // 2))),
                ),
            )
        image = image.transpose(TURNS[(90, 180, 270)[number % 3]]) if number % 4 == 3 else image
        yield f"drawn {number}", image


def drawn_large_images(count: int) -> Named:
    """One to four portraits in 12 megapixels with a camera's noise, at places and sizes that a
    fixed seed draws; every third stands upright in a photograph on its side.
    """
    rng, head = np.random.default_rng(12), sample_portrait()
    for number in range(count):
        image = Image.new("RGB", LARGE, tuple(int(value) for value in rng.integers(60, 190, 3)))
        for place in range(faces := int(rng.integers(1, 5))):
            side = int(rng.integers(300, min(LARGE[1], LARGE[0] // faces)))
            left = LARGE[0] * place // faces + int(rng.integers(0, LARGE[0] // faces - side + 1))
            face = head.resize((side, side), Image.Resampling.BICUBIC)
            image.paste(face, (left, int(rng.integers(0, LARGE[1] - side + 1))))
        noise = rng.normal(0, rng.uniform(0, 12), (LARGE[1], LARGE[0], 1)).astype(np.float32)
        noisy = np.clip(np.asarray(image, np.float32) + noise, 0, 255).astype(np.uint8)
        image = Image.fromarray(noisy)
        yield f"large {number}", image.transpose(TURNS[90]) if number % 3 == 2 else image


def photographs(count: int) -> Named:
    """FG-NET's first photographs, each in four positions. Raises ``DatasetError``."""
    for name, image in upright_photographs(range(count)):
        yield name, image
        for degrees, turn in TURNS.items():
            yield f"{name} turned by {degrees}°", image.transpose(turn)


def upright_photographs(rows: Sequence[int]) -> Named:
    """Some of FG-NET's photographs. Raises ``DatasetError``."""
    from agegender_core.datasets import iter_images, read_records

    files = {record.row: record.file for record in read_records("fgnet")}
    for row, data in iter_images("fgnet", rows):
        yield files[row], load_image(data)


def enlarged_photographs(rows: Sequence[int], longest_side: int) -> Named:
    """Some of FG-NET's photographs, enlarged. Raises ``DatasetError``."""
    for name, image in upright_photographs(rows):
        scale = longest_side / max(image.size)
        wide, high = (round(side * scale) for side in image.size)
        yield f"{name} enlarged", image.resize((wide, high), Image.Resampling.BICUBIC)


def as_try(detector: MTCNNDetector, image: Image.Image) -> list[Face]:
    """Faces as in the finer tries of turned photographs."""
    return detector.search_tries([image])[0]


KINDS: dict[str, Kind] = {
    "drawn": Kind(partial(drawn_images, 200)),
    "drawn_large": Kind(partial(drawn_large_images, 20), MTCNNDetector.detect, ages=True),
    "fgnet_enlarged": Kind(
        partial(enlarged_photographs, range(0, 1002, 20), 3000), MTCNNDetector.detect, ages=True
    ),
    "fgnet_in_four_positions": Kind(partial(photographs, 500)),
    "fgnet_in_four_positions_as_tries": Kind(partial(photographs, 40), as_try),
    "fgnet_in_four_positions_turns_tried": Kind(partial(photographs, 40), MTCNNDetector.detect),
}
"""What is compared, by its key in the report. Without tries, every position is an image of its own
in which faces stand upright or are not found."""


def compare(kind: Kind, known: dict[str, Difference], keep: Callable[[], None]) -> list[Difference]:
    """One entry an image, taken from ``known`` or added to it; ``keep`` is called now and then."""
    from tqdm import tqdm

    from agegender_core.inference.predictor import load_predictor

    before, now = OriginalDetector(), MTCNNDetector()
    network = load_predictor(LIGHT) if kind.ages else None
    found = []
    for name, image in tqdm(kind.images(), unit="image"):
        if name not in known:
            theirs, ours = kind.search(before, image), kind.search(now, image)
            known[name] = difference(name, image, theirs, ours, network)
            if len(known) % SAVE_EVERY == 0:
                keep()
        found.append(known[name])
    keep()
    return found


def _code() -> str:
    """Of the code whose answers are kept."""
    files = [*sorted((PACKAGE / "vision").glob("*.py")), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def run(folder: Path, kinds: dict[str, Kind] | None = None) -> dict[str, Equality]:
    """Compare everything; write each kind into ``detection.json`` once it is done. Raises
    ``DatasetError``.
    """
    found = {}
    for name, kind in (KINDS if kinds is None else kinds).items():
        path = cache_dir() / f"detection-equality-{_code()}" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        old = json.loads(path.read_text()) if path.is_file() else {}
        known = {key: from_json(Difference, value) for key, value in old.items()}
        found[name] = summary(compare(kind, known, partial(_keep, path, known)))
        report = stored(folder)
        save(replace(report, equality=report.equality | {name: found[name]}), folder)
    return found


def _keep(path: Path, known: dict[str, Difference]) -> None:
    write_json(path, to_json(known))


def main() -> None:
    """Compare everything, write it into the reports and print it."""
    print(json.dumps(to_json(run(reports_dir())), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
