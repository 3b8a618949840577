"""What worse photos cost: noise, compression, blur and bad light on the test images of a dataset,
for every network for use. ``agegender corruptions``.

The idea is that of common corruptions (Hendrycks and Dietterich, «Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations», 2019), with those that a photo of a face meets:
a dark room, a film's grain, a messenger's compression, a camera out of focus, a face far away.
Each is done to the dataset's image before the face is aligned, as it would be to a photo, and
answers are compared image by image with those for the image as it is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from agegender_core.datasets import FaceRecord, iter_images, labelled_targets, read_records
from agegender_core.datasets.crop_cache import chip_crop
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import ConfigError
from agegender_core.evaluation.evaluate import crop_logits
from agegender_core.evaluation.metrics import stored_mean
from agegender_core.evaluation.report_store import read_corruptions
from agegender_core.evaluation.report_types import CorruptionCost, CorruptionsReport, CorruptionsRow
from agegender_core.explain.attention_report import exact_ages
from agegender_core.inference.decoding import Answers, read_out
from agegender_core.inference.model_zoo import (
    ModelInfo,
    is_current,
    list_weights,
    load_network,
    reading_of,
)
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.types import InputSpec

SET = "utkface"
LIMIT = 1000
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Corruption:
    """``title``: in words, with its strength. ``change``: RGB to RGB of the same size."""

    title: str
    change: Change


def noise(deviation: float) -> Change:
    """Independent normal noise on every value of 0 to 255."""

    def change(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        values = np.asarray(image, dtype=np.float32)
        values = values + deviation * generator.standard_normal(values.shape, dtype=np.float32)
        return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))

    return change


def compressed(quality: int) -> Change:
    """Saved as JPEG of this quality and read again."""

    def change(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as opened:
            return opened.convert("RGB")

    return change


def out_of_focus(share: float) -> Change:
    """Gaussian blur, its deviation as a share of the image's side."""
    return lambda image, generator: image.filter(ImageFilter.GaussianBlur(share * image.width))


def small(side: int) -> Change:
    """Made ``side`` pixels a side and as large as before again."""

    def change(image: Image.Image, generator: np.random.Generator) -> Image.Image:
        little = image.resize((side, side), Image.Resampling.BOX)
        return little.resize(image.size, Image.Resampling.BICUBIC)

    return change


