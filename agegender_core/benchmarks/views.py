"""What a second view, the mirrored crop, adds to every published network: ``agegender bench --part
views``.

On the validation splits of a network's own training datasets, never on a test split: the answer
decides what is published. How logits are read is fitted for one view and for two alike, on the same
images as ``publish`` does, so that neither is read as the other should be. No time is measured: two
views are twice the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from agegender_core.benchmarks.workers import Report
from agegender_core.datasets import FaceRecord, labelled_targets, read_records
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.datasets.parquet_store import dataset_path
from agegender_core.errors import DatasetError
from agegender_core.evaluation.calibration import Validation, fit
from agegender_core.evaluation.metrics import stored_mean
from agegender_core.evaluation.report_store import read_views
from agegender_core.evaluation.speed_reports import ViewsCompared, ViewsReport, ViewsRow
from agegender_core.inference.decoding import DecodingSpec, fairface_ranges, read_out
from agegender_core.inference.forward import mean_of_views, mirrored_views
from agegender_core.inference.model_zoo import ModelInfo, is_current, list_weights, load_network
from agegender_core.labels import FAIRFACE_GROUPS, group_index
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.training.config import recipe_of
from agegender_core.training.crop_dataset import usable_rows
from agegender_core.types import InputSpec
from agegender_core.vision.preprocessing import normalise, to_uint8

LEAST_GAIN = 0.05
"""Years of mean absolute error that a second view has to gain to be kept."""
SPLIT = "val"
BATCH = 128


def networks_to_measure() -> list[ModelInfo]:
    """Every installed network of the manifest. Raises ``DatasetError`` where a dataset that one of
    them was trained on is absent.
    """
    entries = [info for info in list_weights() if info.installed]
    for name in dict.fromkeys(name for info in entries for name in info.training["sets"]):
        dataset_path(name)
    return entries


def run_views(reports: Path | None = None, say: Report = lambda text: None) -> ViewsReport:
    """Measure every installed network.

    With ``reports``, ``views.json`` there is written after each network, and a row in it that was
    measured with the same weights is kept: after new weights, or a stop, only what is missing is
    measured. Raises ``DatasetError`` or ``WeightsError``.
    """
    entries = networks_to_measure()
    records = _validation_records(entries)
    saved = (read_views(reports) if reports is not None else None) or ViewsReport()
    rows = _kept(saved, entries)
    for number, info in enumerate(entries, start=1):
        if info.name in rows:
            continue
        say(f"views of {info.name}, network {number} of {len(entries)}")
        rows[info.name] = measure(info, {name: records[name] for name in info.training["sets"]})
        if reports is not None:
            write_json(reports / "views.json", to_json(_report(rows, entries)))
    return _report(rows, entries)


def views_by_rule(row: ViewsRow) -> int:
    """How many views the rule asks for: two where the second gains ``LEAST_GAIN`` years; without
    exact ages, where more ranges or genders are right, the whole interval above 0.
    """
    if row.years is not None:
        return 2 if row.years.gain.value >= LEAST_GAIN else 1
    others = [found for found in (row.ranges, row.gender) if found is not None]
    return 2 if any(found.gain.low > 0 for found in others) else 1


def measure(info: ModelInfo, splits: Mapping[str, Sequence[FaceRecord]]) -> ViewsRow:
    """One network on ``splits``, the validation images of its datasets by name."""
    network = load_network(info)
    parts = [
        both_logits(network, load_crops(records, info.input), info.input)
        for records in splits.values()
    ]
    records = [record for found in splits.values() for record in found]
    one, two = (
        _image_values(_joined([part[view] for part in parts]), info, records) for view in (0, 1)
    )
    where = np.array([record.dataset for record in records])
    by_set = {name: _compared(one, two, "error", where == name) for name in splits}
    return ViewsRow(
        weights=info.name,
        weights_sha256=info.sha256,
        sets=tuple(splits),
        manifest_views=_views(info),
        mae={name: found for name, found in by_set.items() if found is not None},
        years=_compared(one, two, "error"),
        ranges=_compared(one, two, "range"),
        gender=_compared(one, two, "gender"),
    )


@torch.inference_mode()
def both_logits(
    network: nn.Module, crops: np.ndarray, spec: InputSpec
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Logits by head, (N, K) each, of (N, H, W, 3) uint8 crops as they are, and their means over
    the crops and their mirror images. The network runs on each view once.
    """
    one: list[dict[str, Tensor]] = []
    two: list[dict[str, Tensor]] = []
    for start in range(0, len(crops), BATCH):
        images = normalise(to_uint8(crops[start : start + BATCH]), spec)  # (B, 3, H, W)
        logits = network(mirrored_views(images, flip=True)).logits  # (2B, K) each
        one.append({name: value[: len(images)] for name, value in logits.items()})
        two.append({name: mean_of_views(value, flip=True) for name, value in logits.items()})
    return _joined(one), _joined(two)


