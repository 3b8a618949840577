"""UTKFace: ``26_1_2_20170117154554862.jpg.chip.jpg`` is age 26, gender 1, race 2 and the date.

Genders are 0 man and 1 woman, races from 0 White, Black, Asian, Indian, Others. Three official
files have one field too few (``61_1_20170109150557335.jpg.chip.jpg``). Which one is missing cannot
be known, so gender and race are left unknown and only the age is used. Other oddities
(«…357jpg.chip.jpg», a blank before «.jpg») do not touch the labels and are read as meant. Images
may lie in subfolders (``part1`` to ``part3`` of the photographs in the wild); a name that comes
twice is one image.
"""

from __future__ import annotations

import re
from pathlib import Path

from agegender_core.datasets.readers.base import (
    Collector,
    Layout,
    LoadedDataset,
    best_root,
    image_files_in,
    matching_share,
    require_root,
    subfolders,
)
from agegender_core.labels import UTKFACE_RACES

NAME = re.compile(r"(\d{1,3})((?:_[^_]*){0,2})_(\d{8,})[^_]*$")
CODED_GENDERS = ("Male", "Female")
OLDEST = 116
EXPECTS = "UTKFace: images named age_gender_race_date.jpg"


def detect(path: Path) -> float:
    """Confidence by the names of the images."""
    return best_root(path, _score)[1]


def read(path: Path) -> LoadedDataset:
    """All images with age and, where the name has them, gender and race. Raises
    ``DatasetError``.
    """
    root = require_root(path, _score, EXPECTS)
    collector = Collector("utkface")
    seen: set[str] = set()
    for file in image_files_in(root, root, depth=2):
        name = Path(file).name
        parsed = NAME.match(name)
        if parsed is None or int(parsed[1]) > OLDEST:
            collector.skip(file, "the name is not age_gender_race_date")
        elif name in seen:
            collector.skip(file, "an image of this name is in another subfolder")
        else:
            seen.add(name)
            gender, race, missing = _gender_race(parsed[2])
            collector.add(
                file,
                missing=missing,
                age=int(parsed[1]),
                gender=gender,
                race=race,
                race_scheme="utkface5",
            )
    return collector.finish(root)


def _gender_race(fields: str) -> tuple[str | None, str | None, list[str]]:
    """Labels of the part between age and date, such as «_1_2», and what is missing."""
    codes = fields.split("_")[1:]
    if len(codes) != 2:
        return None, None, ["the name lacks gender or race: both left unknown"]
    gender = CODED_GENDERS[int(codes[0])] if codes[0] in ("0", "1") else None
    race = UTKFACE_RACES[int(codes[1])] if codes[1] in ("0", "1", "2", "3", "4") else None
    known = {"gender": gender, "race": race}
    return (
        gender,
        race,
        [
            f"the {label} in the name is not one of the dataset's codes"
            for label, value in known.items()
            if value is None
        ],
    )


def _score(root: Path) -> float:
    """Share of the names in ``root`` or, where it has no such images, the least share in its
    parts.
    """
    own, parts = matching_share(root, NAME), subfolders(root)
    return own or (min(matching_share(folder, NAME) for folder in parts) if len(parts) > 1 else 0.0)


LAYOUT = Layout("utkface", "UTKFace", EXPECTS, "23,708 aligned and cropped faces", detect, read)
