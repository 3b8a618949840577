"""A visitor's own labelled images from uploaded files: zips, images, a CSV. In memory only, and
independent of any web framework.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from agegender_core.analysis.user_set import SET, UserDataset
from agegender_core.analysis.user_tables import (
    MAX_NAME,
    MAX_PARTS,
    MAX_TABLE,
    Row,
    match_names,
    read_rows,
    tidy,
)
from agegender_core.datasets.readers.base import Collector, Skip, is_image_file
from agegender_core.datasets.readers.label_columns import take_rows
from agegender_core.datasets.readers.utkface import CODED_GENDERS, NAME, OLDEST
from agegender_core.errors import DatasetError
from agegender_core.labels import UTKFACE_RACES
from agegender_core.vision.image_io import MAX_BYTES

MAX_IMAGES, MAX_MEMBERS, MAX_ENTRIES = 2000, 3 * 2000, 20_000
"""Images of a dataset, files read from a zip, and entries a zip may have to be opened at all.
"""
MAX_TOTAL = 160 * 1024 * 1024
"""Bytes of all images, unpacked; files that turn out to be damaged count as well."""
MAX_REMARKS = 2000
"""Remarks that are listed one by one."""
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
"""Accepted compressions. LZMA lets an archive dictate how much memory its reader allocates."""
TABLES, SPREADSHEETS = (".csv", ".tsv"), (".xlsx", ".xls", ".ods", ".numbers")
JUNK = ("thumbs.db", "desktop.ini")
HOW = (
    "images named in UTKFace style (26_1_2_20170117.jpg: age, gender 0 man or 1 woman, race, date),"
    " or with a CSV of file, age, gender"
)


@dataclass
class Remarks:
    """What was left out and why, one by one up to ``MAX_REMARKS``. ``hidden``: files that operating
    systems add.
    """

    listed: list[Skip] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, file: str, reason: str) -> None:
        """Add a remark."""
        if len(self.listed) < MAX_REMARKS:
            self.listed.append(Skip(file or "(no name)", reason))
        else:
            self.more += 1

    def all(self) -> list[Skip]:
        """Everything, hidden files in one line."""
        found = list(self.listed)
        if self.hidden:
            others = f", and {len(self.hidden) - 1:,} more like it" if len(self.hidden) > 1 else ""
            found.append(Skip(self.hidden[0], f"a hidden file of the system, not read{others}"))
        if self.more:
            found.append(Skip("…", f"{self.more:,} more remarks"))
        return found


def read_user_dataset(files: Iterable[tuple[str, bytes]]) -> UserDataset:
    """A dataset of uploaded files: zips, images and at most one CSV. Bad rows are listed, not
    fatal.

    Raises ``DatasetError`` where nothing at all can be used.
    """
    remarks = Remarks()
    contents, tables = _unpacked(files, remarks)
    collector = Collector(SET)
    if tables:
        _from_table(collector, _first_table(tables, remarks), contents)
    else:
        _from_names(collector, contents)
    for skip in (*collector.skipped, *collector.incomplete):
        remarks.add(*skip)
    records = [replace(record, row=index) for index, record in enumerate(collector.records)]
    bad = remarks.all()
    if not records:
        why = f" ({bad[0].file}: {bad[0].reason})" if bad else ""
        raise DatasetError(f"no labelled image was found{why}: upload {HOW}")
    return UserDataset(records, {record.file: contents[record.file] for record in records}, bad)


@dataclass(frozen=True)
class UploadedFile:
    """A file that was uploaded, by itself or in a zip. ``size``: its declared bytes unpacked;
    ``read`` may raise anything. ``trouble``: why it is not read at all.
    """

    name: str
    size: int
    read: Callable[[], bytes]
    trouble: str = ""


def _unpacked(
    files: Iterable[tuple[str, bytes]], remarks: Remarks
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Images and tables by their tidy name, zips opened in memory. Files beyond the limits are not
    unpacked at all.
    """
    contents: dict[str, bytes] = {}
    tables: dict[str, bytes] = {}
    room = MAX_TOTAL
    for upload in _members(files, remarks):
        table = upload.name.lower().endswith(TABLES)
        if _hidden(upload.name):
            remarks.hidden.append(upload.name)
            continue
        reason = upload.trouble or _unusable(upload, table)
        if not reason and (upload.name in contents or upload.name in tables):
            reason = "a file of this name came before"
        if not reason and (upload.size > room or len(contents) >= MAX_IMAGES):
            reason = (
                f"beyond {MAX_IMAGES:,} images or {MAX_TOTAL // 1024 // 1024} MB: upload a part of"
                " the dataset"
            )
        if not reason:
            room -= upload.size
            try:
                (tables if table else contents)[upload.name] = upload.read()
                continue
            except Exception:
                # Zipfile and its decoders raise a dozen types, and not always the same ones.
                reason = "cannot be unpacked: the zip is damaged there"
        remarks.add(upload.name, reason)
    return contents, tables


def _hidden(name: str) -> bool:
    """Whether an operating system added this file: «._labels.csv», «__MACOSX/…»,
    «Thumbs.db».
    """
    parts = name.split("/")
    return (
        parts[0] == "__MACOSX"
        or parts[-1].lower() in JUNK
        or any(part.startswith(".") and part != ".." for part in parts)
    )


