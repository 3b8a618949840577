"""People's own sets on the Errors page: odd zips and tables are read as meant, bounded first, and
never end in a traceback.
"""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from agegender_core.analysis import user_tables, user_upload
from agegender_core.analysis.user_tables import matched
from agegender_core.analysis.user_upload import read_own
from agegender_core.datasets.readers.base import Collector
from agegender_core.datasets.readers.label_columns import take_rows
from agegender_core.errors import DatasetError
from tests.security.fuzz_tables import a_table, a_zip, tried

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(60)
NAME = "20_0_0_20170101.jpg"


def zipped(
    files: dict[str, bytes], change: Callable[[zipfile.ZipInfo], Any] = lambda member: None
) -> bytes:
    """A zip in memory; ``change`` is given each member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo("x")
            member.filename, member.compress_type = name, zipfile.ZIP_DEFLATED
            change(member)
            archive.writestr(member, content)
    return buffer.getvalue()


def labels(table: bytes, *files: str, name: str = "labels.csv") -> dict[str, Any]:
    """File to (age or range, gender) of a set of images with a table."""
    own = read_own([(name, table), *((file, PICTURE) for file in files)])
    return {record.file: (record.age or record.age_range, record.gender) for record in own.records}


@pytest.mark.parametrize("kind", [a_zip, a_table])
def test_random_damage_ends_in_a_set_or_a_sentence(kind: Any) -> None:
    found, slowest = tried(kind, 400)
    assert min(found["used"], found["refused in a sentence"]) > 30, found
    assert slowest < 2


@pytest.mark.parametrize(
    "coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("start", ["", "sep=;\r\n", '"sep=;"\n', "\r\n"])
def test_tables_in_every_coding_people_save_them_in(coding: str, start: str) -> None:
    table = f"{start}Filename;Age;Gender\r\nJos\u00e9.jpg;34,0;f\r\n".encode(coding)
    assert labels(table, "Jos\u00e9.jpg") == {"Jos\u00e9.jpg": (34, "Female")}


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("Jose\u0301.jpg", "Jos\u00e9.jpg"),
        ("Jos\u00e9.jpg", "Jose\u0301.jpg"),
        ("sub\\b.jpg", "sub/b.jpg"),
        ("sub/b.jpg", "sub\\b.jpg"),
        ("./b.jpg", "b.jpg"),
        ("C:\\faces\\sub\\b.jpg", "sub/b.jpg"),
        ("b.jpg", "mine/sub/b.jpg"),
        ("B.JPG", "mine/b.jpg"),
        ("images/b.jpg", "faces/b.jpg"),
    ],
)
def test_names_are_matched_as_a_person_would(written: str, given: str) -> None:
    assert list(labels(f"file,age\n{written},25.0\n".encode(), given).values()) == [(25, None)]
    own = read_own(
        [("s.zip", zipped({given: PICTURE, "labels.csv": f"file,age\n{written},25.0\n".encode()}))]
    )
    assert [record.age for record in own.records] == [25]


def test_a_name_that_may_mean_several_pictures_means_none() -> None:
    files = ["train/7.jpg", "val/7.jpg"]
    assert [
        file for file, _ in matched(["7.jpg", "val/7.jpg", "x/val/7.jpg", "test/7.jpg"], files)
    ] == [None, "val/7.jpg", None, None]
    assert [file for file, _ in matched(["train/7.jpg", "val/7.jpg"], ["7.jpg"])] == [None, None]
    assert [file for file, _ in matched(["train/7.jpg", "val/7.jpg"], ["val/7.jpg"])] == [
        None,
        "val/7.jpg",
    ]
    assert [file for file, _ in matched(["A.jpg", "a.jpg"], ["A.jpg", "a.jpg"])] == [
        "A.jpg",
        "a.jpg",
    ]


@pytest.mark.parametrize(
    ("age", "wanted"),
    [("25.0", 25), ("25,0", 25), ("25.", 25), ("25", 25), ("25.5", None), ("9" * 5000, None)],
)
def test_ages(age: str, wanted: int | None) -> None:
    collector = Collector("own")
    take_rows(
        collector,
        [
            {"file": "a.jpg", "age": age, "gender": "f"},
            {"file": "b.jpg", "age": 10**5000, "gender": "m"},
        ],
    )
    assert [record.age for record in collector.records] == [wanted, None]
    assert all(len(skip.reason) < 100 for skip in collector.incomplete)


def test_hidden_files_are_no_tables_and_stand_in_one_line() -> None:
    files = {
        "._labels.csv": b"\0\5\26\7" + bytes(80),
        "labels.csv": b"file,age\na.jpg,30\n",
        "a.jpg": PICTURE,
        "._a.jpg": b"\0",
        "__MACOSX/._a.jpg": b"\0",
        "Thumbs.db": b"x",
    }
    for given in ([("s.zip", zipped(files))], list(files.items())):
        own = read_own(given)
        assert [(record.file, record.age) for record in own.records] == [("a.jpg", 30)]
        assert [(skip.file, "3 more" in skip.reason) for skip in own.bad] == [
            ("._labels.csv", True)
        ]


def test_what_is_in_a_zip_and_is_not_read_is_listed_with_its_reason() -> None:
    def odd(member: zipfile.ZipInfo) -> None:
        member.external_attr = 0o120777 << 16 if member.filename.startswith("30") else 0
        member.compress_type = (
            zipfile.ZIP_LZMA if member.filename.startswith("31") else zipfile.ZIP_DEFLATED
        )

    names = (
        NAME,
        "",
        "../21_0_0_20170101.jpg",
        "30_0_0_20170101.jpg",
        "31_0_0_20170101.jpg",
        "in.zip",
        "list.xlsx",
        "x/" * 40 + NAME,
    )
    content = zipped({name: PICTURE for name in names}, odd)
    own = read_own([("s.zip", content)])
    assert [record.file for record in own.records] == [NAME]
    reasons = {skip.file: skip.reason for skip in own.bad}
    for name, word in (
        ("(no name)", "without a name"),
        ("../21_0_0_20170101.jpg", "out of the folder"),
        ("30_0_0_20170101.jpg", "a link"),
        ("31_0_0_20170101.jpg", "ordinary compression"),
        ("in.zip", "unpack it first"),
        ("list.xlsx", "save it as CSV"),
        ("x/" * 40 + NAME, "folders"),
    ):
        assert word in reasons[name], name


def test_a_locked_zip_is_told_so() -> None:
    content = bytearray(zipped({NAME: PICTURE}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DatasetError, match="password"):
        read_own([("s.zip", bytes(content))])


def test_names_macs_write_into_zips() -> None:
    """UTF-8 that is not marked as such."""
    name = "Jos\u00e9.jpg"
    content = zipped({"Jos##.jpg": PICTURE}).replace(b"Jos##", "Jos\u00e9".encode())
    own = read_own([("s.zip", content), ("labels.csv", f"file,age\n{name},40\n".encode())])
    assert [record.file for record in own.records] == [name]


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (b"file,age" + b",x" * 100_000 + b"\na.jpg,3" + b",1" * 100_000, "characters"),
        (b"file,age" + b",x" * 300 + b"\na.jpg,3\n", "columns"),
        (b"file,age\n" + b"a.jpg,3\n" * 100_001, "rows"),
        (b"file,age\n" + b"a.jpg,3\n" * 1_100_000, "larger than 8 MB"),
        (b"PK\3\4" + bytes(50), "Excel"),
        (b"\x01\x00\x00\x03" * 50, "not text"),
        (b'file,age\n"' + b"a\n" * 100_000, "field larger"),
        (b"name,years\na.jpg,3\n", "it needs file"),
        (b"", "it needs file"),
    ],
)
def test_tables_are_bounded_before_they_are_read(table: bytes, word: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=word) as told:
            read_own([("labels.csv", table), ("a.jpg", PICTURE)])
        assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
    finally:
        tracemalloc.stop()
    assert len(str(told.value)) < 900


def test_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_upload, "MAX_TOTAL", 4 * 2**20)
    bomb = zipped({f"{age}_0_0_20170101.jpg": bytes(2**20) for age in range(10, 60)})
    damaged = bytearray(bomb)
    start = 0
    while (start := bomb.find(b"PK\x01\x02", start) + 1) > 0:
        # Every checksum wrong: each member fails once it is unpacked.
        damaged[start + 15 : start + 19] = struct.pack("<I", 1)
    read: list[int] = []
    member = user_upload._member
    monkeypatch.setattr(
        user_upload,
        "_member",
        lambda archive, item: read.append(item.file_size) or member(archive, item),
    )
    with pytest.raises(DatasetError):
        read_own([("s.zip", bytes(damaged))])
    assert sum(read) <= 4 * 2**20, "what turns out damaged counts as well"
    assert len(read_own([("s.zip", bomb)]).records) == 4


def test_a_zip_of_a_million_entries_is_not_even_listed() -> None:
    entry = b"PK\x01\x02" + bytes(42)
    started = time.process_time()
    with pytest.raises(DatasetError, match="more than 20,000 files"):
        read_own([("s.zip", entry * 1_000_000)])
    assert time.process_time() - started < 2


def test_long_names_and_many_folders_cost_nothing() -> None:
    started = time.process_time()
    assert (
        user_tables.matched(["a/" * 9000 + "b.jpg"] * 400, ["c.jpg", "d/" * 30 + "e.jpg"])[0][0]
        is None
    )
    assert time.process_time() - started < 2


def test_remarks_are_bounded() -> None:
    table = b"file,age\na.jpg,3\n" + b"".join(b"%d.jpg,4\n" % number for number in range(5000))
    own = read_own([("labels.csv", table), ("a.jpg", PICTURE)])
    assert (
        len(own.bad) == user_upload.MAX_REMARKS + 1 and own.bad[-1].reason == "3,000 more remarks"
    )


def test_the_first_table_that_can_be_used_is_taken() -> None:
    tables = [
        ("notes.csv", b"who,when\nme,now\n"),
        ("labels.csv", b"file,age\na.jpg,3\n"),
        ("old.csv", b"file,age\na.jpg,9\n"),
    ]
    own = read_own([*tables, ("a.jpg", PICTURE)])
    assert [record.age for record in own.records] == [3]
    assert {skip.file for skip in own.bad} == {"notes.csv", "old.csv"}
