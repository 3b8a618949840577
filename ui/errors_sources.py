"""Other places for a set's pictures: a folder in an official layout, a Parquet table, or ``hub:owner/name``.

Whoever runs the app names them in ``AGEGENDER_PICTURES``: «utkface=SOURCE;fairface=SOURCE». Visitors may type a source of their own only
where nothing is named there and they sit at the machine that runs the app, or where the word «any» stands among the names: a typed folder
is one of the server's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import streamlit as st

from agegender_core.data import FaceRecord
from agegender_core.data.layouts import LoadedSet, load_set
from agegender_core.errors import AgeGenderError, DatasetError
from agegender_core.settings import place
from ui.errors_data import set_title
from ui.errors_pictures import NoPictures, Pictures, local
from ui.messages import plain

VARIABLE = "AGEGENDER_PICTURES"
ANY = "any"
RETRY = 30
"""Seconds after which a source that could not be read is tried again."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, eq=False)
class LayoutPictures:
    """Pictures of a set in another layout. ``places``: endings of file names to records, None where two files share one. ``own``: the
    set's own table, if it is here."""

    loaded: LoadedSet
    places: dict[str, FaceRecord | None]
    own: Pictures
    name: str
    missing: str = ""

    def read(self, files: Sequence[str], split: str | None = None) -> dict[str, bytes]:
        """Pictures that are there; others are left out."""
        found = {}
        for file in files:
            if (record := self.record(file)) is None:
                continue
            try:
                found[file] = self.loaded.image_bytes(record)
            except (DatasetError, OSError, ValueError):
                continue
        return found

    def record(self, file: str) -> FaceRecord | None:
        """The record whose name is ``file``, or ends with it, or is its end: «val/7.jpg» is no picture of a folder «train»."""
        if (found := self.places.get(file)) is not None:
            return found
        ends = ((end, self.places.get(end)) for end in _ends(file)[1:])
        return next((found for end, found in ends if found is not None and found.file == end), None)

    def row(self, file: str) -> int | None:
        """Row in the set's own table, which is what the explorer opens."""
        return self.own.row(file)


def named() -> dict[str, str]:
    """Set to source, from the environment."""
    parts = [part.strip() for part in (place("pictures") or "").split(";")]
    return {name.strip(): source.strip() for name, _, source in (part.partition("=") for part in parts) if source.strip()}


def may_type() -> bool:
    """Whether this visitor may name a folder of the machine that runs the app."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return ANY in [part.strip() for part in given.split(";")]
    return st.context.ip_address is None and urlsplit(st.context.url or "http://localhost").hostname in LOCAL_NAMES


def endings(records: Sequence[FaceRecord]) -> dict[str, FaceRecord | None]:
    """Each file name and all its endings after a slash to its record; None for an ending that several files have."""
    found: dict[str, FaceRecord | None] = {}
    for record in records:
        for end in _ends(record.file)[1:]:
            found[end] = None if end in found else record
    return found | {record.file: record for record in records}


def _ends(file: str) -> list[str]:
    """The name and all that follows each slash in it."""
    parts = PurePosixPath(file).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


@st.cache_resource(max_entries=3, show_spinner="Reading the set …")
def _loaded(source: str) -> tuple[LoadedSet, dict[str, FaceRecord | None]]:
    loaded = load_set(source)
    return loaded, endings(loaded.records)


@st.cache_data(max_entries=8, ttl=RETRY, show_spinner=False)
def _problem(source: str) -> str:
    """Why ``source`` cannot be read, or nothing: a hub out of reach is not asked again at every press of a button."""
    try:
        _loaded(source)
    except AgeGenderError as error:
        return str(error)
    return ""


@st.cache_data(max_entries=8, show_spinner=False)
def _count(set_name: str, source: str, _found: LayoutPictures, _files: Sequence[str]) -> int:
    return sum(_found.record(file) is not None for file in _files)


def choose(set_name: str, files: Sequence[str]) -> Pictures:
    """Where the pictures ``files`` of ``set_name`` come from, with the choice folded away."""
    own, typed = local(set_name), st.session_state.setdefault("errors-typed-sources", {})
    source = typed.get(set_name) or named().get(set_name)
    found, problem, where = own, "", "are not here" if own.missing else "come from the set's own table"
    if source:
        try:
            found, where = _other(set_name, source, files, own)
        except DatasetError as error:
            problem = str(error) if set_name in typed else f"The pictures that {VARIABLE} names for {set_name} cannot be read."
            found = NoPictures(problem) if own.missing else own
    if may_type():
        _ask(set_name, where, typed, problem)
    return found


def _other(set_name: str, source: str, files: Sequence[str], own: Pictures) -> tuple[Pictures, str]:
    """Pictures of ``source``, and in words how many of ``files`` it has. Raises ``DatasetError`` where it has none of them."""
    if problem := _problem(source):
        raise DatasetError(problem)
    loaded, places = _loaded(source)
    found = LayoutPictures(loaded, places, own, f"{set_name}-{source}")
    known = _count(set_name, source, found, files)
    if not known:
        like = f"; its files have names such as «{loaded.records[0].file}»" if loaded.records else ""
        raise DatasetError(f"{source} holds none of the pictures of {set_title(set_name)}, such as «{files[0]}»{like}")
    return found, f"come from another source: {known:,} of {len(files):,} are there"


def _ask(set_name: str, where: str, typed: dict[str, str], problem: str) -> None:
    with st.expander(f"Pictures {where}", icon=":material/image_search:", key="errors-source"):
        st.session_state.setdefault(f"errors-source-{set_name}", typed.get(set_name, ""))
        st.text_input(
            f"Folder or table of {set_title(set_name)}, or hub:owner/name", key=f"errors-source-{set_name}", on_change=_typed,
            args=(set_name,), persist_state="session",
            help="A folder as its owners lay the set out, a Parquet file or folder, or a set of the hub. Empty: the set's own table.",
        )  # fmt: skip
        st.caption("Names of files are matched with those of the predictions. Nothing is copied.")
        if problem:
            st.warning(plain(problem), title="This source cannot be used", icon=":material/folder_off:")


def _typed(set_name: str) -> None:
    """A source was typed, or taken away."""
    sources, text = st.session_state["errors-typed-sources"], st.session_state[f"errors-source-{set_name}"].strip()
    if text:
        sources[set_name] = text
    else:
        sources.pop(set_name, None)
