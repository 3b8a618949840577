"""Fixtures for tests of pages, a plugin of ``tests/conftest.py``: the fake behind the pages, the
app on its first page, and drawn reports.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.analysis.filters import Filter
from agegender_core.analysis.prediction_table import read_table
from tests.support.errors_page import write_reports
from tests.support.pages import APP, Backend
from ui.errors.data import Scope, titles


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    """The fake behind the pages; change it before opening one."""
    made = Backend()
    monkeypatch.setattr("ui.common.services.predictor", made.load)
    monkeypatch.setattr("ui.common.services.installed_weights", lambda: made.installed)
    monkeypatch.delenv("AGEGENDER_RACE", raising=False)
    monkeypatch.delenv("AGEGENDER_WEIGHTS", raising=False)
    return made


@pytest.fixture
def open_app() -> Callable[[], AppTest]:
    """The app on its first page, run once."""
    return lambda: AppTest.from_file(str(APP), default_timeout=120).run()


@pytest.fixture
def photo() -> bytes:
    """A drawn 320x240 image as PNG; the fake finds faces in anything."""
    ramp = np.linspace(0, 255, 320 * 240 * 3).reshape(240, 320, 3).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: Backend) -> Path:
    """Drawn reports, no images."""
    folder = write_reports(tmp_path / "reports")
    monkeypatch.setenv("AGEGENDER_REPORTS", str(folder))
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("AGEGENDER_DATA", str(tmp_path / "nothing"))
    titles.clear()
    return folder


@pytest.fixture
def open_page(open_app: Callable[[], AppTest]) -> Callable[..., AppTest]:
    """The page at an address."""

    def go(**address: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=120).run()
        app.switch_page("pages/errors.py")
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
