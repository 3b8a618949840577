"""Labels that may be wrong: several networks agree against them, or near-duplicates have different
ones.

Networks trained on the same images make the same mistakes, so agreement is a reason to check, not a
proof. Networks also tend to estimate old people too young and so on: only an error beyond the usual
one at that label counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from agegender_core.analysis.filters import TASKS, male_share
from agegender_core.analysis.parquet_io import read_optional_parquet
from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.datasets.near_duplicates import (
    FAIRFACE_DUPLICATE_CORRELATION,
    grey_thumbnails,
    near_duplicate_pairs,
)
from agegender_core.datasets.records import FaceRecord
from agegender_core.errors import ConfigError
from agegender_core.labels import GENDERS

WINDOW = 201
"""The usual error at a label is the median over this many images with the nearest labels."""
MIN_YEARS = 10.0
DUPLICATE_COLUMNS = (
    "file",
    "other_file",
    "correlation",
    "split",
    "other_split",
    "age",
    "other_age",
    "years_apart",
    "gender",
    "other_gender",
    "race",
    "other_race",
)


def find_label_issues(
    table: ErrorTable, task: str, weights: Sequence[str] | None = None, agreeing: int | None = None
) -> pd.DataFrame:
    """Images whose label of ``task`` («age», «gender», «race») at least ``agreeing`` of ``weights``
    contradict in the same way, default all.

    Columns: ``row``, the position in the table, ``file``, ``label``, ``answers`` as text by
    weights, ``agree``, how many contradict the label in the same way, and ``score``, by which rows
    are sorted. Age: ``years`` is the least error of those that agree, on one side, beyond the error
    usual at that label, at least ``MIN_YEARS``; the score is the same in usual spreads at that
    label. Gender: the score is their mean probability against the label, a half without
    probabilities. Race: the number that agree on another.

    Raises ``ConfigError`` for an unknown task, fewer than two networks, or more agreeing than there
    are.
    """
    weights = tuple(weights or table.weights)
    for name in weights:
        table.predictions_for(name)
    agreeing = len(weights) if agreeing is None else agreeing
    if task not in TASKS:
        raise ConfigError(f"unknown task {task!r}; known: {', '.join(TASKS)}")
    if not 2 <= agreeing <= len(set(weights)):
        raise ConfigError(
            f"{agreeing} agreeing of {len(set(weights))} networks: one alone proves nothing, use at"
            " least two"
        )
    score, agree, extra, keep = {"age": _age, "gender": _gender, "race": _race}[task](
        table, weights, agreeing
    )
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    label = (
        table.labels["age_true"].where(
            table.labels["age_true"].notna(), table.labels["age_range_true"]
        )
        if task == "age"
        else None
    )
    label = table.labels[f"{task}_true"] if label is None else label
    shown = {
        "row": rows,
        "file": table.labels["file"].to_numpy()[rows],
        "label": label.astype(object).to_numpy()[rows],
    }
    answers = [_answers_text(table, task, weights, row) for row in rows.tolist()]
    columns = {
        "agree": agree[rows],
        **{name: values[rows] for name, values in extra.items()},
        "score": score[rows],
    }
    return pd.DataFrame({**shown, "answers": pd.Series(answers, dtype=object), **columns})


def disputed_tasks(table: ErrorTable) -> list[str]:
    """(N,) the labels of each image that more than half of all models contradict in the same way:
    «age», «gender», «age, gender» or nothing.

    The rules are those of ``find_label_issues``; a task of fewer than two models is never disputed.
    """
    found = [""] * len(table)
    for task in ("age", "gender"):
        right = "error" if task == "age" else f"{task}_right"
        models = [
            name for name in table.weights if table.predictions_for(name)[right].notna().any()
        ]
        if len(models) < 2:
            continue
        *_, keep = {"age": _age, "gender": _gender}[task](
            table, models, max(2, len(models) // 2 + 1)
        )
        for row in np.flatnonzero(keep):
            found[row] = f"{found[row]}, {task}" if found[row] else task
    return found


def usual_error(
    label_years: np.ndarray, error: np.ndarray, window: int = WINDOW
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) median error and (N,) spread around it, at least one year, over the ``window`` images
    with the nearest labels; NaN without label or error.

    The spread is the median absolute deviation, scaled to be a standard deviation for normal
    errors.
    """
    known = ~np.isnan(label_years) & ~np.isnan(error)
    middle, spread = np.full((2, len(error)), np.nan)
    rows = np.flatnonzero(known)[np.argsort(label_years[known], kind="stable")]
    sorted_error = pd.Series(error[rows])
    centre = sorted_error.rolling(window, center=True, min_periods=1).median()
    middle[rows] = centre
    spread[rows] = np.maximum(
        1.4826 * (sorted_error - centre).abs().rolling(window, center=True, min_periods=1).median(),
        1.0,
    )
    return middle, spread


