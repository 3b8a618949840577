"""Which images a gallery shows, in which order: a filter that fits into a URL, and sort keys. Works
on whole columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from agegender_core.analysis.image_quality import CONDITIONS
from agegender_core.analysis.prediction_table import DIMENSIONS, UNLABELLED, ErrorTable
from agegender_core.errors import ConfigError
from agegender_core.labels import (
    AGE_BANDS,
    FAIRFACE_GROUPS,
    FAIRFACE_RACES,
    GENDERS,
    UTKFACE_RACES,
    group_names,
)

VALUES: dict[str, tuple[str, ...]] = {
    "age": tuple(
        dict.fromkeys((*group_names(AGE_BANDS), *group_names(FAIRFACE_GROUPS), UNLABELLED))
    ),
    "gender": (*GENDERS, UNLABELLED),
    "race": tuple(dict.fromkeys((*FAIRFACE_RACES, *UTKFACE_RACES, UNLABELLED))),
    "having": tuple(CONDITIONS),
    "lacking": tuple(CONDITIONS),
}
"""Values that the fields of a ``Filter`` may have, in order."""
VERDICTS = {"right": 1.0, "wrong": 0.0}
TASKS = ("age", "gender", "race")


@dataclass(frozen=True)
class Filter:
    """Images to select; every field that is set narrows the selection, an empty one does not.

    ``age``, ``gender``, ``race``: any of these labels, «unlabelled» among them. ``having``: all of
    these conditions apply; ``lacking``: none of these does. ``age_is``, ``gender_is``, ``race_is``:
    «right» or «wrong», see ``prediction_table.derive``; images without label or prediction are
    neither. ``least``, ``most``: bounds of the absolute error in years, both inclusive. ``file``:
    part of the file's name, in any case.
    """

    age: tuple[str, ...] = ()
    gender: tuple[str, ...] = ()
    race: tuple[str, ...] = ()
    having: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    age_is: str = ""
    gender_is: str = ""
    race_is: str = ""
    least: float | None = None
    most: float | None = None
    file: str = ""

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` for an impossible value; sorts values in natural order, so that
        equivalent filters are equal.
        """
        for name, known in VALUES.items():
            object.__setattr__(self, name, _choices(name, getattr(self, name), known))
        for task in TASKS:
            if (verdict := getattr(self, f"{task}_is")) not in ("", *VERDICTS):
                raise ConfigError(f"{task}_is={verdict!r}: use right or wrong")
        for name in ("least", "most"):
            bound = getattr(self, name)
            if bound is not None and not (math.isfinite(bound) and bound >= 0):
                raise ConfigError(f"{name}={bound}: use a number of years from 0")
            object.__setattr__(self, name, None if bound is None else float(bound))
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ConfigError(
                f"least={self.least:g} is more than most={self.most:g}: no error is in between"
            )
        if both := set(self.having) & set(self.lacking):
            raise ConfigError(
                f"{', '.join(sorted(both))} cannot be both in «having» and in «lacking»"
            )

    def query(self) -> dict[str, str]:
        """Decoded query parameters, none for fields that are not set.
        ``read_filter`` reads them.
        """
        found: dict[str, str] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and value != () and value != "":
                found[item.name] = ",".join(value) if isinstance(value, tuple) else str(value)
        return found

    def mask(self, table: ErrorTable, weights: str) -> np.ndarray:
        """(N,) bool: which images are selected, by the predictions of ``weights``."""
        keep = np.ones(len(table), bool)
        for dimension in DIMENSIONS:
            if chosen := getattr(self, dimension):
                keep &= _labelled(table.groups[dimension], chosen)
        for names, wanted in ((self.having, True), (self.lacking, False)):
            for name in names:
                keep &= table.conditions[name].to_numpy() == wanted
        answers = table.predictions_for(weights)
        for task in TASKS:
            if verdict := getattr(self, f"{task}_is"):
                keep &= answers[f"{task}_right"].to_numpy() == VERDICTS[verdict]
        error = answers["error"].abs().to_numpy()
        if self.least is not None:
            keep &= error >= self.least
        if self.most is not None:
            keep &= error <= self.most
        if self.file:
            keep &= (
                table.labels["file"].str.contains(self.file, case=False, regex=False).to_numpy(bool)
            )
        return keep


def read_filter(parameters: Mapping[str, str], others: Collection[str] = ()) -> Filter:
    """Filter of decoded query ``parameters``; ``others``: parameters of the page that do not belong
    to the filter.

    Strict: raises ``ConfigError`` for an unknown parameter or value, an empty one, or one given
    twice.
    """
    known = {item.name: item for item in fields(Filter)}
    if unknown := sorted(set(parameters) - set(known) - set(others)):
        raise ConfigError(f"unknown parameter {', '.join(unknown)}; known: {', '.join(known)}")
    values: dict[str, object] = {}
    for name in known:
        if name in parameters:
            values[name] = _read_value(name, parameters[name])
    return Filter(**values)  # type: ignore[arg-type]


