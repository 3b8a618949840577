"""Images behind the numbers: where they are, and small versions of those on the visible page. They
live in memory only.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import pyarrow.parquet as pq
import streamlit as st
from PIL import Image, ImageDraw, UnidentifiedImageError

from agegender_core.datasets import iter_images
from agegender_core.datasets.parquet_store import dataset_path
from agegender_core.datasets.registry import TEST_SPLITS
from agegender_core.errors import AgeGenderError, DatasetError
from ui.common import gated
from ui.common.images import data_url, image_url
from ui.errors import state
from ui.errors.data import Scope, set_title

SIDE = 112
"""Longest side of a tile's image in pixels."""
LIGHT = 6_000
"""Encoded images of at most so many bytes are shown as they are."""
MAX_THUMBNAILS = 800
"""Small images cached in a session, a few kilobytes each; those shown longest ago make room."""
SHOWABLE = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}


class ImageSource(Protocol):
    """A source of images. ``name`` distinguishes sources in caches; ``missing``: why there are none
    and how to get them, or empty.
    """

    name: str
    missing: str

    def read(self, files: Sequence[str], split: str | None = None) -> dict[str, bytes]:
        """Encoded images by file; those that are not there are left out. ``split``: another one
        than the test's, where files of several splits may share a name. Raises ``DatasetError``
        where the source as a whole fails.
        """
        ...

    def row(self, file: str) -> int | None:
        """Row of ``file`` in the dataset's own table, or None where it has none."""
        ...


@dataclass(frozen=True)
class NoImages:
    """No source; ``missing``: how to get one."""

    missing: str
    name: str = "none"

    def read(self, files: Sequence[str], split: str | None = None) -> dict[str, bytes]:
        """Nothing."""
        return {}

    def row(self, file: str) -> int | None:
        """None."""
        return None


@dataclass(frozen=True, eq=False)
class TableImages:
    """A dataset's local Parquet file. ``rows``: file to row, by split; ``test``: which split the
    predictions are about.
    """

    set: str
    rows: dict[str, dict[str, int]]
    test: str
    name: str
    missing: str = ""

    def read(self, files: Sequence[str], split: str | None = None) -> dict[str, bytes]:
        """Only the row groups that contain one of ``files`` are read, one at a time."""
        rows = self.rows.get(split or self.test, {})
        wanted = {rows[file]: file for file in files if file in rows}
        if not wanted:
            return {}
        try:
            return {
                wanted[row]: content
                for row, content in iter_images(self.set, list(wanted))
                if content
            }
        except (OSError, ValueError) as error:
            raise DatasetError(f"the images of {self.set} cannot be read: {error}") from error

    def row(self, file: str) -> int | None:
        """Row in the file."""
        return self.rows.get(self.test, {}).get(file)


def local(set_name: str) -> ImageSource:
    """The dataset's own Parquet where it is here, else what to do."""
    try:
        path = dataset_path(set_name)
    except DatasetError:
        return NoImages(
            f"The images of {set_title(set_name)} are not here, as face datasets are not part of"
            " this app; all numbers work without them. If this is your installation: set"
            f" AGEGENDER_DATA to the folder with {set_name}.parquet."
        )
    return _local(set_name, str(path), path.stat().st_mtime_ns)


@st.cache_resource(max_entries=8, show_spinner=False)
def _local(set_name: str, path: str, stamp: int) -> ImageSource:
    try:
        columns = [name for name in ("file", "split") if name in pq.read_schema(path).names]
        table = pq.read_table(path, columns=columns).to_pydict()
    except (OSError, ValueError) as error:
        return NoImages(
            f"The table with the images of {set_name} cannot be read ({type(error).__name__}): put"
            " it in place again."
        )
    rows: dict[str, dict[str, int]] = {}
    for row, (file, split) in enumerate(
        zip(table["file"], table.get("split") or ["all"] * len(table["file"]), strict=True)
    ):
        rows.setdefault(split or "all", {})[file] = row
    return TableImages(set_name, rows, TEST_SPLITS.get(set_name, "all"), f"{set_name}-{stamp}")


def tiles(scope: Scope, image_source: ImageSource, rows: Sequence[int]) -> list[str | None]:
    """Data addresses of the small images of ``rows`` of the table, None where there is none."""
    return thumbnails(
        image_source,
        scope.table.labels["file"].to_numpy()[list(rows)].tolist() if len(rows) else [],
    )


def thumbnails(
    image_source: ImageSource, files: Sequence[str], split: str | None = None
) -> list[str | None]:
    """Data addresses of small images, None where there is none. ``split``: as of
    ``Images.read``.
    """
    cache = state.THUMBNAILS.stored()
    places = [(image_source.name, split, file) for file in files]
    try:
        for file, content in image_source.read(
            [place[2] for place in places if place not in cache], split
        ).items():
            if (address := small(content)) is not None:
                cache[image_source.name, split, file] = address
    except AgeGenderError:
        pass  # tiles show that there is no image; the numbers do not depend on it
    found = [cache.get(place) for place in places]
    for place in places:
        if place in cache:
            cache.move_to_end(place)
    while len(cache) > MAX_THUMBNAILS:
        cache.popitem(last=False)
    return found


def forget(image_source: ImageSource) -> None:
    """Drop what is cached of a source that is gone."""
    cache = state.THUMBNAILS.get()
    for place in [place for place in cache if place[0] == image_source.name]:
        del cache[place]


def small(content: bytes) -> str | None:
    """An encoded image as a data address of at most ``SIDE`` pixels, or as it is where it is light;
    None for no image.
    """
    if len(content) <= LIGHT and (kind := _as_it_is(content)):
        return data_url(content, f"image/{kind}")
    try:
        image = gated.image(content)
    except AgeGenderError:
        return None
    image.thumbnail((SIDE, SIDE))
    return image_url(image, quality=80)


def _as_it_is(content: bytes) -> str | None:
    """Kind of a small upright image that every browser shows; None for others."""
    try:
        with Image.open(io.BytesIO(content), formats=list(SHOWABLE)) as opened:
            # Before a pixel is decoded: a file of 40 bytes can claim a hundred megapixels.
            if max(opened.size) > 4 * SIDE or opened.getexif().get(0x0112, 1) != 1:
                return None
            opened.load()
            return SHOWABLE.get(opened.format or "")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None


def one(scope: Scope, image_source: ImageSource, row: int) -> bytes | None:
    """The encoded image of one row, or None."""
    file = str(scope.table.labels["file"].iloc[row])
    try:
        return image_source.read([file]).get(file)
    except AgeGenderError:
        return None


@cache
def placeholder() -> str:
    """Stands for a missing image: a grey square with words, readable on any background."""
    image = Image.new("LA", (SIDE, SIDE), (128, 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=(128, 160))
    draw.text(
        (SIDE / 2, SIDE / 2),
        "image\nnot here",
        fill=(136, 255),
        anchor="mm",
        align="center",
        font_size=15,
    )
    return image_url(image, "PNG")
