"""What the masks of the model at hand are changed to: one state for the switch above the tabs and
the controls of each block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import streamlit as st

if TYPE_CHECKING:
    from agegender_core.explain.attention import Change

SEED = "attention-seed"
"""Where the seed of shuffled masks is kept."""


def change_key(name: str) -> str:
    """Key of the control of block ``name``."""
    return f"attention-change-{name}"


def changes_of(names: list[str]) -> Mapping[str, Change]:
    """The change of each block of ``names``."""
    return {name: cast("Change", st.session_state.get(change_key(name), "own")) for name in names}


def all_changed(names: list[str], change: str) -> bool:
    """Whether every block has this change."""
    return bool(names) and all(found == change for found in changes_of(names).values())


def set_all(names: list[str], change: str) -> None:
    """Give every block this change; for callbacks."""
    for name in names:
        st.session_state[change_key(name)] = change
