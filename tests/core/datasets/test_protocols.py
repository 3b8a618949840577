"""Folds of records: complete, free of leaks, the same for the same seed; the real sets where they
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agegender_core.datasets import data_dir, read_records
from agegender_core.datasets.protocols import (
    PAPER_COUNT,
    PROTOCOLS,
    Fold,
    equal_frequency_bins,
    five_folds,
    leak_check,
    leave_one_person_out,
    official_train_val,
    our_splits,
    stratified_age_bins,
)
from agegender_core.datasets.readers import load_dataset
from agegender_core.datasets.records import FaceRecord
from agegender_core.errors import DatasetError
from tests.support import reader_samples as samples


def faces(count: int, seed: int = 0) -> list[FaceRecord]:
    """Records of exact ages, as lopsided as UTKFace's: a third of all are 26."""
    rng = np.random.default_rng(seed)
    ages = np.where(rng.random(count) < 0.33, 26, rng.integers(1, 100, count))
    return [
        FaceRecord("drawn", f"{index}.jpg", index, "all", age=int(age))
        for index, age in enumerate(ages)
    ]


def assert_divides(fold: Fold, wanted: Sequence[int]) -> None:
    """Every wanted index is in exactly one part, in ascending order."""
    together = np.concatenate(list(fold.parts.values()))
    assert sorted(together.tolist()) == list(wanted)
    assert all((np.diff(part) > 0).all() and len(part) for part in fold.parts.values())


class TestLeaks:
    records = (
        FaceRecord("a", "1.jpg", 0, "all", subject="x"),
        FaceRecord("a", "2.jpg", 1, "all", subject="x"),
        FaceRecord("a", "2.jpg", 2, "all"),
        FaceRecord("b", "1.jpg", 3, "all", subject="x"),
    )

    def found(self, **parts: list[int]) -> list[tuple[str, str]]:
        return sorted(
            (leak.kind, leak.value)
            for leak in leak_check(
                self.records, Fold("f", {name: np.array(part) for name, part in parts.items()})
            )
        )

    def test_people_files_and_images_are_found(self) -> None:
        assert self.found(train=[0], test=[1]) == [("subject", "x")]
        assert self.found(train=[1], test=[2]) == [("file", "2.jpg")]
        assert self.found(train=[2], val=[3], test=[2]) == [("file", "2.jpg"), ("image", "2")]

    def test_names_of_other_sets_and_unknown_people_are_no_leak(self) -> None:
        assert self.found(train=[0], test=[2, 3]) == []

    def test_parts_are_named(self) -> None:
        (leak,) = leak_check(
            self.records, Fold("f", {"val": np.array([0]), "train": np.array([1])})
        )
        assert leak.parts == ("train", "val")


class TestLeaveOnePersonOut:
    def test_one_fold_a_person(self, tmp_path: Path) -> None:
        records = load_dataset(samples.write_fgnet(tmp_path / "FGNET")).records
        folds = leave_one_person_out(records)
        assert [fold.name for fold in folds] == ["001", "002", "082"]
        for fold in folds:
            assert_divides(fold, range(len(records)))
            assert {records[index].subject for index in fold.parts["test"]} == {
                fold.name
            } and not leak_check(records, fold)

    def test_unknown_people_and_one_alone_are_refused(self) -> None:
        with pytest.raises(DatasetError, match="3 of 3"):
            leave_one_person_out(faces(3))
        with pytest.raises(DatasetError, match="two people"):
            leave_one_person_out([replace(record, subject="x") for record in faces(3)])


class TestFiveFolds:
    def test_each_official_fold_is_the_test_once(self, tmp_path: Path) -> None:
        records = load_dataset(samples.write_adience(tmp_path / "adience")).records
        folds = five_folds(records)
        assert [fold.name for fold in folds] == [f"fold_{index}" for index in range(5)]
        for fold in folds:
            assert_divides(fold, range(len(records)))
            assert {records[index].split for index in fold.parts["test"]} == {fold.name}
        assert sum(len(fold.parts["test"]) for fold in folds) == len(records)

    def test_validation_is_another_fold(self, tmp_path: Path) -> None:
        records = load_dataset(samples.write_adience(tmp_path / "adience")).records
        for fold in five_folds(records, validation=True):
            assert_divides(fold, range(len(records)))
            splits = {
                part: {records[index].split for index in indices}
                for part, indices in fold.parts.items()
            }
            assert (
                len(splits["val"]) == 1
                and len(splits["train"]) == 3
                and splits["test"] == {fold.name}
            )

    def test_a_missing_fold_and_a_leaking_person_are_refused(self, tmp_path: Path) -> None:
        records = list(load_dataset(samples.write_adience(tmp_path / "adience")).records)
        with pytest.raises(DatasetError, match="five official folds"):
            five_folds([record for record in records if record.split != "fold_2"])
        records[-1] = replace(records[-1], subject=records[0].subject)
        with pytest.raises(DatasetError, match="subject 0 is in test and train"):
            five_folds(records)


