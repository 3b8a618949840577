"""What each dataset is and whose terms apply, as its owners state them. Weights trained on a
dataset carry its terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetTerms:
    """``title``: for people. ``terms``: the owners' conditions in brief. ``source``: to cite."""

    title: str
    terms: str
    source: str


TERMS: dict[str, DatasetTerms] = {
    "utkface": DatasetTerms(
        "UTKFace", "non-commercial research only", "Zhang, Song and Qi, CVPR 2017"
    ),
    "all_age_faces": DatasetTerms(
        "All-Age-Faces", "no licence stated, asks for citation", "Cheng et al., ICIP 2019"
    ),
    "fairface": DatasetTerms("FairFace", "CC BY 4.0", "Karkkainen and Joo, WACV 2021"),
    "fgnet": DatasetTerms("FG-NET", "research only", "Lanitis, FG-NET consortium, 2002"),
    "adience": DatasetTerms(
        "Adience",
        "research only, by agreement with its owners",
        "Eidinger, Enbar and Hassner, TIFS 2014",
    ),
    "afad": DatasetTerms("AFAD", "academic research only", "Niu et al., CVPR 2016"),
    "wiki": DatasetTerms(
        "IMDB-WIKI", "academic research only", "Rothe, Timofte and Van Gool, IJCV 2018"
    ),
}


TEST_SPLITS = {"utkface": "test", "all_age_faces": "test", "fairface": "test", "fgnet": "all"}
"""Datasets that are evaluated, and their test split. FG-NET is never trained on, so all of it is a
test.
"""


VALIDATION_IMAGES = {"utkface": 1090, "all_age_faces": 555, "fairface": 1577}
"""Images of the validation splits, on which weights are chosen and their answers calibrated."""
EXACT_AGES = ("utkface", "all_age_faces")
"""Datasets of those whose ages are years, not ranges."""


def terms_of(sets: Sequence[str]) -> str:
    """One sentence with the terms of all ``sets``."""
    parts = [f"{TERMS[name].title}: {TERMS[name].terms} ({TERMS[name].source})" for name in sets]
    return "; ".join(parts) + "."
