"""What the masks of the model at hand are changed to: one state for the switch above the tabs and
the controls of each block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from ui.attention.state import mask_change

if TYPE_CHECKING:
    from agegender_core.explain.attention import Change


def changes_of(names: list[str]) -> Mapping[str, Change]:
    """The change of each block of ``names``."""
    return {name: cast("Change", mask_change(name).get()) for name in names}


def all_changed(names: list[str], change: str) -> bool:
    """Whether every block has this change."""
    return bool(names) and all(found == change for found in changes_of(names).values())


def set_all(names: list[str], change: str) -> None:
    """Give every block this change; for callbacks."""
    for name in names:
        mask_change(name).set(change)
