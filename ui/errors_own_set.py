"""A visitor's own labelled pictures: checked, run through networks one picture at a time, and kept in memory only. No web framework."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from agegender_core.data import FaceRecord
from agegender_core.data.layouts.base import Collector, Skip, is_picture
from agegender_core.data.layouts.tables import take_rows
from agegender_core.data.layouts.utkface import CODED_GENDERS, NAME, OLDEST
from agegender_core.error_analysis.conditions import empty_row, measure
from agegender_core.error_analysis.table import ErrorTable, make_table
from agegender_core.errors import DatasetError, InvalidImageError
from agegender_core.imaging import MAX_BYTES
from agegender_core.labels import ADIENCE_GROUPS, FAIRFACE_GROUPS, UTKFACE_RACES, AgeGroup, group_names
from agegender_core.types import AgeEstimate, Face, Prediction

SET = "own"
MAX_PICTURES, MAX_MEMBERS = 2000, 3 * 2000
MAX_TOTAL = 256 * 1024 * 1024
"""Bytes of all pictures, unpacked."""
HOW = "give pictures named as UTKFace's (26_1_2_20170117.jpg: age, gender 0 man or 1 woman, race, date), or a CSV with file, age, gender"


@dataclass
class OwnSet:
    """What was given. ``contents``: encoded pictures by file. ``bad``: what cannot be used, and why. ``predictions``: by weights."""

    records: list[FaceRecord]
    contents: dict[str, bytes]
    bad: list[Skip]
    predictions: dict[str, pd.DataFrame] = field(default_factory=dict)
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    faces: dict[str, Face | None] = field(default_factory=dict)

    def table(self) -> ErrorTable:
        """All networks' answers so far. Raises ``DatasetError`` without any."""
        if not self.predictions:
            raise DatasetError("no network has looked at this set yet: choose one and start it")
        return make_table(SET, self.predictions, pd.DataFrame(list(self.conditions.values())))


@dataclass
class Job:
    """One network on its way through a set. Pictures that turn out to be none are taken out of the set."""

    own: OwnSet
    weights: str
    done: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Pictures in all."""
        return len(self.own.records)

    @property
    def left(self) -> bool:
        """Whether any is still to be looked at."""
        return self.done < self.total

    def step(self, predictor: Any) -> None:
        """The next picture. Raises errors of the network, not of the picture."""
        record = self.own.records[self.done]
        content, known = self.own.contents[record.file], record.file in self.own.faces
        face = self.own.faces.get(record.file)
        try:
            found = predictor.run(content, (() if face is None else (face,)) if known else None)
        except InvalidImageError as error:
            self.own.bad.append(Skip(record.file, str(error)))
            del self.own.records[self.done]
            return
        first = found.predictions[0] if found.predictions else None
        self.rows.append(row_of(record, first))
        if not known:
            self.own.faces[record.file] = None if first is None else first.face
            seen = empty_row(record.file, True) if first is None else {
                "file": record.file, "readable": True, "face_found": True, **measure(found.image, first.face)}  # fmt: skip
            self.own.conditions[record.file] = dict(seen)
        self.done += 1

    def finish(self) -> bool:
        """Put the answers so far into the set. A first network that was stopped leaves the set with what it has seen; a later one that
        was stopped leaves nothing. Whether anything was kept."""
        if not self.rows or (self.left and self.own.predictions):
            return False
        self.own.records = self.own.records[: self.done]
        kept = {record.file for record in self.own.records}
        self.own.predictions = {name: table[table["file"].isin(kept)] for name, table in self.own.predictions.items()}
        self.own.predictions[self.weights] = pd.DataFrame(self.rows)
        return True


def read_own(files: Iterable[tuple[str, bytes]]) -> OwnSet:
    """A set of uploaded files: zips, pictures and at most one CSV. Bad rows are listed, not fatal.

    Raises ``DatasetError`` where nothing at all can be used.
    """
    contents, tables, bad = _unpacked(files)
    collector = Collector(SET)
    if len(tables) > 1:
        bad += [Skip(name, "a second CSV: one is read, the first") for name in list(tables)[1:]]
    if tables:
        _from_table(collector, next(iter(tables.values())), contents)
    else:
        _from_names(collector, contents)
    records = [replace(record, row=index) for index, record in enumerate(collector.records)]
    bad += [*collector.skipped, *collector.incomplete]
    if not records:
        why = f" ({bad[0].file}: {bad[0].reason})" if bad else ""
        raise DatasetError(f"no labelled picture was found{why}: {HOW}")
    return OwnSet(records, {record.file: contents[record.file] for record in records}, bad)


def row_of(record: FaceRecord, found: Prediction | None) -> dict[str, Any]:
    """A row as in ``predictions.parquet``. Race is not asked of uploads."""
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
        "gender_probability": np.nan if gender is None or gender.confidence is None else gender.confidence,
        "race_pred": None,
    }


def _group(age: AgeEstimate | None, groups: tuple[AgeGroup, ...]) -> str | None:
    """Likeliest of ``groups``, where the network's answer tells."""
    if age is None:
        return None
    if age.probs is not None:
        shares = [float(np.asarray(age.probs)[group.lo : group.hi + 1].sum()) for group in groups]
        return groups[int(np.argmax(shares))].name
    return age.group if age.group in group_names(groups) and (age.ranges is None or age.ranges.labels == group_names(groups)) else None


