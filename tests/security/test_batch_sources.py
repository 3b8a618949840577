"""Zips, Parquet files, notes and folders that are odd, damaged or hostile, as sources of ``batch``:
one sentence, never a traceback."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agegender_core.batch import parquet_rows
from agegender_core.batch.image_refs import Item, Loader, NoPlace
from agegender_core.batch.part_writer import Job, opened_parts
from agegender_core.batch.sources import find_sources
from agegender_core.errors import AgeGenderError, ConfigError, DatasetError, InvalidImageError
from agegender_core.vision.image_io import ImageLimits
from tests.security.fuzz_batch import KINDS, fuzz
from tests.support.batch_jobs import run
from tests.support.memory import forget_the_peak, peak_mb


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_by_the_hundred(kind: str) -> None:
    result = fuzz(kind, 500, seed=13, minutes=0.2)
    assert not result.findings
    assert result.files > 20 and result.outcomes["one sentence"] and result.outcomes["loaded"]
    assert result.peak_mb < 600


def listed(path: Path) -> list[Item]:
    return list(find_sources([str(path)]).items())


def archive(path: Path, *names: str, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name in names:
            opened.writestr(name, b"x")
    return path


def renamed(path: Path, before: bytes, after: bytes) -> Path:
    """A member's name replaced by one that ``zipfile`` would not write."""
    assert len(before) == len(after)
    path.write_bytes(path.read_bytes().replace(before, after))
    return path


class TestZips:
    def test_an_empty_name_is_passed_over(self, tmp_path: Path) -> None:
        path = renamed(archive(tmp_path / "a.zip", "a.jpg", "b.jpg"), b"b.jpg", b"\0.jpg")
        assert zipfile.ZipFile(path).infolist()[1].filename == ""
        assert [item.key for item in listed(path)] == ["a.zip/a.jpg"]

    def test_a_name_that_comes_thrice_at_one_place_has_three_keys(self, tmp_path: Path) -> None:
        path = archive(tmp_path / "a.zip", "a.jpg")
        data = path.read_bytes()
        start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
        directory = data[start:end] * 4
        ending = bytearray(data[end:])
        struct.pack_into("<HHII", ending, 8, 4, 4, len(directory), start)
        path.write_bytes(data[:start] + directory + ending)
        keys = [item.key for item in listed(path)]
        assert len(keys) == len(set(keys)) == 4

    def test_a_zip_in_a_zip_is_named(self, tmp_path: Path) -> None:
        items = listed(archive(tmp_path / "a.zip", "in/b.zip", "in/c.7z", "d.txt"))
        assert [item.file for item in items] == [
            f"{tmp_path}/a.zip/in/b.zip",
            f"{tmp_path}/a.zip/in/c.7z",
        ]
        assert all(
            isinstance(item.place, NoPlace) and "an archive inside an archive" in item.place.message
            for item in items
        )

    def test_a_table_of_contents_of_any_size_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        size = 300 * 2**20
        with open(path, "wb") as file:  # a sparse file
            file.seek(size)
            file.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
        before = forget_the_peak()
        (item,) = listed(path)
        assert "its table of contents has more than 64 MB" in item.place.message
        assert peak_mb() - before < 50

    def test_numbers_beyond_every_file(self, tmp_path: Path) -> None:
        (item,) = listed(archive(tmp_path / "a.zip", "a.jpg"))
        for odd in (-1, 2**40, 2**63, 2**64 - 1):
            with pytest.raises(InvalidImageError, match="cannot be read from the archive"):
                Loader().load(item.place._replace(offset=odd))
        with pytest.raises(InvalidImageError, match="more than 25 MB"):
            Loader().load(item.place._replace(packed=2**64 - 1))

    def test_a_bomb_is_unpacked_no_further_than_an_image_may_be_large(self, tmp_path: Path) -> None:
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("a.jpg", b"\0" * 200_000_000)
        (item,) = listed(path)
        before = forget_the_peak()
        for size in (item.place.size, 100, 2**20):
            with pytest.raises(InvalidImageError):
                Loader(ImageLimits(max_bytes=2**20)).load(item.place._replace(size=size))
        assert peak_mb() - before < 20


