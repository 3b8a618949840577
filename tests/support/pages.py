"""The app in AppTest with a fake predictor behind ``ui.common.services``: what opens, fills and
reads its pages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.types import Analysis
from tests.support import ROOT
from tests.support.fakes import FAKE_WEIGHTS, FakePredictor
from ui.common import examples
from ui.common.state import SOURCE

APP = ROOT / "app.py"


def model_info(
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
    installed: list[Any] = field(default_factory=lambda: [model_info()])
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


File = tuple[str, bytes, str]


def upload(app: AppTest, *files: File) -> AppTest:
    app.file_uploader[0].set_value(list(files)).run()
    assert not app.exception
    return app


def open_tab(app: AppTest, tab: str) -> AppTest:
    app.session_state[SOURCE.key] = tab
    app.run()
    assert not app.exception
    return app


def html(app: AppTest) -> str:
    return "\n".join(element.value for element in app.html if "<style>" not in element.value)


def cards(app: AppTest) -> int:
    return html(app).count("ag-number")


def alerts(app: AppTest) -> str:
    elements = [*app.error, *app.warning, *app.info]
    return "\n".join(f"{element.proto.title} {element.value}" for element in elements).replace(
        "\\", ""
    )


def png(name: str, data: bytes) -> File:
    return (name, data, "image/png")
