"""Other sources of a dataset's images: a folder in an official layout, a Parquet table, or
``hub:owner/name``.

Whoever runs the app names them in ``AGEGENDER_PICTURES``: «utkface=SOURCE;fairface=SOURCE». A
folder that a visitor types is one of the server's, so visitors may type a source of their own only
where the word «any» stands among the names. Where a request says it comes from is no reason: that
is the client's own word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import streamlit as st

from agegender_core.datasets import FaceRecord
from agegender_core.datasets.readers import LoadedDataset, load_dataset, parquet_or_hub
from agegender_core.datasets.readers.base import FolderImages
from agegender_core.errors import AgeGenderError, DatasetError
from agegender_core.settings import path_setting
from ui.common.messages import plain
from ui.errors import state
from ui.errors.data import set_title
from ui.errors.images import ImageSource, NoImages, local

VARIABLE = "AGEGENDER_PICTURES"
ANY = "any"
RETRY = 30
"""Seconds after which a source that could not be read is tried again."""
MAX_SOURCE = 1000
"""Characters of a typed source."""


@dataclass(frozen=True, eq=False)
class LayoutImages:
    """Images of a dataset in another layout. ``places``: endings of file names to records, None
    where two files share one. ``own``: the dataset's own table, if it is here.
    """

    loaded: LoadedDataset
    places: dict[str, FaceRecord | None]
    own: ImageSource
    name: str
    missing: str = ""

    def read(self, files: Sequence[str], split: str | None = None) -> dict[str, bytes]:
        """Images that are there; others are left out."""
        found = {}
        for file in files:
            if (record := self.record(file)) is None or not self._inside(record):
                continue
            try:
                found[file] = self.loaded.image_bytes(record)
            except (DatasetError, OSError, ValueError):
                continue
        return found

    def record(self, file: str) -> FaceRecord | None:
        """The record whose name is ``file``, or ends with it, or is its end: «val/7.jpg» is no
        image of a folder «train».
        """
        if (found := self.places.get(file)) is not None:
            return found
        ends = ((end, self.places.get(end)) for end in _ends(file)[1:])
        return next((found for end, found in ends if found is not None and found.file == end), None)

    def _inside(self, record: FaceRecord) -> bool:
        """Whether the image is a regular file below the source once all links are followed; what is
        in a table is.
        """
        if not isinstance(self.loaded.source, FolderImages):
            return True
        root = self.loaded.source.root.resolve()
        path = (root / record.file).resolve()
        return path.is_relative_to(root) and path.is_file()

    def row(self, file: str) -> int | None:
        """Row in the dataset's own table, which the explorer opens."""
        return self.own.row(file)


def named() -> dict[str, str]:
    """Set to source, from the environment."""
    parts = [part.strip() for part in (path_setting("pictures") or "").split(";")]
    return {
        name.strip(): source.strip()
        for name, _, source in (part.partition("=") for part in parts)
        if source.strip()
    }


def may_type() -> bool:
    """Whether visitors may name folders of the machine that runs the app: by the operator's setting
    alone.
    """
    return ANY in [part.strip() for part in (path_setting("pictures") or "").split(";")]


def endings(records: Sequence[FaceRecord]) -> dict[str, FaceRecord | None]:
    """Each file name and all its endings after a slash to its record; None for an ending that
    several files have.
    """
    found: dict[str, FaceRecord | None] = {}
    for record in records:
        for end in _ends(record.file)[1:]:
            found[end] = None if end in found else record
    return found | {record.file: record for record in records}


def _ends(file: str) -> list[str]:
    """The name and all that follows each slash in it."""
    parts = PurePosixPath(file).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


@st.cache_resource(max_entries=3, show_spinner="Reading the dataset …")
def _loaded(source: str) -> tuple[LoadedDataset, dict[str, FaceRecord | None]]:
    loaded = load_dataset(source)
    return loaded, endings(loaded.records)


