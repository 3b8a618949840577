"""The app in AppTest with a fake predictor behind ``ui.common.services``."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.types import Analysis
from tests.support import ROOT
from tests.support.fakes import FAKE_WEIGHTS, FakePredictor
from ui.predict import examples, session_results

APP = ROOT / "app.py"


def entry(
    name: str = FAKE_WEIGHTS, title: str = "Fake network", default: bool = True, **changes: Any
) -> ModelInfo:
    """A manifest entry that names no file."""
    fixed: dict[str, Any] = {
        "summary": "A stand-in.",
        "terms": "None.",
        "paper": "Nobody (2019)",
        "parameters": 900,
    }
    fixed |= {
        "files": (),
        "sha256": "",
        "architecture": "none",
        "heads": {"age": 101, "gender": 2},
        "folder": Path(),
    }
    return ModelInfo(name=name, title=title, default=default, **(fixed | changes))


@dataclass
class Backend:
    """What the pages are given instead of the real services, and what they asked for. ``runs`` and
    ``detections`` are those of visitors' images, ``shipped_runs`` those of the app's own.
    """

    predictor: Any = field(default_factory=FakePredictor)
    installed: list[Any] = field(default_factory=lambda: [entry()])
    asked: list[tuple[str | None, bool]] = field(default_factory=list)
    runs: int = 0
    detections: int = 0
    shipped_runs: int = 0

    def load(self, weights: str | None, race: bool) -> Any:
        """Stands for ``services.predictor``; an exception put in place of the predictor is
        raised.
        """
        self.asked.append((weights, race))
        if isinstance(self.predictor, Exception):
            raise self.predictor
        return self

    def run(self, source: Any, faces: Any = None) -> Analysis:
        """Counts and passes on."""
        if any(source == examples.image(key).data for key in examples.EXAMPLES):
            self.shipped_runs += 1
        else:
            self.runs += 1
            self.detections += faces is None
        return self.predictor.run(source)


def own_answers(app: AppTest) -> list[Any]:
    """The session's answers to images that are the visitor's."""
    return [answer for answer in app.session_state["answers"].values() if not answer.image.shipped]


@pytest.fixture(autouse=True)
def nothing_shared() -> None:
    """Answers to the app's own images are not those of another test's model."""
    session_results.SHARED.clear()


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
