"""Reads the Parquet tables in ``reports/``; one message for all that cannot be read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from agegender_core.errors import DatasetError


def read_optional_parquet(path: Path, columns: Collection[str], remedy: str) -> pd.DataFrame | None:
    """The Parquet table at ``path``, or None if there is none.

    Raises ``DatasetError`` that ends with ``remedy``, what to do, if the file is damaged or lacks
    one of ``columns``.
    """
    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): {remedy}") from error
    if missing := [name for name in columns if name not in table]:
        raise DatasetError(f"{path} lacks {', '.join(missing)}: {remedy}")
    return table
