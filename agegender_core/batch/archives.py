"""Images in zips, listed without unpacking anything. What is read at once is bounded whatever the
archive claims."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator

from agegender_core.batch.image_refs import Item, NoPlace, ZipPlace
from agegender_core.errors import AgeGenderError, DatasetError
from agegender_core.vision.image_io import IMAGE_SUFFIXES

ENCRYPTED = 0x1
ARCHIVE_SUFFIXES = frozenset({".zip", ".7z", ".rar", ".tar", ".tgz"})
DIRECTORY_BYTES = 64 * 2**20
"""Largest table of contents of a zip, enough for half a million images; in memory it takes up to
ten times as much."""
NESTED = (
    "This is an archive inside an archive. Unpack the outer one, and give the inner one or its"
    " folder by name."
)


def printable(name: str) -> str:
    """A file's name as valid Unicode; bytes of names that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def reason(error: Exception) -> str:
    """One line of an error, foreign ones with their class name; never longer than a sentence."""
    line = " ".join(str(error).split())
    line = line if len(line) <= 300 else f"{line[:299]}…"
    return (
        line
        if isinstance(error, AgeGenderError | OSError | zipfile.BadZipFile) and line
        else f"{type(error).__name__} {line}".strip()
    )


class _Directory(io.FileIO):
    """A zip opened for its table of contents, which is read at once whatever size the archive
    claims for it."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > DIRECTORY_BYTES:
            most = DIRECTORY_BYTES // 2**20
            raise DatasetError(f"its table of contents has more than {most} MB: make several zips")
        return super().read(size)


def zip_items(path: str, key: str, file: str) -> Iterator[Item]:
    """Images in a zip, by suffix, hidden ones left out; an archive inside it becomes a failure.
    Raises whatever ``zipfile`` does."""
    with _Directory(path) as opened, zipfile.ZipFile(opened) as archive:
        members = archive.infolist()
        last = archive.NameToInfo
    repeated: dict[str, int] = {}
    for member in members:
        suffix = os.path.splitext(member.filename)[1].lower()
        if (
            suffix not in IMAGE_SUFFIXES | ARCHIVE_SUFFIXES
            or member.filename.endswith("/")
            or _hidden(member.filename)
        ):
            continue
        name = printable(member.filename)
        if last[member.filename] is not member:  # a name may come twice in a zip
            name_key = f"{name}@{member.header_offset}"
            repeated[name_key] = repeated.get(name_key, 0) + 1
            name_key += f"@{repeated[name_key]}" if repeated[name_key] > 1 else ""
        else:
            name_key = name
        yield Item(
            f"{key}/{name_key}",
            f"{file}/{name}",
            NoPlace(NESTED) if suffix in ARCHIVE_SUFFIXES else _zip_place(path, member),
        )


def _hidden(name: str) -> bool:
    return any(
        part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in name.split("/")
    )


def _zip_place(path: str, member: zipfile.ZipInfo) -> ZipPlace:
    return ZipPlace(
        path,
        member.header_offset,
        member.compress_size,
        member.file_size,
        member.compress_type,
        member.CRC,
        bool(member.flag_bits & ENCRYPTED),
    )
