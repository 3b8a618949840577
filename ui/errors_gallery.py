"""Tiles in pages, each a button that opens its picture. Only the pictures of the visible page are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from agegender_core.error_analysis.filters import SORTS, order, page
from ui import errors_link as link
from ui.errors_data import Scope
from ui.errors_link import key
from ui.errors_pictures import Pictures, placeholder, tiles
from ui.errors_words import tile_words
from ui.messages import plain

CSS = """<style>
[class*="st-key-errors-tiles"] { gap: .5rem; }
[class*="st-key-errors-tiles"] button { padding: .3rem; min-height: 0; width: 118px; align-items: flex-start; }
[class*="st-key-errors-tiles"] button p { font-size: .8rem; line-height: 1.3; text-align: center; overflow-wrap: anywhere;
  font-variant-numeric: tabular-nums; white-space: normal; }
[class*="st-key-errors-tiles"] button img { display: block; width: 104px !important; height: 104px !important; max-width: none !important;
  max-height: none !important; margin: 0 auto .25rem; object-fit: contain; border-radius: .35rem; }
[class*="st-key-errors-tiles"] button p em { display: block; font-style: normal; opacity: .82; }
.st-key-errors-picture img { border-radius: .5rem; max-height: 260px; width: auto; }
/* A dialog stands outside the app's own box, where the page's colours are defined. */
.ag-span { --ag-accent: #2A8C92; --ag-warn: #C0691C; --ag-warn: light-dark(#A5420D, #F5A55B); position: relative;
  height: 2.6rem; margin: .4rem 0 1.2rem; border-bottom: 2px solid rgba(128, 140, 140, .5); }
.ag-span i { position: absolute; bottom: 0; height: .9rem; background: var(--ag-accent); opacity: .45; border-radius: .2rem .2rem 0 0; }
.ag-span b { position: absolute; bottom: 0; width: 3px; margin-left: -1px; height: 1.5rem; background: var(--ag-accent); }
.ag-span b.ag-true { background: var(--ag-warn); }
.ag-span span { position: absolute; top: 2.7rem; font-size: .75rem; transform: translateX(-50%); opacity: .78; }
@media (max-width: 640px) {
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


def show(scope: Scope, pictures: Pictures, rows: np.ndarray, name: str = "all") -> None:
    """A page of the pictures ``rows`` (M,), in that order. ``name`` tells galleries on one page apart."""
    if not len(rows):
        st.info("Take a filter away, or choose other labels.", title="No picture is left", icon=":material/filter_alt_off:")
        return
    shown, pages = page(rows, link.get("page"), link.hold("tiles", link.SIZES))
    if link.get("page") > pages:
        link.put("page", pages)
    if pictures.missing:
        st.caption(f":material/image_not_supported: {plain(pictures.missing)}")
    tile_row(scope, pictures, shown, name)
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute", key=f"errors-pages-{name}"):
        if pages > 1:
            pager = f"errors-pager-{name}-{pages}-{st.session_state.get(link.TURN, 0)}"
            st.pagination(pages, default=link.get("page"), key=pager, max_visible_pages=5, on_change=_turn, args=(pager,))
        st.segmented_control(
            "Tiles on a page", link.SIZES, required=True, key=key("tiles"), on_change=link.first_page, persist_state="session",
            label_visibility="collapsed",
        )  # fmt: skip
    first = int(np.flatnonzero(rows == shown[0])[0]) + 1
    st.caption(
        f"{first:,} to {first + len(shown) - 1:,} of {len(rows):,}. Under each picture: the label → the answer, and by how much it is off."
    )


def _turn(pager: str) -> None:
    link.put("page", st.session_state[pager])


def tile_row(scope: Scope, pictures: Pictures, rows: Sequence[int], name: str) -> None:
    """Tiles of ``rows``, in that order."""
    with st.container(horizontal=True, gap="small", key=f"errors-tiles-{name}"):
        for row, address in zip(rows, tiles(scope, pictures, rows), strict=True):
            tile(scope, pictures, int(row), address, name)


def tile(scope: Scope, pictures: Pictures, row: int, address: str | None, name: str) -> None:
    """One tile: a button with the picture, or with what is missing."""
    age, gender = tile_words(scope.table, scope.weights, row)
    file = str(scope.table.labels["file"].iloc[row])
    gone = pictures.missing or f"The picture {file} is not where the others are, or it cannot be read."
    st.button(
        f"![{plain(file)}]({address or placeholder()}) {plain(age)} *{plain(gender or '–')}*",
        key=f"errors-tile-{name}-{row}",
        help=None if address else plain(gone),
        on_click=link.put,
        args=("sample", file),
    )
