"""The Errors page from a visitor's side, with drawn predictions and drawn images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.analysis import plot_data
from agegender_core.analysis.filters import Filter
from agegender_core.analysis.label_issues import (
    find_label_issues,
)
from agegender_core.analysis.plot_data import GROUPINGS
from agegender_core.analysis.prediction_table import ErrorTable, read_table
from agegender_core.analysis.quality_slices import condition_table
from agegender_core.errors import ConfigError
from tests.support.errors_page import ROWS, png, texts, tile_keys, write_duplicates, write_pictures
from tests.support.pages import Backend, alerts
from ui.errors import (
    doors,
    duplicates,
    export,
    figures,
    gallery,
    plots,
    query_params,
    selection,
    slices,
    text,
)
from ui.errors import images as errors_pictures
from ui.errors.data import Scope
from ui.errors.images import NoImages
from ui.errors.slices import narrowed


def test_first_visit_without_any_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend, open_page: Any
) -> None:
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path))
    app = open_page()
    assert "evaluate" in alerts(app)
    assert not tile_keys(app)


def test_gallery_without_pictures_tells_what_is_missing_and_keeps_its_numbers(
    reports: Path, open_page: Any
) -> None:
    app = open_page()
    assert app.selectbox(key="errors_set").value == "utkface"
    assert len(tile_keys(app)) == 24
    assert tile_keys(app)[0] == "errors-tile-all-7"
    tile = app.button(key="errors-tile-all-7")
    assert "20 → 80, +60" in tile.label.replace("\\", "")
    assert "![" not in tile.label and not tile.help, "numbers alone, no grey squares"
    said = texts(app).replace("\\", "")
    assert "images of UTKFace are not here" in said and "AGEGENDER_DATA" in said
    assert "«Images»" not in said, "a control that is not on the page"
    assert "On each tile: the label → the answer" in said
    assert str(reports) not in texts(app)
    assert f"{ROWS}** images" in texts(app)


def test_pictures_are_those_of_the_tests_rows_and_only_of_the_page(
    reports: Path, open_page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_DATA", str(write_pictures(tmp_path / "data")))
    read: list[int] = []
    images = errors_pictures.iter_images

    def counted(name: str, rows: list[int]) -> Any:
        read.extend(rows)
        return images(name, rows)

    monkeypatch.setattr("ui.errors.images.iter_images", counted)
    app = open_page()
    assert len(read) == 24
    assert ROWS - 7 in read  # one row of training images comes first, the others are turned around
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
    assert f"{women}** of {ROWS} images" in texts(app)
    app.selectbox(key="errors_sort").set_value("too_young").run()
    error = scope.table.predictions_for("first")["error"][
        (scope.table.labels["gender_true"] == "Female").to_numpy()
    ]
    assert tile_keys(app)[0] == f"errors-tile-all-{error.idxmin()}"
    assert app.query_params["sort"] == "too_young" or app.query_params["sort"] == ["too_young"]
    app.selectbox(key="errors_gender_is").set_value("wrong").run()
    assert all("Female → Male" in app.button(key=key).label for key in tile_keys(app))
    app.multiselect(key="errors_having").set_value(["blurred"]).run()
    app.button(key="errors-clear").click().run()
    assert f"**{ROWS}** images" in texts(app)
    app.number_input(key="errors_least").set_value(50.0).run()
    app.number_input(key="errors_most").set_value(10.0).run()
    assert "no error is in between" in alerts(app)


@pytest.mark.parametrize(
    "params", [{"nosuch": "1"}, {"other": "nosuch"}, {"weights": "nosuch"}, {"view": "nosuch"}]
)
def test_what_an_address_says_wrong_is_said(
    reports: Path, open_page: Any, params: dict[str, str]
) -> None:
    app = open_page(**params)
    assert not app.exception and "nosuch" in alerts(app) and tile_keys(app)


def test_buttons_have_names_of_their_own(reports: Path, open_page: Any) -> None:
    for view in ("gallery", "slices"):
        names = [
            button.label
            for button in open_page(view=view).button
            if button.key and button.key.startswith(("errors-door-", "errors-open-"))
        ]
        assert names and len(set(names)) == len(names), names


def test_a_choice_that_keeps_nothing(reports: Path, open_page: Any) -> None:
    app = open_page(file="nosuchfile")
    assert "No image is left" in "".join(str(item.proto) for item in app.info)
    for view in query_params.VIEWS:
        app.segmented_control(key="errors_view").set_value(view).run()
        assert not app.exception


def test_addresses_lead_to_set_network_filter_page_and_picture(
    reports: Path, open_page: Any
) -> None:
    app = open_page(
        set="utkface",
        weights="second",
        other="third",
        sort="age_disagreement",
        page="3",
        gender="Male",
        sample="000007.jpg",
    )
    assert app.selectbox(key="errors_weights").value == "second"
    assert app.selectbox(key="errors_other").value == "third"
    assert app.multiselect(key="errors_gender").value == ["Male"]
    assert "Labelled **20 years" in texts(app)
    assert "49 to 72" in texts(app)


@pytest.mark.parametrize(
    "address",
    [
        {"sort": "nonsense"},
        {"age": "200-300"},
        {"least": "many"},
        {"page": "-4"},
        {"set": "nowhere"},
        {"weights": "nobody"},
        {"view": "plots", "pick": "cell:decades:1:2"},
        {"view": "plots", "pick": "nonsense"},
        {"sample": "nobody.jpg"},
        {"page": "9999"},
    ],
)
def test_bad_addresses_are_named_and_the_page_stands(
    reports: Path, open_page: Any, address: dict[str, str]
) -> None:
    app = open_page(**address)
    assert app.warning or address == {"page": "9999"}
    assert texts(app)


def test_a_set_of_ranges(reports: Path, open_page: Any) -> None:
    app = open_page(set="fairface")
    assert "errors_other" not in [item.key for item in app.selectbox]
    for view in query_params.VIEWS:
        app.segmented_control(key="errors_view").set_value(view).run()
        assert not app.exception, view
    app.segmented_control(key="errors_view").set_value("plots").run()
    app.selectbox(key="errors_plot").set_value("ages").run()
    assert "labels no exact ages" in alerts(app)
    app.selectbox(key="errors_plot").set_value("groups").run()
    assert "on the diagonal" in texts(app)


def test_every_plot_is_drawn_and_a_mark_opens_its_pictures(
    reports: Path, open_page: Any, scope: Scope
) -> None:
    app = open_page(view="plots")
    for plot in query_params.PLOTS:
        app.selectbox(key="errors_plot").set_value(plot).run()
        assert not app.exception, plot
        assert app.get("plotly_chart"), plot
    kept = int(selection.mask("beyond:10", scope.table, "first").sum())
    app = open_page(view="plots", plot="score", pick="beyond:10")
    assert f"{kept} images: off by more than 10 years" in texts(app)
    assert len(tile_keys(app, "pick")) == min(24, kept)
    app.button(key="errors-clear-pick").click().run()
    assert not tile_keys(app, "pick")
    assert "pick" not in app.query_params


@pytest.mark.parametrize("weights", ["first", "plain"])
@pytest.mark.parametrize("grouping", list(GROUPINGS))
def test_cells_hold_the_pictures_that_the_confusion_counts(
    grouping: str, weights: str, scope: Scope
) -> None:
    table = scope.table
    if weights == "plain":  # names no groups: those nearest to its years count
        answers = table.predictions_for("first").assign(fairface9_pred=None, adience8_pred=None)
        table = ErrorTable(
            **{
                **vars(table),
                "answers": {**table.answers, "plain": answers},
                "values": {**table.values, "plain": table.values["first"]},
            }
        )
    found = plot_data.confusion(table, weights, grouping)
    for row, true in enumerate(found.names):
        for column, answer in enumerate(found.names):
            mask = selection.mask(selection.pick("cell", grouping, true, answer), table, weights)
            assert mask.sum() == found.counts[row, column]


def test_marks_of_other_plots_hold_what_the_plots_count(scope: Scope) -> None:
    table = scope.table
    density = plot_data.age_density(table, "first")
    figure = plots.PLOTS["errors"](scope)[0].figure
    assert figure is not None
    row, column = np.argwhere(density.counts > 0)[0]
    edges = density.edges
    box = selection.pick(
        "box", *map(float, (edges[row], edges[row + 1], edges[column], edges[column + 1]))
    )
    assert selection.mask(box, table, "first").sum() == density.counts[row, column]
    binned = plot_data.error_by_age(table, "first")
    for index in np.flatnonzero(binned.mae.n):
        mark = selection.pick("true", float(binned.edges[index]), float(binned.edges[index + 1]))
        assert selection.mask(mark, table, "first").sum() == binned.mae.n[index]
    for item in plot_data.gender_by_band(table, "first").itertuples():
        assert selection.mask(f"taken:{item.band}:{item.gender}", table, "first").sum() == round(
            item.other * item.n
        )
    sure = plot_data.gender_reliability(table, "first")
    held = [
        selection.mask(f"sure:{low:g}:{high:g}", table, "first").sum()
        for low, high in zip(sure.edges[:-1], sure.edges[1:], strict=True)
    ]
    assert [count for count in held if count] == sure.right.n.tolist()
    covered = plot_data.interval_coverage(table, "first")
    for item in covered[covered["by"] != "width"].itertuples():
        assert selection.mask(f"missed:{item.name}", table, "first").sum() == round(
            (1 - item.covered) * item.n
        )


def test_what_was_chosen_in_a_figure() -> None:
    choose = plots.from_selection
    assert choose({"points": [], "box": []}) is None
    assert choose({"points": [{"x": 1}, {"customdata": ["true:5:10", 3]}]}) == "true:5:10"
    assert choose({"points": [], "box": [{"x": [30.2, 19.8], "y": [1.7, 70]}]}) == "box:20:30:2:70"
    assert choose({"points": [], "box": [{"x": [30.2, 30.1], "y": [7, 8]}]}) == "box:30:31:7:8"
    assert selection.words("box:20:30:2:70") == "labelled 20 to 29, answered 2 to 70 years"
    assert (
        selection.words("true:95:100.5") == "labelled 95 and more years"
        and selection.words("true:7:8") == "labelled 7 years"
    )
    for bad in ("true:5", "true:a:b", "true:nan:5", "taken:0-9:Nobody", "cell:weeks:a:b"):
        with pytest.raises(ConfigError):
            selection.words(bad)


def test_slices_open_in_the_gallery(reports: Path, open_page: Any) -> None:
    app = open_page(view="slices")
    assert "slices of 30 images or more" in texts(app)
    assert app.get("plotly_chart")
    table = app.dataframe(key="errors-slices-mae-1").value
    assert {"slice", "n", "value", "95 %", "from the whole", "p, corrected", "verdict"} <= set(
        table
    )
    for metric in app.selectbox(key="errors_metric").options:
        assert metric
    for name in ("bias", "gender_accuracy", "interval_coverage"):
        app.selectbox(key="errors_metric").set_value(name).run()
        assert not app.exception
    row = pd.Series({"age": "70+", "gender": "Female", "race": None, "condition": "blurred"})
    app.segmented_control(key="errors_view").set_value("conditions").run()
    app.selectbox(key="errors_metric").set_value("mae").run()
    conditions = app.dataframe(key="errors-conditions-mae").value
    assert "presence of a hat" in texts(app) and conditions["condition"].tolist()[0] == "blurred"
    assert conditions["blamed in"].tolist()[0] == "Fig. 24, 25, 26" and set(
        conditions["verdict"]
    ) <= {
        "worse",
        "better",
        "not sure",
        "not sure, small",
        "fewer than 10",
    }
    app.segmented_control(key="errors_view").set_value("gallery").run()
    chosen = narrowed(Filter(lacking=("dark",)), row)
    assert chosen == Filter(
        age=("70+",), gender=("Female",), having=("blurred",), lacking=("dark",)
    )


def test_comparison(reports: Path, open_page: Any, scope: Scope) -> None:
    app = open_page(view="compare", weights="first", other="second")
    table = app.dataframe[0].value
    assert table["n"].max() == ROWS
    assert {"McNemar p", "only first right", "95 %"} <= set(table)
    assert "the first wins on" in texts(app)
    for duel in query_params.DUELS:
        app.segmented_control(key="errors_duel").set_value(duel).run()
        assert tile_keys(app, f"duel-{duel}")
    right = [
        scope.table.predictions_for(name)["gender_right"].to_numpy() for name in ("first", "second")
    ]
    app.segmented_control(key="errors_duel").set_value("only_first").run()
    rows = [int(key.rpartition("-")[2]) for key in tile_keys(app, "duel-only_first")]
    assert all(right[0][row] == 1 and right[1][row] == 0 for row in rows)
    one, other = (
        f"{scope.table.predictions_for(name)['age_pred'].iloc[rows[0]]:.0f}"
        for name in ("first", "second")
    )
    assert f"→ {one} · {other}" in app.button(
        key=f"errors-tile-duel-only_first-{rows[0]}"
    ).label.replace("\\", "")


def test_label_suspects(reports: Path, open_page: Any) -> None:
    app = open_page(view="suspects")
    assert tile_keys(app, "suspects-age")[0] == "errors-tile-suspects-age-7"
    assert "no proof" in texts(app)
    assert "20 → 78 *3 of 3 agree*" in app.button(key="errors-tile-suspects-age-7").label.replace(
        "\\", ""
    )
    for task in ("gender", "race"):
        app.segmented_control(key="errors_task").set_value(task).run()
        assert not app.exception
    app.segmented_control(key="errors_view").set_value("duplicates").run()
    assert "conditions --twins" in alerts(app)


def test_one_network_alone_suspects_nothing(reports: Path, open_page: Any) -> None:
    app = open_page(set="fairface", view="suspects")
    assert "two models or more" in alerts(app)


def test_files_to_take_away(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([7, 3])
    table = export.table_of(scope, rows)
    assert table["file"].tolist() == ["000007.jpg", "000003.jpg"]
    assert {"age_pred first", "error second", "gender_pred third", "blurred", "luminance"} <= set(
        table
    )
    back = pd.read_parquet(io.BytesIO(export.parquet(table)))
    assert back["file"].tolist() == table["file"].tolist()
    page = export.report(scope)
    assert page.startswith("<!doctype html>") and "data:image/jpeg" not in page
    assert page.count("<figure>") == 7
    assert 'src="http' not in page


def test_the_report_on_a_set_of_ranges_has_its_confusion(reports: Path) -> None:
    table = read_table(reports, "fairface", ("first",))
    page = export.report(Scope(table, "first", None, Filter(), "test of ranges"))
    assert "on the diagonal" in page and page.count("<figure>") == 3


def test_steps_from_picture_to_picture(reports: Path, open_page: Any) -> None:
    app = open_page(set="utkface", sample="000007.jpg")
    assert f"1 of {ROWS}" in texts(app) and app.button(key="errors-previous").disabled
    second = tile_keys(app)[1].rpartition("-")[2]
    app.button(key="errors-next").click().run()
    assert app.query_params["sample"] in (f"{int(second):06d}.jpg", [f"{int(second):06d}.jpg"])
    assert f"2 of {ROWS}" in texts(app)
    app = open_page(set="utkface", sample="000007.jpg", view="take")
    assert "errors-next" not in [button.key for button in app.button], "no gallery is behind it"


def test_words(scope: Scope) -> None:
    age, gender = text.tile_words(scope.table, "first", 7)
    assert age == "20 → 80, +60" and gender
    words = text.filter_words(
        Filter(age=("20-29",), lacking=("dark",), age_is="wrong", most=4, file="a_b")
    )
    assert words == [
        "age 20–29",
        "not dark",
        "age answered wrong",
        "off by 4 years or less",
        "file name with «a_b»",
    ]
    assert text.amount("gender_accuracy", 0.5) == "50.0 %"
    assert text.amount("mae", float("nan")) == "–"


def test_small_pictures() -> None:
    assert errors_pictures.small(b"no image") is None
    assert errors_pictures.small(png((1, 2, 3))).startswith("data:image/png")
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    assert errors_pictures.small(buffer.getvalue()).startswith("data:image/jpeg")
    assert NoImages("gone").read(["a"]) == {}


def disputed_children(reports: Path) -> None:
    """Children whose gender the first model gets wrong, old people it guesses far too young, and
    two near-duplicates.
    """
    path = reports / "first" / "utkface" / "predictions.parquet"
    table = pd.read_parquet(path)
    child, old = table["age_true"] < 10, table["age_true"] >= 70
    other = table["gender_true"].map({"Male": "Female", "Female": "Male"})
    table.loc[child, "gender_pred"] = other[child]
    table.loc[~child, "gender_pred"] = table["gender_true"][~child]
    table.loc[old, "age_pred"] = table["age_true"][old] - 40
    table.to_parquet(path, index=False)
    pairs = [
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
            "Female",
            "White",
            None,
        ),
        (
            "000009.jpg",
            "000005.jpg",
            0.98,
            "train",
            "test",
            "33",
            "33",
            0.0,
            "Male",
            "Male",
            "White",
            "Black",
        ),
    ]
    write_duplicates(reports, *pairs)


def door_keys(app: AppTest) -> list[str]:
    return [button.key for button in app.button if (button.key or "").startswith("errors-door-")]


def test_four_doors_open_what_their_numbers_count(reports: Path, open_page: Any) -> None:
    disputed_children(reports)
    app = open_page(set="utkface")
    assert door_keys(app) == [
        f"errors-door-{name}" for name in ("worst", "children", "duplicates", "guesses")
    ]
    table = read_table(reports, "utkface", ("first", "second", "third"))
    ages, genders = table.labels["age_true"], table.predictions_for("first")["gender_right"]
    children, old = (ages < 10).to_numpy(), (ages >= 70).to_numpy()
    assert "### 100 %" in texts(app) and f"of {children.sum():,} children aged 0–9 years" in texts(
        app
    )
    error = table.predictions_for("first")["error"].abs()
    assert f"### {error[old].mean() / error[~old].mean():.1f} × the error" in texts(app)
    assert f"70+ years: off by {error[old].mean():.2f} years" in texts(app)
    assert (
        "### 2 pairs" in texts(app)
        and "1 of them different genders. The two ages of one image differ by up to 30 years"
        in texts(app)
    )

    app.button(key="errors-door-worst").click().run()
    assert app.multiselect(key="errors_age").value == [
        "70+"
    ] and f"**{old.sum()}** of {ROWS} images" in texts(app)
    app.button(key="errors-door-children").click().run()
    assert app.query_params["age"] in ("0-9", ["0-9"]) and app.query_params["gender_is"] in (
        "wrong",
        ["wrong"],
    )
    wrong = int((children & (genders == 0).to_numpy()).sum())
    assert f"**{wrong}** of {ROWS} images" in texts(app) and len(tile_keys(app)) == min(24, wrong)
    app.button(key="errors-door-duplicates").click().run()
    assert (
        app.segmented_control(key="errors_view").value == "duplicates"
        and not app.multiselect(key="errors_age").value
    )
    assert "2 pairs over all splits" in texts(app)
    app.button(key="errors-door-guesses").click().run()
    assert app.dataframe(key="errors-conditions-mae").value["condition"].tolist()
    app.button(key="errors-doors-back").click().run()
    assert (
        "### 2 pairs" in texts(app) and app.segmented_control(key="errors_view").value == "gallery"
    )


def test_a_door_that_was_opened_is_a_link_like_any_other(reports: Path, open_page: Any) -> None:
    disputed_children(reports)
    app = open_page(set="utkface", age="0-9", gender_is="wrong", sort="against_label")
    assert "### " not in texts(app), "no cards above what was asked for"
    assert app.button(key="errors-door-children").label == "**Children's gender**"
    assert app.button(key="errors-door-worst").label == "Who is worst off?"
    assert "of " in texts(
        app
    ) and "children aged 0–9 years are given another gender than the label's" in texts(app)


def test_the_paper_is_wrong_or_right_by_the_numbers_and_not_by_us(scope: Scope) -> None:
    door = doors.paper_guesses(scope)
    found = condition_table(scope.table, "first", "mae")
    tested = found[
        found["condition"].isin(["blurred", "profile", "grey", "small_face"])
        & found["p_holm"].notna()
    ]
    assert (
        door is not None and door.number == f"{(tested['mark'] == 'worse').sum()} of {len(tested)}"
    )
    assert all(text.condition(name) in door.words for name in tested["condition"])


def test_doors_of_a_dataset_of_ranges_speak_of_ranges(reports: Path) -> None:
    table = read_table(reports, "fairface", ("first",))
    found = {
        door.name: door
        for door in doors.findings(Scope(table, "first", None, Filter(), "doors of ranges"))
    }
    assert "children" in found and set(found["children"].filter.age) <= {"0-2", "3-9"}
    assert "years" not in found["worst"].number if "worst" in found else True
    assert duplicates.read("fairface") is None and "duplicates" not in found


def test_the_second_model_stands_in_the_toolbar_only_where_it_is_used(
    reports: Path, open_page: Any
) -> None:
    app = open_page(set="utkface")
    keys = lambda: [item.key for item in app.selectbox]  # noqa: E731
    assert "errors_other" not in keys() and "other" not in app.query_params
    app.segmented_control(key="errors_view").set_value("compare").run()
    assert "errors_other" in keys()
    app.selectbox(key="errors_other").set_value("third").run()
    assert app.query_params["other"] in ("third", ["third"])
    app.segmented_control(key="errors_view").set_value("slices").run()
    assert "errors_other" not in keys() and "other" not in app.query_params
    app.segmented_control(key="errors_view").set_value("plots").run()
    app.selectbox(key="errors_plot").set_value("score").run()
    assert app.selectbox(key="errors_other").value == "third", "its choice is not forgotten"


def test_slices_are_dots_with_intervals_around_the_line_of_all_images(scope: Scope) -> None:
    found = slices.slice_table(scope.table, "first", "mae", 1)
    figure = figures.slices(found, "mae", 5.0)
    (dots,) = figure.data
    assert list(dots.x) == pytest.approx(found["value"].tolist())
    assert list(dots.error_x.array) == pytest.approx(
        (found["high"] - found["value"]).tolist(), nan_ok=True
    )
    assert [symbol == "circle" for symbol in dots.marker.symbol] == (found["mark"] != "").tolist()
    assert figure.layout.shapes[0].x0 == 5.0
    assert (
        figures.slices(
            slices.slice_table(scope.table, "first", "gender_accuracy", 1), "gender_accuracy", 0.5
        )
        .layout.shapes[0]
        .x0
        == 50
    )
    assert slices.worst_first(found, "mae")["difference"].iloc[0] == found["difference"].max()


def test_tiles_whose_label_most_models_dispute_carry_a_badge(
    reports: Path, open_page: Any, scope: Scope
) -> None:
    disputed = gallery.label_disputes(scope)
    assert disputed[7].startswith("age"), "two of three are off by 58 years there"
    suspects = set(find_label_issues(scope.table, "age", agreeing=2)["row"])
    assert {row for row, tasks in enumerate(disputed) if "age" in tasks} == suspects
    app = open_page(set="utkface")
    assert ":orange-badge[:material/flag: age" in app.button(key="errors-tile-all-7").label
    plain_rows = [key for key in tile_keys(app) if not disputed[int(key.rpartition("-")[2])]]
    assert plain_rows and all("badge" not in app.button(key=key).label for key in plain_rows)