def conflicting_duplicates(records: Sequence[FaceRecord], pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of ``near_duplicate_pairs`` whose labels differ, farthest apart first:
    ``DUPLICATE_COLUMNS``.

    ``age`` is a year or a range in words; ``years_apart`` between ages or nearest ends of ranges, 0
    where they meet, NaN where one is unknown. A label that only one of the two has is no conflict.
    """
    columns = (pairs[name].tolist() for name in ("one", "other", "correlation"))
    rows = [
        _labels_of_pair(records[one], records[other], correlation)
        for one, other, correlation in zip(*columns, strict=True)
    ]
    found = pd.DataFrame(rows, columns=list(DUPLICATE_COLUMNS))
    differ = found["years_apart"] > 0
    for name in ("gender", "race"):
        differ |= (
            found[name].notna()
            & found[f"other_{name}"].notna()
            & (found[name] != found[f"other_{name}"])
        )
    return (
        found[differ]
        .sort_values(["years_apart", "correlation"], ascending=False, kind="stable")
        .reset_index(drop=True)
    )


def write_conflicting_duplicates(dataset_name: str, reports: Path) -> pd.DataFrame:
    """Find near-duplicates with different labels among all splits of ``dataset_name``, write them
    beside the conditions and return them.

    Test splits alone contain none: they have one image of each group of near-duplicates. Raises
    ``DatasetError`` where the images are absent.
    """
    from agegender_core.datasets import read_records
    from agegender_core.datasets.crop_cache import load_crops
    from agegender_core.datasets.near_duplicates import DUPLICATE_CORRELATION, THUMBNAIL

    records = read_records(dataset_name)
    thumbnails = grey_thumbnails(load_crops(records, THUMBNAIL))
    found = conflicting_duplicates(
        records,
        near_duplicate_pairs(
            thumbnails,
            FAIRFACE_DUPLICATE_CORRELATION if dataset_name == "fairface" else DUPLICATE_CORRELATION,
        ),
    )
    path = duplicates_path(reports, dataset_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    found.astype({"age": str, "other_age": str}).to_parquet(path, index=False, compression="zstd")
    return found


def read_conflicting_duplicates(reports: Path, dataset_name: str) -> pd.DataFrame | None:
    """What ``write_conflicting_duplicates`` wrote, ages as words, or None. Raises ``DatasetError``
    for a file in
    another format.
    """
    return read_optional_parquet(
        duplicates_path(reports, dataset_name),
        DUPLICATE_COLUMNS,
        f"write it again with «conditions --twins {dataset_name}»",
    )


def duplicates_path(reports: Path, dataset_name: str) -> Path:
    """Path of the near-duplicates with different labels."""
    return reports / "conditions" / "twins" / f"{dataset_name}.parquet"


Found = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]
"""Score (N,), how many agree (N,), further columns, and which images are issues (N,) bool."""


def _age(table: ErrorTable, weights: Sequence[str], agreeing: int) -> Found:
    label_years = (table.labels["age_lo"] + table.labels["age_hi"]).to_numpy(float) / 2
    beyond, in_spreads = [], []
    for name in weights:
        error = table.predictions_for(name)["error"].to_numpy(float)
        middle, spread = usual_error(label_years, error)
        excess = np.where(np.sign(error) == np.sign(error - middle), error - middle, 0.0)
        beyond.append(np.nan_to_num(excess))
        in_spreads.append(np.nan_to_num(excess / spread))
    years, score = np.stack(beyond, axis=1), np.stack(in_spreads, axis=1)  # (N, K)
    older, younger = (_nth_largest(sign * years, agreeing) for sign in (1, -1))
    sign = np.where(older >= younger, 1, -1)[:, None]
    agree = (sign * years >= MIN_YEARS).sum(axis=1)
    least = np.maximum(older, younger)
    return _nth_largest(sign * score, agreeing), agree, {"years": least}, least >= MIN_YEARS


def _gender(table: ErrorTable, weights: Sequence[str], agreeing: int) -> Found:
    wrong = np.stack(
        [table.predictions_for(name)["gender_right"].to_numpy(float) == 0 for name in weights],
        axis=1,
    )  # (N, K)
    against = np.stack(
        [1 - table.predictions_for(name)["label_probability"].to_numpy(float) for name in weights],
        axis=1,
    )
    known = wrong & ~np.isnan(against)
    mean = np.where(known, against, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    agree = wrong.sum(axis=1)
    return np.where(known.any(axis=1), mean, 0.5), agree, {}, agree >= agreeing


def _race(table: ErrorTable, weights: Sequence[str], agreeing: int) -> Found:
    answers = pd.DataFrame(
        {
            name: (
                table.predictions_for(name)["race_pred"].where(
                    table.predictions_for(name)["race_right"] == 0
                )
            )
            for name in weights
        }
    )
    names = pd.unique(answers.to_numpy(object).ravel())
    counts = [(answers == name).sum(axis=1).to_numpy() for name in names if isinstance(name, str)]
    agree = np.max(counts, axis=0) if counts else np.zeros(len(table), int)
    return agree.astype(float), agree, {}, agree >= agreeing


def _nth_largest(values: np.ndarray, n: int) -> np.ndarray:
    """(N, K) to (N,): the ``n``-th largest of each row."""
    return -np.partition(-values, n - 1, axis=1)[:, n - 1]


def _answers_text(table: ErrorTable, task: str, weights: Sequence[str], row: int) -> str:
    parts = []
    for name in weights:
        answers = table.predictions_for(name)
        value = answers[f"{task}_pred"].iloc[row]
        if pd.isna(value):
            words = "no answer"
        elif task == "age":
            words = f"{value:.0f}"
        elif task == "gender" and not np.isnan(answers["gender_probability"].iloc[row]):
            male = male_share(answers.iloc[row : row + 1])[0]
            words = f"{value} {100 * (male if value == GENDERS[1] else 1 - male):.0f} %"
        else:
            words = str(value)
        parts.append(f"{name}: {words}")
    return "; ".join(parts)


def _labels_of_pair(one: FaceRecord, other: FaceRecord, correlation: float) -> tuple[object, ...]:
    spans = [
        (record.age, record.age) if record.age is not None else record.age_range
        for record in (one, other)
    ]
    apart = float("nan")
    if spans[0] is not None and spans[1] is not None:
        apart = float(max(spans[1][0] - spans[0][1], spans[0][0] - spans[1][1], 0))
    ages = [
        None if span is None else str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"
        for span in spans
    ]
    return (
        one.file,
        other.file,
        round(float(correlation), 4),
        one.split,
        other.split,
        ages[0],
        ages[1],
        apart,
        one.gender,
        other.gender,
        one.race,
        other.race,
    )