def _joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def fitted(
    logits: Mapping[str, Tensor], info: ModelInfo, records: Sequence[FaceRecord]
) -> DecodingSpec:
    """How ``publish`` would have these logits of ``records`` read: fitted on those with labels for
    the heads.
    """
    usable = usable_rows(records, recipe_of(info))
    rows = torch.from_numpy(usable)
    targets = labelled_targets(
        [record for record, keep in zip(records, usable, strict=True) if keep]
    )
    chosen = {name: value[rows] for name, value in logits.items()}
    return fit(info.decoding, Validation(chosen, targets))


def _image_values(
    logits: Mapping[str, Tensor], info: ModelInfo, records: Sequence[FaceRecord]
) -> dict[str, np.ndarray]:
    """(N,) each, NaN where the label is unknown: the absolute «error» in years, and whether
    «range», of FairFace's, and «gender» are right.
    """
    spec, targets = fitted(logits, info, records), labelled_targets(records)
    answers = read_out(logits, spec)
    exact = (targets.age_lo >= 0) & (targets.age_lo == targets.age_hi)
    ranged = (targets.age_lo >= 0) & (targets.age_lo != targets.age_hi)
    right = np.full(len(exact), np.nan)
    chosen = fairface_ranges(answers, spec)
    if chosen is not None:
        true = [group_index(int(age), FAIRFACE_GROUPS) for age in targets.age_lo[ranged]]
        right[ranged] = chosen[ranged] == np.array(true, dtype=np.int64)
    return {
        "error": np.where(exact, np.abs(answers.years - targets.age_lo), np.nan),
        "range": right,
        "gender": np.where(targets.gender >= 0, answers.gender == targets.gender, np.nan),
    }


def _compared(
    one: Mapping[str, np.ndarray],
    two: Mapping[str, np.ndarray],
    name: str,
    rows: np.ndarray | slice = slice(None),
) -> ViewsCompared | None:
    """The metric ``name`` of ``_image_values`` over ``rows``; None where no image has it."""
    before, after = one[name][rows], two[name][rows]
    gain = stored_mean(before - after if name == "error" else after - before)
    if gain is None:
        return None
    return ViewsCompared(
        one=round(float(np.nanmean(before)), 5), two=round(float(np.nanmean(after)), 5), gain=gain
    )


def _validation_records(entries: Sequence[ModelInfo]) -> dict[str, list[FaceRecord]]:
    """By dataset. Read before anything is measured, so that a damaged one is known at once."""
    found = {}
    for name in dict.fromkeys(name for info in entries for name in info.training["sets"]):
        found[name] = read_records(name, SPLIT)
        if not found[name]:
            raise DatasetError(f"dataset {name!r} has no image in split {SPLIT!r}")
    return found


def _kept(saved: ViewsReport, entries: Sequence[ModelInfo]) -> dict[str, ViewsRow]:
    """Rows of ``saved`` that are of today's weights, by name."""
    current = {info.name: info for info in entries}
    return {
        row.weights: replace(row, manifest_views=_views(current[row.weights]))
        for row in saved.rows
        if row.weights in current and is_current(row, current[row.weights])
    }


def _report(rows: Mapping[str, ViewsRow], entries: Sequence[ModelInfo]) -> ViewsReport:
    return ViewsReport(rows=tuple(rows[info.name] for info in entries if info.name in rows))


def _views(info: ModelInfo) -> int:
    return 2 if info.flip else 1