def _read_value(name: str, text: str) -> object:
    if not text.strip():
        raise ConfigError(f"{name} is empty: omit it or set a value")
    if name in VALUES:
        return tuple(text.split(","))
    if name in ("least", "most"):
        try:
            return float(text)
        except ValueError as error:
            raise ConfigError(f"{name}={text!r}: use a number of years from 0") from error
    return text


def _choices(name: str, chosen: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [value for value in chosen if value not in known]:
        raise ConfigError(
            f"{name}: unknown value {', '.join(map(repr, unknown))}; known: {', '.join(known)}"
        )
    if len(set(chosen)) < len(chosen):
        raise ConfigError(f"{name}: a value is repeated in {','.join(chosen)}")
    return tuple(value for value in known if value in chosen)


def _labelled(column: pd.Series, chosen: tuple[str, ...]) -> np.ndarray:
    codes = np.array(
        [
            -1 if name == UNLABELLED else code
            for code, name in _codes(column.cat.categories, chosen)
        ],
        dtype=np.int64,
    )
    return np.isin(column.cat.codes.to_numpy(), codes)


def _codes(categories: pd.Index, chosen: tuple[str, ...]) -> list[tuple[int, str]]:
    """Codes of the chosen labels; one that no image of the dataset has matches none."""
    names = list(categories)
    return [(names.index(name) if name in names else -2, name) for name in chosen]


@dataclass(frozen=True)
class Sort:
    """An order of tiles. ``key``: table, weights and other weights to (N,) numbers, descending; NaN
    comes last.

    ``two``: whether it needs the other weights.
    """

    name: str
    title: str
    key: Callable[[ErrorTable, str, str], np.ndarray]
    two: bool = False


def _column(name: str, sign: float = 1.0) -> Callable[[ErrorTable, str, str], np.ndarray]:
    return lambda table, weights, other: sign * table.predictions_for(weights)[name].to_numpy(float)


def _age_disagreement(table: ErrorTable, weights: str, other: str) -> np.ndarray:
    return np.abs(
        table.predictions_for(weights)["age_pred"].to_numpy(float)
        - table.predictions_for(other)["age_pred"].to_numpy(float)
    )


def _gender_disagreement(table: ErrorTable, weights: str, other: str) -> np.ndarray:
    return np.abs(
        male_share(table.predictions_for(weights)) - male_share(table.predictions_for(other))
    )


def male_share(answers: pd.DataFrame) -> np.ndarray:
    """(N,) probability of «Male»; 1 or 0 for models without probabilities; NaN without a
    prediction.
    """
    sure = answers["gender_probability"].fillna(1.0)
    return (
        sure.where(answers["gender_pred"] == GENDERS[1], 1 - sure)
        .where(answers["gender_pred"].notna())
        .to_numpy(float)
    )


SORTS: dict[str, Sort] = {
    item.name: item
    for item in (
        Sort(
            "error",
            "largest error in age",
            lambda table, weights, other: (
                table.predictions_for(weights)["error"].abs().to_numpy(float)
            ),
        ),
        Sort("too_old", "estimated too old", _column("error")),
        Sort("too_young", "estimated too young", _column("error", -1)),
        Sort("outside", "farthest outside the interval", _column("outside")),
        Sort("widest", "least sure of the age: widest interval", _column("width")),
        Sort("narrowest", "surest of the age: narrowest interval", _column("width", -1)),
        Sort("surest", "surest of the gender", _column("gender_probability")),
        Sort("unsurest", "least sure of the gender", _column("gender_probability", -1)),
        Sort(
            "against_label", "surest against the labelled gender", _column("label_probability", -1)
        ),
        Sort("age_disagreement", "two models differ most in age", _age_disagreement, two=True),
        Sort(
            "gender_disagreement",
            "two models differ most in gender",
            _gender_disagreement,
            two=True,
        ),
        Sort(
            "file",
            "as in the dataset",
            lambda table, weights, other: -np.arange(len(table), dtype=float),
        ),
    )
}


def order(
    table: ErrorTable,
    sort: str,
    weights: str,
    other: str | None = None,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """(M,) positions of the images in ``mask`` (N,) bool, default all, in the order ``sort``; ties
    are in the order of the dataset.

    Raises ``ConfigError`` for an unknown order or one that needs ``other`` weights if there are
    none.
    """
    if sort not in SORTS:
        raise ConfigError(f"unknown order {sort!r}; known: {', '.join(SORTS)}")
    if SORTS[sort].two and other is None:
        raise ConfigError(f"the order {sort!r} compares two networks: name the other weights")
    rows = np.arange(len(table)) if mask is None else np.flatnonzero(mask)
    key = SORTS[sort].key(table, weights, other or weights)[rows]
    return rows[np.argsort(np.where(np.isnan(key), np.inf, -key), kind="stable")]


def page(rows: np.ndarray, number: int, size: int) -> tuple[np.ndarray, int]:
    """Positions on page ``number``, counted from 1 and clamped to the pages there are, and the
    number of pages, at least 1.
    """
    if size < 1:
        raise ConfigError(f"a page of {size} tiles: use 1 or more")
    pages = max(1, -(-len(rows) // size))
    start = (min(max(number, 1), pages) - 1) * size
    return rows[start : start + size], pages
