"""A visitor's own set on the Errors page: what is taken out of the uploads, runs that are stopped,
and the gallery they end in.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agegender_core.analysis import user_upload
from agegender_core.analysis.user_set import Job
from agegender_core.analysis.user_upload import read_user_dataset
from agegender_core.errors import DatasetError, DetectorError
from tests.support.errors_page import png, texts, tile_keys
from tests.support.pages import Backend
from ui.errors import images, query_params, state


def utkface_zip(files: dict[str, bytes]) -> bytes:
    """A zip in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


FILES = {
    "mine/26_1_2_20170117.jpg": png((200, 10, 10), 64),
    "mine/31_0_0_20170118.jpg": png((10, 200, 10), 64),
    "mine/40_7_9_20170119.jpg": png((10, 10, 200), 64),
    "mine/50_0_1_20170120.jpg": b"no image",
    "mine/holiday.jpg": png((1, 2, 3), 64),
    "mine/notes.txt": b"hello",
    "__MACOSX/mine/26_1_2_20170117.jpg": b"",
}


def test_own_set_by_names_lists_what_is_bad() -> None:
    own = read_user_dataset([("mine.zip", utkface_zip(FILES))])
    assert [(record.age, record.gender, record.race) for record in own.records] == [
        (26, "Female", "Asian"),
        (31, "Male", "White"),
        (40, None, None),
        (50, "Male", "Black"),
    ]
    bad = {skip.file: skip.reason for skip in own.bad}
    assert (
        "no CSV" in bad["mine/holiday.jpg"]
        and "neither" in bad["mine/notes.txt"]
        and "mine/40_7_9_20170119.jpg" in bad
    )


def test_own_set_by_csv() -> None:
    table = (
        "\ufeffFile;Age;Gender\na.jpg;34;f\nsub/b.jpg;20-29;Male\n"
        "c.jpg;-3;?\ngone.jpg;5;m\na.jpg;35;f\n"
    )
    given = {
        "a.jpg": png((1, 1, 1)),
        "sub/b.jpg": png((2, 2, 2)),
        "c.jpg": png((3, 3, 3)),
        "d.jpg": png((4, 4, 4)),
    }
    own = read_user_dataset([("labels.csv", table.encode()), *given.items()])
    assert [
        (record.file, record.age, record.age_range, record.gender) for record in own.records
    ] == [
        ("a.jpg", 34, None, "Female"),
        ("sub/b.jpg", None, (20, 29), "Male"),
    ]
    assert {skip.file for skip in own.bad} == {"a.jpg", "c.jpg", "gone.jpg", "d.jpg"}


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("a.zip", b"junk")],
        [("t.csv", b"name,years\na.jpg,3\n"), ("a.jpg", b"x")],
        [("holiday.jpg", b"x")],
    ],
)
def test_sets_that_cannot_be_used_at_all(files: list[tuple[str, bytes]]) -> None:
    with pytest.raises(DatasetError, match="CSV"):
        read_user_dataset(files)


def test_a_set_stopped_half_way_keeps_what_was_seen() -> None:
    own = read_user_dataset([("mine.zip", utkface_zip(FILES))])
    job = Job(own, "first")
    job.step(Backend())
    job.step(Backend())
    assert job.left and job.finish()
    table = own.table()
    assert len(table) == len(own.records) == 2
    assert table.predictions_for("first")["fairface9_pred"].tolist() == ["30-39", "30-39"]
    assert table.measured
    second = Job(own, "second")
    second.step(Backend())
    assert not second.finish()
    assert own.table().weights == ("first",)
    while second.left:
        second.step(Backend())
    assert second.finish() and own.table().weights == ("first", "second")


def test_a_picture_the_detector_fails_on_is_listed_and_the_run_goes_on() -> None:
    own = read_user_dataset([("mine.zip", utkface_zip(FILES))])
    first = own.records[0].file

    class Stumbles(Backend):
        def run(self, source: Any, faces: Any = None) -> Any:
            if source == own.contents[first]:
                raise DetectorError("the face detector failed on an image of 64x64 px")
            return super().run(source, faces)

    job = Job(own, "first")
    while job.left:
        job.step(Stumbles())
    assert job.finish() and len(own.table()) == 2
    assert {skip.file for skip in own.bad} >= {first, "mine/50_0_1_20170120.jpg"}


