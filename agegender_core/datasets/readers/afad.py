"""AFAD: ``AFAD-Full/25/111/292943-1.jpg`` is an Asian man (111; 112 a woman) of 25. AFAD-Lite is
laid out in the same way.
"""

from __future__ import annotations

from pathlib import Path

from agegender_core.datasets.readers.base import (
    Collector,
    Layout,
    LoadedDataset,
    best_root,
    image_files_in,
    require_root,
    subfolders,
)
from agegender_core.labels import MAX_AGE

GENDER_FOLDERS = {"111": "Male", "112": "Female"}
EXPECTS = "AFAD: folders such as 25/111 (age / 111 men, 112 women)"


def detect(path: Path) -> float:
    """Share of the subfolders that are an age with folders 111 or 112 in it."""
    return best_root(path, _score)[1]


def read(path: Path) -> LoadedDataset:
    """All images with age and gender. Raises ``DatasetError``."""
    root = require_root(path, _score, EXPECTS)
    collector = Collector("afad")
    for file in image_files_in(root, root, depth=2):
        parts = file.split("/")
        if len(parts) != 3:
            collector.skip(file, "the image is not in a folder age/gender")
        elif not (parts[0].isdecimal() and int(parts[0]) <= MAX_AGE):
            collector.skip(file, "the first folder is not an age")
        elif parts[1] not in GENDER_FOLDERS:
            collector.skip(file, "the second folder is neither 111 (men) nor 112 (women)")
        else:
            collector.add(file, age=int(parts[0]), gender=GENDER_FOLDERS[parts[1]])
    collector.notes.append(
        "AFAD does not say who is in an image: one person may come several times"
    )
    return collector.finish(root)


def _score(root: Path) -> float:
    folders = subfolders(root)
    ages = [
        folder
        for folder in folders
        if folder.name.isdecimal() and any((folder / name).is_dir() for name in GENDER_FOLDERS)
    ]
    return len(ages) / len(folders) if folders else 0.0


LAYOUT = Layout(
    "afad", "AFAD", EXPECTS, "about 164,000 faces in AFAD-Full, 59,344 in AFAD-Lite", detect, read
)
