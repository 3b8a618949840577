"""The Models page: measurements and claims apart, and plain words where there is nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agegender_core.weights import WeightsEntry
from tests.ui.conftest import Backend
from ui import measured

TRAINING = {"sets": ["utkface"], "split": "train", "pictures": 17252, "pictures_seen": 9, "minutes": 30.0, "device": "CPU", "recipe": "r"}


def net(name: str, **changes: Any) -> WeightsEntry:
    fixed: dict[str, Any] = {"title": name.title(), "summary": "A net.", "files": ("x",), "sha256": "y", "architecture": "multitask_cnn"}
    more = {"heads": {"age": 101}, "paper": "Somebody 2019", "terms": "None.", "folder": Path(), "training": TRAINING, "parameters": 900}
    return WeightsEntry(name=name, **(fixed | more | changes))


def report(name: str, value: float, metric: str = "mae") -> dict[str, Any]:
    estimate = {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 3134}
    return {"weights": name, "set": "utkface", "split": "test", "n": 3134, "metrics": {metric: estimate}}


@pytest.fixture
def two(backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Backend:
    backend.installed = [net("alpha"), net("beta", architecture="gra_net")]
    monkeypatch.setattr(measured, "reports", lambda: [report("alpha", 5.0), report("beta", 6.0)])
    monkeypatch.setattr(measured, "REPORTS", tmp_path)
    return backend


TABLES = {
    "comparison": "claimed on",
    "numbers": "bias, years",
    "near-duplicates": "with a near-twin in training",
    "masks": "learned gates, block 1 to 3",
    "storage": "stored",
}
"""Tables of the page and a column that only they have."""


def frames(app: Any) -> dict[str, Any]:
    """Tables of the page that are there, as data frames."""
    return {name: frame.value for name, column in TABLES.items() for frame in app.dataframe if column in frame.value.columns}


def test_claims_and_measurements_have_columns_of_their_own(two: Backend, open_app: Any) -> None:
    app = open_app().switch_page("pages/models.py").run()
    assert not app.exception
    table = frames(app)["comparison"]
    (row,) = table[(table["weights"] == "beta") & (table["measure"] == "age, MAE, years")].to_dict("records")
    assert (row["claimed"], row["measured"], row["95 % interval"], row["n"], row["set"]) == (1.07, 6.0, "5.90–6.10", 3134, "UTKFace")
    absent = table[table["set"] == "AFAD"].to_dict("records")
    assert [item["claimed"] for item in absent] == [3.1] and "pictures are not here" in absent[0]["weights"]
    numbers = frames(app)["numbers"]
    assert numbers["MAE, years"].tolist() == ["5.00 (4.90–5.10)", "6.00 (5.90–6.10)"] and "1.07" not in numbers.to_string()
    assert any("nearly every decade right" in item.value for item in app.markdown)


def test_the_table_can_be_narrowed_to_a_system(two: Backend, open_app: Any) -> None:
    app = open_app().switch_page("pages/models.py").run()
    assert frames(app)["comparison"]["system"].nunique() == 5
    app.button_group(key="systems").set_value(["GRA_Net"]).run()
    assert set(frames(app)["comparison"]["system"]) == {"GRA_Net"} and not app.exception


def test_experiments_show_what_was_run_and_say_what_was_not(two: Backend, open_app: Any, tmp_path: Path) -> None:
    app = open_app().switch_page("pages/models.py").run()
    assert [item.value for item in app.info] == ["Not run yet."] * 4
    estimate = {"value": 5.5, "low": 5.3, "high": 5.7, "n": 3134}
    run = {"recipe": "r", "split": "random", "minutes": 6.0, "pictures_seen": 10, "mae": estimate, "mae_without_twin": estimate}
    (tmp_path / "leakage.json").write_text(json.dumps({"runs": [run | {"mae_with_twin": None}]}))
    two.installed.append(
        net("gra_net_ablation_channel", architecture="gra_net", options={"mask": "channel", "gated": True, "mask_norm": True})
    )
    made = report("gra_net_ablation_channel", 7.0) | {"gates": {"attention1": 0.125}}
    measured.reports = lambda: [made]  # the fixture's monkeypatch puts the real one back
    app.run()
    shown = frames(app)
    assert shown["near-duplicates"]["MAE, years"].tolist() == ["5.50 (5.30–5.70)"]
    masks = shown["masks"]
    assert masks["mask"].tolist() == ["channel"] and masks["MAE, years"].tolist() == ["7.00 (6.90–7.10)"] and "0.12" in masks.to_string()


def test_every_network_has_its_card(two: Backend, open_app: Any) -> None:
    app = open_app().switch_page("pages/models.py").run()
    cards = " ".join(item.proto.body for item in app.get("html"))
    assert all(name in cards for name in ("Alpha", "Beta", "Somebody 2019"))


@pytest.mark.parametrize("metric", list(measured.METRICS))
def test_every_measure_can_be_drawn(two: Backend, metric: str) -> None:
    scale = 1 if metric in measured.YEARS else 10
    found = [report("alpha", 5.0 / scale, metric), report("beta", 6.0 / scale, metric)]
    figure = measured.chart(two.installed, found, metric)
    assert len(figure.data) == 1 and set(figure.data[0].y) == {"alpha", "beta"}
    assert "UTKFace" in figure.layout.annotations[0].text
    if metric == "mae":
        assert list(figure.data[0].x) == [6.0, 5.0] and figure.data[0].error_x.array[1] == pytest.approx(0.1), "the best on top"


def test_networks_made_for_comparisons_are_left_out_of_the_chart_and_come_last(two: Backend, open_app: Any) -> None:
    made = net("gra_net_ablation_ran", architecture="gra_net")
    assert made.for_comparison and not any(entry.for_comparison for entry in two.installed)
    two.installed.append(made)
    app = open_app().switch_page("pages/models.py").run()
    assert [item.label for item in app.expander if "comparisons" in item.label] == ["Made for comparisons, not for use: 1"]
    figure = measured.chart(two.installed, [*measured.reports(), report("gra_net_ablation_ran", 1.0)], "mae")
    assert "gra_net_ablation_ran" not in figure.data[0].y
    assert "gra_net_ablation_ran" not in open_app().run().selectbox(key="weights").options


def test_every_measure_has_a_column_head() -> None:
    assert set(measured.HEADS) == set(measured.METRICS)


def test_without_reports_the_page_says_so(backend: Backend, open_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.installed = [net("alpha")]
    monkeypatch.setattr(measured, "reports", lambda: [])
    app = open_app().switch_page("pages/models.py").run()
    assert not app.exception and "evaluate" in app.info[0].value
    assert "numbers" not in frames(app) and frames(app)["comparison"]["measured"].isna().all()


def test_without_weights_the_page_says_so(backend: Backend, open_app: Any) -> None:
    backend.installed = []
    app = open_app().switch_page("pages/models.py").run()
    assert not app.exception and (app.error or app.warning or app.info or app.markdown)
