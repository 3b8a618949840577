"""Measures a model on a labelled dataset: one row an image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from agegender_core.datasets import FaceRecord, iter_images, read_records
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import ConfigError, DatasetError
from agegender_core.evaluation.decade_digit import decade_digit
from agegender_core.evaluation.faces_cache import read_faces, write_faces
from agegender_core.evaluation.metrics import estimates, persons, sliced, value_columns
from agegender_core.evaluation.report_types import (
    ANSWER_COLUMNS,
    LABEL_COLUMNS,
    DecadeDigit,
    Estimates,
    EvaluationReport,
)
from agegender_core.evaluation.summaries import summaries
from agegender_core.inference.decoding import (
    AgeKind,
    Answers,
    DecodingSpec,
    group_probs,
    read_out,
)
from agegender_core.inference.forward import run_network
from agegender_core.inference.model_zoo import ModelInfo, load_network, reading_of, trained_on
from agegender_core.labels import (
    ADIENCE_GROUPS,
    FAIRFACE_GROUPS,
    FAIRFACE_RACES,
    GENDERS,
    UTKFACE_RACE_AS_FAIRFACE,
    UTKFACE_RACES,
    group_names,
)
from agegender_core.output.files import write_json
from agegender_core.output.json_records import from_json, to_json
from agegender_core.types import Face, InputSpec, Progress
from agegender_core.vision.alignment import align
from agegender_core.vision.face_detector import MTCNNDetector
from agegender_core.vision.image_io import load_image
from agegender_core.vision.preprocessing import normalise, to_uint8

PREDICTION_COLUMNS = (*LABEL_COLUMNS, "detection_score", *ANSWER_COLUMNS)
"""Columns of ``predictions.parquet``, in order."""


def evaluate(
    info: ModelInfo, dataset_name: str, reports: Path, progress: Progress | None = None
) -> EvaluationReport:
    """Measure ``info`` on the test split of ``dataset_name``; write ``metrics.json`` and
    ``predictions.parquet``; return the report.
    """
    split = TEST_SPLITS[dataset_name]
    _refuse_seen(info, dataset_name, split)
    records = read_records(dataset_name, split)
    if not records:
        raise DatasetError(f"{dataset_name} has no image in its split «{split}»")
    if dataset_name == "fgnet":
        table, how = (
            predict_photos(info, records, progress),
            "whole photographs through detection, the largest face",
        )
    else:
        table, how = (
            predict_chips(info, records, progress),
            "face chips aligned by the set's landmarks",
        )
    gates = getattr(load_network(info), "gates", None)
    numbers = measured_numbers(table, info.decoding.kind)
    report = EvaluationReport(
        weights=info.name,
        weights_sha256=info.sha256,
        set=dataset_name,
        split=split,
        n=len(table),
        no_face=int((~table["face_found"]).sum()),
        how=how,
        decoding=reading_of(info),
        intervals=numbers.intervals,
        metrics=numbers.metrics,
        slices=numbers.slices,
        decade_digit=numbers.decade_digit,
        gates={name: round(gate, 4) for name, gate in gates.items()} if gates else None,
    )
    folder = reports / info.name / dataset_name
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / "predictions.parquet", index=False)
    write_json(folder / "metrics.json", to_json(report))
    return report


def _refuse_seen(info: ModelInfo, dataset_name: str, split: str) -> None:
    """Raise ``ConfigError`` for weights that learned from the images they are to be measured on, or
    of which that is not known.
    """
    stages = trained_on(info)
    if stages is None:
        raise ConfigError(
            f"it is not known which images {info.name} learned from, so that what it answers on"
            f" {dataset_name} is no measurement: train from scratch, from ImageNet weights or from"
            " published weights"
        )
    for names, learned in stages:
        if dataset_name in names and (learned == split or "all" in (learned, split)):
            raise ConfigError(
                f"{info.name} was trained on «{learned}» of {dataset_name}: what it answers on its"
                f" split «{split}» is no measurement"
            )


@dataclass(frozen=True)
class Numbers:
    """The part of an ``EvaluationReport`` that follows from a prediction table."""

    intervals: str
    metrics: Estimates
    slices: dict[str, dict[str, Estimates]]
    decade_digit: DecadeDigit | None = None


def measured_numbers(table: pd.DataFrame, kind: AgeKind) -> Numbers:
    """All numbers of a prediction table; ``kind`` of the model's ages."""
    values, who = value_columns(table), persons(table)
    drawn = "images drawn" if who is None else f"{len(set(who))} people drawn"
    return Numbers(
        intervals=f"95 % bootstrap, {drawn}",
        metrics=estimates(values, who) | summaries(table, who),
        slices=sliced(table, values, who),
        decade_digit=decade_digit(table) if kind == "decade_digit" else None,
    )


