"""A visitor's own labelled images: checked, run through networks one image at a time, and stored in
memory only. Independent of any web framework.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from agegender_core.analysis.image_quality import empty_row, measure
from agegender_core.analysis.prediction_table import ErrorTable, make_table
from agegender_core.datasets import FaceRecord
from agegender_core.datasets.readers.base import Skip
from agegender_core.errors import DatasetError, DetectorError, InvalidImageError
from agegender_core.labels import ADIENCE_GROUPS, FAIRFACE_GROUPS, AgeGroup, group_names
from agegender_core.types import AgeEstimate, Face, Prediction

SET = "own"


@dataclass
class UserDataset:
    """Uploaded images. ``contents``: encoded images by file. ``bad``: what cannot be used, and why.
    ``predictions``: by weights. ``name``: no other dataset has it.
    """

    records: list[FaceRecord]
    contents: dict[str, bytes]
    bad: list[Skip]
    predictions: dict[str, pd.DataFrame] = field(default_factory=dict)
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    faces: dict[str, Face | None] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"own-{uuid.uuid4().hex}")

    def table(self) -> ErrorTable:
        """All networks' predictions so far. Raises ``DatasetError`` without any."""
        if not self.predictions:
            raise DatasetError("no model has run on this dataset yet: choose one and start it")
        return make_table(SET, self.predictions, pd.DataFrame(list(self.conditions.values())))


@dataclass
class Job:
    """A run of one network over a dataset. Files that turn out not to be images are removed from
    the dataset.
    """

    own: UserDataset
    weights: str
    done: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Images in all."""
        return len(self.own.records)

    @property
    def left(self) -> bool:
        """Whether any image is still to be processed."""
        return self.done < self.total

    def step(self, predictor: Any) -> None:
        """Process the next image. One that cannot be read is listed as bad. Raises errors of the
        network.
        """
        record = self.own.records[self.done]
        content, known = self.own.contents[record.file], record.file in self.own.faces
        face = self.own.faces.get(record.file)
        try:
            found = predictor.run(content, (() if face is None else (face,)) if known else None)
        except (InvalidImageError, DetectorError) as error:
            self.own.bad.append(Skip(record.file, str(error)))
            del self.own.records[self.done]
            return
        first = found.predictions[0] if found.predictions else None
        self.rows.append(row_of(record, first))
        if not known:
            self.own.faces[record.file] = None if first is None else first.face
            seen = (
                empty_row(record.file, True)
                if first is None
                else {
                    "file": record.file,
                    "readable": True,
                    "face_found": True,
                    **measure(found.image, first.face),
                }
            )
            self.own.conditions[record.file] = dict(seen)
        self.done += 1

    def finish(self) -> bool:
        """Add the predictions so far to the dataset; True if any were added. If the first model was
        stopped, the dataset is reduced to the images it processed; if a later one was stopped, its
        predictions are discarded.
        """
        if not self.rows or (self.left and self.own.predictions):
            return False
        self.own.records = self.own.records[: self.done]
        files = {record.file for record in self.own.records}
        self.own.predictions = {
            name: table[table["file"].isin(files)] for name, table in self.own.predictions.items()
        }
        self.own.predictions[self.weights] = pd.DataFrame(self.rows)
        return True


def row_of(record: FaceRecord, found: Prediction | None) -> dict[str, Any]:
    """A row as in ``predictions.parquet``. Race is not estimated for uploads."""
    labels = {
        "file": record.file,
        "subject": record.subject,
        "split": record.split,
        "age_true": np.nan if record.age is None else float(record.age),
        "age_range_true": _range_name(record),
        "gender_true": record.gender,
        "race_true": record.race,
        "face_found": found is not None,
    }
    return labels | _answers(found)


def _answers(found: Prediction | None) -> dict[str, Any]:
    age, gender = (None, None) if found is None else (found.age, found.gender)
    low, high = (np.nan, np.nan) if age is None or age.interval is None else age.interval
    return {
        "age_pred": np.nan if age is None else age.years,
        "age_low": low,
        "age_high": high,
        "fairface9_pred": _group(age, FAIRFACE_GROUPS),
        "adience8_pred": _group(age, ADIENCE_GROUPS),
        "gender_pred": None if gender is None else gender.label,
        "gender_probability": (
            np.nan if gender is None or gender.confidence is None else gender.confidence
        ),
        "race_pred": None,
    }


def _group(age: AgeEstimate | None, groups: tuple[AgeGroup, ...]) -> str | None:
    """Likeliest of ``groups``, if the prediction determines it."""
    if age is None:
        return None
    if age.probs is not None:
        shares = [float(np.asarray(age.probs)[group.lo : group.hi + 1].sum()) for group in groups]
        return groups[int(np.argmax(shares))].name
    return (
        age.group
        if age.group in group_names(groups)
        and (age.ranges is None or age.ranges.labels == group_names(groups))
        else None
    )


def _range_name(record: FaceRecord) -> str | None:
    if record.age_range is None:
        return None
    return next(
        (group.name for group in FAIRFACE_GROUPS if (group.lo, group.hi) == record.age_range), None
    )
