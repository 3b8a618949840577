"""Prediction tables of one or several weights on one dataset, side by side: a row an image, in one
order for all.

Errors are in years. Where a dataset labels exact ages, an error is answer less label; where it
labels ranges, it is the distance to the nearer end of the range, 0 inside. A label of n stands for
the years from n - 0.5 to n + 0.5, as in ``decoding``. Whatever is not known is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from agegender_core.analysis.image_quality import MEASURES, conditions_met
from agegender_core.analysis.image_quality_run import read_conditions
from agegender_core.analysis.parquet_io import read_optional_parquet
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import ConfigError, DatasetError
from agegender_core.evaluation.metrics import slice_labels, value_columns
from agegender_core.evaluation.report_types import ANSWER_COLUMNS, LABEL_COLUMNS
from agegender_core.labels import AGE_BANDS, FAIRFACE_GROUPS

NUMBERS = ("age_true", "age_pred", "age_low", "age_high", "gender_probability")
CLOSE = 5.0
"""An exact age is answered right within so many years."""
UNLABELLED = "unlabelled"
"""Stands for a missing label among the values of a filter or a slice."""
DIMENSIONS = ("age", "gender", "race")


class LazyTables(Mapping[str, pd.DataFrame]):
    """Tables by weights, each worked out when it is first asked for: of a dozen networks a view
    needs one or two.
    """

    def __init__(self, names: Sequence[str], work: Callable[[str], pd.DataFrame]) -> None:
        """``work``: name to table; its result is kept."""
        self._found: dict[str, pd.DataFrame | None] = dict.fromkeys(names)
        self._work = work

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Raises ``KeyError`` for a name there is none of."""
        found = self._found[name]
        if found is None:
            found = self._found[name] = self._work(name)
        return found

    def __contains__(self, name: object) -> bool:
        """Without working anything out."""
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        """Names in order."""
        return iter(self._found)

    def __len__(self) -> int:
        """Number of weights."""
        return len(self._found)


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """N images of ``dataset`` and what each of ``weights`` predicts.

    ``labels``: ``LABEL_COLUMNS`` and ``age_lo``, ``age_hi``, the years the label covers.
    ``groups``: the age band, gender and race of each image as categories of labelled values in
    natural order, missing where unlabelled. ``conditions``: a bool column a condition that was
    measured, all False where none was. ``measures``: ``image_quality.MEASURES``, NaN where not
    measured. ``answers``: by weights, ``ANSWER_COLUMNS`` and ``derive``'s columns. ``values``: by
    weights, a column a metric, see ``metrics.value_columns``.
    """

    dataset: str
    weights: tuple[str, ...]
    labels: pd.DataFrame
    groups: pd.DataFrame
    conditions: pd.DataFrame
    measures: pd.DataFrame
    answers: Mapping[str, pd.DataFrame]
    values: Mapping[str, pd.DataFrame]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def measured(self) -> bool:
        """Whether this dataset's image conditions have been measured."""
        return bool(self.measures["luminance"].notna().any())

    @property
    def people(self) -> np.ndarray | None:
        """(N,) int: who is in each image, or None where that is not known of all. Images of one
        person are no independent samples.
        """
        return (
            None if self.labels["subject"].isna().any() else self.labels["subject"].factorize()[0]
        )

    def predictions_for(self, weights: str) -> pd.DataFrame:
        """Answers of ``weights``. Raises ``ConfigError`` for weights that are not in the table."""
        if weights not in self.answers:
            raise ConfigError(
                f"no predictions of {weights!r} on {self.dataset} here; there are"
                f" {', '.join(self.weights)}"
            )
        return self.answers[weights]


