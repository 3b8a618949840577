"""What a dataset contains and what is wrong with it: counts of labels, and images that are missing
or that the app would refuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agegender_core.datasets.readers.base import LoadedDataset, Skip
from agegender_core.errors import DatasetError, InvalidImageError
from agegender_core.types import Progress
from agegender_core.vision.image_io import load_image

SAMPLE = 200
"""How many images are opened unless all are asked for."""


@dataclass(frozen=True)
class ImageCheck:
    """``opened``: how many images were decoded. ``missing``: of all records. ``unreadable``: of the
    opened ones, with the reason.
    """

    opened: int
    missing: tuple[str, ...]
    unreadable: tuple[Skip, ...]


def check_images(
    loaded: LoadedDataset, *, deep: bool = False, progress: Progress | None = None
) -> ImageCheck:
    """Check that every image exists and open an even sample of 200, or all with ``deep``."""
    missing = tuple(record.file for record in loaded.records if not loaded.source.has(record))
    absent = set(missing)
    here = [record for record in loaded.records if record.file not in absent]
    chosen = (
        here
        if deep or len(here) <= SAMPLE
        else [here[index] for index in np.linspace(0, len(here) - 1, SAMPLE).astype(int)]
    )
    unreadable = []
    for done, record in enumerate(chosen, start=1):
        try:
            load_image(loaded.image_bytes(record))
        except (DatasetError, InvalidImageError) as error:
            unreadable.append(Skip(record.file, str(error)))
        if progress:
            progress(done, len(chosen))
    return ImageCheck(len(chosen), missing, tuple(unreadable))


def summarise(loaded: LoadedDataset) -> dict[str, Any]:
    """Counts of records and labels, ready for JSON."""
    records = loaded.records
    ages = [record.age for record in records if record.age is not None]
    return {
        "records": len(records),
        "people": len({record.subject for record in records if record.subject is not None}),
        "age": len(ages),
        "age_years": [min(ages), max(ages)] if ages else None,
        "age_range": _counts(
            f"{record.age_range[0]}-{record.age_range[1]}" for record in records if record.age_range
        ),
        "gender": _counts(record.gender for record in records if record.gender),
        "race": _counts(record.race for record in records if record.race),
        "landmarks": sum(record.landmarks is not None for record in records),
        "splits": _counts(record.split for record in records),
    }


def by_reason(skips: Sequence[Skip]) -> dict[str, list[str]]:
    """Reason to files, the most frequent first."""
    found: dict[str, list[str]] = {}
    for skip in skips:
        found.setdefault(skip.reason, []).append(skip.file)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _counts(values: Any) -> dict[str, int]:
    return dict(
        sorted(Counter(values).items(), key=lambda item: (_leading_number(item[0]), item[0]))
    )


def _leading_number(text: str) -> int:
    digits = text.split("-")[0]
    return int(digits) if digits.isdecimal() else 0
