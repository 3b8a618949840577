"""Images by name: what a glob matches and what lies below a folder. For the commands ``predict``
and ``batch``.

Links to folders are followed, each real folder is visited once and links come last: a link to a
parent folder does no harm, and no image is listed under two names because of one. A path that
exists is taken literally, whatever characters are in it.
"""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
import re
from collections import deque
from collections.abc import Collection, Iterator
from typing import NamedTuple

from agegender_core.errors import DatasetError
from agegender_core.vision.image_io import IMAGE_SUFFIXES

CLOSED = "This folder may not be read. Check its permissions."
"""What is wrong with a folder that is listed itself."""
Identity = tuple[int, int]
"""Device and inode: the same for every name of a folder."""


class Entry(NamedTuple):
    """What a folder contains: a file or a folder, or a link to one."""

    path: str
    is_folder: bool
    is_link: bool


def expand_glob(pattern: str) -> list[str]:
    """Files a glob matches, sorted, and after them folders that may not be read; ``pattern``
    itself where it exists or is no glob.

    Each part of the path that exists is taken literally: «Urlaub [2020]/*.jpg» means that folder.
    ``**`` stands for all folders below. A path with brackets alone that matches nothing is taken
    for the name of a missing file. Raises ``DatasetError`` for any other glob without a match.
    """
    if os.path.lexists(pattern) or not glob.has_magic(pattern):
        return [pattern]
    closed: list[str] = []
    paths = set(_matches(pattern, closed))
    files = _each_once(path for path in paths if not os.path.isdir(path))
    if files or closed:
        return [*files, *sorted(set(closed))]
    if paths:
        raise DatasetError(
            f"{pattern!r} matches folders only: give the folders themselves, or end it with"
            " /**/*.jpg"
        )
    if not any(sign in pattern for sign in "*?"):
        return [pattern]
    raise DatasetError(f"nothing matches {pattern!r}")


def images_below(folder: str, others: Collection[str] = ()) -> Iterator[str]:
    """Images below ``folder``, by suffix, in a fixed order, hidden ones left out; ``others`` are
    folders listed on their own. A folder that may not be read is listed itself, so that it is
    reported."""
    for path in files_below(folder, others):
        if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES or os.path.isdir(path):
            yield path


def files_below(folder: str, others: Collection[str] = ()) -> Iterator[str]:
    """As ``images_below``, files of every kind."""
    seen = {identity for other in others if (identity := folder_identity(other)) is not None}
    for parent, entries in _folders(folder, seen):
        if entries is None:
            yield parent
        for entry in entries or ():
            if not entry.is_folder:
                yield entry.path


def folder_identity(folder: str) -> Identity | None:
    """The same value for all paths of one folder; None where there is none."""
    try:
        status = os.stat(folder or os.curdir)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _folders(top: str, seen: set[Identity]) -> Iterator[tuple[str, list[Entry] | None]]:
    """``top`` and every visible folder below it that is not in ``seen``, with its visible entries
    by name, None where it may not be read.

    First all that is reached without links, then what links lead to.
    """
    linked = deque([top])
    while linked:
        start = linked.popleft()
        stack = [start]
        while stack:
            folder = stack.pop()
            identity = folder_identity(folder)
            if identity is None or (identity in seen and folder is not top):
                continue
            seen.add(identity)
            entries = _entries(folder)
            yield folder, entries
            inner = [entry for entry in entries or () if entry.is_folder]
            linked += [entry.path for entry in inner if entry.is_link]
            stack += [entry.path for entry in reversed(inner) if not entry.is_link]


def _entries(folder: str) -> list[Entry] | None:
    """Visible entries by name; their paths begin with ``folder`` as it is passed, which may be
    empty for the working folder.
    """
    try:
        with os.scandir(folder or os.curdir) as found:
            visible = sorted(
                (entry for entry in found if not entry.name.startswith(".")),
                key=lambda entry: entry.name,
            )
            return [
                Entry(
                    os.path.join(folder, entry.name), os.path.isdir(entry.path), entry.is_symlink()
                )
                for entry in visible
            ]
    except OSError:
        return None


def _matches(pattern: str, closed: list[str]) -> Iterator[str]:
    """Paths of every kind that match, some of them repeatedly; folders that may not be read are put
    into ``closed``."""
    drive, rest = os.path.splitdrive(pattern)
    rest = rest.replace(os.altsep, os.sep) if os.altsep else rest
    root = drive + rest[: len(rest) - len(rest.lstrip(os.sep))]
    return _below(root, [part for part in rest.split(os.sep) if part], closed)


def _below(base: str, parts: list[str], closed: list[str]) -> Iterator[str]:
    """What matches ``parts``, patterns of one path part each, in the folder ``base``."""
    if not parts:
        yield base
        return
    first, rest = parts[0], parts[1:]
    literal = os.path.join(base, first)
    if first == "**":
        while rest[:1] == ["**"]:
            rest = rest[1:]
        yield from _below_all(base, rest, closed)
    elif os.path.lexists(literal) and not set("*?") & set(first):
        yield from _below(literal, rest, closed)
    elif glob.has_magic(first):
        for name in _names(base, first, closed):
            yield from _below(os.path.join(base, name), rest, closed)


def _below_all(base: str, rest: list[str], closed: list[str]) -> Iterator[str]:
    """What ``**`` and then ``rest`` match; files of every kind where nothing is left."""
    for folder, entries in _folders(base, set()):
        if entries is None:
            closed.append(folder)
        elif rest:
            yield from _below(folder, rest, closed)
        else:
            yield from (entry.path for entry in entries if not entry.is_folder)


def _names(folder: str, pattern: str, closed: list[str]) -> list[str]:
    """Names in ``folder`` that match; hidden ones only where the pattern begins with a dot."""
    try:
        names = os.listdir(folder or os.curdir)
    except (OSError, ValueError):
        closed += [folder] if os.path.isdir(folder) else []
        return []
    fits = re.compile(fnmatch.translate(os.path.normcase(pattern))).match
    return [
        name
        for name in names
        if fits(os.path.normcase(name)) and (pattern.startswith(".") or not name.startswith("."))
    ]


def _each_once(paths: Iterator[str]) -> list[str]:
    """Sorted, and each file in a real folder once: under the name that goes through no link, else
    the first one."""
    real = functools.lru_cache(maxsize=4096)(os.path.realpath)
    chosen: dict[str, str] = {}
    for path in sorted(paths):
        folder, name = os.path.split(path)
        identity = os.path.join(real(folder), name)
        if identity not in chosen or os.path.abspath(path) == identity:
            chosen[identity] = path
    return sorted(chosen.values())