def available(reports: Path) -> dict[str, list[str]]:
    """Dataset to the weights with predictions on it, datasets in the order of ``TEST_SPLITS`` and
    weights by name.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(reports.glob("*/*/predictions.parquet")):
        found.setdefault(path.parent.name, []).append(path.parent.parent.name)
    order = list(TEST_SPLITS)
    return dict(
        sorted(
            found.items(),
            key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0]),
        )
    )


def read_table(reports: Path, dataset_name: str, weights: Sequence[str]) -> ErrorTable:
    """What ``evaluate`` and ``conditions`` wrote into ``reports`` for ``weights`` on
    ``dataset_name``.

    Raises ``ConfigError`` for no weights or some named twice, ``DatasetError`` for predictions that
    are absent, in another format, or about other images or labels than those of the first weights.
    """
    tables = {name: _read_predictions(reports, dataset_name, name) for name in weights}
    if not weights or len(tables) != len(weights):
        raise ConfigError(
            f"one or more different weights expected, got {', '.join(weights) or 'none'}"
        )
    return make_table(dataset_name, tables, read_conditions(reports, dataset_name))


def make_table(
    dataset_name: str,
    predictions: Mapping[str, pd.DataFrame],
    conditions: pd.DataFrame | None = None,
) -> ErrorTable:
    """Table of ``predictions`` by weights, in the order of the first. Raises ``DatasetError`` as
    ``read_table`` does.
    """
    first, *_ = predictions
    tables = {
        name: _checked(table, f"{name} on {dataset_name}") for name, table in predictions.items()
    }
    labels = tables[first][list(LABEL_COLUMNS)]
    answers = {
        name: _aligned(table, labels, f"{name} on {dataset_name}", f"{first} on {dataset_name}")[
            list(ANSWER_COLUMNS)
        ]
        for name, table in tables.items()
    }
    labels = labels.assign(**_label_years(labels))
    measured = _conditions_of(labels, conditions)
    return ErrorTable(
        dataset=dataset_name,
        weights=tuple(tables),
        labels=labels,
        groups=_groups(labels),
        conditions=conditions_met(measured),
        measures=measured[list(MEASURES)],
        answers=LazyTables(list(answers), lambda name: derive(labels, answers[name])),
        values=LazyTables(
            list(answers), lambda name: value_columns(pd.concat([labels, answers[name]], axis=1))
        ),
    )


def derive(labels: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """``answers`` and what follows from them and ``labels`` with ``age_lo`` and ``age_hi``.

    ``error``: signed years, positive if estimated too old. ``outside``: years between the label
    and the network's interval, 0 if it contains the label. ``width`` of the interval.
    ``age_right``, ``gender_right``, ``race_right``: 1, 0 or NaN. An exact age is right within
    ``CLOSE`` years; a range if the network predicts it, or, for one without ranges, if its years
    are inside. ``label_probability``: the network's probability of the labelled gender.
    """
    low, high, age = labels["age_lo"], labels["age_hi"], answers["age_pred"]
    exact = labels["age_true"].notna()
    beyond = (age - high).clip(lower=0) - (low - age).clip(lower=0)
    error = (age - labels["age_true"]).where(exact, beyond)
    reach_low, reach_high = (labels["age_true"].where(exact, end) for end in (high, low))
    outside = np.maximum(
        np.maximum(answers["age_low"] - reach_low, reach_high - answers["age_high"]), 0
    )
    inside = (error == 0).where(
        answers["fairface9_pred"].isna(), answers["fairface9_pred"] == labels["age_range_true"]
    )
    gender_right = _right(labels["gender_true"], answers["gender_pred"])
    probability = answers["gender_probability"]
    return answers.assign(
        error=error,
        outside=outside,
        width=answers["age_high"] - answers["age_low"],
        age_right=(error.abs() <= CLOSE).where(exact, inside).astype(float).where(error.notna()),
        gender_right=gender_right,
        race_right=_right(labels["race_true"], answers["race_pred"]),
        label_probability=probability.where(gender_right != 0, 1 - probability).where(
            gender_right.notna()
        ),
    )


def _right(true: pd.Series, predicted: pd.Series) -> pd.Series:
    return (true == predicted).astype(float).where(true.notna() & predicted.notna())


def _label_years(labels: pd.DataFrame) -> dict[str, pd.Series]:
    """First and last year a label covers; the open last range ends with the support."""
    by_name = {group.name: group for group in FAIRFACE_GROUPS}
    exact, ranges = labels["age_true"], labels["age_range_true"]
    low = ranges.map({name: group.lo - 0.5 for name, group in by_name.items()}).astype(float)
    high = ranges.map({name: group.hi + 0.5 for name, group in by_name.items()}).astype(float)
    return {
        "age_lo": (exact - 0.5).where(exact.notna(), low),
        "age_hi": (exact + 0.5).where(exact.notna(), high),
    }


def _groups(labels: pd.DataFrame) -> pd.DataFrame:
    start = {group.name: group.lo for group in (*AGE_BANDS, *FAIRFACE_GROUPS)}
    columns = {}
    for dimension, names in slice_labels(labels).items():
        present = sorted(names.dropna().unique(), key=lambda name: (start.get(name, 0), name))
        columns[dimension] = pd.Categorical(names, categories=present)
    return pd.DataFrame(columns, index=labels.index)


def _conditions_of(labels: pd.DataFrame, conditions: pd.DataFrame | None) -> pd.DataFrame:
    """Conditions in the order of ``labels``. For images that were not measured, only whether
    ``evaluate`` detected a face is known.
    """
    if conditions is None:
        conditions = pd.DataFrame(columns=["file", "face_found", *MEASURES])
    found = (
        conditions.drop_duplicates("file")
        .set_index("file")
        .reindex(labels["file"])
        .reset_index(drop=True)
    )
    seen = (
        found["face_found"].astype(object).where(found["face_found"].notna(), labels["face_found"])
    )
    return found.assign(face_found=seen.astype(bool)).astype(dict.fromkeys(MEASURES, float))


def _read_predictions(reports: Path, dataset_name: str, weights: str) -> pd.DataFrame:
    path, remedy = (
        reports / weights / dataset_name / "predictions.parquet",
        f"run «evaluate --weights {weights} --set {dataset_name}»",
    )
    table = read_optional_parquet(path, (), f"{remedy} again")
    if table is None:
        raise DatasetError(f"{path} is missing: {remedy}")
    return table


def _checked(table: pd.DataFrame, where: str) -> pd.DataFrame:
    if missing := [name for name in (*LABEL_COLUMNS, *ANSWER_COLUMNS) if name not in table]:
        raise DatasetError(
            f"the predictions of {where} lack {', '.join(missing)}: run «evaluate» again"
        )
    if twice := int(table["file"].duplicated().sum()):
        raise DatasetError(
            f"the predictions of {where} name {twice:,} files more than once: run «evaluate» again"
        )
    return table.reset_index(drop=True).astype(dict.fromkeys(NUMBERS, float))


def _aligned(table: pd.DataFrame, labels: pd.DataFrame, where: str, first: str) -> pd.DataFrame:
    """``table`` in the order of ``labels``, whose labels must be its own."""
    if not table["file"].equals(labels["file"]):
        positions = pd.Index(table["file"]).get_indexer(labels["file"])
        if len(table) != len(labels) or (positions < 0).any():
            raise DatasetError(
                f"the predictions of {where} and of {first} are about different images: run"
                " «evaluate» for both"
            )
        table = table.iloc[positions].reset_index(drop=True)
    for column in ("age_true", "age_range_true", "gender_true", "race_true"):
        one, other = table[column], labels[column]
        if not ((one == other) | (one.isna() & other.isna())).all():
            raise DatasetError(
                f"the predictions of {where} and of {first} have different labels in «{column}»:"
                " run «evaluate» for both"
            )
    return table
