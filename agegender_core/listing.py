"""Pictures by name: what a glob matches and what lies below a folder. For the commands ``predict`` and ``batch``."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator

from agegender_core.errors import DatasetError
from agegender_core.imaging import PICTURE_SUFFIXES


def matched(given: str) -> list[str]:
    """``given`` itself where it is there or no glob, else the files it matches, sorted. Raises ``DatasetError`` where nothing matches."""
    if os.path.lexists(given) or not glob.has_magic(given):
        return [given]
    found = sorted(path for path in glob.iglob(given, recursive=True) if not os.path.isdir(path))
    if not found:
        raise DatasetError(f"nothing matches {given!r}")
    return found


def pictures_below(folder: str, others: Collection[str] = ()) -> Iterator[str]:
    """Pictures below ``folder``, by suffix, in a fixed order, hidden ones left out; ``others`` are folders listed on their own. A folder
    that may not be read is given itself, so that it is reported."""
    closed: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: closed.append(error.filename)):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and os.path.join(parent, name) not in others)
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES:
                yield os.path.join(parent, name)
    yield from closed
