"""Tiles in pages, each a button that opens its picture. Only the pictures of the visible page are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from agegender_core.error_analysis.filters import SORTS, order, page
from ui import errors_link as link
from ui.errors_data import Scope
from ui.errors_link import key
from ui.errors_pictures import Pictures, placeholder, tiles
from ui.errors_words import tile_words
from ui.messages import plain

TileWords = Callable[[int], tuple[str, str]]
"""Row of the table to the two lines under its picture."""
UNDER = "the label → the answer, and by how much it is off"
WALK = "errors-walk"
"""Where the rows of the visible gallery are kept: the detail goes from one to the next."""

CSS = """<style>
[class*="st-key-errors-tiles"] { gap: .5rem; }
[class*="st-key-errors-tiles"] button { padding: .3rem; min-height: 0; width: 118px; align-items: flex-start; }
[class*="st-key-errors-tiles"] button p { font-size: .8rem; line-height: 1.3; text-align: center; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; white-space: normal; }
[class*="st-key-errors-tiles"] button img { display: block; width: 104px !important; height: 104px !important; max-width: none !important;
  max-height: none !important; margin: 0 auto .25rem; object-fit: contain; border-radius: .35rem; }
[class*="st-key-errors-tiles"] button p em { display: block; font-style: normal; opacity: .82; }
.st-key-errors-picture img { border-radius: .5rem; height: 260px; width: auto !important; max-width: 100%; object-fit: contain;
  object-position: left; }
.ag-twins { display: grid; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); gap: .6rem; }
.ag-twin { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; padding: .5rem; border: 1px solid rgba(128, 140, 140, .35);
  border-radius: .6rem; }
.ag-twin figure { margin: 0; min-width: 0; }
.ag-twin img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: .35rem; }
.ag-twin figcaption { font-size: .8rem; line-height: 1.35; margin-top: .3rem; text-align: center; overflow-wrap: anywhere; }
.ag-twin u { text-decoration-color: var(--ag-warn); text-decoration-thickness: 2px; text-underline-offset: 2px; font-weight: 600; }
.ag-twin small { display: block; opacity: .78; }
/* A dialog stands outside the app's own box, where the page's colours are defined. */
.ag-span { --ag-accent: #2A8C92; --ag-warn: #C0691C; --ag-warn: light-dark(#A5420D, #F5A55B); position: relative;
  height: 2.6rem; margin: .4rem 0 1.2rem; border-bottom: 2px solid rgba(128, 140, 140, .5); }
.ag-span i { position: absolute; bottom: 0; height: .9rem; background: var(--ag-accent); opacity: .45; border-radius: .2rem .2rem 0 0; }
.ag-span b { position: absolute; bottom: 0; width: 3px; margin-left: -1px; height: 1.5rem; background: var(--ag-accent); }
.ag-span b.ag-true { background: var(--ag-warn); }
.ag-span span { position: absolute; top: 2.7rem; font-size: .75rem; transform: translateX(-50%); opacity: .78; }
.ag-span span:first-of-type { transform: none; }
.ag-span span:last-of-type { transform: translateX(-100%); }
@media (max-width: 640px) {
  .ag-twins { grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); }
  [class*="st-key-errors-tiles"] button { width: 106px; }
  [class*="st-key-errors-tiles"] button img { width: 92px !important; height: 92px !important; }
}
</style>"""


def sort_options(scope: Scope) -> list[str]:
    """Orders that can be had: those of two networks need a second one."""
    return [name for name, sort in SORTS.items() if scope.other is not None or not sort.two]


def ordered(scope: Scope, mask: np.ndarray) -> np.ndarray:
    """Positions of the pictures in ``mask`` (N,) bool in the chosen order."""
    return order(scope.table, link.hold("sort", sort_options(scope)), scope.weights, scope.other, mask)


def sorting(scope: Scope) -> None:
    """The choice of an order."""
    options = sort_options(scope)
    link.hold("sort", options)
    st.selectbox(
        "Order", options, format_func=lambda name: SORTS[name].title.capitalize(), key=key("sort"), on_change=link.first_page,
        persist_state="session", width=340,
    )  # fmt: skip


def show(scope: Scope, pictures: Pictures, rows: np.ndarray, name: str = "all", words: TileWords | None = None, under: str = UNDER) -> None:
    """A page of the pictures ``rows`` (M,), in that order. ``name`` tells galleries on one page apart; ``words`` are the two lines under a
    picture, explained by ``under``."""
    st.session_state[WALK] = rows
    if not len(rows):
        st.info("Take a filter away, or choose other labels.", title="No picture is left", icon=":material/filter_alt_off:")
        return
    shown, pages = page(rows, link.get("page"), link.hold("tiles", link.SIZES))
    if link.get("page") > pages:
        link.put("page", pages)
    if pictures.missing:
        st.caption(f":material/image_not_supported: {plain(pictures.missing)}")
    tile_row(scope, pictures, shown, name, words)
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute", key=f"errors-pages-{name}"):
        if pages > 1:
            pager = f"errors-pager-{name}-{pages}-{st.session_state.get(link.TURN, 0)}"
            st.pagination(pages, default=link.get("page"), key=pager, max_visible_pages=5, on_change=_turn, args=(pager,))
        st.segmented_control(
            "Tiles on a page", link.SIZES, required=True, key=key("tiles"), on_change=link.first_page, persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
    first = (link.get("page") - 1) * link.get("tiles") + 1
    st.caption(f"{first:,} to {first + len(shown) - 1:,} of {len(rows):,}. Under each picture: {under}.")


def _turn(pager: str) -> None:
    link.put("page", st.session_state[pager])


def tile_row(scope: Scope, pictures: Pictures, rows: Sequence[int], name: str, words: TileWords | None = None) -> None:
    """Tiles of ``rows``, in that order."""
    with st.container(horizontal=True, gap="small", key=f"errors-tiles-{name}"):
        for row, address in zip(rows, tiles(scope, pictures, rows), strict=True):
            lines = words(int(row)) if words else tile_words(scope.table, scope.weights, int(row))
            _tile(scope, pictures, int(row), address, name, lines)


def _tile(scope: Scope, pictures: Pictures, row: int, address: str | None, name: str, lines: tuple[str, str]) -> None:
    """One tile: a button with the picture, or with what is missing."""
    file = str(scope.table.labels["file"].iloc[row])
    gone = pictures.missing or f"The picture {file} is not where the others are, or it cannot be read."
    st.button(
        f"![{plain(file)}]({address or placeholder()}) {plain(lines[0])} *{plain(lines[1] or '–')}*",
        key=f"errors-tile-{name}-{row}",
        help=None if address else plain(gone),
        on_click=link.put,
        args=("sample", file),
    )


def neighbours(scope: Scope, row: int) -> tuple[int, np.ndarray]:
    """Where ``row`` stands in the gallery it was opened from, and the rows of that gallery; -1 where it is not among them."""
    rows = st.session_state.get(WALK, np.empty(0, int))
    rows = rows[rows < len(scope.table)]
    place = np.flatnonzero(rows == row)
    return int(place[0]) if len(place) else -1, rows
