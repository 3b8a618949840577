"""The Models page: measurements and claims apart, and plain words where there is nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agegender_core.weights import WeightsEntry
from tests.ui.conftest import Backend
from ui import measured

TRAINING = {"sets": ["utkface"], "split": "train", "pictures": 17252, "pictures_seen": 9, "minutes": 30.0, "device": "CPU", "recipe": "r"}


def net(name: str, **changes: Any) -> WeightsEntry:
    fixed: dict[str, Any] = {"title": name.title(), "summary": "A net.", "file": "x", "sha256": "y", "architecture": "multitask_cnn"}
    more = {"heads": {"age": 101}, "paper": "Somebody 2019", "terms": "None.", "folder": Path(), "training": TRAINING, "parameters": 900}
    return WeightsEntry(name=name, **fixed, **more, **changes)


def report(name: str, mae: float) -> dict[str, Any]:
    estimate = {"value": mae, "low": mae - 0.1, "high": mae + 0.1, "n": 3134}
    return {"weights": name, "set": "utkface", "split": "test", "n": 3134, "metrics": {"mae": estimate}}


@pytest.fixture
def two(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Backend:
    backend.installed = [net("alpha"), net("beta", claimed={"utkface own split/mae": 1.07})]
    monkeypatch.setattr(measured, "reports", lambda: [report("alpha", 5.0), report("beta", 6.0)])
    return backend


def test_numbers_and_claims_stand_apart(two: Backend, open_app: Any) -> None:
    app = open_app().switch_page("pages/models.py").run()
    assert not app.exception
    numbers, claims = (frame.value for frame in app.dataframe)
    assert numbers["MAE, years"].tolist() == ["5.00 (4.90–5.10)", "6.00 (5.90–6.10)"] and numbers["n"].tolist() == [3134, 3134]
    assert claims["claim"].tolist() == ["1.07 years"] and "1.07" not in numbers.to_string()
    assert any("Somebody 2019" in caption.value for caption in app.caption)


@pytest.mark.parametrize("metric", list(measured.METRICS))
def test_every_measure_can_be_drawn(two: Backend, metric: str) -> None:
    figure = measured.chart(two.installed, measured.reports(), metric)
    assert len(figure.data) == 2
    if metric == "mae":
        assert list(figure.data[0].x) == [5.0] and figure.data[1].error_x.array[0] == pytest.approx(0.1)


def test_every_measure_has_a_column_head() -> None:
    assert set(measured.HEADS) == set(measured.METRICS)


def test_without_reports_the_page_says_so(backend: Backend, open_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.installed = [net("alpha")]
    monkeypatch.setattr(measured, "reports", lambda: [])
    app = open_app().switch_page("pages/models.py").run()
    assert not app.exception and "evaluate" in app.info[0].value and not app.dataframe


def test_without_weights_the_page_says_so(backend: Backend, open_app: Any) -> None:
    backend.installed = []
    app = open_app().switch_page("pages/models.py").run()
    assert not app.exception and (app.error or app.warning or app.info or app.markdown)
