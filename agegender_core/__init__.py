"""Age and gender from faces, with honest uncertainty.

    from agegender_core import analyze
    for face in analyze("photo.jpg"):
        print(face.age.years, face.age.interval, face.gender.label)

Importing this package loads neither torch nor a detector nor a web framework: names are looked up
at their first use. It tells the libraries it uses to report nothing: see ``no_telemetry``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from agegender_core.no_telemetry import switch_off

if TYPE_CHECKING:
    from agegender_core.errors import (
        AgeGenderError,
        DetectorError,
        InvalidImageError,
        NoFaceError,
        WeightsError,
    )
    from agegender_core.explain.attention import AttentionMaps, attention_maps
    from agegender_core.inference.predictor import Predictor, analyze, load_predictor
    from agegender_core.types import AgeEstimate, Analysis, Categorical, Face, Prediction

_HOMES = {
    "analyze": "inference.predictor",
    "load_predictor": "inference.predictor",
    "Predictor": "inference.predictor",
    "AttentionMaps": "explain.attention",
    "attention_maps": "explain.attention",
    "AgeGenderError": "errors",
    "DetectorError": "errors",
    "InvalidImageError": "errors",
    "NoFaceError": "errors",
    "WeightsError": "errors",
    "AgeEstimate": "types",
    "Analysis": "types",
    "Categorical": "types",
    "Face": "types",
    "Prediction": "types",
}

__version__ = "0.1.0"
__all__ = [
    "AgeEstimate",
    "AgeGenderError",
    "Analysis",
    "AttentionMaps",
    "Categorical",
    "DetectorError",
    "Face",
    "InvalidImageError",
    "NoFaceError",
    "Prediction",
    "Predictor",
    "WeightsError",
    "analyze",
    "attention_maps",
    "load_predictor",
]

switch_off()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
