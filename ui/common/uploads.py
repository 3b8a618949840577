"""Bounds what visitors put into the server's memory: Streamlit bounds one file, not how many a
session holds, nor all sessions together.

Any client with an open session may send files, whether a page asks for them or not, so the bound
sits where they are stored. ``ui/guard/front_door`` asks it before a file is read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import streamlit as st
from starlette.exceptions import HTTPException

from agegender_core.errors import ConfigError
from agegender_core.settings import Settings
from ui.common import services, state
from ui.common.kept_visits import KeptVisits
from ui.common.upload_limits import UploadLimits
from ui.compat import streamlit_private

SHARE_OF_THE_GONE = 6
"""Images of those who left have the room for uploads divided by this."""


class Bound:
    """What is stored by the sessions of one of Streamlit's stores, and whose files were refused.
    Thread-safe.
    """

    def __init__(self, store: Any, limits: UploadLimits) -> None:
        self.store, self.limits = store, limits
        self.refused: set[str] = set()
        self.shown: dict[str, set[str]] = {}
        self.past: dict[str, set[str]] = {}
        self._lock, self._add = threading.Lock(), store.add_file

    def add_file(self, session_id: str, file: Any) -> None:
        """As the store's own, but with a 413 where it would be too much for the session or for
        all.
        """
        with self._lock:
            # No uploader shows them any more, but Streamlit stores them as long as the session.
            for old in self.past.pop(session_id, ()):
                self.store.remove_file(session_id, old)
            sizes = streamlit_private.stored_sizes(self.store)
            own = sizes.setdefault(session_id, {})
            own.pop(file.file_id, None)
            session = sum(own.values()) + len(file.data)
            total = sum(sum(files.values()) for files in sizes.values()) + len(file.data)
            total += visits().bytes()
            if (
                session > self.limits.session
                or total > self.limits.total
                or len(own) >= self.limits.files
            ):
                self.refused.add(session_id)
                raise HTTPException(413, self.limits.refusal)
            self._add(session_id, file)

    def room(self, session_id: str) -> int:
        """Bytes the session may still add; files that no uploader shows any more make room."""
        with self._lock:
            own = streamlit_private.stored_sizes(self.store).get(session_id, {})
            past = self.past.get(session_id, set())
            return self.limits.session - sum(size for file, size in own.items() if file not in past)

    def refuse(self, session_id: str) -> None:
        """A file of the session was refused before it came here; its page reports that."""
        with self._lock:
            self.refused.add(session_id)

    def showing(self, session_id: str, files: set[str]) -> None:
        """A run of the page has ended with these in its uploaders; what an earlier run showed and
        this one does not may go.
        """
        with self._lock:
            past = (self.past.get(session_id, set()) | self.shown.get(session_id, set())) - files
            self.past[session_id], self.shown[session_id] = past, files

    def session_ended(self, session_id: str) -> None:
        """Forget a session."""
        self.refused.discard(session_id)
        self.shown.pop(session_id, None)
        self.past.pop(session_id, None)


def bind(store: Any, limits: UploadLimits) -> Bound:
    """Bound what ``store`` takes, once."""
    return streamlit_private.bind(store, lambda: Bound(store, limits))


def server_bound() -> Bound | None:
    """The bound of the running server; where a setting is wrong, which every page reports, by the
    usual amounts. None without a server, as in tests.
    """
    store = streamlit_private.upload_store()
    return None if store is None else bind(store, limits())


def limits() -> UploadLimits:
    """Those of the operator; the usual ones where a setting is wrong."""
    try:
        return UploadLimits.of(services.settings())
    except ConfigError:
        return UploadLimits.of(Settings())


@cache
def visits() -> KeptVisits:
    """What those who left have in the memory of this process."""
    return KeptVisits(
        streamlit_private.session_is_open,
        60.0 * keep_minutes(),
        limits().total // SHARE_OF_THE_GONE,
    )


def keep_minutes() -> int:
    """Minutes for which images stay after their visitor has gone."""
    try:
        return services.settings().keep_minutes
    except ConfigError:
        return 0


def forgotten_words() -> str:
    """«within 5 minutes of your leaving»."""
    minutes = keep_minutes()
    if not minutes:
        return "soon after you leave"
    return f"within {minutes} minute{'' if minutes == 1 else 's'} of your leaving"


def mark_in_use(files: Sequence[Any] | None) -> None:
    """These stand in an uploader of the page that is being drawn."""
    state.UPLOADS_IN_USE.stored().update(file.file_id for file in files or ())


@contextmanager
def released_after_run() -> Iterator[None]:
    """Around the run of a page: afterwards what no uploader of it shows any more may make room for
    what comes next.
    """
    state.UPLOADS_IN_USE.set(set())
    try:
        yield
    finally:
        bound, session = server_bound(), streamlit_private.session_id()
        if bound is not None and session is not None:
            bound.showing(session, set(state.UPLOADS_IN_USE.get()))


def render_refusal() -> None:
    """A warning where files of this session were refused since the last run of the page."""
    bound, session = server_bound(), streamlit_private.session_id()
    if bound is not None and session in bound.refused:
        bound.refused.discard(session)
        st.warning(
            bound.limits.refusal,
            title="Some files were not accepted: too much at once",
            icon=":material/stacks:",
        )
