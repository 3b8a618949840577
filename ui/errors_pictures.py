"""Pictures behind the numbers: where they are, and small versions of those on the visible page. They live in memory only."""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import pyarrow.parquet as pq
import streamlit as st
from PIL import Image, ImageDraw, UnidentifiedImageError

from agegender_core.data import iter_images
from agegender_core.data.parquet import set_path
from agegender_core.data.terms import TEST_SPLITS
from agegender_core.errors import AgeGenderError, DatasetError, InvalidImageError
from agegender_core.imaging import load_image
from ui.errors_data import Scope

SIDE = 112
"""Longest side of a tile's picture in pixels."""
LIGHT = 6_000
"""Encoded pictures of at most so many bytes are shown as they are."""
KEPT = 800
"""Small pictures kept in a session, a few kilobytes each; those seen longest ago make room."""
SHOWABLE = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}
THUMBNAILS = "errors-thumbnails"


class Pictures(Protocol):
    """A source of pictures. ``name`` tells sources apart in caches; ``missing`` says why there is none and how to get them, or is empty."""

    name: str
    missing: str

    def read(self, files: Sequence[str]) -> dict[str, bytes]:
        """Encoded pictures by file; those that are not there are left out. Raises ``DatasetError`` where the source as a whole fails."""
        ...

    def row(self, file: str) -> int | None:
        """Row of ``file`` in the set's own table, or None where it has none."""
        ...


@dataclass(frozen=True)
class NoPictures:
    """No source: ``missing`` says how to get one."""

    missing: str
    name: str = "none"

    def read(self, files: Sequence[str]) -> dict[str, bytes]:
        """Nothing."""
        return {}

    def row(self, file: str) -> int | None:
        """None."""
        return None


@dataclass(frozen=True, eq=False)
class TablePictures:
    """A set's local Parquet file. ``rows``: file to row."""

    set: str
    rows: dict[str, int]
    name: str
    missing: str = ""

    def read(self, files: Sequence[str]) -> dict[str, bytes]:
        """Only the row groups that hold one of ``files`` are read, one at a time."""
        wanted = {self.rows[file]: file for file in files if file in self.rows}
        return {wanted[row]: content for row, content in iter_images(self.set, list(wanted))} if wanted else {}

    def row(self, file: str) -> int | None:
        """Row in the file."""
        return self.rows.get(file)


def local(set_name: str) -> Pictures:
    """The set's own Parquet where it is, else what to do."""
    try:
        path = set_path(set_name)
    except DatasetError:
        return NoPictures(
            f"The pictures of {set_name} are not here: sets of faces are not part of this app. Get the set from its owners, put "
            f"{set_name}.parquet into a folder and set AGEGENDER_DATA to it, or choose a folder under «Pictures»."
        )
    return _local(set_name, str(path), path.stat().st_mtime_ns)


@st.cache_resource(max_entries=8, show_spinner=False)
def _local(set_name: str, path: str, stamp: int) -> Pictures:
    try:
        columns = [name for name in ("file", "split") if name in pq.read_schema(path).names]
        table = pq.read_table(path, columns=columns).to_pydict()
    except (OSError, ValueError) as error:
        return NoPictures(f"The table with the pictures of {set_name} cannot be read ({type(error).__name__}): put it in place again.")
    split = TEST_SPLITS.get(set_name)
    splits = table.get("split") or ["all"] * len(table["file"])
    rows = {file: row for row, (file, of) in enumerate(zip(table["file"], splits, strict=True)) if (of or "all") == split}
    return TablePictures(set_name, rows, f"{set_name}-{stamp}")


def tiles(scope: Scope, pictures: Pictures, rows: Sequence[int]) -> list[str | None]:
    """Data addresses of the small pictures of ``rows`` of the table, None where there is none."""
    files = scope.table.labels["file"].to_numpy()[list(rows)].tolist() if len(rows) else []
    kept: OrderedDict[tuple[str, str], str] = st.session_state.setdefault(THUMBNAILS, OrderedDict())
    wanted = [file for file in files if (pictures.name, file) not in kept]
    try:
        for file, content in pictures.read(wanted).items():
            if (address := small(content)) is not None:
                kept[pictures.name, file] = address
    except AgeGenderError:
        pass  # tiles say that there is no picture; the numbers do not hang on it
    found = [kept.get((pictures.name, file)) for file in files]
    for file in files:
        if (pictures.name, file) in kept:
            kept.move_to_end((pictures.name, file))
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return found


def small(content: bytes) -> str | None:
    """An encoded picture as a data address of at most ``SIDE`` pixels, or as it is where it is light; None for no picture."""
    if len(content) <= LIGHT and (kind := _as_it_is(content)):
        return _address(content, kind)
    try:
        image = load_image(content)
    except InvalidImageError:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return _address(buffer.getvalue(), "jpeg")


def _as_it_is(content: bytes) -> str | None:
    """Kind of a small upright picture that every browser shows; None for others."""
    try:
        with Image.open(io.BytesIO(content), formats=list(SHOWABLE)) as opened:
            upright = opened.getexif().get(0x0112, 1) == 1
            opened.load()
            return SHOWABLE[opened.format] if upright and max(opened.size) <= 4 * SIDE and opened.format else None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None


def one(scope: Scope, pictures: Pictures, row: int) -> bytes | None:
    """The encoded picture of one row, or None."""
    file = str(scope.table.labels["file"].iloc[row])
    try:
        return pictures.read([file]).get(file)
    except AgeGenderError:
        return None


@cache
def placeholder() -> str:
    """What stands where a picture is missing: a grey square that says so, on any background."""
    image = Image.new("LA", (SIDE, SIDE), (128, 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=(128, 160))
    draw.text((SIDE / 2, SIDE / 2), "picture\nnot here", fill=(136, 255), anchor="mm", align="center", font_size=15)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return _address(buffer.getvalue(), "png")


def _address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
