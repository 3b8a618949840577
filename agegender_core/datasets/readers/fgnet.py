"""FG-NET: ``images/001A02.JPG`` is person 001 at age 2; a letter tells images of one age apart
(``001A43a.JPG``).

``points/001a02.pts`` has 68 points in pixels in the XM2VTS order: pupils 31 and 36, mouth corners
48 and 54, tip of the nose 67, counted from 0, left and right as seen in the image. The dataset has
no gender labels.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

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

NAME = re.compile(r"(?P<subject>\d{3})A(?P<age>\d{2})[a-z]?\.jpe?g$", re.IGNORECASE)
FIVE_OF_68 = [31, 36, 67, 48, 54]
EXPECTS = "FG-NET: images/001A02.JPG"


def detect(path: Path) -> float:
    """Confidence by the names of the images."""
    return best_root(path, _score)[1]


def read(path: Path) -> LoadedDataset:
    """All images with age, person and, where there are points, landmarks. Raises
    ``DatasetError``.
    """
    root = require_root(path, _score, EXPECTS)
    root = root.parent if root.name.lower() == "images" else root
    points = {
        file.stem.lower(): file
        for folder in subfolders(root)
        if folder.name.lower() == "points"
        for file in folder.glob("*.pts")
    }
    collector = Collector("fgnet")
    for file in image_files_in(root, _images(root)):
        named = NAME.match(Path(file).name)
        if named is None:
            collector.skip(file, "the name is not person, A, age, such as 001A02.JPG")
            continue
        pts = points.get(Path(file).stem.lower())
        landmarks = None if pts is None else _landmarks(pts, root / file)
        missing = ["its 68 points cannot be used"] if pts is not None and landmarks is None else []
        collector.add(
            file,
            missing=missing,
            age=int(named["age"]),
            subject=named["subject"],
            landmarks=landmarks,
        )
    without = sum(Path(record.file).stem.lower() not in points for record in collector.records)
    if without:
        collector.notes.append(f"{without:,} images have no file in points/")
    return collector.finish(root)


def _images(root: Path) -> Path:
    return next((folder for folder in subfolders(root) if folder.name.lower() == "images"), root)


def _score(root: Path) -> float:
    return matching_share(_images(root), NAME)


def _landmarks(pts: Path, picture: Path) -> np.ndarray | None:
    """(5, 2) fractions of the image's sides, or None where the file is damaged or its points do not
    make a face.
    """
    try:
        inside = re.search(
            r"\{(.*)\}", pts.read_text(encoding="ascii", errors="replace"), re.DOTALL
        )
        points = np.array(inside[1].split() if inside else [], dtype=float).reshape(-1, 2)
        with Image.open(picture) as image:
            size = image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    if len(points) != 68 or not np.isfinite(points).all():
        return None
    five = points[FIVE_OF_68] / size  # (5, 2)
    eyes, down = five[1] - five[0], five[3:].mean(axis=0) - five[:2].mean(axis=0)
    upright = eyes[0] * down[1] - eyes[1] * down[0] > 0
    return five if upright and (abs(five - 0.5) < 0.75).all() else None


LAYOUT = Layout("fgnet", "FG-NET", EXPECTS, "1,002 photographs of 82 people", detect, read)
