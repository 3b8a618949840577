"""What the session stores for Predict, and for every page that takes images the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.common import state
from ui.common.state import Slot

if TYPE_CHECKING:
    from ui.predict.session_results import Answer, Failure, InputImage, Key, Known


SOURCE = Slot[str | None]("source")
"""Where images come from: ``image_input``'s ``UPLOAD``, ``CAMERA`` or ``SAMPLE``."""
EXAMPLE = Slot[str | None]("example")
"""Key of the example that was clicked."""
UPLOADER: Slot[list | None] = Slot("uploads")
"""The uploader's files."""
SAVED_UPLOADS: Slot[dict[str, list[InputImage]]] = Slot("kept-uploads", dict)
"""By page, images that outlive a visit to another page."""
TAB = Slot[str | None]("tab")
"""What tells this tab from the browser's others; empty where the browser does not tell."""
TAB_SAID: Slot[dict[str, object] | None] = Slot("tab-number")
"""What the component that asks for it sent."""
LOOKED_BACK = Slot[bool]("looked-back", bool)
"""Whether this session has asked for what its tab left behind."""
CAMERA_OPEN = Slot[bool]("camera_open", bool)
ANSWERS: Slot[dict[Key, Answer | Failure]] = Slot("answers", dict)
FACES: Slot[Known] = Slot("faces", dict)
"""Where the faces of images are, by the image's digest."""
PHOTO: Slot[dict[str, object] | None] = Slot("photo")
"""Which face was clicked on the image: the component's own value."""
OPEN_ATTENTION = Slot[bool]("open-attention", bool)
"""Whether the next run opens Attention."""
SHARE_ASKED = Slot[int | None]("share-asked")
"""Number of the face whose image to share was asked for."""
SHARE_BLUR = Slot[bool]("share-blur", bool)
"""Whether its face is blurred."""


def saved_uploads() -> list[InputImage]:
    """Those of the page that is open."""
    return SAVED_UPLOADS.stored().get(state.PAGE.get(), [])


def save_uploads(page: str, images: list[InputImage]) -> None:
    """Have ``page`` open with these."""
    SAVED_UPLOADS.stored()[page] = images


def drop_saved_uploads(page: str | None = None) -> list[InputImage]:
    """Those of ``page``, of the one that is open where none is named; they are not saved any
    more.
    """
    return SAVED_UPLOADS.get().pop(state.PAGE.get() if page is None else page, [])
