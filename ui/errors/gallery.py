"""Tiles in pages, each a button that opens its image. Only the images of the visible page are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from agegender_core.analysis.filters import SORTS, order, page
from agegender_core.analysis.label_issues import disputed_tasks
from ui.common.messages import plain
from ui.common.pager import pager
from ui.common.state import Slot
from ui.errors import query_params as link
from ui.errors import state
from ui.errors.data import Scope
from ui.errors.images import ImageSource, placeholder, tiles
from ui.errors.query_params import key
from ui.errors.text import tile_words

TileWords = Callable[[int], tuple[str, str]]
"""Row of the table to the two lines under its image."""
UNDER = "the label → the answer, and by how much it is off"
TEXT_TILES = "errors-tiles-text"
"""Begins the keys of tiles of a source without any images: numbers alone."""

CSS = Path(__file__).with_name("gallery.css")


def sort_options(scope: Scope) -> list[str]:
    """Orders on offer: those of two models need a second one."""
    return [name for name, sort in SORTS.items() if scope.other is not None or not sort.two]


def ordered(scope: Scope, mask: np.ndarray) -> np.ndarray:
    """Positions of the images in ``mask`` (N,) bool in the chosen order."""
    return order(
        scope.table,
        link.coerce_to_options("sort", sort_options(scope)),
        scope.weights,
        scope.other,
        mask,
    )


def sorting(scope: Scope) -> None:
    """The choice of an order."""
    options = sort_options(scope)
    link.coerce_to_options("sort", options)
    st.selectbox(
        "Order",
        options,
        format_func=lambda name: SORTS[name].title.capitalize(),
        key=key("sort"),
        on_change=link.first_page,
        persist_state="session",
        width=340,
    )


def show(
    scope: Scope,
    image_source: ImageSource,
    rows: np.ndarray,
    name: str = "all",
    words: TileWords | None = None,
    under: str = UNDER,
) -> None:
    """A page of the images ``rows`` (M,), in that order. ``name`` tells galleries on one page
    apart; ``words`` are the two lines under a image, explained by ``under``.
    """
    state.WALK.set(rows)
    if not len(rows):
        st.info(
            "Remove a filter, or choose other labels.",
            title="No image is left",
            icon=":material/filter_alt_off:",
        )
        return
    shown, pages = page(rows, link.get("page"), link.coerce_to_options("tiles", link.SIZES))
    if link.get("page") > pages:
        link.put("page", pages)
    if image_source.missing:
        st.caption(f":material/image_not_supported: {plain(image_source.missing)}")
    tile_row(scope, image_source, shown, name, words)
    with st.container(
        horizontal=True,
        vertical_alignment="bottom",
        horizontal_alignment="distribute",
        key=f"errors-pages-{name}",
    ):
        if pages > 1:
            turner = state.pager(name, pages)
            pager(pages, turner.key, default=link.get("page"), on_change=_turn, args=(turner,))
        st.segmented_control(
            "Tiles on a page",
            link.SIZES,
            required=True,
            key=key("tiles"),
            on_change=link.first_page,
            persist_state="session",
            label_visibility="collapsed",
        )
    first = (link.get("page") - 1) * link.get("tiles") + 1
    where = "On each tile" if image_source.missing else "Under each image"
    st.caption(
        f"{first:,} to {first + len(shown) - 1:,} of {len(rows):,}. {where}:"
        f" {under}.{_badge_words(scope, shown)}"
    )


def _badge_words(scope: Scope, shown: Sequence[int]) -> str:
    if not any(label_disputes(scope)[int(row)] for row in shown):
        return ""
    return (
        " :orange-badge[:material/flag: age?] Most models contradict this label alike, so it may be"
        " wrong."
    )


def _turn(turner: Slot[int]) -> None:
    link.put("page", turner.get())


def tile_row(
    scope: Scope,
    image_source: ImageSource,
    rows: Sequence[int],
    name: str,
    words: TileWords | None = None,
) -> None:
    """Tiles of ``rows``, in that order."""
    disputed = label_disputes(scope)
    kind = TEXT_TILES if image_source.missing else "errors-tiles"
    with st.container(horizontal=True, gap="small", key=f"{kind}-{name}"):
        for row, address in zip(rows, tiles(scope, image_source, rows), strict=True):
            lines = words(int(row)) if words else tile_words(scope.table, scope.weights, int(row))
            _tile(scope, image_source, int(row), address, name, lines, disputed[int(row)])


def label_disputes(scope: Scope) -> list[str]:
    """(N,) what most models dispute in each image's label: «age», «gender», both, or nothing."""
    return scope.result("disputes", lambda: disputed_tasks(scope.table))


def _tile(
    scope: Scope,
    image_source: ImageSource,
    row: int,
    address: str | None,
    name: str,
    lines: tuple[str, str],
    disputed: str,
) -> None:
    """One tile: a button with the image, with what stands for one that is missing, or with numbers
    alone where all are; ``disputed``: the labels that most models contradict.
    """
    file = str(scope.table.labels["file"].iloc[row])
    gone = f"The image {file} is not where the others are, or it cannot be read."
    image = "" if image_source.missing else f"![{plain(file)}]({address or placeholder()}) "
    st.button(
        f"{image}{plain(lines[0])} *{plain(lines[1] or '–')}*"
        + (f" :orange-badge[:material/flag: {disputed}?]" if disputed else ""),
        key=f"errors-tile-{name}-{row}",
        help=None if address or image_source.missing else plain(gone),
        on_click=link.put,
        args=("sample", file),
    )


def neighbours(scope: Scope, row: int) -> tuple[int, np.ndarray]:
    """Where ``row`` stands in the gallery it was opened from, and the rows of that gallery; -1
    where it is not among them.
    """
    rows = state.WALK.get()
    rows = rows[rows < len(scope.table)]
    place = np.flatnonzero(rows == row)
    return int(place[0]) if len(place) else -1, rows