def parquet(path: Path, images: list[bytes | None], **columns: list) -> Path:
    cells = [{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(images)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind), **columns}), path)
    return path


class TestParquet:
    def test_a_row_larger_than_an_image_may_be(self, tmp_path: Path) -> None:
        path = parquet(tmp_path / "a.parquet", [b"small", b"\0" * 3_000_000, None, b"last"])
        loader, items = Loader(ImageLimits(max_bytes=2**20)), listed(path)
        assert loader.load(items[0].place) == b"small"
        with pytest.raises(InvalidImageError, match="more than 1 MB"):
            loader.load(items[1].place)
        with pytest.raises(DatasetError, match="empty in this row"):
            loader.load(items[2].place)
        assert loader.load(items[3].place) == b"last"

    def test_names_that_are_no_names(self, tmp_path: Path) -> None:
        path = parquet(
            tmp_path / "a.parquet", [b"x"] * 40, file=[os.urandom(20_000).hex() for _ in range(40)]
        )
        (item,) = listed(path)
        assert "more than 4,096 bytes a row" in item.place.message

    def test_more_rows_than_bytes(self, tmp_path: Path) -> None:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        pq.write_table(
            pa.table({"image": pa.nulls(300_000, kind)}),
            tmp_path / "a.parquet",
            row_group_size=300_000,
        )
        (item,) = listed(tmp_path / "a.parquet")
        assert "claims 300,000 rows, more than it has bytes" in item.place.message

    @pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.list_(pa.binary())])
    def test_a_column_of_another_kind(self, tmp_path: Path, kind: pa.DataType) -> None:
        cells = pa.array([None], pa.struct([("bytes", kind), ("path", pa.string())]))
        pq.write_table(pa.table({"image": cells}), tmp_path / "a.parquet")
        (item,) = listed(tmp_path / "a.parquet")
        assert "no column «image» with bytes" in item.place.message

    def test_a_file_that_ends_the_process_that_opens_it(self, tmp_path: Path) -> None:
        killer, sound = (
            parquet(tmp_path / "a.parquet", [b"x"]),
            parquet(tmp_path / "b.parquet", [b"x"]),
        )
        lister = parquet_rows.lister()
        assert lister.ask(str(sound), -1)
        lister.process.kill()
        lister.process.join()
        lister.process.is_alive = lambda: True  # it dies between two questions
        first, second = (listed(path) for path in (killer, sound))
        assert (
            "crashed or ran out of memory" in first[0].place.message
            and second[0].key == "b.parquet#0"
        )

    def test_a_damaged_group_is_said_of_each_row_and_read_once(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        path = parquet(tmp_path / "a.parquet", [rng.bytes(20_000) for _ in range(200)])
        places = [item.place for item in listed(path)]
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 200_000] = bytes(200_000)
        path.write_bytes(data)
        loader, failed = Loader(), 0
        for place in places:
            try:
                loader.load(place)
            except AgeGenderError as error:
                failed += 1
                assert "\n" not in str(error)
        assert failed

    def test_no_pipe_is_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.parquet")
        (tmp_path / "b.jpg").touch()
        assert [item.key for item in listed(tmp_path)] == ["b.jpg"]