def grey(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Without colours."""
    return image.convert("L").convert("RGB")


def darker(factor: float) -> Change:
    """Every value times ``factor``."""
    return lambda image, generator: ImageEnhance.Brightness(image).enhance(factor)


def faded(factor: float) -> Change:
    """Contrast times ``factor``."""
    return lambda image, generator: ImageEnhance.Contrast(image).enhance(factor)


CORRUPTIONS: dict[str, Corruption] = {
    "noise_8": Corruption("noise, deviation 8 of 255", noise(8)),
    "noise_16": Corruption("noise, deviation 16 of 255", noise(16)),
    "jpeg_30": Corruption("JPEG, quality 30", compressed(30)),
    "jpeg_10": Corruption("JPEG, quality 10", compressed(10)),
    "blur_1": Corruption("blur, 1 % of the side", out_of_focus(0.01)),
    "blur_2": Corruption("blur, 2 % of the side", out_of_focus(0.02)),
    "small_48": Corruption("face of 48 pixels", small(48)),
    "small_24": Corruption("face of 24 pixels", small(24)),
    "grey": Corruption("grey", grey),
    "dark": Corruption("brightness 0.4", darker(0.4)),
    "faded": Corruption("contrast 0.5", faded(0.5)),
}


def networks_to_measure(names: Sequence[str] = ()) -> list[ModelInfo]:
    """Installed networks for use, or those of ``names``. Raises ``ConfigError`` for a name that is
    none of them.
    """
    known = {info.name: info for info in list_weights() if info.installed}
    if unknown := sorted(set(names) - set(known)):
        raise ConfigError(
            f"no weights {', '.join(unknown)} are installed: choose from {', '.join(known)}"
        )
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    return [info for info in known.values() if not info.for_comparison]


def run_corruptions(
    reports: Path,
    names: Sequence[str] = (),
    limit: int = LIMIT,
    say: Callable[[str], None] = print,
) -> CorruptionsReport:
    """Measure the networks for use, or ``names``, on ``limit`` test images of ``SET``, drawn with a
    fixed seed. ``corruptions.json`` in ``reports`` is written after each network; rows in it of
    other networks, of today's weights, stay: they must be of as many images.

    Raises ``ConfigError``, ``DatasetError`` or ``WeightsError``.
    """
    entries = networks_to_measure(names)
    records = drawn(read_records(SET, TEST_SPLITS[SET]), limit)
    known = {info.name: info for info in list_weights()}
    saved = read_corruptions(reports)
    report = CorruptionsReport(set=SET, split=TEST_SPLITS[SET], n=len(records))
    others = (
        {row.weights for row in saved.rows} - {info.name for info in entries} if saved else set()
    )
    if saved and saved.n != report.n and others:
        raise ConfigError(
            f"{reports / 'corruptions.json'} has {', '.join(sorted(others))} on {saved.n:,} images:"
            f" give --limit {saved.n}, or move the file away to measure on {report.n:,}"
        )
    rows = {
        row.weights: row
        for row in (saved.rows if saved and saved.n == report.n else ())
        if row.weights in known and is_current(row, known[row.weights])
    }
    for number, info in enumerate(entries, start=1):
        say(f"{info.name}, network {number} of {len(entries)}")
        rows[info.name] = measure(info, records)
        found = tuple(rows[name] for name in known if name in rows)
        report = CorruptionsReport(report.set, report.split, report.n, found)
        reports.mkdir(parents=True, exist_ok=True)
        write_json(reports / "corruptions.json", to_json(report))
    return report


def drawn(records: Sequence[FaceRecord], limit: int) -> list[FaceRecord]:
    """``limit`` of the records with exact ages, or all, always the same, in their order."""
    known = [record for record in records if record.age is not None]
    chosen = np.sort(np.random.default_rng(2).permutation(len(known))[:limit])
    return [known[index] for index in chosen]


def measure(info: ModelInfo, records: Sequence[FaceRecord]) -> CorruptionsRow:
    """One network on the images of ``records``, as they are and corrupted."""
    network = load_network(info)

    def answers(change: Change | None) -> Answers:
        crops = corrupted_crops(records, info.input, change)
        return read_out(crop_logits(network, crops, info.input, info.flip), info.decoding)

    ages, genders = exact_ages(records), labelled_targets(records).gender
    own = answers(None)
    error, right = np.abs(own.years - ages), _right(own, genders)
    costs = {}
    for name, corruption in CORRUPTIONS.items():
        found = answers(corruption.change)
        mae = stored_mean(np.abs(found.years - ages) - error)
        assert mae is not None, "every image has an age"
        costs[name] = CorruptionCost(
            mae=mae,
            older=round(float(np.mean(found.years - own.years)), 4),
            gender=stored_mean(_right(found, genders) - right),
        )
    return CorruptionsRow(
        weights=info.name,
        weights_sha256=info.sha256,
        mae=stored_mean(error),
        gender_accuracy=stored_mean(right),
        costs=costs,
        decoding=reading_of(info),
    )


def _right(answers: Answers, genders: np.ndarray) -> np.ndarray:
    """(N,) 1 where the gender is right, 0 where it is wrong, NaN where it is not known."""
    return np.where(genders >= 0, (answers.gender == genders).astype(float), np.nan)


def corrupted_crops(
    records: Sequence[FaceRecord], spec: InputSpec, change: Change | None
) -> np.ndarray:
    """(N, H, W, 3) uint8 aligned crops after ``change``, each image's noise by its own seed."""
    crops = np.empty((len(records), spec.size, spec.size, 3), np.uint8)
    places = {record.row: index for index, record in enumerate(records)}
    for row, encoded in iter_images(SET, list(places)):
        done = None if change is None else partial(_changed, change, row)
        crops[places[row]] = np.asarray(chip_crop(encoded, records[places[row]], spec, done))
    return crops


def _changed(change: Change, row: int, image: Image.Image) -> Image.Image:
    return change(image, np.random.default_rng((7, row)))