def test_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agegender_core.analysis.user_upload.MAX_TOTAL", 4000)
    read: list[str] = []
    member = user_upload._member
    monkeypatch.setattr(
        "agegender_core.analysis.user_upload._member",
        lambda archive, item: read.append(item.filename) or member(archive, item),
    )
    bomb = {f"{age}_0_0_20170101.jpg": bytes(3000) for age in (20, 30, 40)}
    own = read_user_dataset([("mine.zip", utkface_zip(bomb))])
    assert (
        len(own.records) == len(read) == 1
        and len(own.bad) == 2
        and "upload a part of the dataset" in own.bad[0].reason
    )
    monkeypatch.setattr("agegender_core.analysis.user_upload.MAX_BYTES", 2000)
    with pytest.raises(DatasetError, match="larger than"):
        read_user_dataset([("mine.zip", utkface_zip(bomb))])


def test_damaged_uploads_are_named() -> None:
    whole = utkface_zip(
        {name: bytes(range(256)) * 40 for name in ("20_0_0_20170101.jpg", "30_0_0_20170101.jpg")}
    )
    broken = bytearray(whole)
    broken[60:90] = bytes(30)
    own = read_user_dataset([("mine.zip", bytes(broken)), ("half.zip", whole[: len(whole) // 2])])
    assert [record.age for record in own.records] == [30]
    assert {skip.file: skip.reason for skip in own.bad} == {
        "20_0_0_20170101.jpg": "cannot be unpacked: the zip is damaged there",
        "half.zip": "not a zip, or a damaged one",
    }
    with pytest.raises(DatasetError, match="line of more than 20,000 characters"):
        read_user_dataset(
            [("labels.csv", b"file,age\n" + b"a" * 200_000 + b",3\n"), ("a.jpg", png((1, 2, 3)))]
        )


def test_own_set_from_upload_to_gallery(
    reports: Path, backend: Backend, open_page: Any, tmp_path: Path
) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    app = open_page(view="own")
    app.file_uploader(key="errors-own-upload-0").upload(
        "mine.zip", utkface_zip(FILES), "application/zip"
    ).run()
    assert "**4** labelled images can be used" in texts(app)
    app.button(key="errors-own-start").click().run()
    assert not app.exception
    assert "**3** labelled images" in texts(app)
    assert backend.runs == 4
    app.button(key="errors-own-open").click().run()
    assert app.selectbox(key="errors_set").value == "own"
    assert len(tile_keys(app)) == 3
    assert images.placeholder() not in app.button(key=tile_keys(app)[0]).label
    assert not app.query_params
    for view in query_params.VIEWS:
        app.segmented_control(key="errors_view").set_value(view).run()
        assert not app.exception, view
    app.segmented_control(key="errors_view").set_value("gallery").run()
    app.button(key=tile_keys(app)[0]).click().run()
    assert "Labelled **" in texts(app)
    app.segmented_control(key="errors_view").set_value("own").run()
    app.button(key="errors-own-forget").click().run()
    assert not any(place[0].startswith("own-") for place in app.session_state[state.THUMBNAILS.key])
    assert app.selectbox(key="errors_set").value == "utkface"
    assert all(
        slot.key not in app.session_state
        for slot in (state.OWN_SET, state.OWN_JOB, state.OWN_TABLE, state.OWN_FILES)
    )
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_own_set_without_any_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend, open_page: Any
) -> None:
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path))
    app = open_page()
    app.file_uploader(key="errors-own-upload-0").upload(
        "mine.zip", utkface_zip(FILES), "application/zip"
    ).run()
    app.button(key="errors-own-start").click().run()
    assert app.selectbox(key="errors_set").value == "own"
    assert len(tile_keys(app)) == 3
