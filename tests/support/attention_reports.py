"""Attention reports made by hand."""

from __future__ import annotations

from typing import Any

from agegender_core.evaluation.report_types import (
    AttentionReport,
    ChangeEffect,
    Estimate,
    MapCurve,
    MapCurves,
    MaskActivity,
)

AREA = Estimate(0.5, 0.4, 0.6, 40)


def attention_report_of(**values: Any) -> AttentionReport:
    """A report of 40 faces of UTKFace without masks, or with other ``values``."""
    return AttentionReport(
        **{
            "weights": "net",
            "weights_sha256": "a",
            "set": "utkface",
            "split": "test",
            "n": 40,
            "curves_n": 40,
            "steps": 4,
            "how": "by hand",
            "sides": {},
            "groups": {},
            "targets": {},
        }
        | values
    )


def change_of(block: str, change: str, mae: tuple[float, float, float] | None) -> ChangeEffect:
    """A change with the rise of the error and its interval over 40 faces, or None."""
    return ChangeEffect(block, change, 1.0, None if mae is None else Estimate(*mae, 40), None)


def saturated(share: float) -> MaskActivity:
    """A block with this share of saturated values."""
    return MaskActivity(share, 0.1, 0.1)


def map_curves(deletion: str | None, insertion: str | None) -> MapCurves:
    """Curves with these verdicts; None: of a random map."""
    return {
        kind: MapCurve(AREA, (1.0, 0.0), AREA if verdict else None, verdict)
        for kind, verdict in (("deletion", deletion), ("insertion", insertion))
    }
