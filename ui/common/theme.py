"""The head of every page, and the few rules of CSS for which Streamlit's theme has no setting.

Streamlit sets ``color-scheme``, so ``light-dark()`` follows the theme; where a browser does not
know it, the mid-toned colour before it applies, which is readable on both backgrounds.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui.compat import streamlit_private

CSS = Path(__file__).with_name("theme.css")


def page(title: str, lede: str) -> None:
    """Style sheet, title and one plain sentence."""
    _through_the_entry()
    st.html(CSS)
    st.title(title, anchor=False)
    st.html(f'<p class="ag-lede">{lede}</p>')


def _through_the_entry() -> None:
    """Run ``app.py`` around this page, where Streamlit did not: a folder called pages is a menu of
    its own to it until the entry has run once, so the first visitor of a fresh server who follows a
    link to a page would get that menu and none of the app's settings.
    """
    if streamlit_private.menu_of_pages_folder_dropped():
        st.rerun()
