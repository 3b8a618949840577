"""The label's line in the age distribution of the dialog on the Errors page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st

from tests.support.errors_page import write_pictures
from tests.support.fakes import fake_age
from tests.support.pages import Backend
from ui.common import charts
from ui.errors.detail import labelled_years


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(34.0, 34.0, "label 34"), (60.0, 69.0, "label 60–69"), (70.0, 120.0, "label 70–120")],
)
def test_a_line_for_an_age_and_two_for_a_range(low: float, high: float, words: str) -> None:
    figure = charts.with_label(charts.age_chart(fake_age(40)), low, high)
    lines = [trace for trace in figure.data if trace.name == "label"]
    assert [line.x for line in lines] == (
        [(low, low)] if low == high else [(low, low), (min(high, 100), min(high, 100))]
    )
    assert figure.layout.annotations[0].text == words and len(figure.layout.shapes) == (low != high)


def test_labels_to_years() -> None:
    nothing = {"age_true": float("nan"), "age_range_true": None}
    assert labelled_years(pd.Series(nothing)) is None
    assert labelled_years(pd.Series(nothing | {"age_true": 34.0})) == (34, 34)
    assert labelled_years(pd.Series(nothing | {"age_range_true": "60-69"})) == (60, 69)


def test_the_dialog_draws_it(
    reports: Path,
    backend: Backend,
    open_page: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGEGENDER_DATA", str(write_pictures(tmp_path / "data")))
    monkeypatch.setattr("ui.errors.detail._ask", lambda scope, content, place: fake_age(40))
    press = st.button
    monkeypatch.setattr(
        st,
        "button",
        lambda *given, **more: more.get("key") == "errors-ask" or press(*given, **more),
    )
    app = open_page(set="utkface", sample="000007.jpg")
    assert not app.exception
    assert '"name":"label"' in app.get("plotly_chart")[-1].proto.spec.replace(" ", "")
