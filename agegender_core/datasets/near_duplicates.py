"""Near-duplicate images: grey thumbnails that correlate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from agegender_core.datasets.crop_cache import load_crops
from agegender_core.datasets.records import FaceRecord
from agegender_core.types import InputSpec

DUPLICATE_CORRELATION = 0.96

THUMBNAIL = InputSpec(size=24, margin=0.0)


def has_near_duplicate(records: Sequence[FaceRecord], others: Sequence[FaceRecord]) -> np.ndarray:
    """(N,) bool: which of ``records`` look almost the same as one of ``others`` (M), by correlation
    of grey thumbnails.
    """
    one, many = _thumbnails(records), _thumbnails(others)
    return np.concatenate(
        [
            (part @ many.T).max(axis=1) > DUPLICATE_CORRELATION
            for part in np.array_split(one, max(1, len(one) // 512))
        ]
    )


def _thumbnails(records: Sequence[FaceRecord]) -> np.ndarray:
    return grey_thumbnails(load_crops(records, THUMBNAIL))


BLOCK = 1024

FAIRFACE_DUPLICATE_CORRELATION = 0.97
"""FairFace's chips are tighter and more alike than the other datasets': its near-duplicates need a
higher correlation.
"""


def grey_thumbnails(crops: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) crops to (N, H W) float32 grey vectors of mean 0 and length 1: a product of two
    is their correlation.
    """
    grey = np.asarray(crops, np.float32).mean(axis=3).reshape(len(crops), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    return grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-6)


def near_duplicate_pairs(thumbnails: np.ndarray, threshold: float) -> pd.DataFrame:
    """All pairs of (N, F) ``thumbnails`` that correlate above ``threshold``: ``one`` < ``other``,
    ``correlation``. One block in memory at a time.
    """
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    one, other, correlation = (
        np.concatenate(items) for items in zip(none, *_blocks(thumbnails, threshold), strict=True)
    )
    return pd.DataFrame(
        {
            "one": np.asarray(one, np.int64),
            "other": np.asarray(other, np.int64),
            "correlation": np.asarray(correlation, float),
        }
    )


def _blocks(
    thumbnails: np.ndarray, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for start in range(0, len(thumbnails), BLOCK):
        product = thumbnails[start : start + BLOCK] @ thumbnails[start:].T  # (block, the rest)
        one, other = np.nonzero(np.triu(product > threshold, k=1))
        yield one + start, other + start, product[one, other]
