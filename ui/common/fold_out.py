"""Fold-outs whose content is made when they are opened: what nobody looks at costs neither the
server nor the browser anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def fold_out(label: str, key: str, icon: str, draw: Callable[..., None], *words: Any) -> None:
    """A fold-out called ``label``; opening it, and what is used in it, runs ``draw(*words)`` alone
    and not the page. ``key``: where the session stores whether it is open.
    """
    st.fragment(_fold_out)(label, key, icon, draw, *words)


def _fold_out(label: str, key: str, icon: str, draw: Callable[..., None], *words: Any) -> None:
    box = st.expander(label, icon=icon, key=key, on_change="rerun")
    if box.open:
        with box:
            draw(*words)
