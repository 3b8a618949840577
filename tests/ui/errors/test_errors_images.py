"""Where the Errors page's images come from: official folders, Parquet in the hub's format, the hub,
and near-duplicates side by side.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from agegender_core.analysis.image_quality_run import conditions_path
from agegender_core.analysis.label_issues import duplicates_path
from agegender_core.datasets.readers import load_dataset
from tests.support import reader_samples
from tests.support.errors_page import ROWS, png, texts, write_duplicates, write_pictures
from tests.support.pages import alerts
from ui.errors import image_sources, images
from ui.errors.data import Scope
from ui.errors.images import NoImages


def test_pictures_from_an_official_folder(
    reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    folder = tmp_path / "official"
    folder.mkdir()
    names = {f"{index:06d}.jpg": f"{20 + index}_0_1_2017{index:06d}.jpg" for index in range(8)}
    for name in names.values():
        (folder / name).write_bytes(png((5, 5, 5)))
    for weights in ("first", "second", "third"):
        path = reports / weights / "utkface" / "predictions.parquet"
        table = pd.read_parquet(path)
        table["file"] = table["file"].map(lambda file: names.get(file, file))
        table.to_parquet(path, index=False)
    monkeypatch.setenv("AGEGENDER_PICTURES", f"utkface={folder}")
    app = open_page(set="utkface")
    assert images.placeholder() not in app.button(key="errors-tile-all-7").label
    assert str(folder) not in texts(app)
    assert not app.text_input(key="errors_file").value
    assert "errors-source-utkface" not in [
        item.key for item in app.text_input
    ]  # what the operator names is not for visitors to change
    monkeypatch.setenv("AGEGENDER_PICTURES", f"any;utkface={tmp_path / 'gone'}")
    app = open_page(set="utkface")
    assert "![" not in app.button(key="errors-tile-all-7").label
    assert str(tmp_path) not in texts(app) + alerts(app)
    assert "choose a folder under «Images»" in texts(app).replace("\\", "")
    app.text_input(key="errors-source-utkface").set_value(str(folder)).run()
    assert images.placeholder() not in app.button(key="errors-tile-all-7").label


@pytest.mark.parametrize("name", ["folder", "parquet", "shards"])
def test_fairface_in_other_layouts(
    name: str, reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "elsewhere"
    if name == "folder":
        files = [row[0] for row in reader_samples.FAIRFACE_ROWS["val"]]
        reader_samples.write_fairface(source)
    elif name == "parquet":
        files = ["val/a.jpg", "val/b.jpg"]
        rows = [
            {
                "image": {"bytes": png((9, 9, 9)), "path": file},
                "file": file,
                "age": "20-29",
                "gender": "Male",
            }
            for file in files
        ]
        pq.write_table(pa.Table.from_pylist(rows), source.with_suffix(".parquet"))
        source = source.with_suffix(".parquet")
    else:
        reader_samples.write_hub(source)
        files = [record.file for record in load_dataset(source).records if record.split == "val"]
    rename(reports / "first" / "fairface" / "predictions.parquet", files)
    monkeypatch.setenv("AGEGENDER_PICTURES", f"any;fairface={source}")
    app = open_page(set="fairface", sort="file")
    assert f"come from another source: {len(files)} of 300 are there" in sources(app)
    shown = [
        images.placeholder() not in app.button(key=f"errors-tile-all-{row}").label
        for row in range(24)
    ]
    assert sum(shown[: len(files)]) == len(files) and not any(shown[len(files) :])


def rename(path: Path, files: list[str]) -> None:
    """Call the first images of a prediction table ``files``."""
    table = pd.read_parquet(path)
    table["file"] = [*files, *table["file"][len(files) :]]
    table.to_parquet(path, index=False)


def sources(app: Any) -> str:
    """What stands over the choice of a source, and what is wrong with it."""
    return " ".join([*(item.value for item in app.caption), alerts(app)]).replace("\\", "")


def test_the_hub_without_its_library_says_what_to_install(
    reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    image_sources._problem.clear()
    monkeypatch.setenv("AGEGENDER_PICTURES", "any")
    app = open_page(set="utkface")
    app.text_input(key="errors-source-utkface").set_value("hub:owner/name").run()
    assert not app.exception
    assert "pip install datasets" in alerts(app).replace("\\", "")
    assert "pip install datasets" in texts(app).replace("\\", "")
    app.text_input(key="errors-source-utkface").set_value("hub:nonsense").run()
    assert "expected hub:owner/name" in alerts(app).replace("\\", "")
    app.text_input(key="errors-source-utkface").set_value("").run()
    assert "hub:" not in alerts(app)


def test_a_source_of_another_set_is_told(
    reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_PICTURES", "any")
    reader_samples.write_utkface(tmp_path / "other")
    app = open_page(set="utkface")
    app.text_input(key="errors-source-utkface").set_value(str(tmp_path / "other")).run()
    assert "has none of the images of UTKFace" in alerts(app).replace("\\", "")
    assert "![" not in app.button(key="errors-tile-all-7").label


def test_a_picture_of_another_folder_is_not_taken_for_it(tmp_path: Path) -> None:
    reader_samples.write_fairface(tmp_path)
    loaded = load_dataset(tmp_path)
    found = image_sources.LayoutImages(
        loaded, image_sources.endings(loaded.records), NoImages("gone"), "x"
    )
    train, val = (
        [record.file for record in loaded.records if record.file.startswith(f"{split}/")]
        for split in ("train", "val")
    )
    assert found.record(val[0]).file == val[0] and found.record(f"faces/{val[0]}").file == val[0]
    assert found.record("val/" + PurePosixPath(train[-1]).name) in (
        None,
        *(item for item in loaded.records if item.file in val),
    )
    lone = image_sources.LayoutImages(loaded, {"7.jpg": loaded.records[0]}, NoImages("gone"), "x")
    assert lone.record(f"other/{PurePosixPath(loaded.records[0].file).name}") is None
    (tmp_path / val[0]).unlink()
    assert set(found.read([val[0], train[0], "nobody.jpg"])) == {train[0]}


def test_a_damaged_table_of_pictures_leaves_the_numbers(
    reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pictures(tmp_path / "data")
    monkeypatch.setenv("AGEGENDER_DATA", str(folder))

    def broken(*_: Any) -> Any:
        raise OSError("end of file")

    monkeypatch.setattr("ui.errors.images.iter_images", broken)
    app = open_page(set="utkface", sample="000007.jpg")
    assert images.placeholder() in app.button(key="errors-tile-all-7").label
    assert "Labelled **20 years" in texts(app)
    (folder / "utkface.parquet").write_bytes(b"PAR1 no more")
    app = open_page(set="utkface")
    assert "cannot be read" in texts(app).replace("\\", "")


def html(app: Any) -> str:
    """All raw HTML on the page."""
    return "\n".join(item.proto.body for item in app.get("html"))


def pair_of_duplicates(reports: Path) -> None:
    """One image of training and its near-duplicate of the test, and a pair that nobody has."""
    rows = [
        (
            "000007.jpg",
            "000003.jpg",
            0.99,
            "train",
            "test",
            "20",
            "50",
            30.0,
            "Male",
            "Male",
            "White",
            None,
        ),
        (
            "=gone<b>.jpg",
            "000005.jpg",
            0.98,
            "train",
            "test",
            "33",
            "33",
            0.0,
            "Male",
            "Female",
            "White",
            "Black",
        ),
    ]
    write_duplicates(reports, *rows)


def test_near_duplicates_stand_side_by_side(
    reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair_of_duplicates(reports)
    app = open_page(set="utkface", view="duplicates")
    names = [cell for table in app.dataframe for cell in table.value.to_numpy().ravel().tolist()]
    assert "'=gone<b>.jpg" in names and "=gone<b>.jpg" not in names, "no formula in its CSV"
    assert html(app).count("<figure ") == 4 and '"><img' not in html(app)
    assert "<u>20 years</u>, Male, White" in html(
        app
    ) and "33 years, <u>Female</u>, <u>Black</u>" in html(app)
    assert (
        "<small>training</small>" in html(app)
        and "gone&lt;b&gt;.jpg" in html(app)
        and "gone<b>" not in html(app)
    )
    monkeypatch.setenv("AGEGENDER_DATA", str(write_pictures(tmp_path / "data")))
    app = open_page(set="utkface", view="duplicates")
    shown = re.findall(r'<img src="data:image/png;base64,([^"]+)"', html(app))
    colours = [
        Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB").getpixel((9, 9))
        for text in shown
    ]
    assert colours[:2] == [(0, 0, 0), ((ROWS - 1 - 3) % 255, 80, 120)], (
        "the training image of this name is another one than the test's"
    )
    assert html(app).count(images.placeholder()) == 1 and colours[3] == (
        (ROWS - 1 - 5) % 255,
        80,
        120,
    )
    app.segmented_control(key="errors_differ").set_value("gender").run()
    assert html(app).count("<figure ") == 2 and "33 years" in html(app)


def test_damaged_tables_of_reports_are_told_and_the_page_stands(
    reports: Path, open_page: Any
) -> None:
    pair_of_duplicates(reports)
    duplicates_path(reports, "utkface").write_bytes(b"PAR1 no more")
    app = open_page(set="utkface", view="duplicates")
    assert "cannot be read" in alerts(app) and str(reports) not in alerts(app)
    app = open_page(set="utkface", view="suspects")
    assert app.button(key="errors-tile-suspects-age-7"), "the rest of the page stands"
    conditions_path(reports, "utkface").write_bytes(b"PAR1 no more")
    app = open_page(set="utkface")
    assert "cannot be read" in alerts(app) and str(reports) not in alerts(app)


def test_who_may_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGEGENDER_PICTURES", raising=False)
    # Whoever sits at this machine can say so in its environment; a visitor's word does not count.
    assert not image_sources.may_type()
    monkeypatch.setenv("AGEGENDER_PICTURES", "utkface=hub:a/b; fairface=/somewhere")
    assert not image_sources.may_type()
    assert image_sources.named() == {"utkface": "hub:a/b", "fairface": "/somewhere"}
    monkeypatch.setenv("AGEGENDER_PICTURES", "utkface=hub:a/b;any")
    assert image_sources.may_type()
    for client in (
        {"ip_address": None, "url": "http://localhost:8501"},
        {"ip_address": "127.0.0.1", "url": "http://127.0.0.1"},
    ):
        monkeypatch.setattr("streamlit.context", SimpleNamespace(**client))
        monkeypatch.delenv("AGEGENDER_PICTURES", raising=False)
        assert not image_sources.may_type(), (
            "where a request says it comes from is the client's own word"
        )


def test_pictures_outside_of_the_source_are_not_read(tmp_path: Path) -> None:
    """Links out of the configured folder, and what is no regular file."""
    source, outside = tmp_path / "set", tmp_path / "outside.jpg"
    reader_samples.write_utkface(source)
    outside.write_bytes(png((1, 2, 3)))
    inner = next(path for path in sorted(source.rglob("*.jpg")))
    link, within = inner.with_name("33_1_2_20170101.jpg"), inner.with_name("34_1_2_20170101.jpg")
    link.symlink_to(outside)
    within.symlink_to(inner)
    loaded = load_dataset(source)
    found = image_sources.LayoutImages(
        loaded, image_sources.endings(loaded.records), NoImages("gone"), "x"
    )
    assert set(found.read([link.name, within.name, inner.name])) == {within.name, inner.name}


@pytest.mark.parametrize(
    "typed",
    [
        "/dev/zero",
        "FIFO",
        "a\0b",
        "x" * 900,
        "/etc/passwd",
        "../../../../etc",
        "~",
        "hub:../..",
        "*",
    ],
)
def test_odd_sources_are_refused_in_a_sentence(
    typed: str, reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_PICTURES", "any")
    image_sources._problem.clear()
    if typed == "FIFO":
        os.mkfifo(tmp_path / "pipe")
        typed = str(tmp_path / "pipe")
    app = open_page(set="utkface")
    app.text_input(key="errors-source-utkface").set_value(typed).run(timeout=60)
    assert not app.exception
    assert "This source cannot be used" in alerts(app)
