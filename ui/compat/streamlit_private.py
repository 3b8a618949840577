"""Internals of Streamlit: the menu it makes of a folder called pages, its store of uploads, and the
session a run of a page belongs to.

Why each is needed:

* ``menu_of_pages_folder_dropped``: a page that is opened first on a fresh server runs without
  ``app.py``; Streamlit has no public setting against its menu of that folder.
* the store of uploads: Streamlit bounds one file (``server.maxUploadSize``), neither a session nor
  all sessions together, and has no public way to count what is stored.
* ``session_id``: which session's uploads the running page shows.
* ``in_page``: a download is made in a thread without a page, and may not ask for its visitor.
* ``session_is_open``: a refresh is told from a second tab by whether the first session is still
  connected.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from streamlit import runtime
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

CHECKED_WITH = {"streamlit": "1.67.0"}
_BOUND = "agegender_bound"


class UploadBound(Protocol):
    """What may stand before a store of uploads."""

    def add_file(self, session_id: str, file: Any) -> None:
        """In the place of the store's own, which it calls."""

    def session_ended(self, session_id: str) -> None:
        """The store is about to drop the session's files."""


def menu_of_pages_folder_dropped() -> bool:
    """Whether Streamlit took the folder called pages for its menu; from now on it does not."""
    taken = bool(PagesManager.uses_pages_directory)
    if taken:
        PagesManager.uses_pages_directory = False
    return taken


def session_id() -> str | None:
    """The session whose page is running in this thread; None outside of one."""
    context = get_script_run_ctx()
    return None if context is None else context.session_id


def in_page() -> bool:
    """Whether a page is running in this thread; Streamlit's own question is logged where not."""
    return get_script_run_ctx(suppress_warning=True) is not None


def session_is_open(session_id: str) -> bool:
    """Whether a browser is connected to the session. Thread-safe."""
    return runtime.exists() and runtime.get_instance().is_active_session(session_id)


def upload_store() -> Any:
    """The running server's store of uploads; None without a server, as in tests."""
    return runtime.get_instance().uploaded_file_mgr if runtime.exists() else None


def stored_bytes(store: Any) -> int:
    """Bytes of all uploads in ``store``; 0 for None."""
    return getattr(store, "_total_bytes", 0)


def stored_sizes(store: Any) -> dict[str, dict[str, int]]:
    """By session and file, the bytes in ``store``; a copy, taken while others may upload."""
    sessions = list(getattr(store, "file_storage", {}).items())
    return {
        session: {file: len(record.data) for file, record in list(files.items())}
        for session, files in sessions
    }


def bind(store: Any, make: Callable[[], UploadBound]) -> Any:
    """Put what ``make`` makes before ``store``, once; later calls return the first."""
    bound = getattr(store, _BOUND, None)
    if bound is None:
        bound, remove_files = make(), store.remove_session_files

        @wraps(remove_files)
        def remove(session_id: str) -> None:
            bound.session_ended(session_id)
            remove_files(session_id)

        setattr(store, _BOUND, bound)
        store.add_file, store.remove_session_files = bound.add_file, remove
    return bound
