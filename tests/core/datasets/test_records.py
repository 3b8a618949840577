"""Reading labelled sets: the drawn ones always, the real ones where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agegender_core.datasets import data_dir, iter_images, labelled_targets, read_records
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.datasets.registry import EXACT_AGES, VALIDATION_IMAGES
from agegender_core.errors import DatasetError
from agegender_core.labels import (
    ADIENCE_GROUPS,
    FAIRFACE_GROUPS,
    FAIRFACE_RACES,
    fairface_group,
    group_index,
)
from agegender_core.types import InputSpec

REAL = {
    "utkface": (17252, VALIDATION_IMAGES["utkface"], 3134),
    "all_age_faces": (9872, VALIDATION_IMAGES["all_age_faces"], 1777),
    "fairface": (38396, VALIDATION_IMAGES["fairface"], 2478),
}


def test_records_carry_canonical_labels(drawn_sets: Path) -> None:
    records = read_records("fairface", "train")
    assert records and all(
        record.age is None and record.age_range in {(g.lo, g.hi) for g in FAIRFACE_GROUPS}
        for record in records
    )
    targets = labelled_targets(records)
    assert (
        (targets.age_lo <= targets.age_hi).all()
        and (targets.race.sum(axis=1) == 1).all()
        and (targets.gender >= 0).all()
    )
    assert {record.split for record in read_records("utkface")} == {"train", "val", "test"}


def test_utkface_races_become_sets_of_fairfaces(drawn_sets: Path) -> None:
    records = read_records("utkface")
    race = labelled_targets(records).race
    for record, row in zip(records, race, strict=True):
        named = {FAIRFACE_RACES[index] for index in np.flatnonzero(row)}
        expected = {
            "White": {"White"},
            "Asian": {"East Asian", "Southeast Asian"},
            "Others": {"Latino_Hispanic", "Middle Eastern"},
        }
        assert named == expected[record.race]


def test_images_come_by_row_across_row_groups(drawn_sets: Path) -> None:
    rows = [90, 0, 41, 39, 41]
    found = dict(iter_images("utkface", rows))
    assert sorted(found) == [0, 39, 41, 90]
    whole = pq.read_table(drawn_sets / "utkface.parquet").column("image").to_pylist()
    assert all(found[row] == whole[row]["bytes"] for row in found)


def test_crops_are_cached_outside_the_repository_and_follow_the_rows(
    drawn_sets: Path, tmp_path: Path
) -> None:
    records = read_records("utkface", "val")
    spec = InputSpec(size=32)
    first = np.array(load_crops(records, spec))
    assert (
        first.shape == (len(records), 32, 32, 3)
        and len(list((tmp_path / "cache").glob("*.npy"))) == 1
    )
    assert (np.array(load_crops(records, spec)) == first).all()
    assert (np.array(load_crops(records[::-1], spec)) == first[::-1]).all()
    assert len(list((tmp_path / "cache").glob("*"))) == 2, "no half-written file is left behind"


def test_missing_and_foreign_files_are_named(
    drawn_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatasetError, match="not installed"):
        read_records("fgnet")
    pq.write_table(pa.table({"picture": [1]}), drawn_sets / "fgnet.parquet")
    with pytest.raises(DatasetError, match="columns"):
        read_records("fgnet")
    pq.write_table(pa.table({"file": ["a"], "age_group": ["17-18"]}), drawn_sets / "fgnet.parquet")
    with pytest.raises(DatasetError, match="17-18"):
        read_records("fgnet")
    monkeypatch.setenv("AGEGENDER_DATA", "/nowhere/at/all")
    with pytest.raises(DatasetError, match="AGEGENDER_DATA"):
        data_dir()


def test_age_groups_and_their_accidents() -> None:
    assert fairface_group("more than 70").name == "70+" and fairface_group("03-Sep").name == "3-9"
    with pytest.raises(KeyError):
        fairface_group("80s")
    assert [group_index(age, FAIRFACE_GROUPS) for age in (0, 2, 3, 69, 70, 116)] == [
        0,
        0,
        1,
        7,
        8,
        8,
    ]
    assert [group_index(age, ADIENCE_GROUPS) for age in (3, 7, 14, 22, 35, 45, 55)] == [None] * 7
    assert [group_index(age, ADIENCE_GROUPS) for age in (2, 4, 13, 15, 32, 43, 53, 60)] == list(
        range(8)
    )


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_sets_have_the_documented_rows(name: str) -> None:
    records = read_records(name)
    assert (
        tuple(
            sum(record.split == split for record in records) for split in ("train", "val", "test")
        )
        == REAL[name]
    )
    assert all(record.age is not None for record in records) == (name in EXACT_AGES)
    targets = labelled_targets(records)
    assert (targets.age_lo >= 0).all() and (targets.gender >= 0).mean() > 0.999
    landmarks = np.stack([record.landmarks for record in records if record.landmarks is not None])
    assert (
        len(landmarks) > 0.98 * len(records)
        and (np.abs(landmarks - 0.5) < 1).all(axis=(1, 2)).mean() > 0.999
    )


@pytest.mark.data
def test_real_landmarks_agree_with_the_detector() -> None:
    """The labels' landmarks and the app's own detector must see the same face, or training crops
    differ from the app's.
    """
    import io

    from PIL import Image

    from agegender_core.vision.face_detector import MTCNNDetector

    records = [
        record for record in read_records("all_age_faces", "val") if record.landmarks is not None
    ][:12]
    by_row = {record.row: record for record in records}
    gaps = []
    for row, encoded in iter_images("all_age_faces", list(by_row)):
        image = Image.open(io.BytesIO(encoded)).convert("RGB")
        found = MTCNNDetector().detect(image)
        if found:
            gaps.append(np.abs(found[0].landmarks / image.width - by_row[row].landmarks).max())
    assert len(gaps) >= 11 and np.median(gaps) < 0.03
