"""What ``evaluate``, ``protocol``, ``leakage``, ``rivals`` and ``bench`` left in ``reports/``.
Reads only; imports nothing heavy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender_core.datasets.registry import TEST_SPLITS

if TYPE_CHECKING:
    import numpy as np

ALL_BLOCKS = "all"
"""What an attention report calls all blocks of a network at once."""
EDGE = 0.02
"""A mask's value closer than this to 0 or 1 is saturated: hardly anything moves it any more."""
Report = dict[str, Any]


def read_reports(folder: Path) -> list[Report]:
    """Every ``metrics.json`` under ``folder``, by weights and by the order of ``TEST_SPLITS``."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*/metrics.json"))]
    order = list(TEST_SPLITS)
    return sorted(
        found,
        key=lambda report: (
            report["weights"],
            order.index(report["set"]) if report["set"] in order else len(order),
        ),
    )


def read_protocols(folder: Path) -> list[Report]:
    """What every run of a published protocol wrote, without what concerns single folds and images,
    by weights, protocol and set.
    """
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/protocols/*.json"))]
    left = [
        {
            key: value
            for key, value in report.items()
            if key not in ("by_fold", "left_out", "strengths")
        }
        for report in found
    ]
    rows = [
        {**row, "no_face": len(report["left_out"])} for row, report in zip(left, found, strict=True)
    ]
    return sorted(rows, key=lambda row: (row["weights"], row["protocol"], row["set"]))


def read_curves(folder: Path) -> dict[str, Report]:
    """Learning curves by weights, as ``training.curves.save_curve`` wrote them."""
    return {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(folder.glob("*/curve.json"))
    }


def read_bench(folder: Path) -> Report | None:
    """What ``bench`` wrote, or None."""
    return _read(folder / "bench.json")


def read_pages(folder: Path) -> Report | None:
    """What the bench of the pages in a browser wrote, or None."""
    return _read(folder / "pages.json")


def read_leakage(folder: Path) -> Report | None:
    """What ``leakage`` wrote, or None."""
    return _read(folder / "leakage.json")


def read_rivals(folder: Path) -> Report | None:
    """What ``rivals`` wrote, or None."""
    return _read(folder / "rivals.json")


def read_attention(
    reports: Path, weights: str, set: str
) -> tuple[Report, dict[str, np.ndarray]] | None:
    """What ``attention-report`` wrote for ``weights`` on ``set``, and its arrays by name (see
    ``attention_report``), or None.
    """
    import numpy as np

    path = reports / weights / "attention" / f"{set}.json"
    if not (path.is_file() and path.with_suffix(".npz").is_file()):
        return None
    with np.load(path.with_suffix(".npz")) as arrays:
        return json.loads(path.read_text()), dict(arrays)


def read_attentions(reports: Path) -> list[Report]:
    """All attention reports, without their arrays."""
    return [json.loads(path.read_text()) for path in sorted(reports.glob("*/attention/*.json"))]


def _read(path: Path) -> Report | None:
    return json.loads(path.read_text()) if path.is_file() else None
