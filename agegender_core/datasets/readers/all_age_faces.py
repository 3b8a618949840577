"""All-Age-Faces: ``original images/00000A02.jpg`` is person 00000 at age 2; 00000 to 07380 are
women, 07381 to 13321 men.

Every image is another person. Without the originals the aligned faces are read, whose official
folder is spelt «aglined faces». ``image sets/train.txt`` and ``val.txt`` give the official random
split («00000A02.jpg 0», 1 for a man). ``key points`` is left alone.
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
)
from agegender_core.labels import GENDERS

NAME = re.compile(r"(?P<subject>\d{5})A(?P<age>\d{2,3})\.jpe?g$", re.IGNORECASE)
LISTED = re.compile(r"(?P<name>\d{5}A\d{2,3})(?:\.jpe?g)?\s+(?P<gender>[01])\s*$", re.IGNORECASE)
FOLDERS = ("original images", "aglined faces", "aligned faces")
LAST_WOMAN, LAST_MAN = 7380, 13321
EXPECTS = "All-Age-Faces: «original images» with images such as 00000A02.jpg"


def detect(path: Path) -> float:
    """Confidence by the names of the images."""
    return best_root(path, _score)[1]


def read(path: Path) -> LoadedDataset:
    """All images with age, gender and person. Raises ``DatasetError``."""
    root = require_root(path, _score, EXPECTS)
    listed = _listed(root)
    collector = Collector("all_age_faces")
    for file in image_files_in(root, _images(root)):
        named = NAME.match(Path(file).name)
        if named is None:
            collector.skip(file, "the name is not number, A, age, such as 00000A02.jpg")
            continue
        gender = _gender(int(named["subject"]))
        split, listed_gender = listed.get(Path(file).stem.upper(), ("all", gender))
        missing = [] if gender else ["the number is beyond 13321: gender unknown"]
        if gender != listed_gender:
            gender, missing = None, ["number and image sets disagree on the gender: left unknown"]
        collector.add(
            file,
            missing=missing,
            split=split,
            age=int(named["age"]),
            gender=gender,
            subject=named["subject"],
        )
    if _images(root).name not in ("original images", root.name):
        collector.notes.append(
            f"«original images» is not here: images are the aligned ones in «{_images(root).name}»"
        )
    return collector.finish(root)


def _gender(serial: int) -> str | None:
    return None if serial > LAST_MAN else "Female" if serial <= LAST_WOMAN else "Male"


def _listed(root: Path) -> dict[str, tuple[str, str]]:
    """Name without suffix to (split, gender) of the official lists, where they are."""
    found: dict[str, tuple[str, str]] = {}
    for split in ("train", "val"):
        for folder in (root / "image sets", root.parent / "image sets"):
            lines = (
                (folder / f"{split}.txt").read_text(errors="replace").splitlines()
                if (folder / f"{split}.txt").is_file()
                else []
            )
            found |= {
                hit["name"].upper(): (split, GENDERS[int(hit["gender"])])
                for hit in map(LISTED.match, lines)
                if hit
            }
    return found


def _images(root: Path) -> Path:
    return next((root / name for name in FOLDERS if (root / name).is_dir()), root)


def _score(root: Path) -> float:
    return matching_share(_images(root), NAME)


LAYOUT = Layout(
    "all_age_faces", "All-Age-Faces", EXPECTS, "13,322 faces of as many people", detect, read
)