def count_again(info: ModelInfo, dataset_name: str, reports: Path) -> EvaluationReport | None:
    """Compute the numbers of a report again from the prediction table saved beside it; no network
    is run.

    None where nothing is saved. Raises ``ConfigError`` for a table made with other weights than
    ``info``'s.
    """
    path = reports / info.name / dataset_name / "metrics.json"
    if not (path.is_file() and path.with_name("predictions.parquet").is_file()):
        return None
    stored = json.loads(path.read_text())
    if stored["weights_sha256"] != info.sha256:
        raise ConfigError(
            f"{path} was made with other weights than the manifest's {info.name}: run"
            " «evaluate» without --again"
        )
    table = pd.read_parquet(path.with_name("predictions.parquet"))
    stored |= to_json(measured_numbers(table, info.decoding.kind))
    report = from_json(EvaluationReport, stored)
    write_json(path, stored)
    return report


def predict_chips(
    info: ModelInfo, records: Sequence[FaceRecord], progress: Progress | None = None
) -> pd.DataFrame:
    """Prediction table of face chips, aligned by their labelled landmarks."""
    logits = chip_logits(load_network(info), info, records, progress)
    answers = read_out(logits, info.decoding)
    return _table(records, answers, info.decoding, np.ones(len(records), bool), None)


def chip_logits(
    network: nn.Module,
    info: ModelInfo,
    records: Sequence[FaceRecord],
    progress: Progress | None = None,
    batch: int = 128,
) -> dict[str, torch.Tensor]:
    """Logits by head, (N, K) each, of the chips of one dataset."""
    return crop_logits(
        network, load_crops(records, info.input), info.input, info.flip, progress, batch
    )


def crop_logits(
    network: nn.Module,
    crops: np.ndarray,
    spec: InputSpec,
    flip: bool,
    progress: Progress | None = None,
    batch: int = 128,
) -> dict[str, torch.Tensor]:
    """Logits by head, (N, K) each, of (N, H, W, 3) uint8 crops."""
    parts: list[dict[str, torch.Tensor]] = []
    for start in range(0, len(crops), batch):
        images = normalise(to_uint8(crops[start : start + batch]), spec)
        parts.append(dict(run_network(network, images, flip).logits))
        if progress:
            progress(min(start + batch, len(crops)), len(crops))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def predict_photos(
    info: ModelInfo, records: Sequence[FaceRecord], progress: Progress | None = None
) -> pd.DataFrame:
    """Prediction table of whole photographs of one person, processed as the app does it; the
    largest face counts.
    """
    rows = tuple(record.row for record in records)
    faces = largest_faces(records[0].dataset, rows, progress)
    crops = [
        align(load_image(encoded), faces[row], info.input)
        for row, encoded in iter_images(records[0].dataset, rows)
        if row in faces
    ]
    if not crops:
        raise DatasetError(f"{records[0].dataset}: no face was detected in any of its images")
    logits = crop_logits(
        load_network(info), np.stack([np.asarray(crop) for crop in crops]), info.input, info.flip
    )
    seen = np.array([row in faces for row in rows])
    scores = np.array([faces[row].score if row in faces else np.nan for row in rows])
    return _table(records, read_out(logits, info.decoding), info.decoding, seen, scores)


_LARGEST_FACES: dict[tuple[str, tuple[int, ...]], dict[int, Face]] = {}