def _unusable(upload: UploadedFile, table: bool) -> str:
    """Why a file is not read, by its name and size; empty if it is."""
    lower, parts = upload.name.lower(), upload.name.split("/")
    if len(upload.name) > MAX_NAME or len(parts) > MAX_PARTS:
        return f"its name has more than {MAX_NAME:,} characters or {MAX_PARTS} folders"
    if lower.endswith(".zip"):
        return "a zip in a zip is not opened: unpack it first"
    if lower.endswith(SPREADSHEETS):
        return "a spreadsheet: save it as CSV"
    if not (table or is_image_file(parts[-1])):
        return "neither an image nor a CSV"
    most = MAX_TABLE if table else MAX_BYTES
    return f"larger than {most // 1024 // 1024} MB" if upload.size > most else ""


def _members(files: Iterable[tuple[str, bytes]], remarks: Remarks) -> Iterator[UploadedFile]:
    for name, content in files:
        if not name.lower().endswith(".zip"):
            yield UploadedFile(tidy(name), len(content), partial(bytes, content))
        elif content.count(b"PK\x01\x02") > MAX_ENTRIES:
            # Before the list of them is read: a million take a gigabyte.
            remarks.add(
                name, f"contains more than {MAX_ENTRIES:,} files: upload a part of the dataset"
            )
        else:
            yield from _zipped(name, content, remarks)


def _zipped(name: str, content: bytes, remarks: Remarks) -> Iterator[UploadedFile]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except Exception:
        remarks.add(name, "not a zip, or a damaged one")
        return
    members = archive.infolist()
    if not members:
        remarks.add(name, "an empty zip")
    if len(members) > MAX_MEMBERS:
        remarks.add(name, f"contains more than {MAX_MEMBERS:,} files: the first of them are read")
    for member in members[:MAX_MEMBERS]:
        shown = tidy(_decoded(member))
        if not member.filename.endswith(("/", "\\")):
            trouble = _locked(member) if shown else f"a file without a name in {name}"
            yield UploadedFile(shown, member.file_size, partial(_member, archive, member), trouble)


def _decoded(member: zipfile.ZipInfo) -> str:
    """A member's name. Macs write UTF-8 without the flag for it, and ``zipfile`` then assumes code
    page 437.
    """
    if not member.flag_bits & 0x800:
        try:
            return member.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return member.filename


def _locked(member: zipfile.ZipInfo) -> str:
    """Why a member cannot be unpacked here, checked before trying."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link to another file, not an image"
    if member.flag_bits & 0x41:
        return "locked with a password: make the zip without one"
    return (
        ""
        if member.compress_type in PACKED
        else "packed in an unusual way: make the zip with ordinary compression"
    )


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The whole member, and no more than its declared size, whatever the archive contains."""
    with archive.open(member) as handle:
        return handle.read(member.file_size)


def _from_names(collector: Collector, contents: dict[str, bytes]) -> None:
    for file in sorted(contents):
        parsed = NAME.match(file.rpartition("/")[2])
        if parsed is None or int(parsed[1]) > OLDEST:
            collector.skip(file, "the name is not age_gender_race_date, and there is no CSV")
            continue
        codes = parsed[2].split("_")[1:]
        gender = (
            CODED_GENDERS[int(codes[0])] if len(codes) == 2 and codes[0] in ("0", "1") else None
        )
        race = (
            UTKFACE_RACES[int(codes[1])] if len(codes) == 2 and codes[1] in tuple("01234") else None
        )
        missing = [
            f"the name has no {label}: left unknown"
            for label, value in (("gender", gender), ("race", race))
            if value is None
        ]
        collector.add(
            file,
            missing=missing,
            age=int(parsed[1]),
            gender=gender,
            race=race,
            race_scheme="utkface5",
        )


def _first_table(tables: dict[str, bytes], remarks: Remarks) -> list[Row]:
    """Rows of the first table that can be used; the others are listed. Raises ``DatasetError`` of
    the first where none can.
    """
    found: list[Row] | None = None
    first: DatasetError | None = None
    for name, table in tables.items():
        if found is not None:
            remarks.add(name, "a second CSV: one is read, the first")
            continue
        try:
            found = read_rows(name, table)
        except DatasetError as error:
            first = first or error
            remarks.add(name, str(error))
    if found is None:
        raise first or DatasetError(f"there is no table: upload {HOW}")
    return found


def _from_table(collector: Collector, rows: list[Row], contents: dict[str, bytes]) -> None:
    """Rows of the CSV whose image is there; images it does not name are listed."""
    used_rows, files = [], match_names([row["file"] or "" for row in rows], contents)
    for row, (file, reason) in zip(rows, files, strict=True):
        if file is None:
            collector.skip(row["file"] or "(no file name)", reason)
        else:
            used_rows.append(row | {"file": file})
    take_rows(collector, used_rows)
    used = {row["file"] for row in used_rows}
    for file in sorted(set(contents) - used):
        collector.skip(file, "the CSV does not name it")
