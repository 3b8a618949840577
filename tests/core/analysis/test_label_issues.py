"""Labels under suspicion, near-duplicates that contradict each other, and images on which networks
err alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender_core.analysis.label_issues import (
    conflicting_duplicates,
    duplicates_path,
    find_label_issues,
    read_conflicting_duplicates,
    usual_error,
    write_conflicting_duplicates,
)
from agegender_core.analysis.nearest_errors import error_space, nearest_errors
from agegender_core.analysis.prediction_table import make_table
from agegender_core.benchmarks.error_analysis import drawn_predictions
from agegender_core.datasets import FaceRecord
from agegender_core.datasets.near_duplicates import grey_thumbnails, near_duplicate_pairs
from agegender_core.errors import ConfigError, DatasetError

ROWS = 600
FRAMES = {
    name: drawn_predictions(ROWS, answers_seed=seed, noise=4)
    for seed, name in enumerate("abc", start=1)
}


def test_age_suspects_are_the_labels_that_were_changed() -> None:
    truth = FRAMES["a"]["age_true"].copy()
    wrong = [17, 230, 411]
    truth[wrong] = (truth[wrong] + 45) % 90
    found = find_label_issues(
        make_table("s", {name: frame.assign(age_true=truth) for name, frame in FRAMES.items()}),
        "age",
    )
    assert set(found["row"][:3]) == set(wrong) and len(found) < 12
    assert (
        (found["agree"][:3] == 3).all()
        and (found["years"] >= 10).all()
        and found["score"].is_monotonic_decreasing
    )
    assert found["answers"][0].startswith("a: ") and found["answers"][0].count(";") == 2
    assert (
        found["label"][0] == truth[found["row"][0]]
        and found["file"][0] == FRAMES["a"]["file"][found["row"][0]]
    )


def test_a_bias_all_networks_share_is_no_suspicion() -> None:
    frames = {}
    for seed, name in enumerate("ab"):
        age = np.repeat([20.0, 90.0], ROWS // 2)
        rng = np.random.default_rng(seed)
        frames[name] = FRAMES["a"].assign(
            age_true=age, age_pred=np.where(age == 90, 70, 20) + rng.normal(0, 2, ROWS)
        )
    assert find_label_issues(make_table("s", frames), "age").empty


def test_networks_that_disagree_with_each_other_are_no_suspicion() -> None:
    one, other = FRAMES["a"].copy(), FRAMES["b"].copy()
    one.loc[5, "age_pred"], other.loc[5, "age_pred"] = (
        one.loc[5, "age_true"] + 30,
        one.loc[5, "age_true"] - 30,
    )
    table = make_table("s", {"a": one, "b": other, "c": FRAMES["c"]})
    assert 5 not in set(find_label_issues(table, "age")["row"])
    other.loc[5, "age_pred"] = one.loc[5, "age_true"] + 25
    table = make_table("s", {"a": one, "b": other, "c": FRAMES["c"]})
    assert 5 not in set(find_label_issues(table, "age")["row"]), (
        "the third network finds the label right"
    )
    two_of_three = find_label_issues(table, "age", agreeing=2)
    assert 5 in set(two_of_three["row"]) and two_of_three.set_index("row").loc[5, "agree"] == 2


def test_usual_error_follows_the_label() -> None:
    age = np.repeat(np.arange(10.0), 50)
    error = np.tile(np.linspace(-1, 1, 50), 10) * 4 + 3 * age
    middle, spread = usual_error(np.append(age, np.nan), np.append(error, 1.0), window=51)
    assert np.abs(middle[:-1] - 3 * age).max() < 2.5 and np.isnan(middle[-1])
    assert spread[:-1].min() >= 1 and np.median(spread[:-1]) == pytest.approx(1.4826 * 2, rel=0.25)


def test_gender_and_race_suspects_by_hand() -> None:
    base = drawn_predictions(4).assign(gender_true="Male", race_true="White")
    one = base.assign(
        gender_pred=["Female", "Female", "Male", "Female"], gender_probability=[0.9, 0.7, 0.9, 0.99]
    )
    two = base.assign(
        gender_pred=["Female", "Female", "Female", "Female"],
        gender_probability=[0.8, 0.95, 0.9, np.nan],
    )
    one, two = (
        one.assign(race_pred=["Black", "Indian", "White", "Black"]),
        two.assign(race_pred=["Black", "Black", "Black", None]),
    )
    table = make_table("s", {"a": one, "b": two})
    gender = find_label_issues(table, "gender")
    assert gender["row"].tolist() == [3, 0, 1] and gender["score"].tolist() == pytest.approx(
        [0.99, 0.85, 0.825]
    )
    assert (
        gender["answers"].tolist()[1] == "a: Female 90 %; b: Female 80 %"
        and gender["answers"][0] == "a: Female 99 %; b: Female"
    )
    silent = make_table(
        "s",
        {name: frame.assign(gender_probability=np.nan) for name, frame in (("a", one), ("b", two))},
    )
    assert find_label_issues(silent, "gender")["score"].tolist() == [0.5, 0.5, 0.5]
    race = find_label_issues(table, "race")
    assert race["row"].tolist() == [0] and race["agree"].tolist() == [2]
    unlabelled = make_table(
        "s",
        {
            "a": one.assign(gender_true=None, race_true=None),
            "b": two.assign(gender_true=None, race_true=None),
        },
    )
    assert (
        find_label_issues(unlabelled, "gender").empty
        and find_label_issues(unlabelled, "race").empty
    )


def test_impossible_questions_are_refused() -> None:
    table = make_table("s", FRAMES)
    for arguments, complaint in (
        ({"task": "mood"}, "unknown task"),
        ({"task": "age", "weights": ["a"]}, "one alone proves nothing"),
        ({"task": "age", "weights": ["a", "a"]}, "one alone proves nothing"),
        ({"task": "age", "agreeing": 4}, "at least two"),
        ({"task": "age", "weights": ["a", "z"]}, "no predictions"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            find_label_issues(table, **arguments)


def test_near_duplicates_are_found_across_blocks_and_each_pair_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agegender_core.datasets.near_duplicates.BLOCK", 7)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (40, 24, 24, 3)).astype(np.uint8)
    crops[33] = np.clip(crops[2] * 0.7 + 20, 0, 255)
    crops[12] = crops[11]
    thumbnails = grey_thumbnails(crops)
    assert (thumbnails @ thumbnails.T)[3, 9] == pytest.approx(
        np.corrcoef(crops[[3, 9]].mean(axis=3).reshape(2, -1))[0, 1], abs=1e-5
    )
    pairs = near_duplicate_pairs(thumbnails, 0.96)
    assert list(zip(pairs["one"], pairs["other"], strict=True)) == [(2, 33), (11, 12)] and pairs[
        "correlation"
    ][1] == pytest.approx(1)
    assert (
        near_duplicate_pairs(thumbnails[:2], 0.96).empty
        and near_duplicate_pairs(thumbnails[:0], 0.96).empty
    )


def test_conflicts_of_near_duplicates_by_hand() -> None:
    records = [
        FaceRecord("s", "0", 0, "train", age=20, gender="Male"),
        FaceRecord("s", "1", 1, "test", age=27, gender="Male"),
        FaceRecord("s", "2", 2, "train", age=20, gender="Female"),
        FaceRecord("s", "3", 3, "train", age_range=(30, 39)),
        FaceRecord("s", "4", 4, "train", age=20, gender="Male"),
        FaceRecord("s", "5", 5, "train", age_range=(40, 49), gender="Male"),
    ]
    pairs = pd.DataFrame(
        {
            "one": [0, 0, 0, 0, 3],
            "other": [1, 2, 3, 4, 5],
            "correlation": [0.97, 0.98, 0.99, 1.0, 0.965],
        }
    )
    found = conflicting_duplicates(records, pairs)
    assert found["other_file"].tolist() == ["3", "1", "5", "2"] and found[
        "years_apart"
    ].tolist() == [10, 7, 1, 0]
    assert found["other_age"].tolist() == ["30-39", "27", "40-49", "20"] and found[
        "age"
    ].tolist() == ["20", "20", "30-39", "20"]
    assert conflicting_duplicates(records, pairs.iloc[:0]).empty


def test_near_duplicates_are_written_and_read(drawn_sets: Path, tmp_path: Path) -> None:
    assert read_conflicting_duplicates(tmp_path, "utkface") is None
    written = write_conflicting_duplicates("utkface", tmp_path)
    saved = read_conflicting_duplicates(tmp_path, "utkface")
    assert len(saved) == len(written) > 0, "drawn faces differ in little but their age"
    assert saved["years_apart"].tolist() == written["years_apart"].tolist()
    pd.DataFrame({"file": ["x"]}).to_parquet(duplicates_path(tmp_path, "utkface"))
    with pytest.raises(DatasetError, match="--twins utkface"):
        read_conflicting_duplicates(tmp_path, "utkface")


def test_lookalikes_err_alike() -> None:
    frames = {name: frame.copy() for name, frame in FRAMES.items()}
    alike = [3, 50, 77, 400]
    for name, error in (("a", 25.0), ("b", -25.0), ("c", 25.0)):
        frames[name].loc[alike, ["age_true", "age_pred"]] = [50.0, 50 + error]
        frames[name].loc[alike, "gender_probability"] = 0.9
    table = make_table("s", frames)
    space = error_space(table)
    rows, distances = nearest_errors(space, 3, count=5)
    assert (
        set(rows[:3]) == {50, 77, 400}
        and 3 not in rows
        and (np.diff(distances) >= 0).all()
        and distances[2] < distances[3]
    )
    mask = np.zeros(ROWS, bool)
    mask[[3, 77, 10]] = True
    assert nearest_errors(space, 3, mask=mask)[0].tolist() == [77, 10]
    with pytest.raises(ConfigError, match="no image 600"):
        nearest_errors(space, ROWS)


def test_lookalikes_without_some_answers() -> None:
    frames = {name: frame.copy() for name, frame in FRAMES.items()}
    columns = ["age_pred", "age_low", "age_high", "gender_probability"]
    frames["a"].loc[9, columns] = np.nan
    frames["a"]["gender_pred"] = frames["a"]["gender_pred"].astype(object)
    frames["b"].loc[:, ["age_low", "age_high", "gender_probability"]] = np.nan
    space = error_space(make_table("s", frames))
    assert not any(name.startswith("b ") and "error" not in name for name in space.names)
    rows, distances = nearest_errors(space, 9)
    assert len(rows) == 12 and np.isfinite(distances).all()
    assert (
        9 not in nearest_errors(space, 0, count=ROWS)[0]
        or len(nearest_errors(space, 0, count=ROWS)[0]) == ROWS - 1
    )
    nothing = make_table(
        "s",
        {
            "a": FRAMES["a"].assign(
                age_true=np.nan, gender_true=None, age_low=np.nan, age_high=np.nan
            )
        },
    )
    assert (
        error_space(nothing).points.shape == (ROWS, 0)
        and len(nearest_errors(error_space(nothing), 0)[0]) == 0
    )