@st.cache_data(max_entries=8, ttl=RETRY, show_spinner=False)
def _problem(source: str) -> str:
    """Why ``source`` cannot be read, or nothing: a hub out of reach is not queried again at every
    press of a button.
    """
    try:
        if (
            not source.startswith(parquet_or_hub.PREFIX)
            and (path := Path(source)).exists()
            and not (path.is_dir() or path.is_file())
        ):
            return f"{source} is neither a folder nor a file"
        _loaded(source)
    except AgeGenderError as error:
        return str(error)
    except (
        OSError,
        ValueError,
    ) as error:
        # A name that no file can have: too long, or with a zero in it.
        return f"{source[:80]!r} cannot be read: {getattr(error, 'strerror', None) or error}"
    return ""


@st.cache_data(max_entries=8, show_spinner=False)
def _count(set_name: str, source: str, _found: LayoutImages, _files: Sequence[str]) -> int:
    return sum(_found.record(file) is not None for file in _files)


def choose(set_name: str, files: Sequence[str]) -> ImageSource:
    """Where the images ``files`` of ``set_name`` come from, with its choice in the toolbar."""
    own = local(set_name)
    typed = state.TYPED_SOURCES.stored() if may_type() else {}
    source = typed.get(set_name) or named().get(set_name)
    found, problem, where = (
        own,
        "",
        "are not here" if own.missing else "come from the dataset's own table",
    )
    if source:
        try:
            found, where = _other(set_name, source, files, own)
        except DatasetError as error:
            problem = (
                str(error)
                if set_name in typed
                else f"The images that {VARIABLE} names for {set_name} cannot be read."
            )
            found = NoImages(problem) if own.missing else own
    if may_type():
        _ask(set_name, where, typed, problem)
        if isinstance(found, NoImages):
            found = replace(found, missing=f"{found.missing} Or choose a folder under «Images».")
    return found


def _other(
    set_name: str, source: str, files: Sequence[str], own: ImageSource
) -> tuple[ImageSource, str]:
    """Images of ``source``, and in words how many of ``files`` it has. Raises ``DatasetError``
    where it has none of them.
    """
    if problem := _problem(source):
        raise DatasetError(problem)
    loaded, places = _loaded(source)
    found = LayoutImages(loaded, places, own, f"{set_name}-{source}")
    known = _count(set_name, source, found, files)
    if not known:
        like = (
            f"; its files have names such as «{loaded.records[0].file}»" if loaded.records else ""
        )
        raise DatasetError(
            f"{source} has none of the images of {set_title(set_name)}, such as «{files[0]}»{like}"
        )
    return found, f"come from another source: {known:,} of {len(files):,} are there"


def _ask(set_name: str, where: str, typed: dict[str, str], problem: str) -> None:
    with st.popover(
        "Images",
        icon=":material/image_search:",
        key="errors-source",
        width=130,
        help=f"Images {where}.",
    ):
        st.caption(f"Images {plain(where)}.")
        field = state.source_input(set_name)
        field.set_default(typed.get(set_name, ""))
        st.text_input(
            f"Folder or table of {set_title(set_name)}, or hub:owner/name",
            key=field.key,
            on_change=_typed,
            max_chars=MAX_SOURCE,
            args=(set_name,),
            persist_state="session",
            help=(
                "A folder in the dataset's official layout, a Parquet file or folder, or a dataset"
                " of the hub. Empty: the dataset's own table."
            ),
        )
        st.caption("File names are matched with those of the predictions. Nothing is copied.")
        if problem:
            st.warning(
                plain(problem), title="This source cannot be used", icon=":material/folder_off:"
            )


def _typed(set_name: str) -> None:
    """A source was typed, or removed."""
    sources, text = state.TYPED_SOURCES.stored(), state.source_input(set_name).get().strip()
    if text:
        sources[set_name] = text
    else:
        sources.pop(set_name, None)
