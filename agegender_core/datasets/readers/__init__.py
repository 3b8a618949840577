"""Face datasets as their owners lay them out on disk, read into ``FaceRecord``s without moving or
converting a file.
"""

from __future__ import annotations

from pathlib import Path

from agegender_core.datasets.readers import (
    adience,
    afad,
    all_age_faces,
    fairface,
    fgnet,
    parquet_or_hub,
    utkface,
    wiki,
)
from agegender_core.datasets.readers.base import Layout, LoadedDataset, Skip
from agegender_core.errors import ConfigError, DatasetError

LAYOUTS: tuple[Layout, ...] = tuple(
    module.LAYOUT
    for module in (fgnet, afad, wiki, utkface, adience, fairface, all_age_faces, parquet_or_hub)
)
LIKELY = 0.5
"""Two layouts with at least this confidence in one folder are two datasets."""

__all__ = [
    "LAYOUTS",
    "Layout",
    "LoadedDataset",
    "Skip",
    "find_layout",
    "layout_named",
    "load_dataset",
]


def layout_named(name: str) -> Layout:
    """Layout by its name. Raises ``ConfigError`` for an unknown name."""
    for layout in LAYOUTS:
        if layout.name == name:
            return layout
    raise ConfigError(
        f"unknown dataset {name!r}; known: {', '.join(layout.name for layout in LAYOUTS)}"
    )


def find_layout(source: str | Path) -> tuple[Layout, float]:
    """Layout of ``source`` and the confidence in (0, 1]. Raises ``DatasetError`` where there is
    none, or more than one.
    """
    path = Path(source)
    if not str(path).startswith(parquet_or_hub.PREFIX) and not path.exists():
        raise DatasetError(f"{path} does not exist")
    try:
        found = {layout: layout.detect(path) for layout in LAYOUTS}
    except OSError as error:
        raise DatasetError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    best = max(found.values())
    if best <= 0:
        known = "; ".join(layout.expects for layout in LAYOUTS)
        raise DatasetError(f"{path} has no known layout. Known are: {known}")
    likely = [layout for layout, confidence in found.items() if confidence >= min(best, LIKELY)]
    if len(likely) > 1:
        names = ", ".join(f"{layout.title}: {layout.name}" for layout in likely)
        raise DatasetError(
            f"{path} contains several datasets ({names}): name the folder of"
            " one of them, or its layout"
        )
    return likely[0], best


def load_dataset(source: str | Path, name: str | None = None) -> LoadedDataset:
    """Read the dataset at ``source``: a folder, a table, or ``hub:owner/name``. ``name``: of a
    layout, which is detected if None.

    Raises ``DatasetError`` where there is no such dataset and ``ConfigError`` for an unknown
    ``name``.
    """
    layout = layout_named(name) if name else find_layout(source)[0]
    try:
        return layout.read(Path(source))
    except OSError as error:
        raise DatasetError(
            f"{error.filename or source} cannot be read: {error.strerror}"
        ) from error