def _range_name(record: FaceRecord) -> str | None:
    if record.age_range is None:
        return None
    return next((group.name for group in FAIRFACE_GROUPS if (group.lo, group.hi) == record.age_range), None)


def _unpacked(files: Iterable[tuple[str, bytes]]) -> tuple[dict[str, bytes], dict[str, bytes], list[Skip]]:
    """Pictures and tables by name, zips opened in memory, and what was left out."""
    contents: dict[str, bytes] = {}
    tables: dict[str, bytes] = {}
    bad: list[Skip] = []
    total = 0
    for name, content in _members(files, bad):
        if name.lower().endswith(".csv"):
            tables[name] = content
        elif not is_picture(PurePosixPath(name).name):
            bad.append(Skip(name, "neither a picture nor a CSV"))
        elif name in contents:
            bad.append(Skip(name, "a file of this name came before"))
        elif len(contents) >= MAX_PICTURES or total + len(content) > MAX_TOTAL:
            bad.append(Skip(name, f"beyond {MAX_PICTURES:,} pictures or {MAX_TOTAL // 1024 // 1024} MB: give a part of the set"))
        else:
            contents[name] = content
            total += len(content)
    return contents, tables, bad


def _members(files: Iterable[tuple[str, bytes]], bad: list[Skip]) -> Iterable[tuple[str, bytes]]:
    for name, content in files:
        if not name.lower().endswith(".zip"):
            yield name, content
            continue
        try:
            archive = zipfile.ZipFile(io.BytesIO(content))
        except zipfile.BadZipFile:
            bad.append(Skip(name, "not a zip, or a damaged one"))
            continue
        if len(archive.infolist()) > MAX_MEMBERS:
            bad.append(Skip(name, f"holds more than {MAX_MEMBERS:,} files: the first of them are read"))
        for member in archive.infolist()[:MAX_MEMBERS]:
            path = PurePosixPath(member.filename)
            if member.is_dir() or path.name.startswith(".") or path.parts[0] == "__MACOSX":
                continue
            if not (is_picture(path.name) or path.suffix.lower() == ".csv"):
                bad.append(Skip(member.filename, "neither a picture nor a CSV"))
                continue
            if member.file_size > MAX_BYTES:
                bad.append(Skip(member.filename, f"larger than {MAX_BYTES // 1024 // 1024} MB"))
                continue
            try:
                with archive.open(member) as handle:
                    yield member.filename, handle.read(MAX_BYTES + 1)[:MAX_BYTES]
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, zlib.error):
                bad.append(Skip(member.filename, "cannot be unpacked: damaged or with a password"))


def _from_names(collector: Collector, contents: dict[str, bytes]) -> None:
    for file in sorted(contents):
        parsed = NAME.match(PurePosixPath(file).name)
        if parsed is None or int(parsed[1]) > OLDEST:
            collector.skip(file, "the name is not age_gender_race_date, and there is no CSV")
            continue
        codes = parsed[2].split("_")[1:]
        gender = CODED_GENDERS[int(codes[0])] if len(codes) == 2 and codes[0] in ("0", "1") else None
        race = UTKFACE_RACES[int(codes[1])] if len(codes) == 2 and codes[1] in tuple("01234") else None
        missing = [f"the name tells no {label}: left unknown" for label, value in (("gender", gender), ("race", race)) if value is None]
        collector.add(file, missing=missing, age=int(parsed[1]), gender=gender, race=race, race_scheme="utkface5")


def _from_table(collector: Collector, table: bytes, contents: dict[str, bytes]) -> None:
    """Rows of the CSV whose picture is there; pictures it does not name are listed."""
    text = table.decode("utf-8-sig", errors="replace")
    header = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=header.count), restval="")
    rows = [{(name or "").strip().lower(): value for name, value in row.items() if isinstance(value, str)} for row in reader]
    if "file" not in [name.strip().lower() for name in reader.fieldnames or ()]:
        raise DatasetError(f"the CSV has the columns {', '.join(reader.fieldnames or ()) or 'none'}: it needs file, age, gender")
    places = _places(contents)
    kept = []
    for row in rows:
        given = row["file"].strip()
        file = places.get(given) or places.get(PurePosixPath(given).name)
        if file is None:
            collector.skip(given or "(empty)", "the CSV names a picture that was not given")
        else:
            kept.append({name: value.strip() or None for name, value in row.items()} | {"file": file})
    take_rows(collector, kept)
    used = {row["file"] for row in kept}
    for file in sorted(set(contents) - used):
        collector.skip(file, "the CSV does not name it")


def _places(files: Sequence[str] | dict[str, bytes]) -> dict[str, str | None]:
    """Names and their last parts to files; None where several share one."""
    found: dict[str, str | None] = {}
    for file in files:
        for name in {file, PurePosixPath(file).name}:
            found[name] = None if name in found else file
    return found
