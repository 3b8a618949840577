"""Rows of slice tables back to images and names."""

from __future__ import annotations

import numpy as np
import pandas as pd

from agegender_core.analysis.prediction_table import DIMENSIONS, ErrorTable
from agegender_core.analysis.slices import CONDITION, LABELS


def slice_mask(table: ErrorTable, row: pd.Series) -> np.ndarray:
    """(N,) bool: the images of one row of a slice table."""
    keep = np.ones(len(table), bool)
    for dimension in DIMENSIONS:
        if isinstance(row[dimension], str):
            keep &= (table.groups[dimension] == row[dimension]).to_numpy(bool)
    if isinstance(row[CONDITION], str):
        keep &= table.conditions[row[CONDITION]].to_numpy(bool)
    return keep


def slice_name(row: pd.Series) -> str:
    """Name of a slice: «70+, Female, blurred»."""
    return ", ".join(row[name] for name in LABELS if isinstance(row[name], str))
