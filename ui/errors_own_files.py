"""A visitor's own labelled pictures, taken out of what was uploaded: zips, pictures, a CSV. In memory only, and no web framework."""

from __future__ import annotations

import csv
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from agegender_core.data.layouts.base import Collector, Skip, is_picture
from agegender_core.data.layouts.tables import take_rows
from agegender_core.data.layouts.utkface import CODED_GENDERS, NAME, OLDEST
from agegender_core.errors import DatasetError
from agegender_core.imaging import MAX_BYTES
from agegender_core.labels import UTKFACE_RACES
from ui.errors_own_set import SET, OwnSet

MAX_PICTURES, MAX_MEMBERS = 2000, 3 * 2000
MAX_TOTAL = 256 * 1024 * 1024
"""Bytes of all pictures, unpacked."""
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, RuntimeError, EOFError, OSError, ValueError)
"""What comes out of archives that are broken, encrypted or packed in an unknown way."""
HOW = "pictures named as UTKFace's are (26_1_2_20170117.jpg: age, gender 0 man or 1 woman, race, date), or with a CSV of file, age, gender"


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
        raise DatasetError(f"no labelled picture was found{why}: give {HOW}")
    return OwnSet(records, {record.file: contents[record.file] for record in records}, bad)


@dataclass(frozen=True)
class Given:
    """A file that was given, itself or in a zip. ``size``: its bytes unpacked, as it says; ``read`` raises one of ``DAMAGED``."""

    name: str
    size: int
    read: Callable[[], bytes]


def _unpacked(files: Iterable[tuple[str, bytes]]) -> tuple[dict[str, bytes], dict[str, bytes], list[Skip]]:
    """Pictures and tables by name, zips opened in memory, and what was left out. What is too much is not unpacked at all."""
    contents: dict[str, bytes] = {}
    tables: dict[str, bytes] = {}
    bad: list[Skip] = []
    room = MAX_TOTAL
    for given in _members(files, bad):
        table = given.name.lower().endswith(".csv")
        if not (table or is_picture(PurePosixPath(given.name).name)):
            bad.append(Skip(given.name, "neither a picture nor a CSV"))
        elif given.name in contents or given.name in tables:
            bad.append(Skip(given.name, "a file of this name came before"))
        elif given.size > MAX_BYTES:
            bad.append(Skip(given.name, f"larger than {MAX_BYTES // 1024 // 1024} MB"))
        elif given.size > room or len(contents) >= MAX_PICTURES:
            bad.append(Skip(given.name, f"beyond {MAX_PICTURES:,} pictures or {MAX_TOTAL // 1024 // 1024} MB: give a part of the set"))
        else:
            try:
                content = given.read()
            except DAMAGED:
                bad.append(Skip(given.name, "cannot be unpacked: damaged or with a password"))
                continue
            (tables if table else contents)[given.name] = content
            room -= len(content)
    return contents, tables, bad


def _members(files: Iterable[tuple[str, bytes]], bad: list[Skip]) -> Iterator[Given]:
    for name, content in files:
        if not name.lower().endswith(".zip"):
            yield Given(name, len(content), partial(bytes, content))
            continue
        try:
            archive = zipfile.ZipFile(io.BytesIO(content))
        except DAMAGED:
            bad.append(Skip(name, "not a zip, or a damaged one"))
            continue
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            bad.append(Skip(name, f"holds more than {MAX_MEMBERS:,} files: the first of them are read"))
        for member in members[:MAX_MEMBERS]:
            path = PurePosixPath(member.filename)
            if not (member.is_dir() or path.name.startswith(".") or path.parts[:1] in ((), ("__MACOSX",))):
                yield Given(member.filename, member.file_size, partial(_member, archive, member))


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The whole member and no more than it says, whatever the archive holds."""
    with archive.open(member) as handle:
        return handle.read(member.file_size)


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
    try:
        rows = [{(name or "").strip().lower(): value for name, value in row.items() if isinstance(value, str)} for row in reader]
    except csv.Error as error:
        raise DatasetError(f"the CSV cannot be read ({error}): save it anew with the columns file, age, gender") from error
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


def _places(files: Iterable[str]) -> dict[str, str | None]:
    """Names and their last parts to files; None where several share one."""
    found: dict[str, str | None] = {}
    for file in files:
        for name in {file, PurePosixPath(file).name}:
            found[name] = None if name in found else file
    return found
