"""How a dataset is split for training and evaluation: pure functions from records to folds of
indices, checked for leaks.

* ``leave_one_person_out``: FG-NET's protocol, one fold a person.
* ``five_folds``: Adience's five official folds.
* ``stratified_age_bins``: section 2 of «Age Estimation & Gender Classification with Convolutional
  Neural Networks», the project's third paper: 5,000 images of UTKFace, stratified by equal-sized
  age bins into 4,500 / 250 / 250. The bins its table shows, (0.99, 5], (5, 20], (20, 25] to (61,
  116], are ten with equally many images. Near-duplicates are not kept together: UTKFace has about
  1,100 such pairs.
* ``official_train_val``: the datasets' own train and val, as FairFace's tables have them.
* ``our_splits``: the leak-free splits of the Parquet files in ../shared/data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from agegender_core.datasets.records import FaceRecord
from agegender_core.errors import DatasetError

ADIENCE_FOLDS = ("fold_0", "fold_1", "fold_2", "fold_3", "fold_4")
PAPER_SHARES = (0.90, 0.05, 0.05)
PAPER_COUNT = 5000


@dataclass(frozen=True, eq=False)
class Fold:
    """One way to split a dataset. ``parts``: «train», «val» and «test» to ascending indices into
    the records; a protocol may have no «val».
    """

    name: str
    parts: dict[str, np.ndarray]


class Leak(NamedTuple):
    """Something that two parts share: ``kind`` is «image», «file» or «subject», ``value`` which
    one, ``parts`` their names.
    """

    kind: str
    value: str
    parts: tuple[str, ...]


def leak_check(records: Sequence[FaceRecord], fold: Fold) -> list[Leak]:
    """Every image, file and person that is in more than one part of ``fold``; empty without
    leaks. Images of unknown people are compared by file only.
    """
    parts_by_item: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for part, indices in fold.parts.items():
        for index in indices:
            record = records[index]
            parts_by_item["image", "", str(index)].add(part)
            parts_by_item["file", record.dataset, record.file].add(part)
            if record.subject is not None:
                parts_by_item["subject", record.dataset, record.subject].add(part)
    return [
        Leak(kind, value, tuple(sorted(parts)))
        for (kind, _, value), parts in parts_by_item.items()
        if len(parts) > 1
    ]


def leave_one_person_out(records: Sequence[FaceRecord]) -> list[Fold]:
    """One fold a person, named by the person: all their images are the test, everybody else's are
    for training (FG-NET: 82 folds).

    Raises ``DatasetError`` where an image's person is unknown or there is one person only.
    """
    people = np.array([record.subject or "" for record in records], dtype=str)
    if unknown := int((people == "").sum()):
        raise DatasetError(
            f"leave-one-person-out needs to know the person in every image; {unknown:,} of"
            f" {len(records):,} are unknown"
        )
    names = np.unique(people)
    if len(names) < 2:
        raise DatasetError(f"leave-one-person-out needs two people or more, found {len(names)}")
    return [
        _leak_free(records, Fold(str(name), _parts(train=people != name, test=people == name)))
        for name in names
    ]


def five_folds(records: Sequence[FaceRecord], validation: bool = False) -> list[Fold]:
    """Adience's official folds by ``record.split``: each is the test once, the other four are for
    training.

    ``validation`` takes the fold after the test (after the last comes the first) out of training,
    so that tuning need not use the test. Raises ``DatasetError`` where a fold is missing or an
    image belongs to none.
    """
    splits = np.array([record.split for record in records], dtype=str)
    _require_splits(splits, ADIENCE_FOLDS, "the five official folds")
    folds = []
    for index, name in enumerate(ADIENCE_FOLDS):
        test, val = splits == name, splits == ADIENCE_FOLDS[(index + 1) % 5]
        parts = (
            _parts(train=~test & ~val, val=val, test=test)
            if validation
            else _parts(train=~test, test=test)
        )
        folds.append(_leak_free(records, Fold(name, parts)))
    return folds


def equal_frequency_bins(ages: Sequence[int] | np.ndarray, bins: int = 10) -> np.ndarray:
    """(N,) index of the bin of each age. Bins hold about equally many images and are closed on the
    right; bins that coincide because one age is so frequent are merged.
    """
    import pandas as pd

    return np.asarray(
        pd.qcut(np.asarray(ages), bins, labels=False, duplicates="drop"), dtype=np.int64
    )


def stratified_age_bins(
    records: Sequence[FaceRecord],
    bins: int = 10,
    shares: tuple[float, float, float] = PAPER_SHARES,
    seed: int = 0,
    count: int | None = None,
) -> list[Fold]:
    """One fold of train, val and test whose ages are distributed alike. Images without an exact age
    are left out.

    ``shares`` of train, val and test add up to 1. ``count`` draws that many images first;
    ``PAPER_COUNT`` gives the paper's sizes. One ``seed`` gives one fold. Raises ``DatasetError``
    where there are too few images for the bins.
    """
    from sklearn.model_selection import train_test_split

    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(
            f"shares of train, val and test must be positive and add up to 1, got {shares}"
        )
    ages = np.array(
        [np.nan if record.age is None else record.age for record in records], dtype=float
    )
    aged = np.flatnonzero(~np.isnan(ages))
    if count is not None:
        if count > len(aged):
            raise DatasetError(
                f"{count:,} images are needed, but only {len(aged):,} have an exact age"
            )
        aged = np.sort(np.random.default_rng(seed).choice(aged, count, replace=False))
    try:
        strata = equal_frequency_bins(ages[aged], bins)
        sizes = [round(len(aged) * share) for share in shares[1:]]
        train, others = train_test_split(
            np.arange(len(aged)), test_size=sum(sizes), stratify=strata, random_state=seed
        )
        val, test = train_test_split(
            others, test_size=sizes[1], stratify=strata[others], random_state=seed
        )
    except ValueError as error:
        raise DatasetError(
            f"{len(aged):,} images with an exact age are too few for {bins} age bins: {error}"
        ) from error
    parts = {
        name: np.sort(aged[chosen])
        for name, chosen in (("train", train), ("val", val), ("test", test))
    }
    return [_leak_free(records, Fold(f"seed_{seed}", parts))]


def official_train_val(records: Sequence[FaceRecord]) -> list[Fold]:
    """One fold of the owners' train and val. The folder in the file's name decides (FairFace's
    «train/1.jpg»), else ``record.split``.

    Raises ``DatasetError`` where an image is in neither.
    """
    folders = [PurePosixPath(record.file).parent.name for record in records]
    chosen = [
        folder if folder in ("train", "val") else record.split
        for folder, record in zip(folders, records, strict=True)
    ]
    splits = np.array(chosen, dtype=str)
    _require_splits(splits, ("train", "val"), "an official train and val")
    return [
        _leak_free(records, Fold("official", _parts(train=splits == "train", val=splits == "val")))
    ]


def our_splits(records: Sequence[FaceRecord]) -> list[Fold]:
    """One fold of train, val and test by ``record.split``, as the Parquet files in ../shared/data
    have them.

    Raises ``DatasetError`` for datasets without them, such as FG-NET.
    """
    splits = np.array([record.split for record in records], dtype=str)
    _require_splits(splits, ("train", "val", "test"), "splits train, val and test")
    return [
        _leak_free(
            records,
            Fold(
                "ours", _parts(train=splits == "train", val=splits == "val", test=splits == "test")
            ),
        )
    ]


PROTOCOLS: dict[str, Callable[[Sequence[FaceRecord]], list[Fold]]] = {
    "leave_one_person_out": leave_one_person_out,
    "five_folds": five_folds,
    "stratified_age_bins": stratified_age_bins,
    "official_train_val": official_train_val,
    "our_splits": our_splits,
}


def _parts(**masks: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.flatnonzero(mask) for name, mask in masks.items()}


def _require_splits(splits: np.ndarray, wanted: Sequence[str], what: str) -> None:
    found = set(splits.tolist())
    if found != set(wanted):
        raise DatasetError(
            f"the protocol needs {what} ({', '.join(wanted)}); the records have"
            f" {', '.join(sorted(found)) or 'none'}"
        )


def _leak_free(records: Sequence[FaceRecord], fold: Fold) -> Fold:
    """``fold`` itself. Raises ``DatasetError`` if two parts share anything."""
    leaks = leak_check(records, fold)
    if leaks:
        first = "; ".join(
            f"{leak.kind} {leak.value} is in {' and '.join(leak.parts)}" for leak in leaks[:3]
        )
        raise DatasetError(f"fold {fold.name}: {len(leaks):,} leaks between its parts: {first}")
    return fold
