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
from ui.errors_data import set_title
from ui.errors_pictures import NoPictures, Pictures, local
from ui.messages import plain

VARIABLE = "AGEGENDER_PICTURES"
ANY = "any"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
PROBLEM = "errors-source-problem"


@dataclass(frozen=True, eq=False)
class LayoutPictures:
    """Pictures of a set in another layout. ``places``: endings of file names to records, None where two files share one."""

    loaded: LoadedSet
    places: dict[str, FaceRecord | None]
    table: Pictures
    name: str
    missing: str = ""

    def read(self, files: Sequence[str]) -> dict[str, bytes]:
        """Pictures that are there; others are left out."""
        found = {}
        for file in files:
            if (record := self.places.get(file) or self.places.get(PurePosixPath(file).name)) is None:
                continue
            try:
                found[file] = self.loaded.image_bytes(record)
            except DatasetError:
                continue
        return found

    def row(self, file: str) -> int | None:
        """Row in the set's own table, which is what the explorer opens."""
        return self.table.row(file)


def named() -> dict[str, str]:
    """Set to source, from the environment."""
    parts = [part.strip() for part in os.environ.get(VARIABLE, "").split(";")]
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
        parts = PurePosixPath(record.file).parts
        for start in range(len(parts)):
            ending = "/".join(parts[start:])
            found[ending] = None if ending in found else record
    return found


@st.cache_resource(max_entries=3, show_spinner="Reading the set …")
def _loaded(source: str) -> LoadedSet:
    return load_set(source)


def choose(set_name: str) -> Pictures:
    """Where the pictures of ``set_name`` come from, with the choice folded away."""
    own_table, typed = local(set_name), st.session_state.setdefault("errors-typed-sources", {})
    source = typed.get(set_name) or named().get(set_name)
    found, problem = own_table, ""
    if source:
        try:
            loaded = _loaded(source)
            found = LayoutPictures(loaded, endings(loaded.records), own_table, f"{set_name}-{source}")
        except AgeGenderError as error:
            problem = str(error) if set_name in typed else f"The pictures that {VARIABLE} names for {set_name} cannot be read."
            found = NoPictures(problem) if own_table.missing else own_table
    if may_type():
        _ask(set_name, source, found, typed, problem)
    return found


def _ask(set_name: str, source: str | None, found: Pictures, typed: dict[str, str], problem: str) -> None:
    where = (
        "are not here" if found.missing else "come from a source of yours" if source and not problem else "come from the set's own table"
    )
    with st.expander(f"Pictures {where}", icon=":material/image_search:", key="errors-source"):
        st.session_state.setdefault(f"errors-source-{set_name}", typed.get(set_name, ""))
        st.text_input(
            f"Folder or table of {set_title(set_name)}, or hub:owner/name", key=f"errors-source-{set_name}", on_change=_typed,
            args=(set_name,), persist_state="session",
            help="A folder as its owners lay the set out, a Parquet file or folder, or a set of the hub. Empty: the set's own table.",
        )  # fmt: skip
        st.caption("Names of files are matched with those of the predictions. Nothing is copied.")
        if problem:
            st.warning(plain(problem), icon=":material/folder_off:")


def _typed(set_name: str) -> None:
    """A source was typed, or taken away."""
    sources, text = st.session_state["errors-typed-sources"], st.session_state[f"errors-source-{set_name}"].strip()
    if text:
        sources[set_name] = text
    else:
        sources.pop(set_name, None)
