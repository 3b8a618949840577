"""The Errors page from a visitor's side, with drawn predictions and drawn pictures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.error_analysis import plots_data
from agegender_core.error_analysis.bench import drawn_conditions, drawn_predictions
from agegender_core.error_analysis.filters import Filter
from agegender_core.error_analysis.plots_data import GROUPINGS
from agegender_core.error_analysis.table import ErrorTable, read_table
from agegender_core.errors import ConfigError, DatasetError
from agegender_core.labels import FAIRFACE_GROUPS
from tests.ui.conftest import APP, Backend
from tests.ui.test_predict_page import alerts
from ui import errors_link, errors_own, errors_pick, errors_pictures, errors_plots, errors_sources, errors_take, errors_words
from ui.errors_data import OWN_TABLE, Scope, titles
from ui.errors_own_set import Job, read_own
from ui.errors_pictures import NoPictures
from ui.errors_slices import narrowed

PAGE = "pages/errors.py"
ROWS = 300


def png(colour: tuple[int, int, int], side: int = 24) -> bytes:
    """A square of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_reports(folder: Path, rows: int = ROWS) -> Path:
    """Two networks on a set with ages, and one on a set with ranges."""
    exact = {name: drawn_predictions(rows, 0, seed, 6 + seed) for name, seed in (("first", 1), ("second", 2), ("third", 3))}
    exact["first"].loc[7, ["age_true", "age_pred"]] = [20.0, 80.0]
    for name in ("second", "third"):
        exact[name].loc[7, ["age_true", "age_pred"]] = [20.0, 78.0]
    ranges = exact["first"].copy()
    starts = np.array([group.lo for group in FAIRFACE_GROUPS])
    place = np.searchsorted(starts, ranges["age_true"], side="right") - 1
    ranges["age_range_true"] = [FAIRFACE_GROUPS[index].name for index in place]
    ranges["age_true"] = np.nan
    for name, table in exact.items():
        path = folder / name / "utkface" / "predictions.parquet"
        path.parent.mkdir(parents=True)
        table.to_parquet(path, index=False)
    path = folder / "first" / "fairface" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    ranges.to_parquet(path, index=False)
    (folder / "conditions").mkdir()
    drawn_conditions(rows).to_parquet(folder / "conditions" / "utkface.parquet", index=False)
    return folder


def write_pictures(folder: Path, rows: int = ROWS) -> Path:
    """The set's own Parquet, turned around and after rows of another split, so that rows and positions differ."""
    files = [f"{index:06d}.jpg" for index in reversed(range(rows))]
    images = [{"bytes": png((index % 255, 80, 120)), "path": name} for index, name in enumerate(files)]
    table = {
        "image": [{"bytes": png((0, 0, 0)), "path": "train"}, *images],
        "file": ["000007.jpg", *files],
        "split": ["train"] + ["test"] * rows,
        "age": [30] * (rows + 1),
    }
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), folder / "utkface.parquet", row_group_size=64)
    return folder


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend) -> Path:
    """Drawn reports, no pictures."""
    folder = write_reports(tmp_path / "reports")
    monkeypatch.setattr("ui.measured.REPORTS", folder)
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("AGEGENDER_DATA", str(tmp_path / "nothing"))
    titles.clear()
    return folder


@pytest.fixture
def open_page(open_app: Callable[[], AppTest]) -> Callable[..., AppTest]:
    """The page at an address."""

    def go(**address: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=120).run()
        app.switch_page(PAGE)
        for name, value in address.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return go


@pytest.fixture
def scope(reports: Path) -> Scope:
    """What a run of the page looks at, without the page."""
    table = read_table(reports, "utkface", ("first", "second", "third"))
    return Scope(table, "first", "second", Filter(), "test")


def tile_keys(app: AppTest, name: str = "all") -> list[str]:
    """Keys of the tiles, in order."""
    return [button.key for button in app.button if button.key and button.key.startswith(f"errors-tile-{name}-")]


def texts(app: AppTest) -> str:
    """All that stands on the page."""
    return "\n".join(item.value for kind in (app.markdown, app.caption, app.subheader) for item in kind).replace("\\", "")


def test_first_visit_without_any_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend, open_page: Any) -> None:
    monkeypatch.setattr("ui.measured.REPORTS", tmp_path)
    app = open_page()
    assert "evaluate" in alerts(app)
    assert not tile_keys(app)


