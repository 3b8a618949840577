"""Adapters on tiny drawn copies of the official layouts, and ``datasets check`` on them; the real
sets where they are.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from agegender_core.cli.datasets import datasets_app
from agegender_core.datasets import data_dir, read_records
from agegender_core.datasets.readers import LAYOUTS, LoadedSet, find_layout, load_set
from agegender_core.datasets.readers.wiki import photo_age
from agegender_core.datasets.records import FaceRecord, labelled_targets
from agegender_core.errors import ConfigError, DatasetError
from agegender_core.labels import ADIENCE_GROUPS, adience_group, fairface_group
from agegender_core.vision.alignment import TEMPLATE
from tests.support import ROOT
from tests.support import reader_samples as samples

WRITERS: dict[str, Callable[[Path], Path]] = {
    "fgnet": samples.write_fgnet,
    "afad": samples.write_afad,
    "wiki": samples.write_wiki,
    "utkface": samples.write_utkface,
    "adience": samples.write_adience,
    "fairface": samples.write_fairface,
    "all_age_faces": samples.write_all_age_faces,
    "parquet": samples.write_hub,
}


def by_file(loaded: LoadedSet) -> dict[str, FaceRecord]:
    return {record.file: record for record in loaded.records}


def reasons(loaded: LoadedSet) -> dict[str, str]:
    return dict(loaded.skipped)


@pytest.mark.parametrize("name", WRITERS)
class TestEveryLayout:
    def test_is_recognised_where_it_lies_and_one_folder_above(
        self, name: str, tmp_path: Path
    ) -> None:
        root = WRITERS[name](tmp_path / "above" / "set")
        found, confidence = find_layout(root)
        assert found.name == name and confidence > 0.5
        if name != "parquet":
            assert find_layout(root.parent)[0].name == name
            assert load_set(root.parent).records[0].file == load_set(root).records[0].file

    def test_by_no_other_layout(self, name: str, tmp_path: Path) -> None:
        root = WRITERS[name](tmp_path / "set")
        assert [layout.name for layout in LAYOUTS if layout.detect(root)] == [name]

    def test_records_have_unique_rows_usable_targets_and_their_own_pictures(
        self, name: str, tmp_path: Path
    ) -> None:
        loaded = load_set(WRITERS[name](tmp_path / "set"))
        assert loaded.records and len({record.row for record in loaded.records}) == len(
            loaded.records
        )
        targets = labelled_targets(loaded.records)
        assert ((targets.age_lo >= 0) | (targets.gender >= 0)).all() and (
            targets.age_lo <= targets.age_hi
        ).all()
        pictures = dict(
            zip((record.row for record in loaded.records), loaded.images(), strict=True)
        )
        assert list(pictures) == sorted(pictures)
        for record, content in pictures.values():
            assert content == loaded.image_bytes(record)
            Image.open(io.BytesIO(content)).load()

    def test_every_row_is_a_record_or_has_a_reason(self, name: str, tmp_path: Path) -> None:
        rows = {
            "fgnet": 7,
            "afad": 7,
            "wiki": 8,
            "utkface": 12,
            "adience": 24,
            "fairface": 7,
            "all_age_faces": 6,
            "parquet": 21,
        }
        loaded = load_set(WRITERS[name](tmp_path / "set"))
        assert len(loaded.records) + len(loaded.skipped) == rows[name]
        assert all(file and reason for file, reason in (*loaded.skipped, *loaded.incomplete))
        assert {file for file, _ in loaded.incomplete} <= {record.file for record in loaded.records}

    def test_a_set_of_another_layout_is_refused(self, name: str, tmp_path: Path) -> None:
        other = (
            samples.write_afad(tmp_path / "x")
            if name != "afad"
            else samples.write_utkface(tmp_path / "x")
        )
        with pytest.raises(DatasetError, match="does not hold"):
            load_set(other, name)


class TestFgnet:
    def test_labels_come_from_the_names(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_fgnet(tmp_path / "FGNET"))
        found = {
            record.file: (record.age, record.subject, record.gender) for record in loaded.records
        }
        assert found["images/001A43b.JPG"] == (43, "001", None) and found["images/082A69.JPG"] == (
            69,
            "082",
            None,
        )
        assert reasons(loaded) == {
            "images/002B04.JPG": "the name is not person, A, age, such as 001A02.JPG"
        }

    def test_five_of_the_68_points_are_the_landmarks_and_bad_points_are_reported(
        self, tmp_path: Path
    ) -> None:
        loaded = load_set(samples.write_fgnet(tmp_path / "FGNET"))
        found = by_file(loaded)
        assert np.allclose(found["images/001A02.JPG"].landmarks, TEMPLATE, atol=1e-4)
        assert sum(record.landmarks is not None for record in loaded.records) == 1
        assert [file for file, _ in loaded.incomplete] == [
            "images/001A05.JPG",
            "images/002A00.JPG",
        ], "too few points, eyes swapped"
        assert loaded.notes == ("3 images have no file in points/",)

    def test_the_folder_of_pictures_may_be_given(self, tmp_path: Path) -> None:
        root = samples.write_fgnet(tmp_path / "FGNET")
        assert by_file(load_set(root / "images"))["images/001A02.JPG"].landmarks is not None
        shutil.copytree(root / "images", tmp_path / "bare" / "photos")
        assert load_set(tmp_path / "bare" / "photos").records[0].file == "001A02.JPG"


def test_afad_reads_age_and_gender_from_the_folders(tmp_path: Path) -> None:
    loaded = load_set(samples.write_afad(tmp_path / "AFAD-Full"))
    assert [(record.file, record.age, record.gender) for record in loaded.records] == [
        ("15/111/10-0.jpg", 15, "Male"),
        ("15/112/11-0.jpg", 15, "Female"),
        ("20/111/12-0.jpg", 20, "Male"),
        ("20/111/12-1.jpg", 20, "Male"),
    ]
    assert set(reasons(loaded)) == {"20/14-0.jpg", "20/113/13-0.jpg", "999/111/15-0.jpg"}


class TestWiki:
    def test_good_rows_are_kept_and_each_fault_is_named(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_wiki(tmp_path / "wiki_crop"))
        assert [(record.age, record.gender, record.subject) for record in loaded.records] == [
            (30, "Male", "100"),
            (29, "Female", "101"),
        ]
        said = {file.split("/")[1][:3]: reason for file, reason in loaded.skipped}
        words = {
            "102": "gender",
            "103": "no face",
            "104": "second face",
            "105": "age",
            "106": "age",
            "107": "date of birth",
        }
        assert set(said) == set(words) and all(words[key] in said[key] for key in words)
        assert not loaded.notes

    def test_imdb_and_whole_photographs(self, tmp_path: Path) -> None:
        root = samples.write_wiki(tmp_path / "imdb", "imdb")
        loaded = load_set(root / "imdb.mat")
        assert loaded.name == "imdb" and len(loaded.records) == 2 and "imdb_crop" in loaded.notes[0]

    @pytest.mark.parametrize(
        ("born", "age"),
        [
            ((1980, 1, 1), 30),
            ((1980, 6, 30), 30),
            ((1980, 7, 1), 29),
            ((1980, 12, 31), 29),
            ((1980, 2, 29), 30),
        ],
    )
    def test_photos_are_from_the_first_of_july(self, born: tuple[int, int, int], age: int) -> None:
        assert photo_age(samples.datenum(*born), 2010) == age
        assert photo_age(samples.datenum(*born) + 0.5, 2010) == age, "a time of day is no matter"

    @pytest.mark.parametrize("day", [float("nan"), 0.0, 366.0, -5.0, 1e12, float("inf")])
    def test_impossible_days(self, day: float) -> None:
        assert photo_age(day, 2010) is None

    def test_damaged_and_foreign_tables(self, tmp_path: Path) -> None:
        from scipy.io import savemat

        (tmp_path / "wiki.mat").write_bytes(b"nothing of the sort")
        with pytest.raises(DatasetError, match="damaged"):
            load_set(tmp_path)
        savemat(tmp_path / "wiki.mat", {"wiki": {"dob": [1.0, 2.0]}})
        with pytest.raises(DatasetError, match="photo_taken"):
            load_set(tmp_path)


class TestUtkface:
    def test_labels_come_from_the_names(self, tmp_path: Path) -> None:
        found = by_file(load_set(samples.write_utkface(tmp_path / "UTKFace")))
        labels = {
            name: (record.age, record.gender, record.race, record.race_scheme)
            for name, record in found.items()
        }
        assert labels["26_1_2_20170117154554862.jpg.chip.jpg"] == (
            26,
            "Female",
            "Asian",
            "utkface5",
        )
        assert labels["1_0_0_20161219140623097.jpg"] == (1, "Male", "White", "utkface5")
        assert labels["116_1_4_20170120134744096.jpg.chip.jpg"] == (
            116,
            "Female",
            "Others",
            "utkface5",
        )
        assert labels["24_0_1_20170116220224657 .jpg.chip.jpg"] == (24, "Male", "Black", "utkface5")
        assert labels["55_0_3_20170116232725357jpg.chip.jpg"] == (55, "Male", "Indian", "utkface5")

    def test_misnamed_files_keep_what_they_say(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_utkface(tmp_path / "UTKFace"))
        labels = {
            name: (record.age, record.gender, record.race)
            for name, record in by_file(loaded).items()
        }
        assert labels["39_1_20170116174525125.jpg.chip.jpg"] == (39, None, None)
        assert labels["53__0_20170116184028385.jpg.chip.jpg"] == (53, None, "White")
        assert labels["30_3_1_20170116184028386.jpg.chip.jpg"] == (30, None, "Black")
        assert Counter(reason for _, reason in loaded.incomplete) == {
            "the name lacks gender or race: both left unknown": 3,
            "the gender in the name is not one of the set's codes": 2,
        }
        assert set(reasons(loaded)) == {"portrait.jpg", "200_0_0_20170116184028387.jpg.chip.jpg"}

    def test_parts_are_one_set_and_a_name_counts_once(self, tmp_path: Path) -> None:
        samples.put(tmp_path / "wild", "part1/26_1_2_20170117154554862.jpg")
        samples.put(tmp_path / "wild", "part2/27_1_2_20170117154554863.jpg")
        samples.put(tmp_path / "wild", "part2/26_1_2_20170117154554862.jpg")
        loaded = load_set(tmp_path / "wild")
        assert [record.file for record in loaded.records] == [
            "part1/26_1_2_20170117154554862.jpg",
            "part2/27_1_2_20170117154554863.jpg",
        ]
        assert reasons(loaded) == {
            "part2/26_1_2_20170117154554862.jpg": "an image of this name is in another subfolder"
        }


class TestAdience:
    def test_odd_labels_go_to_the_customary_group_or_are_named(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_adience(tmp_path / "adience"))
        first = [record for record in loaded.records if record.split == "fold_0"]
        ranges = {int(record.subject): record.age_range for record in first}
        assert [ranges[index] for index in range(9)] == [
            (0, 2),
            (60, 100),
            (8, 13),
            (8, 13),
            (25, 32),
            (25, 32),
            (38, 43),
            (38, 43),
            (25, 32),
        ]
        assert [(record.age_range, record.gender) for record in first[9:]] == [
            (None, "Male"),
            (None, "Male"),
            (None, "Female"),
        ]
        assert sorted(reason for _, reason in loaded.incomplete) == [
            "age (8, 23)",
            "age 35",
            "age None",
            "gender empty",
            "gender u",
        ]
        assert sorted(reason for _, reason in loaded.skipped) == [
            "age 56, gender empty",
            "age None, gender empty",
            "age empty, gender u",
            "the file was listed before",
        ]

    def test_folds_people_and_files(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_adience(tmp_path / "adience"))
        assert Counter(record.split for record in loaded.records) == {
            "fold_0": 12,
            **{f"fold_{index}": 2 for index in range(1, 5)},
        }
        assert loaded.records[0].file == "aligned/0@N00/landmark_aligned_face.0.0_o.jpg"
        assert by_file(loaded)["aligned/4@N00/landmark_aligned_face.401.401_o.jpg"].subject == "401"

    def test_unaligned_faces_and_missing_folds(self, tmp_path: Path) -> None:
        root = samples.write_adience(tmp_path / "adience", "faces")
        (root / "fold_3_data.txt").unlink()
        loaded = load_set(root)
        assert loaded.records[
            0
        ].file == "faces/0@N00/coarse_tilt_aligned_face.0.0_o.jpg" and loaded.image_bytes(
            loaded.records[0]
        )
        assert loaded.notes == ("fold_3_data.txt is missing",)

    def test_names_that_lead_out_of_the_folder_are_skipped(self, tmp_path: Path) -> None:
        samples.write_adience_table(
            tmp_path / "fold_0_data.txt",
            [("../..", "x.jpg", "1", "(0, 2)", "f"), ("a", "x.jpg", "2", "(0, 2)", "f")],
        )
        loaded = load_set(tmp_path)
        assert len(loaded.records) == 1 and "leads out" in loaded.skipped[0].reason

    def test_foreign_tables_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "fold_0_data.txt").write_text("a\tb\n1\t2\n")
        with pytest.raises(DatasetError, match="face_id"):
            load_set(tmp_path)

    def test_every_group_and_every_odd_label(self) -> None:
        official = [
            "(0, 2)",
            "(4, 6)",
            "(8, 12)",
            "(15, 20)",
            "(25, 32)",
            "(38, 43)",
            "(48, 53)",
            "(60, 100)",
        ]
        assert [adience_group(label) for label in official] == list(ADIENCE_GROUPS)
        odd = {
            "13": "8-13",
            "2": "0-2",
            "29": "25-32",
            "32": "25-32",
            "42": "38-43",
            "(27, 32)": "25-32",
            "(38, 42)": "38-43",
        }
        assert {label: adience_group(label).name for label in odd} == odd
        for label in (
            "3",
            "22",
            "23",
            "34",
            "35",
            "36",
            "45",
            "46",
            "55",
            "56",
            "57",
            "58",
            "(8, 23)",
            "None",
            "",
            "(",
            "-5",
            "(1, 2, 3)",
        ):
            with pytest.raises(KeyError):
                adience_group(label)


class TestFairface:
    def test_labels_and_official_splits(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_fairface(tmp_path / "fairface"))
        found = {
            record.file: (record.split, record.age_range, record.gender, record.race)
            for record in loaded.records
        }
        assert found["train/2.jpg"] == ("train", (50, 59), "Male", "East Asian")
        assert found["train/3.jpg"] == ("train", (70, 100), "Female", "Latino_Hispanic")
        assert found["val/1.jpg"] == ("val", (3, 9), "Male", "Black") and found["val/2.jpg"][1] == (
            10,
            19,
        )
        assert set(loaded.incomplete) == {
            ("train/1.jpg", "age 59-59"),
            ("train/4.jpg", "race Martian"),
        }
        assert reasons(loaded) == {"train/5.jpg": "age empty, gender empty"} and not loaded.notes

    def test_a_spreadsheets_dates_semicolons_and_byte_order_mark(self, tmp_path: Path) -> None:
        plain = load_set(samples.write_fairface(tmp_path / "plain"))
        excel = load_set(samples.write_fairface(tmp_path / "excel", excel=True))
        assert [astuple(record) for record in excel.records] == [
            astuple(record) for record in plain.records
        ]
        assert excel.notes == (
            (
                "2 age ranges were turned into dates by a spreadsheet («03-Sep» for «3-9») and read"
                " back"
            ),
        )
        for label in ("03-Sep", "3-Sep", "9-Mar", "09-Mar"):
            assert fairface_group(label).name == "3-9"
        assert fairface_group("Oct-19").name == fairface_group("19-Oct").name == "10-19"

    def test_pictures_in_the_archives_folder(self, tmp_path: Path) -> None:
        loaded = load_set(
            samples.write_fairface(
                tmp_path / "fairface", subfolder="fairface-img-margin025-trainval"
            )
        )
        assert loaded.records[
            0
        ].file == "fairface-img-margin025-trainval/train/1.jpg" and loaded.image_bytes(
            loaded.records[0]
        )

    def test_one_table_alone_and_foreign_columns(self, tmp_path: Path) -> None:
        root = samples.write_fairface(tmp_path / "fairface")
        (root / "fairface_label_train.csv").unlink()
        assert load_set(root).notes == ("fairface_label_train.csv is missing",)
        (root / "fairface_label_val.csv").write_text("name,years\n1,2\n")
        with pytest.raises(DatasetError, match="gender"):
            load_set(root)


class TestAllAgeFaces:
    def test_gender_by_number_and_split_by_list(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_all_age_faces(tmp_path / "AAF"))
        found = {
            record.file.split("/")[1]: (record.age, record.gender, record.split, record.subject)
            for record in loaded.records
        }
        assert found == {
            "00000A02.jpg": (2, "Female", "train", "00000"),
            "07380A80.jpg": (80, "Female", "val", "07380"),
            "07381A02.jpg": (2, "Male", "train", "07381"),
            "13321A80.jpg": (80, None, "train", "13321"),
            "13322A30.jpg": (30, None, "all", "13322"),
        }
        assert [file.split("/")[1] for file, _ in loaded.incomplete] == [
            "13321A80.jpg",
            "13322A30.jpg",
        ]

    def test_aligned_faces_by_their_misspelt_folder(self, tmp_path: Path) -> None:
        root = samples.write_all_age_faces(tmp_path / "AAF", "aglined faces")
        loaded = load_set(root)
        assert (
            loaded.records[0].file == "aglined faces/00000A02.jpg" and "aglined" in loaded.notes[0]
        )
        direct = load_set(root / "aglined faces")
        assert (
            direct.records[0].file == "00000A02.jpg"
            and direct.records[0].split == "train"
            and not direct.notes
        )


class FakePart:
    """A split of the ``datasets`` library, as far as it is used."""

    def __init__(self, rows: list[dict], features: dict, decode: bool = True) -> None:
        self.rows, self.features, self.decode, self.column_names = (
            rows,
            features,
            decode,
            list(rows[0]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict:
        assert not self.decode, "images stay encoded"
        return self.rows[index]

    def cast_column(self, name: str, feature: types.SimpleNamespace) -> FakePart:
        if name not in self.column_names:
            raise ValueError(f"no column {name}")
        return FakePart(self.rows, self.features, feature.decode)

    def select_columns(self, names: list[str]) -> FakePart:
        return FakePart([{name: row[name] for name in names} for row in self.rows], self.features)

    def to_list(self) -> list[dict]:
        return [dict(row) for row in self.rows]


def fake_datasets(monkeypatch: pytest.MonkeyPatch, load: Callable) -> None:
    module = types.ModuleType("datasets")
    module.load_dataset = load
    module.Image = lambda decode: types.SimpleNamespace(decode=decode)
    monkeypatch.setitem(sys.modules, "datasets", module)


class TestHub:
    def test_class_numbers_become_words_and_shards_splits(self, tmp_path: Path) -> None:
        loaded = load_set(samples.write_hub(tmp_path / "FairFace"))
        assert Counter(record.split for record in loaded.records) == {"train": 14, "val": 7}
        first = loaded.records[0]
        assert (first.dataset, first.file, first.age_range, first.gender) == (
            "FairFace",
            "row 0",
            (0, 2),
            "Male",
        )
        assert (first.race, first.race_scheme) == ("White", "fairface7")
        assert loaded.image_bytes(loaded.records[9]) == samples.encoded(
            "train-00001-of-000022", "PNG"
        )

    def test_words_and_names_are_taken_as_they_are(self, tmp_path: Path) -> None:
        numbered, named = (
            load_set(samples.write_hub(tmp_path / "a" / "faces")),
            load_set(samples.write_hub(tmp_path / "faces", named=True)),
        )
        assert named.records[20].file == "validation-00000-of-00001/6"
        for one, other in zip(numbered.records, named.records, strict=True):
            assert (one.age_range, one.gender, one.race, one.split) == (
                other.age_range,
                other.gender,
                other.race,
                other.split,
            )

    def test_a_missing_shard_is_noted_and_several_sets_are_refused(self, tmp_path: Path) -> None:
        root = samples.write_hub(tmp_path / "faces")
        (root / "data" / "train-00001-of-00002.parquet").rename(root / "other.parquet")
        (root / "other.parquet").rename(root / "data" / "other.parquet")
        with pytest.raises(DatasetError, match="give one of the files"):
            load_set(root)
        (root / "data" / "other.parquet").unlink()
        assert load_set(root).notes == ("only 1 of 2 shards of train are here",)

    def test_odd_values(self, tmp_path: Path) -> None:
        image = {"bytes": samples.encoded(), "path": None}
        rows = [
            {
                "image": image,
                "age": 30.0,
                "sex": "f",
                "race": "Asian",
                "subject": 7,
                "landmarks": [0.5] * 10,
            },
            {
                "image": image,
                "age": 999.0,
                "sex": "MALE",
                "race": "White",
                "subject": None,
                "landmarks": [0.5] * 9,
            },
            {
                "image": None,
                "age": float("nan"),
                "sex": "?",
                "race": None,
                "subject": None,
                "landmarks": None,
            },
            {
                "image": None,
                "age": 4.0,
                "sex": None,
                "race": "Elf",
                "subject": None,
                "landmarks": None,
            },
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "utkface.parquet")
        loaded = load_set(tmp_path / "utkface.parquet")
        labels = [
            (record.row, record.age, record.gender, record.race, record.subject)
            for record in loaded.records
        ]
        assert labels == [
            (0, 30, "Female", "Asian", "7"),
            (1, None, "Male", "White", None),
            (3, 4, None, None, None),
        ]
        assert loaded.records[0].landmarks.shape == (5, 2) and loaded.records[1].landmarks is None
        assert loaded.skipped == (("row 2", "age empty, gender ?, race empty"),)
        assert set(loaded.incomplete) == {
            ("row 1", "age 999.0"),
            ("row 3", "gender empty"),
            ("row 3", "race Elf"),
        }
        with pytest.raises(DatasetError, match="empty in row 3"):
            loaded.image_bytes(loaded.records[2])

    def test_the_projects_own_files_read_as_ever(self, drawn_sets: Path) -> None:
        for name in ("utkface", "fairface", "all_age_faces"):
            loaded = load_set(drawn_sets / f"{name}.parquet")
            for one, other in zip(loaded.records, read_records(name), strict=True):
                assert repr(one) == repr(other)

    def test_a_set_of_the_hub(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        samples.put(tmp_path, "b.jpg")
        cells = [
            {"bytes": samples.encoded("a"), "path": None},
            {"bytes": None, "path": str(tmp_path / "b.jpg")},
            None,
        ]
        rows = [
            {"image": cell, "age": 40 + index, "gender": index % 2}
            for index, cell in enumerate(cells)
        ]
        features = {
            "image": object(),
            "age": object(),
            "gender": types.SimpleNamespace(names=["Female", "Male"]),
        }
        asked = []

        def load(*arguments: object, **more: object) -> dict[str, FakePart]:
            asked.append((arguments, more))
            return {
                "train": FakePart(rows[:1], features),
                "validation": FakePart(rows[1:], features),
            }

        fake_datasets(monkeypatch, load)
        loaded = load_set("hub:owner/faces:1.25@main")
        assert asked == [(("owner/faces", "1.25"), {"revision": "main"})]
        labels = [
            (record.file, record.split, record.age, record.gender) for record in loaded.records
        ]
        assert labels == [
            ("train/0", "train", 40, "Female"),
            ("validation/0", "val", 41, "Male"),
            ("validation/1", "val", 42, "Female"),
        ]
        assert [loaded.image_bytes(record) for record in loaded.records[:2]] == [
            samples.encoded("a"),
            samples.encoded("b.jpg"),
        ]
        with pytest.raises(DatasetError, match="empty"):
            loaded.image_bytes(loaded.records[2])

    def test_the_hub_out_of_reach_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def offline(*_arguments: object, **_more: object) -> None:
            raise ConnectionError("no route to the hub")

        fake_datasets(monkeypatch, offline)
        with pytest.raises(DatasetError, match=r"no route to the hub.*Download"):
            load_set("hub:owner/faces")
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(DatasetError, match="pip install datasets"):
            load_set("hub:owner/faces")
        with pytest.raises(DatasetError, match="hub:owner/name"):
            load_set("hub:faces")


class TestFinding:
    def test_nothing_and_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="does not exist"):
            find_layout(tmp_path / "absent")
        with pytest.raises(DatasetError, match="no layout known"):
            find_layout(tmp_path)
        (tmp_path / "notes.txt").write_text("x")
        with pytest.raises(DatasetError, match="no layout known"):
            find_layout(tmp_path / "notes.txt")

    def test_several_sets_in_one_folder_are_named(self, tmp_path: Path) -> None:
        samples.write_fgnet(tmp_path / "FGNET")
        samples.write_utkface(tmp_path / "UTKFace")
        with pytest.raises(DatasetError, match="FG-NET: fgnet, UTKFace: utkface"):
            find_layout(tmp_path)
        assert load_set(tmp_path, "fgnet").name == "fgnet"

    def test_unknown_names_and_damaged_tables(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="fgnet"):
            load_set(tmp_path, "lfw")
        (tmp_path / "faces.parquet").write_bytes(b"PAR1 no more")
        with pytest.raises(DatasetError, match="damaged"):
            find_layout(tmp_path)


@pytest.fixture
def check() -> Callable[..., Result]:
    app = typer.Typer()
    app.add_typer(datasets_app, name="datasets")
    return lambda *arguments: CliRunner().invoke(app, ["datasets", "check", *map(str, arguments)])


class TestCheck:
    def test_says_what_it_sees(self, check: Callable[..., Result], tmp_path: Path) -> None:
        result = check(samples.write_utkface(tmp_path / "UTKFace"))
        assert result.exit_code == 0, result.output
        assert "UTKFace (utkface, confidence 0.92) in" in result.output
        assert (
            "10 in years, 1 to 116" in result.output
            and "Female 2, Male 3" in result.output
            and "23,708" in result.output
        )
        assert (
            "rows skipped: 2" in result.output
            and "the name is not age_gender_race_date: 200_0_0_2" in result.output
        )
        assert (
            "labels missing in rows that were read: 5" in result.output
            and "10 of 10 images opened\n" in result.output
        )

    def test_json_has_every_file(self, check: Callable[..., Result], tmp_path: Path) -> None:
        result = check(samples.write_adience(tmp_path / "adience"), "--json")
        report = json.loads(result.stdout)
        assert result.exit_code == 0 and (
            report["layout"],
            report["records"],
            report["people"],
        ) == ("adience", 20, 20)
        assert report["age_range"] == {"0-2": 5, "8-13": 2, "25-32": 3, "38-43": 2, "60-100": 5}
        assert report["splits"]["fold_0"] == 12 and len(report["skipped"]) == 4
        assert {"file", "reason"} == set(report["skipped"][0]) and report["pictures"][
            "opened"
        ] == 20

    def test_missing_and_damaged_pictures_are_found(
        self, check: Callable[..., Result], tmp_path: Path
    ) -> None:
        root = samples.write_fairface(tmp_path / "fairface")
        (root / "train" / "2.jpg").unlink()
        (root / "val" / "1.jpg").write_bytes(samples.encoded("x")[:200])
        result = check(root)
        assert result.exit_code == 1
        assert "images missing: 1" in result.output and "no such file: train/2.jpg" in result.output
        assert (
            "images damaged or refused, of 5 opened: 1" in result.output
            and "val/1.jpg" in result.output
        )

    def test_a_sample_is_opened_unless_all_are_asked_for(
        self, check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("agegender_core.datasets.readers.validation.SAMPLE", 3)
        root = samples.write_utkface(tmp_path / "UTKFace")
        assert "3 of 10 images opened (--deep opens all)" in check(root).output
        assert "10 of 10 images opened\n" in check(root, "--deep").output

    def test_what_cannot_be_read_is_an_error_with_advice(
        self, check: Callable[..., Result], tmp_path: Path
    ) -> None:
        result = check(tmp_path)
        assert result.exit_code == 1 and "Known are: FG-NET" in result.output
        assert check(tmp_path, "--set", "lfw").exit_code == 1
        result = check(samples.write_afad(tmp_path / "AFAD"), "--set", "fgnet")
        assert result.exit_code == 1 and "does not hold FG-NET" in result.output

    def test_the_layout_may_be_named(self, check: Callable[..., Result], tmp_path: Path) -> None:
        result = check(samples.write_wiki(tmp_path / "wiki_crop"), "--set", "wiki")
        assert result.exit_code == 0 and "IMDB-WIKI (wiki) in" in result.output

    def test_names_that_are_not_utf8(self, check: Callable[..., Result], tmp_path: Path) -> None:
        root = samples.write_utkface(tmp_path / "UTKFace")
        (root / "portrait.jpg").rename(root / "\udcff.jpg")
        assert "\\udcff.jpg" in check(root).output


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom agegender_core.cli.datasets import"
        " datasets_app\nassert CliRunner().invoke(datasets_app, ['check', '--help']).exit_code =="
        " 0\nprint(sorted({'torch', 'pandas', 'numpy', 'PIL', 'pyarrow', 'scipy', 'datasets'} &"
        " set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.data
class TestRealSets:
    @pytest.mark.parametrize("name", ["utkface", "all_age_faces", "fairface", "fgnet"])
    def test_parquet_reads_as_the_projects_own_reader(self, name: str) -> None:
        loaded, records = load_set(data_dir() / f"{name}.parquet"), read_records(name)
        assert not loaded.skipped and len(loaded.records) == len(records)
        fields = (
            "dataset",
            "file",
            "row",
            "split",
            "age",
            "age_range",
            "gender",
            "race",
            "race_scheme",
            "subject",
        )
        for one, other in zip(loaded.records, records, strict=True):
            assert all(getattr(one, field) == getattr(other, field) for field in fields)
            assert (one.landmarks is None) == (other.landmarks is None)
        assert len(loaded.incomplete) == (6 if name == "utkface" else 0)

    def test_all_age_faces_numbers_tell_the_gender(self) -> None:
        from agegender_core.datasets.readers.all_age_faces import NAME, _gender

        records = read_records("all_age_faces")
        assert all(
            _gender(int(NAME.match(record.file)["subject"])) == record.gender for record in records
        )
        assert all(int(NAME.match(record.file)["age"]) == record.age for record in records)

    def test_utkface_names_read_as_the_table_does(self) -> None:
        from agegender_core.datasets.readers.utkface import NAME, _gender_race

        for record in read_records("utkface"):
            parsed = NAME.match(record.file)
            assert int(parsed[1]) == record.age and _gender_race(parsed[2])[:2] == (
                record.gender,
                record.race,
            )

    def test_adience_tables(self) -> None:
        loaded = load_set(data_dir() / "adience_folds")
        assert len(loaded.records) + len(loaded.skipped) == 19_487
        assert Counter(record.gender for record in loaded.records if record.gender) == {
            "Female": 9_368,
            "Male": 8_124,
        }
        groups = Counter(record.age_range for record in loaded.records if record.age_range)
        assert [groups[group.lo, group.hi] for group in ADIENCE_GROUPS] == [
            2491,
            2140,
            2292,
            1642,
            5095,
            2346,
            830,
            872,
        ]
        repeated = sum(reason == "the file was listed before" for _, reason in loaded.skipped)
        assert repeated == 112, "five more of the 117 repeated rows tell nothing in the first place"
        people = {record.subject: record.split for record in loaded.records}
        assert all(people[record.subject] == record.split for record in loaded.records)
