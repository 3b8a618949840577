"""The pager of every long list."""

from __future__ import annotations

from typing import Any

import streamlit as st

WIDTH = 420
"""Pixels for the arrows and seven pages. Left to its content, Streamlit's pager measures itself
while it is small and hides pages that would fit: «1 … 4».
"""


def pager(pages: int, key: str, **settings: Any) -> int:
    """The page, counted from 1, that the visitor is on; nothing is drawn for one page.
    ``settings``: of ``st.pagination``.
    """
    return st.pagination(pages, key=key, width=WIDTH, **settings) if pages > 1 else 1