def test_gallery_without_pictures_tells_what_is_missing_and_keeps_its_numbers(reports: Path, open_page: Any) -> None:
    app = open_page()
    assert app.selectbox(key="errors_set").value == "utkface"
    assert len(tile_keys(app)) == 24
    assert tile_keys(app)[0] == "errors-tile-all-7"
    tile = app.button(key="errors-tile-all-7")
    assert "20 → 80, +60" in tile.label.replace("\\", "")
    assert "AGEGENDER_DATA" in tile.help.replace("\\", "")
    assert str(reports) not in texts(app)
    assert f"{ROWS}** pictures" in texts(app)


def test_pictures_are_those_of_the_tests_rows_and_only_of_the_page(
    reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_DATA", str(write_pictures(tmp_path / "data")))
    read: list[int] = []
    images = errors_pictures.iter_images

    def counted(name: str, rows: list[int]) -> Any:
        read.extend(rows)
        return images(name, rows)

    monkeypatch.setattr("ui.errors_pictures.iter_images", counted)
    app = open_page()
    assert len(read) == 24
    assert ROWS - 7 in read  # one row of training pictures comes first, the others are turned around
    assert "AGEGENDER_DATA" not in texts(app)
    assert errors_pictures.placeholder() not in app.button(key="errors-tile-all-7").label
    app.run()
    assert len(read) == 24
    app.button(key="errors-tile-all-7").click().run()
    assert len(app.dataframe) == 1
    found = [item.proto.url for item in app.get("link_button")]
    assert any(f"attention?set=utkface&row={ROWS - 7}&weights=first" in url for url in found)


def test_filters_sorts_and_paging(reports: Path, open_page: Any, scope: Scope) -> None:
    app = open_page()
    app.multiselect(key="errors_gender").set_value(["Female"]).run()
    women = int((scope.table.labels["gender_true"] == "Female").sum())
    assert f"{women}** of {ROWS} pictures" in texts(app)
    app.selectbox(key="errors_sort").set_value("too_young").run()
    error = scope.table.of("first")["error"][(scope.table.labels["gender_true"] == "Female").to_numpy()]
    assert tile_keys(app)[0] == f"errors-tile-all-{error.idxmin()}"
    assert app.query_params["sort"] == "too_young" or app.query_params["sort"] == ["too_young"]
    app.selectbox(key="errors_gender_is").set_value("wrong").run()
    assert all("Female → Male" in app.button(key=key).label for key in tile_keys(app))
    app.multiselect(key="errors_having").set_value(["blurred"]).run()
    app.button(key="errors-clear").click().run()
    assert f"**{ROWS}** pictures" in texts(app)
    app.number_input(key="errors_least").set_value(50.0).run()
    app.number_input(key="errors_most").set_value(10.0).run()
    assert "no error lies between them" in alerts(app)


def test_a_choice_that_keeps_nothing(reports: Path, open_page: Any) -> None:
    app = open_page(file="nosuchfile")
    assert "No picture is left" in "".join(str(item.proto) for item in app.info)
    for view in errors_link.VIEWS:
        app.segmented_control(key="errors_view").set_value(view).run()
        assert not app.exception


def test_addresses_lead_to_set_network_filter_page_and_picture(reports: Path, open_page: Any) -> None:
    app = open_page(set="utkface", weights="second", other="third", sort="too_old", page="3", gender="Male", sample="000007.jpg")
    assert app.selectbox(key="errors_weights").value == "second"
    assert app.selectbox(key="errors_other").value == "third"
    assert app.multiselect(key="errors_gender").value == ["Male"]
    assert "Labelled **20 years" in texts(app)
    assert "49 to 72" in texts(app)


@pytest.mark.parametrize(
    "address",
    [{"sort": "nonsense"}, {"age": "200-300"}, {"least": "many"}, {"page": "-4"}, {"set": "nowhere"}, {"weights": "nobody"},
     {"view": "plots", "pick": "cell:decades:1:2"}, {"view": "plots", "pick": "nonsense"}, {"sample": "nobody.jpg"}, {"page": "9999"}],
)  # fmt: skip
def test_bad_addresses_are_named_and_the_page_stands(reports: Path, open_page: Any, address: dict[str, str]) -> None:
    app = open_page(**address)
    assert app.warning or address == {"page": "9999"}
    assert texts(app)


def test_a_set_of_ranges(reports: Path, open_page: Any) -> None:
    app = open_page(set="fairface")
    assert app.selectbox(key="errors_other").disabled
    for view in errors_link.VIEWS:
        app.segmented_control(key="errors_view").set_value(view).run()
        assert not app.exception, view
    app.segmented_control(key="errors_view").set_value("plots").run()
    app.selectbox(key="errors_plot").set_value("ages").run()
    assert "labels no exact ages" in alerts(app)
    app.selectbox(key="errors_plot").set_value("groups").run()
    assert "on the diagonal" in texts(app)


def test_every_plot_is_drawn_and_a_mark_opens_its_pictures(reports: Path, open_page: Any, scope: Scope) -> None:
    app = open_page(view="plots")
    for plot in errors_link.PLOTS:
        app.selectbox(key="errors_plot").set_value(plot).run()
        assert not app.exception, plot
        assert app.get("plotly_chart"), plot
    kept = int(errors_pick.mask("beyond:10", scope.table, "first").sum())
    app = open_page(view="plots", plot="score", pick="beyond:10")
    assert f"{kept} pictures: off by more than 10 years" in texts(app)
    assert len(tile_keys(app, "pick")) == min(24, kept)
    app.button(key="errors-clear-pick").click().run()
    assert not tile_keys(app, "pick")
    assert "pick" not in app.query_params


@pytest.mark.parametrize("weights", ["first", "plain"])
@pytest.mark.parametrize("grouping", list(GROUPINGS))
def test_cells_hold_the_pictures_that_the_confusion_counts(grouping: str, weights: str, scope: Scope) -> None:
    table = scope.table
    if weights == "plain":  # names no groups: those nearest to its years count
        answers = table.of("first").assign(fairface9_pred=None, adience8_pred=None)
        table = ErrorTable(
            **{**vars(table), "answers": {**table.answers, "plain": answers}, "values": {**table.values, "plain": table.values["first"]}}
        )
    found = plots_data.confusion(table, weights, grouping)
    for row, true in enumerate(found.names):
        for column, answer in enumerate(found.names):
            mask = errors_pick.mask(errors_pick.pick("cell", grouping, true, answer), table, weights)
            assert mask.sum() == found.counts[row, column]


def test_marks_of_other_plots_hold_what_the_plots_count(scope: Scope) -> None:
    table = scope.table
    density = plots_data.age_density(table, "first")
    figure = errors_plots.PLOTS["errors"](scope)[0].figure
    assert figure is not None
    row, column = np.argwhere(density.counts > 0)[0]
    edges = density.edges
    box = errors_pick.pick("box", *map(float, (edges[row], edges[row + 1], edges[column], edges[column + 1])))
    assert errors_pick.mask(box, table, "first").sum() == density.counts[row, column]
    binned = plots_data.error_by_age(table, "first")
    for index in np.flatnonzero(binned.mae.n):
        mark = errors_pick.pick("true", float(binned.edges[index]), float(binned.edges[index + 1]))
        assert errors_pick.mask(mark, table, "first").sum() == binned.mae.n[index]
    for item in plots_data.gender_by_band(table, "first").itertuples():
        assert errors_pick.mask(f"taken:{item.band}:{item.gender}", table, "first").sum() == round(item.other * item.n)
    sure = plots_data.gender_reliability(table, "first")
    held = [
        errors_pick.mask(f"sure:{low:g}:{high:g}", table, "first").sum() for low, high in zip(sure.edges[:-1], sure.edges[1:], strict=True)
    ]
    assert [count for count in held if count] == sure.right.n.tolist()
    covered = plots_data.interval_coverage(table, "first")
    for item in covered[covered["by"] != "width"].itertuples():
        assert errors_pick.mask(f"missed:{item.name}", table, "first").sum() == round((1 - item.covered) * item.n)


def test_what_was_chosen_in_a_figure() -> None:
    choose = errors_plots.from_selection
    assert choose({"points": [], "box": []}) is None
    assert choose({"points": [{"x": 1}, {"customdata": ["true:5:10", 3]}]}) == "true:5:10"
    assert choose({"points": [], "box": [{"x": [30, 20], "y": [1.5, 70]}]}) == "box:20:30:1.5:70"
    for bad in ("true:5", "true:a:b", "true:nan:5", "taken:0-9:Nobody", "cell:weeks:a:b"):
        with pytest.raises(ConfigError):
            errors_pick.words(bad)


def test_slices_open_in_the_gallery(reports: Path, open_page: Any) -> None:
    app = open_page(view="slices")
    assert "slices of 30 pictures or more" in texts(app)
    assert len(app.dataframe) == 1
    table = app.dataframe[0].value
    assert {"slice", "n", "value", "95 %", "from the whole", "p, corrected", "so"} <= set(table)
    for metric in app.selectbox(key="errors_metric").options:
        assert metric
    for name in ("bias", "gender_accuracy", "interval_coverage"):
        app.selectbox(key="errors_metric").set_value(name).run()
        assert not app.exception
    row = pd.Series({"age": "70+", "gender": "Female", "race": None, "condition": "blurred"})
    app.segmented_control(key="errors_view").set_value("gallery").run()
    chosen = narrowed(Filter(lacking=("dark",)), row)
    assert chosen == Filter(age=("70+",), gender=("Female",), having=("blurred",), lacking=("dark",))


def test_comparison(reports: Path, open_page: Any, scope: Scope) -> None:
    app = open_page(view="compare", weights="first", other="second")
    table = app.dataframe[0].value
    assert table["n"].max() == ROWS
    assert {"McNemar p", "only first right", "95 %"} <= set(table)
    assert "the first wins on" in texts(app)
    for duel in errors_link.DUELS:
        app.segmented_control(key="errors_duel").set_value(duel).run()
        assert tile_keys(app, f"duel-{duel}")
    right = [scope.table.of(name)["gender_right"].to_numpy() for name in ("first", "second")]
    app.segmented_control(key="errors_duel").set_value("only_first").run()
    rows = [int(key.rpartition("-")[2]) for key in tile_keys(app, "duel-only_first")]
    assert all(right[0][row] == 1 and right[1][row] == 0 for row in rows)


def test_label_suspects(reports: Path, open_page: Any) -> None:
    app = open_page(view="suspects")
    assert tile_keys(app, "suspects-age")[0] == "errors-tile-suspects-age-7"
    assert "no proof" in texts(app)
    assert "conditions --twins" in alerts(app)
    for task in ("gender", "race"):
        app.segmented_control(key="errors_task").set_value(task).run()
        assert not app.exception


def test_one_network_alone_suspects_nothing(reports: Path, open_page: Any) -> None:
    app = open_page(set="fairface", view="suspects")
    assert "two networks or more" in alerts(app)


def test_files_to_take_away(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([7, 3])
    table = errors_take.table_of(scope, rows)
    assert table["file"].tolist() == ["000007.jpg", "000003.jpg"]
    assert {"age_pred first", "error second", "gender_pred third", "blurred", "luminance"} <= set(table)
    back = pd.read_parquet(io.BytesIO(errors_take.parquet(table)))
    assert back["file"].tolist() == table["file"].tolist()
    page = errors_take.report(scope)
    assert page.startswith("<!doctype html>") and "data:image/jpeg" not in page
    assert page.count("<figure>") == 7
    assert 'src="http' not in page


def test_words(scope: Scope) -> None:
    age, gender = errors_words.tile_words(scope.table, "first", 7)
    assert age == "20 → 80, +60" and gender
    words = errors_words.filter_words(Filter(age=("20-29",), lacking=("dark",), age_is="wrong", most=4, file="a_b"))
    assert words == ["age 20–29", "not dark", "age answered wrong", "off by 4 years or less", "file name with «a_b»"]
    assert errors_words.amount("gender_accuracy", 0.5) == "50.0 %"
    assert errors_words.amount("mae", float("nan")) == "–"


def test_small_pictures() -> None:
    assert errors_pictures.small(b"no picture") is None
    assert errors_pictures.small(png((1, 2, 3))).startswith("data:image/png")
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    assert errors_pictures.small(buffer.getvalue()).startswith("data:image/jpeg")
    assert NoPictures("gone").read(["a"]) == {}


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
    "mine/50_0_1_20170120.jpg": b"no picture",
    "mine/holiday.jpg": png((1, 2, 3), 64),
    "mine/notes.txt": b"hello",
    "__MACOSX/mine/26_1_2_20170117.jpg": b"",
}


def test_own_set_by_names_lists_what_is_bad() -> None:
    own = read_own([("mine.zip", utkface_zip(FILES))])
    assert [(record.age, record.gender, record.race) for record in own.records] == [
        (26, "Female", "Asian"), (31, "Male", "White"), (40, None, None), (50, "Male", "Black"),
    ]  # fmt: skip
    bad = {skip.file: skip.reason for skip in own.bad}
    assert "no CSV" in bad["mine/holiday.jpg"] and "neither" in bad["mine/notes.txt"] and "mine/40_7_9_20170119.jpg" in bad


def test_own_set_by_csv() -> None:
    table = "\ufeffFile;Age;Gender\na.jpg;34;f\nsub/b.jpg;20-29;Male\nc.jpg;-3;?\ngone.jpg;5;m\na.jpg;35;f\n"
    given = {"a.jpg": png((1, 1, 1)), "sub/b.jpg": png((2, 2, 2)), "c.jpg": png((3, 3, 3)), "d.jpg": png((4, 4, 4))}
    own = read_own([("labels.csv", table.encode()), *given.items()])
    assert [(record.file, record.age, record.age_range, record.gender) for record in own.records] == [
        ("a.jpg", 34, None, "Female"), ("sub/b.jpg", None, (20, 29), "Male"),
    ]  # fmt: skip
    assert {skip.file for skip in own.bad} == {"a.jpg", "c.jpg", "gone.jpg", "d.jpg"}


@pytest.mark.parametrize(
    "files", [[], [("a.zip", b"junk")], [("t.csv", b"name,years\na.jpg,3\n"), ("a.jpg", b"x")], [("holiday.jpg", b"x")]]
)  # fmt: skip
def test_sets_that_cannot_be_used_at_all(files: list[tuple[str, bytes]]) -> None:
    with pytest.raises(DatasetError, match="CSV"):
        read_own(files)


def test_a_set_stopped_half_way_keeps_what_was_seen() -> None:
    own = read_own([("mine.zip", utkface_zip(FILES))])
    job = Job(own, "first")
    job.step(Backend())
    job.step(Backend())
    assert job.left and job.finish()
    table = own.table()
    assert len(table) == len(own.records) == 2
    assert table.of("first")["fairface9_pred"].tolist() == ["30-39", "30-39"]
    assert table.measured
    second = Job(own, "second")
    second.step(Backend())
    assert not second.finish()
    assert own.table().weights == ("first",)
    while second.left:
        second.step(Backend())
    assert second.finish() and own.table().weights == ("first", "second")


def test_own_set_from_upload_to_gallery(reports: Path, backend: Backend, open_page: Any, tmp_path: Path) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    app = open_page(view="own")
    app.file_uploader(key="errors-own-upload").upload("mine.zip", utkface_zip(FILES), "application/zip").run()
    assert "**4** labelled pictures can be used" in texts(app)
    app.button(key="errors-own-start").click().run()
    assert not app.exception
    assert "**3** labelled pictures" in texts(app)
    assert backend.runs == 4
    app.button(key="errors-own-open").click().run()
    assert app.selectbox(key="errors_set").value == "own"
    assert len(tile_keys(app)) == 3
    assert errors_pictures.placeholder() not in app.button(key=tile_keys(app)[0]).label
    assert not app.query_params
    for view in errors_link.VIEWS:
        app.segmented_control(key="errors_view").set_value(view).run()
        assert not app.exception, view
    app.segmented_control(key="errors_view").set_value("gallery").run()
    app.button(key=tile_keys(app)[0]).click().run()
    assert "Labelled **" in texts(app)
    app.segmented_control(key="errors_view").set_value("own").run()
    app.button(key="errors-own-forget").click().run()
    assert app.selectbox(key="errors_set").value == "utkface"
    assert all(name not in app.session_state for name in (errors_own.SET, errors_own.JOB, OWN_TABLE))
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_own_set_without_any_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend, open_page: Any) -> None:
    monkeypatch.setattr("ui.measured.REPORTS", tmp_path)
    app = open_page()
    app.file_uploader(key="errors-own-upload").upload("mine.zip", utkface_zip(FILES), "application/zip").run()
    app.button(key="errors-own-start").click().run()
    assert app.selectbox(key="errors_set").value == "own"
    assert len(tile_keys(app)) == 3


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
    assert errors_pictures.placeholder() not in app.button(key="errors-tile-all-7").label
    assert str(folder) not in texts(app)
    assert not app.text_input(key="errors_file").value
    assert "errors-source-utkface" not in [item.key for item in app.text_input]  # what the operator names is not for visitors to change
    monkeypatch.setenv("AGEGENDER_PICTURES", f"any;utkface={tmp_path / 'gone'}")
    app = open_page(set="utkface")
    assert errors_pictures.placeholder() in app.button(key="errors-tile-all-7").label
    assert str(tmp_path) not in texts(app) + alerts(app)
    app.text_input(key="errors-source-utkface").set_value(str(folder)).run()
    assert errors_pictures.placeholder() not in app.button(key="errors-tile-all-7").label


def test_who_may_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGEGENDER_PICTURES", "utkface=hub:a/b; fairface=/somewhere")
    assert not errors_sources.may_type()
    assert errors_sources.named() == {"utkface": "hub:a/b", "fairface": "/somewhere"}
    monkeypatch.setenv("AGEGENDER_PICTURES", "utkface=hub:a/b;any")
    assert errors_sources.may_type()
