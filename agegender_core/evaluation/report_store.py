"""Reads what ``evaluate``, ``protocol``, ``leakage``, ``ablate``, ``rivals`` and ``bench`` wrote
into ``reports/``. Imports nothing heavy. A damaged file raises ``DatasetError``.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import DatasetError
from agegender_core.evaluation.report_types import (
    AblationReport,
    AttentionReport,
    BenchReport,
    CorruptionsReport,
    EvaluationReport,
    LeakageReport,
    LivePathReport,
    LoadReport,
    PagesReport,
    ProtocolReport,
    RivalsReport,
)
from agegender_core.evaluation.speed_reports import (
    PeersReport,
    PreviousReport,
    ScalingReport,
    ViewsReport,
)
from agegender_core.output.json_records import from_json
from agegender_core.training.curves import LearningCurve

if TYPE_CHECKING:
    import numpy as np

EDGE = 0.02
"""A mask's value closer than this to 0 or 1 is saturated: its gradient has all but vanished."""
FILES_KEPT = 256
"""Parsed reports that are kept, some tens of kilobytes each."""
T = TypeVar("T")


def read_reports(folder: Path) -> list[EvaluationReport]:
    """Every ``metrics.json`` under ``folder``, by weights and by the order of ``TEST_SPLITS``."""
    found = [_parsed(path, EvaluationReport) for path in sorted(folder.glob("*/*/metrics.json"))]
    order = list(TEST_SPLITS)
    return sorted(
        found,
        key=lambda report: (
            report.weights,
            order.index(report.set) if report.set in order else len(order),
        ),
    )


def read_protocols(folder: Path) -> list[ProtocolReport]:
    """What every run of a published protocol wrote, by weights, protocol and dataset."""
    found = [_parsed(path, ProtocolReport) for path in sorted(folder.glob("*/protocols/*.json"))]
    return sorted(found, key=lambda row: (row.weights, row.protocol, row.set))


def read_curves(folder: Path) -> dict[str, LearningCurve]:
    """Learning curves by weights, as ``training.curves.save_curve`` wrote them."""
    return {
        path.parent.name: _parsed(path, LearningCurve)
        for path in sorted(folder.glob("*/curve.json"))
    }


def read_bench(folder: Path) -> BenchReport | None:
    """What ``bench`` wrote, or None."""
    return _read(folder / "bench.json", BenchReport)


def read_pages(folder: Path) -> PagesReport | None:
    """What the bench of the pages in a browser wrote, or None."""
    return _read(folder / "pages.json", PagesReport)


def read_peers(folder: Path) -> PeersReport | None:
    """What ``bench --part peers`` wrote, or None."""
    return _read(folder / "peers.json", PeersReport)


def read_previous(folder: Path) -> PreviousReport | None:
    """What ``bench --previous`` wrote, or None."""
    return _read(folder / "previous.json", PreviousReport)


def read_scaling(folder: Path) -> ScalingReport | None:
    """What ``bench --part scaling`` wrote, or None."""
    return _read(folder / "scaling.json", ScalingReport)


def read_views(folder: Path) -> ViewsReport | None:
    """What ``bench --part views`` wrote, or None."""
    return _read(folder / "views.json", ViewsReport)


def read_live_path(folder: Path) -> LivePathReport | None:
    """What the bench of live video in a browser wrote, or None."""
    return _read(folder / "live.json", LivePathReport)


def read_load(folder: Path) -> LoadReport | None:
    """What the test of the server under load wrote, or None."""
    return _read(folder / "load.json", LoadReport)


def read_leakage(folder: Path) -> LeakageReport | None:
    """What ``leakage`` wrote, or None."""
    return _read(folder / "leakage.json", LeakageReport)


def read_corruptions(folder: Path) -> CorruptionsReport | None:
    """What ``corruptions`` wrote, or None."""
    return _read(folder / "corruptions.json", CorruptionsReport)


def read_ablation(folder: Path, name: str) -> AblationReport | None:
    """What ``ablate`` wrote of the comparison ``name``, or None."""
    return _read(folder / "ablations" / f"{name}.json", AblationReport)


def read_ablations(folder: Path) -> list[AblationReport]:
    """What ``ablate`` wrote, by name."""
    return [_parsed(path, AblationReport) for path in sorted(folder.glob("ablations/*.json"))]


def read_rivals(folder: Path) -> RivalsReport | None:
    """What ``rivals`` wrote, or None."""
    return _read(folder / "rivals.json", RivalsReport)


def read_attention(
    reports: Path, weights: str, dataset_name: str
) -> tuple[AttentionReport, dict[str, np.ndarray]] | None:
    """What ``attention-report`` wrote for ``weights`` on a dataset, and its arrays by name (see
    ``attention_report``), or None.
    """
    import numpy as np

    path = reports / weights / "attention" / f"{dataset_name}.json"
    if not (path.is_file() and path.with_suffix(".npz").is_file()):
        return None
    with np.load(path.with_suffix(".npz")) as arrays:
        return _parsed(path, AttentionReport), dict(arrays)


def read_attentions(reports: Path) -> list[AttentionReport]:
    """All attention reports, without their arrays."""
    return [_parsed(path, AttentionReport) for path in sorted(reports.glob("*/attention/*.json"))]


def _read(path: Path, kind: type[T]) -> T | None:
    return _parsed(path, kind) if path.is_file() else None


def _parsed(path: Path, kind: type[T]) -> T:
    """Raises ``DatasetError`` that names the file. A file is parsed again only after it has
    changed: nobody changes what this returns.
    """
    found = path.stat()
    return _parsed_once(
        path, cast(Hashable, kind), (found.st_mtime_ns, found.st_size, found.st_ino)
    )


@lru_cache(maxsize=FILES_KEPT)
def _parsed_once(path: Path, kind: Hashable, stamp: tuple[int, int, int]) -> Any:
    """``stamp``: of the file, which makes a changed one another key."""
    try:
        return from_json(cast("type[Any]", kind), json.loads(path.read_text()))
    except (ValueError, DatasetError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