def largest_faces(
    dataset_name: str, rows: tuple[int, ...], progress: Progress | None = None
) -> dict[int, Face]:
    """Largest face by row of a dataset's photographs; rows without a face are left out. Detected
    once for all models.
    """
    if (dataset_name, rows) not in _LARGEST_FACES and (
        stored := read_faces(dataset_name, rows)
    ) is not None:
        _LARGEST_FACES[dataset_name, rows] = stored
    if (dataset_name, rows) not in _LARGEST_FACES:
        detector = MTCNNDetector()
        found: dict[int, Face] = {}
        for done, (row, encoded) in enumerate(iter_images(dataset_name, rows), start=1):
            faces = detector.detect(load_image(encoded))
            if faces:
                found[row] = faces[0]
            if progress:
                progress(done, len(rows))
        _LARGEST_FACES[dataset_name, rows] = found
        write_faces(dataset_name, rows, found)
    return _LARGEST_FACES[dataset_name, rows]


def _table(
    records: Sequence[FaceRecord],
    answers: Answers,
    spec: DecodingSpec,
    seen: np.ndarray,
    scores: np.ndarray | None,
) -> pd.DataFrame:
    labels = pd.DataFrame(
        {
            "file": [record.file for record in records],
            "subject": [record.subject for record in records],
            "split": [record.split for record in records],
            "age_true": np.array(
                [np.nan if record.age is None else record.age for record in records], dtype=float
            ),
            "age_range_true": [_range_name(record) for record in records],
            "gender_true": [record.gender for record in records],
            "race_true": [record.race for record in records],
            "face_found": seen,
            "detection_score": np.nan if scores is None else scores,
        }
    )
    found = _answer_columns(answers, spec, records[0].race_scheme)
    found.index = np.flatnonzero(seen)
    return labels.join(found)[list(PREDICTION_COLUMNS)]


def _range_name(record: FaceRecord) -> str | None:
    if record.age_range is None:
        return None
    return next(group.name for group in FAIRFACE_GROUPS if group.lo == record.age_range[0])


def _answer_columns(answers: Answers, spec: DecodingSpec, race_scheme: str | None) -> pd.DataFrame:
    count = len(answers.years)
    columns: dict[str, Any] = {
        "age_pred": answers.years,
        "age_low": np.full(count, np.nan) if answers.low is None else answers.low,
        "age_high": np.full(count, np.nan) if answers.high is None else answers.high,
        "gender_pred": [GENDERS[index] for index in answers.gender],
        "gender_probability": (
            np.full(count, np.nan)
            if answers.gender_probs is None
            else answers.gender_probs.max(axis=1)
        ),
        "race_pred": (
            None if answers.race_probs is None else _race_names(answers.race_probs, race_scheme)
        ),
    }
    for name, groups in (("fairface9", FAIRFACE_GROUPS), ("adience8", ADIENCE_GROUPS)):
        index = None
        if answers.age_probs is not None:
            index = group_probs(answers.age_probs, groups).argmax(axis=1)
        elif spec.groups == name:
            index = answers.group
        columns[f"{name}_pred"] = (
            None if index is None else [group_names(groups)[item] for item in index]
        )
    frame = pd.DataFrame(columns)
    return frame.astype(
        {name: "float32" for name in ("age_pred", "age_low", "age_high", "gender_probability")}
    )


def _race_names(probs: np.ndarray, scheme: str | None) -> list[str] | None:
    """Likeliest race in the dataset's own words: a category of UTKFace may combine several of
    FairFace's.
    """
    if scheme == "utkface5":
        gathered = [
            [FAIRFACE_RACES.index(part) for part in UTKFACE_RACE_AS_FAIRFACE[name]]
            for name in UTKFACE_RACES
        ]
        sums = np.stack([probs[:, members].sum(axis=1) for members in gathered], axis=1)  # (N, 5)
        return [UTKFACE_RACES[index] for index in sums.argmax(axis=1)]
    return [FAIRFACE_RACES[index] for index in probs.argmax(axis=1)]