class TestInputsWithoutImages:
    def said(self, path: Path) -> str:
        sources = find_sources([str(path)])
        assert not list(sources.items())
        return " ".join(sources.empty.values())

    def test_folders_and_archives(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert self.said(tmp_path / "empty") == f"there are no images in {tmp_path}/empty"
        assert (
            self.said(archive(tmp_path / "text.zip", "a.txt"))
            == f"there are no images in {tmp_path}/text.zip"
        )
        assert (
            self.said(parquet(tmp_path / "none.parquet", []))
            == f"there are no images in {tmp_path}/none.parquet"
        )
        (tmp_path / "zips").mkdir()
        archive(tmp_path / "zips" / "a.zip", "a.jpg")
        assert "1 archives in" in self.said(tmp_path / "zips") and "give zips by name" in self.said(
            tmp_path / "zips"
        )

    def test_archives_beside_images_are_mentioned(self, tmp_path: Path) -> None:
        archive(tmp_path / "a.zip", "a.jpg")
        (tmp_path / "b.jpg").touch()
        sources = find_sources([str(tmp_path)])
        assert [item.key for item in sources.items()] == ["b.jpg"]
        assert not sources.empty and "were not opened" in sources.unopened[str(tmp_path)]

    def test_the_command_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        nameless = renamed(archive(tmp_path / "nameless.zip", "b.jpg"), b"b.jpg", b"\0.jpg")
        nested = archive(tmp_path / "nested.zip", "c.zip")
        code, said = run(
            tmp_path / "empty", nameless, nested, "-o", tmp_path / "out", "--workers", 1
        )
        assert code == 1 and "Traceback" not in said
        assert (
            f"there are no images in {tmp_path}/empty\n" in said
            and f"there are no images in {nameless}\n" in said
        )
        (row,) = pd.read_parquet(tmp_path / "out").to_dict("records")
        assert row["file"] == f"{nested}/c.zip" and "an archive inside an archive" in row["error"]


JOB = Job(("a",), "w", "0", False, 24)
NOTES = [
    b"[]",
    b"3",
    b'"x"',
    b"null",
    b"{",
    b"\xff",
    b"[" * 200_000,
    b"9" * 5000,
    b'{"inputs": ' + b"[" * 5000,
]


@pytest.mark.parametrize("note", NOTES, ids=range(len(NOTES)))
def test_an_odd_note_is_one_sentence(tmp_path: Path, note: bytes) -> None:
    (tmp_path / "_batch.json").write_bytes(note)
    with (
        pytest.raises(ConfigError, match=r"_batch\.json cannot be read"),
        opened_parts(tmp_path, JOB, 10),
    ):
        pass
    assert (tmp_path / "_batch.json").read_bytes() == note


@pytest.mark.parametrize(
    "note", [{}, {"inputs": 3}, {"inputs": ["a"], "weights": None, "min_face": "x"}]
)
def test_the_note_of_another_job_is_one_sentence(tmp_path: Path, note: dict) -> None:
    (tmp_path / "_batch.json").write_text(json.dumps(note))
    with pytest.raises(ConfigError, match="begun as another job"), opened_parts(tmp_path, JOB, 10):
        pass


def odd_parts() -> dict[str, pa.Table | bytes | None]:
    good = {
        "key": ["a"],
        "face": pa.array([None], pa.int64()),
        "error": pa.array([None], pa.string()),
    }
    return {
        "no_columns": pa.table({"a": [1]}),
        "no_key": pa.table({**good, "key": pa.nulls(1, pa.string())}),
        "key_of_numbers": pa.table({**good, "key": [[1]]}),
        "face_of_text": pa.table({**good, "face": ["x"]}),
        "empty": b"",
        "cut": io.BytesIO().getvalue() + b"PAR1" + b"\0" * 100 + b"PAR1",
        "folder": None,
    }


@pytest.mark.parametrize("name", odd_parts())
def test_an_odd_part_is_one_sentence(tmp_path: Path, name: str) -> None:
    path, content = tmp_path / "part-00000.parquet", odd_parts()[name]
    (tmp_path / "_batch.json").write_text(json.dumps(JOB.__dict__))
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        pq.write_table(content, path)
    with (
        pytest.raises(ConfigError, match=r"part-00000\.parquet is damaged or no part"),
        opened_parts(tmp_path, JOB, 10),
    ):
        pass
