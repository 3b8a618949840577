"""What the session stores for Predict alone; images and answers, which other pages share, are in
``ui/common/state``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.common.state import Slot

if TYPE_CHECKING:
    from ui.common.session_results import Answer


TAB = Slot[str | None]("tab")
"""What tells this tab from the browser's others; empty where the browser does not tell."""
TAB_SAID: Slot[dict[str, object] | None] = Slot("tab-number")
"""What the component that asks for it sent."""
LOOKED_BACK = Slot[bool]("looked-back", bool)
"""Whether this session has asked for what its tab left behind."""
PHOTO: Slot[dict[str, object] | None] = Slot("photo")
"""Which face was clicked on the image: the component's own value."""
OPEN_ATTENTION = Slot[bool]("open-attention", bool)
"""Whether the next run opens Attention."""
SHARE_ASKED = Slot[int | None]("share-asked")
"""Number of the face whose image to share was asked for."""
SHARE_BLUR = Slot[bool]("share-blur", bool)
"""Whether its face is blurred."""


def chosen_row(answer: Answer) -> Slot[dict[str, object]]:
    """The row that is chosen in the grid of an answer's faces, as Streamlit has it."""
    return Slot(f"grid-{answer.image.digest[:12]}-{answer.weights}")
