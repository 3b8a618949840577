"""Reports keep their bytes: what a type reads from a file, it writes back, key by key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agegender_core.benchmarks.detection import DetectionReport
from agegender_core.benchmarks.turned_photos import TurnedPhotosReport
from agegender_core.errors import DatasetError
from agegender_core.evaluation.report_types import (
    AblationReport,
    BenchReport,
    Estimate,
    EvaluationReport,
    FoldedEstimate,
    LeakageReport,
    LivePathReport,
    PagesReport,
    ProtocolReport,
    RivalsReport,
)
from agegender_core.output.json_records import from_json, to_json
from tests.support import ROOT

KINDS = {
    "*/*/metrics.json": EvaluationReport,
    "ablations/*.json": AblationReport,
    "*/protocols/*.json": ProtocolReport,
    "bench.json": BenchReport,
    "detection.json": DetectionReport,
    "leakage.json": LeakageReport,
    "live.json": LivePathReport,
    "pages.json": PagesReport,
    "rivals.json": RivalsReport,
    "turned_photos.json": TurnedPhotosReport,
}
FILES = [(path, kind) for glob, kind in KINDS.items() for path in (ROOT / "reports").glob(glob)]


def test_every_kind_of_report_is_there() -> None:
    assert {kind for _, kind in FILES} == set(KINDS.values())


@pytest.mark.parametrize(
    ("path", "kind"), FILES, ids=[str(path.relative_to(ROOT)) for path, _ in FILES]
)
def test_reports_are_written_as_they_were_read(path: Path, kind: Any) -> None:
    text = path.read_text()
    stored = json.loads(text)
    again = to_json(from_json(kind, stored))
    assert set(again) == set(stored), "no key is lost, none is new"
    assert json.dumps(stored | again, indent=1) + "\n" == text, "older files order keys otherwise"


@dataclass(frozen=True)
class Inner:
    size: int


@dataclass(frozen=True)
class Outer:
    name: str
    needed: float | None
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] | None = None


@pytest.mark.parametrize(
    ("record", "stored"),
    [
        (Outer("a", None), {"name": "a", "needed": None}),
        (Outer("a", 1.5, Inner(2)), {"name": "a", "needed": 1.5, "inner": {"size": 2}}),
        (
            Outer("a", 1.5, None, (Inner(1), Inner(2)), {"x": Inner(3)}),
            {
                "name": "a",
                "needed": 1.5,
                "many": [{"size": 1}, {"size": 2}],
                "by_name": {"x": {"size": 3}},
            },
        ),
    ],
)
def test_there_and_back(record: Outer, stored: dict[str, Any]) -> None:
    assert to_json(record) == stored and from_json(Outer, stored) == record
    assert from_json(Outer, stored | {"of a later version": 1}) == record


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        ({"name": "a"}, "Outer lacks needed"),
        ([], "Outer is .*, not a dict"),
        ({"name": "a", "needed": 1, "inner": {}}, "Outer.inner lacks size"),
        ({"name": "a", "needed": 1, "many": {}}, "Outer.many is .*, not a list"),
        ({"name": "a", "needed": 1, "by_name": {"x": 3}}, "Outer.by_name.x is 3, not a dict"),
    ],
)
def test_other_shapes_are_refused_by_name(stored: Any, complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        from_json(Outer, stored)


def test_estimates_are_stored_to_five_digits() -> None:
    assert Estimate(1 / 3, 0, 1, 7).as_dict() == {"value": 0.33333, "low": 0, "high": 1, "n": 7}
    folded = FoldedEstimate(1 / 3, 0.0, 1.0, 7, 0.5, None)
    assert folded.rounded() == FoldedEstimate(0.33333, 0.0, 1.0, 7, 0.5, None)
