"""A mark made in a plot, as a choice of images: a word for the address, a mask, and a sentence.

A mark is a kind and its bounds, «cell:decades:20-29:30-39». Kinds are in ``KINDS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from agegender_core.analysis.plot_data import GROUPINGS, group_codes
from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.errors import ConfigError
from agegender_core.labels import GENDERS, MAX_AGE, group_names
from ui.common.charts import with_en_dash

Mask = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A kind of mark. ``reads``: one reader a bound. ``mask``: table, weights and the bounds to
    (N,) bool. ``words``: bounds to words.
    """

    reads: tuple[Callable[[str], object], ...]
    mask: Mask
    words: Callable[..., str]


def pick(kind: str, *bounds: object) -> str:
    """The mark as a word. Numbers are shortened to four decimals."""
    return ":".join(
        [
            kind,
            *(
                f"{round(bound, 4):g}" if isinstance(bound, float) else str(bound)
                for bound in bounds
            ),
        ]
    )


def mask(text: str, table: ErrorTable, weights: str) -> np.ndarray:
    """(N,) bool: images under the mark. Raises ``ConfigError`` for a mark that cannot be read, or
    that this dataset cannot have.
    """
    kind, bounds = _parsed(text)
    return kind.mask(table, weights, *bounds)


def words(text: str) -> str:
    """The mark in words. Raises ``ConfigError``."""
    kind, bounds = _parsed(text)
    return kind.words(*bounds)


def _parsed(text: str) -> tuple[Kind, list[object]]:
    name, *bounds = text.split(":")
    kind = KINDS.get(name)
    if kind is None or len(bounds) != len(kind.reads):
        raise ConfigError(
            f"pick={text!r} is not a selection in a plot. Selections are"
            f" {', '.join(KINDS)}, each followed by its bounds"
        )
    try:
        return kind, [read(bound) for read, bound in zip(kind.reads, bounds, strict=True)]
    except ValueError as error:
        raise ConfigError(f"pick={text!r}: {error}") from error


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _one_of(*known: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"{text!r} is not one of {', '.join(known)}")
        return text

    return read


def _true(table: ErrorTable) -> np.ndarray:
    return np.minimum(table.labels["age_true"].to_numpy(float), MAX_AGE)


def _within(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values >= low) & (values < high)


def _box(
    table: ErrorTable, weights: str, low: float, high: float, least: float, most: float
) -> np.ndarray:
    return _within(_true(table), low, high) & _within(
        table.predictions_for(weights)["age_pred"].to_numpy(float), least, most
    )


def _cell(table: ErrorTable, weights: str, grouping: str, true: str, answer: str) -> np.ndarray:
    names = group_names(GROUPINGS[grouping])
    if true not in names or answer not in names:
        raise ConfigError(
            f"{true} and {answer} are not both groups of {grouping}: {', '.join(names)}"
        )
    labels, answers, _ = group_codes(table, weights, grouping)
    return (labels == names.index(true)) & (answers == names.index(answer))


def _band(table: ErrorTable, band: str) -> np.ndarray:
    return (table.groups["age"].astype(object) == band).to_numpy(bool)


def _wrong_gender(table: ErrorTable, weights: str, band: str, gender: str) -> np.ndarray:
    labelled = (table.labels["gender_true"] == gender).to_numpy(bool)
    return (
        _band(table, band)
        & labelled
        & (table.predictions_for(weights)["gender_right"].to_numpy(float) == 0)
    )


def _sure(table: ErrorTable, weights: str, low: float, high: float) -> np.ndarray:
    answers = table.predictions_for(weights)
    probability = answers["gender_probability"].to_numpy(float)
    return (
        (probability > low - (low <= 0.5))
        & (probability <= high)
        & answers["gender_right"].notna().to_numpy()
    )


def _missed(table: ErrorTable, weights: str, band: str) -> np.ndarray:
    missed = table.values[weights]["interval_coverage"].to_numpy(float) == 0
    return missed if band == "all" else missed & _band(table, band)


def _beyond(table: ErrorTable, weights: str, years: float) -> np.ndarray:
    return (np.abs(table.predictions_for(weights)["error"].to_numpy(float)) > years) & table.labels[
        "age_true"
    ].notna().to_numpy()


def label_span(low: float, high: float) -> str:
    """Labels from ``low`` up to but not ``high``, as whole years where both are: «20 to 24», «7»,
    «95 and more».
    """
    if high > MAX_AGE:
        return f"{low:g} and more"
    if low != int(low) or high != int(high):
        return _years(low, high)
    return f"{low:g}" if high == low + 1 else _years(low, high - 1)


def _years(low: float, high: float) -> str:
    return f"{low:g} to {high:g}"


KINDS: dict[str, Kind] = {
    "box": Kind(
        (_number,) * 4,
        _box,
        lambda low, high, least, most: (
            f"labelled {label_span(low, high)}, answered {_years(least, most)} years"
        ),
    ),
    "true": Kind(
        (_number,) * 2,
        lambda table, weights, low, high: (
            _within(_true(table), low, high)
            & table.predictions_for(weights)["error"].notna().to_numpy()
        ),
        lambda low, high: f"labelled {label_span(low, high)} years",
    ),
    "cell": Kind(
        (_one_of(*GROUPINGS), str, str),
        _cell,
        lambda _, true, answer: f"labelled {with_en_dash(true)}, answered {with_en_dash(answer)}",
    ),
    "taken": Kind(
        (str, _one_of(*GENDERS)),
        _wrong_gender,
        lambda band, gender: f"{with_en_dash(band)} years, labelled {gender}, answered otherwise",
    ),
    "sure": Kind(
        (_number,) * 2,
        _sure,
        lambda low, high: (
            f"gender answered with a probability of {100 * low:.0f} to {100 * high:.0f} %"
        ),
    ),
    "missed": Kind(
        (str,),
        _missed,
        lambda band: (
            "true age outside the interval"
            + ("" if band == "all" else f", labelled {with_en_dash(band)} years")
        ),
    ),
    "beyond": Kind((_number,), _beyond, lambda years: f"off by more than {years:g} years"),
}
