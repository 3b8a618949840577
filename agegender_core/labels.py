"""Names and order of every label. They are defined here and nowhere else.

Sources: Adience's eight groups, Eidinger et al. 2014; FairFace's nine age ranges and seven races,
Karkkainen and Joo 2021; UTKFace's five race categories, Zhang et al. 2017. All of them describe
what annotators saw in an image, not who a person is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

MAX_AGE = 100
"""Oldest age of the age support 0..100. Losses, and what is measured on validation images while
training and publishing, clip older labels to it; reports on test images do not.
"""


@dataclass(frozen=True)
class AgeGroup:
    """A closed range of whole years; ``hi`` is inclusive."""

    name: str
    lo: int
    hi: int

    @property
    def centre(self) -> float:
        """Middle of the range in years of labels: a label of n stands for n, as where answers are
        read.
        """
        return (self.lo + self.hi) / 2


GENDERS: tuple[str, ...] = ("Female", "Male")

FAIRFACE_RACES: tuple[str, ...] = (
    "White",
    "Black",
    "Latino_Hispanic",
    "East Asian",
    "Southeast Asian",
    "Indian",
    "Middle Eastern",
)

UTKFACE_RACES: tuple[str, ...] = ("White", "Black", "Asian", "Indian", "Others")

UTKFACE_RACE_AS_FAIRFACE: dict[str, tuple[str, ...]] = {
    "White": ("White",),
    "Black": ("Black",),
    "Asian": ("East Asian", "Southeast Asian"),
    "Indian": ("Indian",),
    "Others": ("Latino_Hispanic", "Middle Eastern"),
}
"""Which of FairFace's seven a UTKFace label may mean. UTKFace's «Others» is described as «like
Hispanic, Latino, Middle Eastern».
"""

ADIENCE_GROUPS: tuple[AgeGroup, ...] = (
    AgeGroup("0-2", 0, 2),
    AgeGroup("4-6", 4, 6),
    AgeGroup("8-13", 8, 13),
    AgeGroup("15-20", 15, 20),
    AgeGroup("25-32", 25, 32),
    AgeGroup("38-43", 38, 43),
    AgeGroup("48-53", 48, 53),
    AgeGroup("60+", 60, MAX_AGE),
)

FAIRFACE_GROUPS: tuple[AgeGroup, ...] = (
    AgeGroup("0-2", 0, 2),
    AgeGroup("3-9", 3, 9),
    AgeGroup("10-19", 10, 19),
    AgeGroup("20-29", 20, 29),
    AgeGroup("30-39", 30, 39),
    AgeGroup("40-49", 40, 49),
    AgeGroup("50-59", 50, 59),
    AgeGroup("60-69", 60, 69),
    AgeGroup("70+", 70, MAX_AGE),
)

AGE_GROUP_SETS: dict[str, tuple[AgeGroup, ...]] = {
    "adience8": ADIENCE_GROUPS,
    "fairface9": FAIRFACE_GROUPS,
}

AGE_BANDS: tuple[AgeGroup, ...] = (
    AgeGroup("0-9", 0, 9),
    AgeGroup("10-19", 10, 19),
    AgeGroup("20-29", 20, 29),
    AgeGroup("30-39", 30, 39),
    AgeGroup("40-49", 40, 49),
    AgeGroup("50-59", 50, 59),
    AgeGroup("60-69", 60, 69),
    AgeGroup("70+", 70, 200),
)
"""The bands by which reports slice exact ages."""

_FAIRFACE_ALIASES = {
    "more than 70": "70+",
    "03-Sep": "3-9",
    "3-Sep": "3-9",
    "Oct-19": "10-19",
    "10-Oct": "10-19",
    "9-Mar": "3-9",
    "09-Mar": "3-9",
    "19-Oct": "10-19",
}

_ADIENCE_ODD_RANGES = {"(25, 23)": "25-32", "(38, 48)": "38-43"}


def group_names(groups: tuple[AgeGroup, ...]) -> tuple[str, ...]:
    """Names of ``groups`` in order."""
    return tuple(group.name for group in groups)


def group_index(age: float, groups: tuple[AgeGroup, ...]) -> int | None:
    """Index of the group that contains ``age`` in years, or None where the groups leave a gap there
    (Adience does).
    """
    whole = min(int(age), MAX_AGE)
    for index, group in enumerate(groups):
        if group.lo <= whole <= group.hi:
            return index
    return None


def fairface_group(name: str) -> AgeGroup:
    """FairFace's range by its name in the official table, spreadsheet accidents such as «03-Sep»
    included.

    Raises ``KeyError`` for a name FairFace does not have.
    """
    wanted = _FAIRFACE_ALIASES.get(name.strip(), name.strip())
    for group in FAIRFACE_GROUPS:
        if group.name == wanted:
            return group
    raise KeyError(f"{name!r} is not one of FairFace's age ranges {group_names(FAIRFACE_GROUPS)}")


def adience_group(label: str) -> AgeGroup:
    """Adience's group by the age label of a fold file: «(8, 12)», «29» or one of its odd ranges.

    A range or an exact age belongs to the group that contains all of it: «(8, 12)» to 8-13, «(27,
    32)» and «29» to 25-32. Two odd ranges are read as well: «(38, 48)», which covers 38-43 and no
    other group whole, and «(25, 23)», which all images of one person have, as a slip for «(25,
    32)». Exact ages in the gaps between the groups and «(8, 23)», which spans two, belong to none:
    authors who move them disagree («35» goes to 25-32 or to 38-43). Raises ``KeyError`` for those
    and for anything that is no age.
    """
    name = _ADIENCE_ODD_RANGES.get(label)
    years = (
        [int(part) for part in re.findall(r"\d{1,3}", label)]
        if re.fullmatch(r"\d{1,3}|\(\d{1,3}, *\d{1,3}\)", label)
        else []
    )
    for group in ADIENCE_GROUPS:
        if group.name == name or (years and all(group.lo <= year <= group.hi for year in years)):
            return group
    raise KeyError(f"{label!r} is in none of Adience's age groups {group_names(ADIENCE_GROUPS)}")


def group_membership(groups: tuple[AgeGroup, ...]) -> np.ndarray:
    """(G, 101) matrix of 0 and 1: which whole years of the support 0..100 belong to which group."""
    years = np.arange(MAX_AGE + 1)
    return np.stack([(years >= group.lo) & (years <= group.hi) for group in groups]).astype(
        np.float32
    )


def race_set(name: str, scheme: str) -> tuple[int, ...]:
    """Indices into ``FAIRFACE_RACES`` that label ``name`` of ``scheme`` («fairface7» or «utkface5»)
    may mean.
    """
    names = (name,) if scheme == "fairface7" else UTKFACE_RACE_AS_FAIRFACE[name]
    return tuple(FAIRFACE_RACES.index(item) for item in names)
