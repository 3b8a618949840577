"""Values in Streamlit's session. Each has a ``Slot``, and each feature lists its own in a module
called ``state``: nothing else names a key of the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import streamlit as st

if TYPE_CHECKING:
    from ui.common.session_results import Answer, Failure, InputImage, Key, Known

T = TypeVar("T")


@dataclass(frozen=True)
class Slot(Generic[T]):
    """One value, under ``key``, which may be a widget's. ``default`` makes what it is until it is
    set; without one that is None.
    """

    key: str
    default: Callable[[], T] | None = None

    def get(self) -> T:
        """The value, or its default, which is not stored."""
        if self.is_set():
            return st.session_state[self.key]
        return self._made()

    def stored(self) -> T:
        """The value; its default is stored first where there is none, so that it can be filled."""
        return st.session_state.setdefault(self.key, self._made())

    def set(self, value: T) -> None:
        """Store a value; of a widget only before it is drawn, or in a callback."""
        st.session_state[self.key] = value

    def set_default(self, value: T) -> None:
        """Store a value where there is none."""
        st.session_state.setdefault(self.key, value)

    def pop(self) -> T:
        """The value, or its default; nothing is stored any more."""
        value = self.get()
        self.clear()
        return value

    def clear(self) -> None:
        """Store nothing any more."""
        st.session_state.pop(self.key, None)

    def is_set(self) -> bool:
        """Whether a value is stored."""
        return self.key in st.session_state

    def _made(self) -> Any:
        return None if self.default is None else self.default()


def count_up(slot: Slot[int]) -> None:
    """One more."""
    slot.set(slot.get() + 1)


PAGE = Slot[str]("page", str)
"""Title of the page that is open."""
PAGE_BEFORE = Slot[str | None]("page-before")
"""Title of the page that ran before this run: the same while one stays there."""
UPLOADS_IN_USE = Slot[set[str]]("uploads-seen", set)
"""Ids of files that uploaders of this run show."""
SOURCE = Slot[str | None]("source")
"""Where images come from: ``image_input``'s ``UPLOAD``, ``CAMERA`` or ``SAMPLE``."""
EXAMPLE = Slot[str | None]("example")
"""Key of the example that was clicked."""
UPLOADER: Slot[list | None] = Slot("uploads")
"""The uploader's files."""
SAVED_UPLOADS: Slot[dict[str, list[InputImage]]] = Slot("kept-uploads", dict)
"""By page, images that outlive a visit to another page."""
WEIGHTS: Slot[str | None] = Slot("weights")
"""Name of the model that answers on Predict and Live, where the visitor has chosen among several.
"""
CAMERA_OPEN = Slot[bool]("camera_open", bool)
ANSWERS: Slot[dict[Key, Answer | Failure]] = Slot("answers", dict)
FACES: Slot[Known] = Slot("faces", dict)
"""Where the faces of images are, by the image's digest."""


def enter_page(title: str) -> None:
    """A run of the page called ``title`` begins."""
    PAGE_BEFORE.set(PAGE.get() or None)
    PAGE.set(title)


def saved_uploads() -> list[InputImage]:
    """Those of the page that is open."""
    return SAVED_UPLOADS.stored().get(PAGE.get(), [])


def save_uploads(page: str, images: list[InputImage]) -> None:
    """Have ``page`` open with these."""
    SAVED_UPLOADS.stored()[page] = images


def drop_saved_uploads(page: str | None = None) -> list[InputImage]:
    """Those of ``page``, of the one that is open where none is named; they are not saved any
    more.
    """
    return SAVED_UPLOADS.get().pop(PAGE.get() if page is None else page, [])