class TestAgeBins:
    def test_bins_are_closed_on_the_right_and_merged_where_they_coincide(self) -> None:
        assert (
            equal_frequency_bins(range(1, 21), 4).tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
        )
        assert len(set(equal_frequency_bins([26] * 60 + list(range(1, 41)), 10).tolist())) < 10

    def test_ages_are_alike_in_all_parts(self) -> None:
        records = faces(5000)
        (fold,) = stratified_age_bins(records)
        assert_divides(fold, range(5000))
        assert [len(fold.parts[part]) for part in ("train", "val", "test")] == [4500, 250, 250]
        bins = equal_frequency_bins([record.age for record in records])
        for part in fold.parts.values():
            shares = np.bincount(bins[part], minlength=bins.max() + 1) / len(part)
            assert np.abs(shares - np.bincount(bins) / 5000).max() < 0.005

    def test_one_seed_gives_one_fold(self) -> None:
        records = faces(2000)
        first, again, other = (stratified_age_bins(records, seed=seed)[0] for seed in (1, 1, 2))
        assert all((first.parts[part] == again.parts[part]).all() for part in first.parts)
        assert any((first.parts[part] != other.parts[part]).any() for part in first.parts)
        assert (first.name, other.name) == ("seed_1", "seed_2")

    def test_a_drawn_number_and_images_without_an_age(self) -> None:
        records = [*faces(2000), FaceRecord("drawn", "range.jpg", 2000, "all", age_range=(3, 9))]
        (fold,) = stratified_age_bins(records, count=1200)
        assert sum(map(len, fold.parts.values())) == 1200 and len(fold.parts["train"]) == 1080
        (fold,) = stratified_age_bins(records)
        assert_divides(fold, range(2000))

    def test_what_cannot_be_divided_is_refused(self) -> None:
        with pytest.raises(DatasetError, match="too few"):
            stratified_age_bins(faces(30))
        with pytest.raises(DatasetError, match="too few"):
            stratified_age_bins([])
        with pytest.raises(DatasetError, match="5,000 images are needed, but only 30"):
            stratified_age_bins(faces(30), count=PAPER_COUNT)
        with pytest.raises(ValueError, match="add up to 1"):
            stratified_age_bins(faces(30), shares=(0.9, 0.1, 0.1))


class TestOfficialAndOurs:
    def test_fairfaces_tables_decide(self, tmp_path: Path) -> None:
        for folder in ("", "fairface-img-margin025-trainval"):
            records = load_dataset(
                samples.write_fairface(tmp_path / f"f{folder}", subfolder=folder)
            ).records
            (fold,) = official_train_val(records)
            assert_divides(fold, range(len(records)))
            assert [records[index].split for index in fold.parts["val"]] == ["val", "val"] and set(
                fold.parts
            ) == {"train", "val"}

    def test_our_splits(self, drawn_sets: Path) -> None:
        records = read_records("utkface")
        (fold,) = our_splits(records)
        assert_divides(fold, range(len(records)))
        assert all(
            records[index].split == part
            for part, indices in fold.parts.items()
            for index in indices
        )

    def test_sets_without_them_are_refused(self) -> None:
        for protocol in (our_splits, official_train_val, five_folds):
            with pytest.raises(DatasetError, match="records have all"):
                protocol(faces(10))
            with pytest.raises(DatasetError, match="records have none"):
                protocol([])

    def test_a_image_in_two_splits_is_refused(self) -> None:
        records = [
            replace(record, split=split, file="same.jpg")
            for record, split in zip(faces(3), ("train", "val", "test"), strict=True)
        ]
        with pytest.raises(DatasetError, match=r"file same\.jpg is in test and train and val"):
            our_splits(records)


def test_every_protocol_has_a_name() -> None:
    assert set(PROTOCOLS) == {
        "leave_one_person_out",
        "five_folds",
        "stratified_age_bins",
        "official_train_val",
        "our_splits",
    }


@pytest.mark.data
class TestRealSets:
    def test_fgnet_leaves_each_of_its_82_people_out_once(self) -> None:
        records = read_records("fgnet")
        folds = leave_one_person_out(records)
        assert len(folds) == 82 and sum(len(fold.parts["test"]) for fold in folds) == 1002
        for fold in folds:
            assert_divides(fold, range(1002))
            assert not leak_check(records, fold)

    @pytest.mark.parametrize(
        ("name", "sizes"), [("utkface", (17252, 1090, 3134)), ("fairface", (38396, 1577, 2478))]
    )
    def test_our_splits_do_not_leak(self, name: str, sizes: tuple[int, int, int]) -> None:
        (fold,) = our_splits(read_records(name))
        assert tuple(len(fold.parts[part]) for part in ("train", "val", "test")) == sizes

    def test_fairfaces_official_parts_are_in_its_file_names(self) -> None:
        (fold,) = official_train_val(read_records("fairface"))
        assert (len(fold.parts["train"]), len(fold.parts["val"])) == (38396 + 1577, 2478)

    def test_the_papers_bins_and_sizes_on_utkface(self) -> None:
        records = read_records("utkface")
        (fold,) = stratified_age_bins(records, count=PAPER_COUNT)
        assert [len(fold.parts[part]) for part in ("train", "val", "test")] == [4500, 250, 250]
        ages = np.array([record.age for record in records])
        bins = equal_frequency_bins(ages)
        upper = [int(ages[bins == index].max()) for index in range(bins.max() + 1)]
        paper = [5, 20, 25, 26, 29, 34, 40, 50, 61, 116]
        assert len(upper) == 10 and np.abs(np.array(upper) - paper).max() <= 1, (
            "the paper's come from 5,000 of them"
        )

    def test_adiences_folds_share_nobody(self) -> None:
        records = load_dataset(data_dir() / "adience_folds").records
        sizes = [len(fold.parts["test"]) for fold in five_folds(records)]
        assert sizes == [4432, 3705, 3354, 3415, 3754]
