"""Prediction tables side by side, filters that fit into an address, and orders of tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender_core.analysis.filters import (
    SORTS,
    VALUES,
    Filter,
    male_share,
    order,
    page,
    read_filter,
)
from agegender_core.analysis.prediction_table import (
    ErrorTable,
    LazyTables,
    available,
    make_table,
    read_table,
)
from agegender_core.benchmarks.error_analysis import (
    drawn_conditions,
    drawn_predictions,
    error_bench_table,
    run_error_bench,
    write_drawn,
)
from agegender_core.errors import AgeGenderError, ConfigError, DatasetError

COUNT = 6


def predictions(**columns: list) -> pd.DataFrame:
    """Hand-made predictions of six images: three exact ages, two ranges, and one photograph without
    a face.
    """
    base = {
        "file": [f"{index}.jpg" for index in range(COUNT)],
        "subject": [None] * COUNT,
        "split": ["test"] * COUNT,
        "age_true": [30.0, 5.0, 70.0, np.nan, np.nan, 20.0],
        "age_range_true": [None, None, None, "20-29", "70+", None],
        "gender_true": ["Male", "Female", None, "Female", "Male", "Male"],
        "race_true": ["White", "Asian", None, "Indian", None, "White"],
        "face_found": [True] * 5 + [False],
        "age_pred": [33.0, 11.0, 60.0, 31.0, 95.0, np.nan],
        "age_low": [28.0, 6.0, 50.0, 25.0, np.nan, np.nan],
        "age_high": [38.0, 16.0, 69.0, 37.0, np.nan, np.nan],
        "fairface9_pred": ["30-39", "10-19", "50-59", "30-39", None, None],
        "adience8_pred": [None] * COUNT,
        "gender_pred": ["Male", "Male", "Male", "Female", "Female", None],
        "gender_probability": [0.9, 0.6, 0.8, 0.7, np.nan, np.nan],
        "race_pred": ["White", "White", "Black", "Indian", "White", None],
    }
    return pd.DataFrame({**base, **columns})


def hand(**more: pd.DataFrame) -> ErrorTable:
    return make_table("hand", {"a": predictions(), **more})


HAND = hand()


def test_derived_columns_by_hand() -> None:
    table = HAND
    found = table.predictions_for("a")
    assert found["error"].tolist()[:5] == [3, 6, -10, 1.5, 0] and np.isnan(found["error"][5])
    assert found["outside"].tolist()[:4] == [0, 1, 1, 0] and found["outside"][4:].isna().all()
    assert found["width"].tolist()[:4] == [10, 10, 19, 12]
    assert found["age_right"].tolist()[:5] == [1, 0, 0, 0, 1] and np.isnan(found["age_right"][5])
    assert found["gender_right"].fillna(-1).tolist() == [1, 0, -1, 1, 0, -1]
    assert found["race_right"].fillna(-1).tolist() == [1, 0, -1, 1, -1, -1]
    assert found["label_probability"].fillna(-1).tolist() == pytest.approx(
        [0.9, 0.4, -1, 0.7, -1, -1]
    )
    assert (
        table.labels["age_lo"].tolist() == [29.5, 4.5, 69.5, 19.5, 69.5, 19.5]
        and table.labels["age_hi"][4] == 100.5
    )
    assert list(table.groups["age"].cat.categories) == ["0-9", "20-29", "30-39", "70+"]
    assert table.people is None and not table.measured


def test_range_outside_the_interval_is_the_gap_between_both() -> None:
    ranges = predictions(age_low=[1, 1, 1, 33, 10, 1], age_high=[2, 2, 2, 40, 60, 2])
    assert make_table("hand", {"a": ranges}).predictions_for("a")["outside"].tolist()[3:5] == [
        33 - 29.5,
        69.5 - 60,
    ]


def test_values_are_those_of_the_reports() -> None:
    values = HAND.values["a"]
    assert (
        values["mae"].dropna().tolist() == [3, 6, 10]
        and values["fairface9_accuracy"].tolist()[3] == 0
    )


def test_no_face_is_known_without_conditions_and_conditions_are_joined_by_file() -> None:
    table = HAND
    assert (
        table.conditions["no_face"].tolist() == [False] * 5 + [True]
        and not table.conditions["blurred"].any()
    )
    measured = drawn_conditions(3).assign(
        file=["5.jpg", "1.jpg", "elsewhere.jpg"],
        sharpness=[0.3, 0.1, 0.1],
        face_found=[False, True, True],
    )
    table = make_table("hand", {"a": predictions()}, measured)
    assert table.measured and table.conditions["blurred"].tolist() == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    assert table.conditions["no_face"].tolist() == [False] * 5 + [True] and np.isnan(
        table.measures["yaw"][0]
    )


def test_second_weights_are_brought_into_the_order_of_the_first() -> None:
    turned = predictions().iloc[::-1]
    table = hand(b=turned)
    assert table.predictions_for("b")["error"].equals(table.predictions_for("a")["error"])


@pytest.mark.parametrize(
    "other,complaint",
    [
        (
            predictions(file=["x.jpg", *(f"{index}.jpg" for index in range(1, COUNT))]),
            "different images",
        ),
        (predictions().iloc[:4], "different images"),
        (predictions(gender_true=["Female"] * COUNT), "different labels in «gender_true»"),
        (predictions(file=["0.jpg"] * COUNT), "more than once"),
        (predictions().drop(columns="race_pred"), "lack race_pred"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(
    other: pd.DataFrame, complaint: str
) -> None:
    with pytest.raises(DatasetError, match=complaint):
        hand(b=other)


def test_reading_from_reports(tmp_path: Path) -> None:
    for weights in ("b", "a"):
        folder = tmp_path / weights / "utkface"
        folder.mkdir(parents=True)
        predictions().to_parquet(folder / "predictions.parquet")
    (tmp_path / "a" / "zoo").mkdir()
    predictions().to_parquet(tmp_path / "a" / "zoo" / "predictions.parquet")
    (tmp_path / "a" / "fairface").mkdir()
    predictions().to_parquet(tmp_path / "a" / "fairface" / "predictions.parquet")
    assert available(tmp_path) == {"utkface": ["a", "b"], "fairface": ["a"], "zoo": ["a"]}
    table = read_table(tmp_path, "utkface", ["b", "a"])
    assert table.weights == ("b", "a") and len(table) == COUNT
    with pytest.raises(DatasetError, match="evaluate --weights c --set utkface"):
        read_table(tmp_path, "utkface", ["c"])
    for wrong in ([], ["a", "a"]):
        with pytest.raises(ConfigError, match="different weights"):
            read_table(tmp_path, "utkface", wrong)
    with pytest.raises(ConfigError, match="no predictions of 'c'"):
        table.predictions_for("c")
    (tmp_path / "b" / "utkface" / "predictions.parquet").write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_table(tmp_path, "utkface", ["b"])


@pytest.mark.parametrize(
    "chosen,expected",
    [
        (Filter(), [0, 1, 2, 3, 4, 5]),
        (Filter(age=("20-29", "70+")), [2, 3, 4, 5]),
        (Filter(age=("60-69",)), []),
        (Filter(gender=("Female",)), [1, 3]),
        (Filter(gender=("unlabelled",)), [2]),
        (Filter(race=("Indian", "unlabelled")), [2, 3, 4]),
        (Filter(age_is="wrong"), [1, 2, 3]),
        (Filter(gender_is="right"), [0, 3]),
        (Filter(race_is="wrong"), [1]),
        (Filter(least=3, most=6), [0, 1]),
        (Filter(most=0), [4]),
        (Filter(having=("no_face",)), [5]),
        (Filter(lacking=("no_face",), gender=("Male",)), [0, 4]),
        (Filter(file="3.J"), [3]),
    ],
)
def test_filters_by_hand(chosen: Filter, expected: list[int]) -> None:
    assert np.flatnonzero(chosen.mask(HAND, "a")).tolist() == expected


def test_filter_survives_the_address() -> None:
    full = Filter(
        ("70+", "0-9"),
        ("Male",),
        ("East Asian", "unlabelled"),
        ("blurred",),
        ("no_face",),
        "wrong",
        "right",
        "wrong",
        0.1,
        1e-7 + 30,
    )
    assert full.age == ("0-9", "70+"), "equal filters are equal however they were clicked together"
    assert (
        read_filter(full.query()) == full and Filter().query() == {} and read_filter({}) == Filter()
    )
    assert full.query()["race"] == "East Asian,unlabelled"
    assert read_filter({"gender": "Male", "set": "fgnet"}, others=("set",)) == Filter(
        gender=("Male",)
    )
    assert read_filter({"least": "0"}) == Filter(least=0.0) != Filter()
    for name, values in VALUES.items():
        assert read_filter({name: ",".join(values)}) == Filter(**{name: values})


@pytest.mark.parametrize(
    "parameters,complaint",
    [
        ({"sex": "Male"}, "unknown parameter sex"),
        ({"gender": "male"}, "unknown value 'male'"),
        ({"gender": "Male,Male"}, "repeated"),
        ({"gender": ""}, "gender is empty"),
        ({"age": "20-29,"}, "unknown value ''"),
        ({"age_is": "maybe"}, "right or wrong"),
        ({"least": "ten"}, "number of years"),
        ({"least": "nan"}, "number of years"),
        ({"most": "-1"}, "number of years"),
        ({"least": "5", "most": "4"}, "no error is in between"),
        ({"having": "dark", "lacking": "dark"}, "cannot be both"),
    ],
)
def test_wrong_addresses_are_refused(parameters: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_filter(parameters)


def test_orders_by_hand() -> None:
    other = predictions(
        age_pred=[33, 41, 61, 30, np.nan, 20],
        gender_pred=["Female", "Male", "Male", "Female", "Male", "Male"],
    )
    table = hand(b=other)
    expected = {
        "error": [2, 1, 0, 3, 4, 5],
        "too_old": [1, 0, 3, 4, 2, 5],
        "too_young": [2, 4, 3, 0, 1, 5],
        "outside": [1, 2, 0, 3, 4, 5],
        "widest": [2, 3, 0, 1, 4, 5],
        "narrowest": [0, 1, 3, 2, 4, 5],
        "surest": [0, 2, 3, 1, 4, 5],
        "unsurest": [1, 3, 2, 0, 4, 5],
        "against_label": [1, 3, 0, 2, 4, 5],
        "age_disagreement": [1, 2, 3, 0, 4, 5],
        "gender_disagreement": [4, 0, 1, 2, 3, 5],
        "file": [0, 1, 2, 3, 4, 5],
    }
    assert set(expected) == set(SORTS)
    for name, rows in expected.items():
        assert order(table, name, "a", "b").tolist() == rows, name
    assert order(table, "error", "a", mask=np.array([1, 0, 0, 1, 0, 1], bool)).tolist() == [0, 3, 5]
    assert male_share(table.predictions_for("a"))[:5].tolist() == pytest.approx(
        [0.9, 0.6, 0.8, 0.3, 0.0]
    )
    with pytest.raises(ConfigError, match="unknown order"):
        order(table, "prettiest", "a")
    with pytest.raises(ConfigError, match="name the other weights"):
        order(table, "age_disagreement", "a")


def test_answers_are_worked_out_when_they_are_asked_for() -> None:
    asked: list[str] = []
    found = LazyTables(("a", "b"), lambda name: asked.append(name) or predictions())
    assert (
        "b" in found
        and "c" not in found
        and list(found) == ["a", "b"]
        and len(found) == 2
        and not asked
    )
    assert found["b"] is found["b"] and asked == ["b"]
    with pytest.raises(KeyError):
        found["c"]
    assert set(dict(found)) == {"a", "b"} and asked == ["b", "a"]


def test_pages_hold_every_row_once() -> None:
    rows = np.arange(10)
    assert [page(rows, number, 4)[0].tolist() for number in (1, 2, 3)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert page(rows, 99, 4) == (pytest.approx([8, 9]), 3) and page(rows, 0, 4)[0].tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert page(rows[:0], 1, 4)[1] == 1 and len(page(rows[:0], 1, 4)[0]) == 0
    with pytest.raises(ConfigError, match="1 or more"):
        page(rows, 1, 0)


def test_drawn_tables_are_about_the_same_images_and_the_bench_runs(tmp_path: Path) -> None:
    table = read_table(tmp_path, "drawn", write_drawn(tmp_path, 300))
    assert table.weights == ("a", "b", "c") and table.measured
    assert drawn_predictions(50).equals(drawn_predictions(50)) and not table.predictions_for("a")[
        "error"
    ].equals(table.predictions_for("b")["error"])
    held = b"\1" * (700 << 20)  # of this process, so not of the one that is measured
    result = run_error_bench(rows=300, repeats=1)
    assert result.pictures == 300 and 50 < result.peak_memory_mb < len(held) >> 20
    whats = [row.what for row in result.rows]
    assert len(set(whats)) == len(whats) > 30 and all(
        row.p90_ms >= row.median_ms > 0 for row in result.rows
    )
    assert all(f"sort: {sort.title}" in whats for sort in SORTS.values())
    lines = error_bench_table(result).splitlines()
    assert len(lines) == len(whats) + 4 and "300 images" in lines[-1]


def test_a_bench_that_fails_says_why() -> None:
    with pytest.raises(AgeGenderError, match="galleries failed"):
        run_error_bench(rows=0, repeats=1)
