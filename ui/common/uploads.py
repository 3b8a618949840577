"""How much visitors may put into the server's memory: Streamlit bounds one file, not how many a
session holds, nor all sessions together.

Any client with an open session may send files, whether a page asks for them or not, so the bound
sits where they are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import streamlit as st
from starlette.exceptions import HTTPException
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from agegender_core.errors import ConfigError
from agegender_core.settings import Settings
from ui.common import services

MAX_FILES = 6000
"""Files a session may hold: a folder of a set of one's own, with all that lies beside its images.
"""
BOUND, SEEN = "agegender_bound", "uploads-seen"
MB = 2**20


class Bound:
    """What is held by the files of a manager, and who was refused. Thread-safe."""

    def __init__(self, manager: Any, settings: Settings) -> None:
        self.manager, self.session, self.total = (
            manager,
            settings.max_session_mb * MB,
            settings.uploads_mb * MB,
        )
        self.refused: set[str] = set()
        self.shown: dict[str, set[str]] = {}
        self.past: dict[str, set[str]] = {}
        self._lock, self._add = threading.Lock(), manager.add_file

    def add_file(self, session_id: str, file: Any) -> None:
        """As the manager's own, but with a 413 where it would be too much for the session or for
        all.
        """
        with self._lock:
            # No uploader shows them any more, but Streamlit keeps them as long as the session.
            for old in self.past.pop(session_id, ()):
                self.manager.remove_file(session_id, old)
            held = {one: dict(files) for one, files in list(self.manager.file_storage.items())}
            own = held.setdefault(session_id, {})
            own.pop(file.file_id, None)
            sizes = {
                one: sum(len(record.data) for record in files.values())
                for one, files in held.items()
            }
            mine, all_of_them = (
                sizes[session_id] + len(file.data),
                sum(sizes.values()) + len(file.data),
            )
            if mine > self.session or all_of_them > self.total or len(own) >= MAX_FILES:
                self.refused.add(session_id)
                raise HTTPException(
                    413,
                    f"A session may hold {self.session // MB} MB in {MAX_FILES:,} files: remove"
                    " some first.",
                )
            self._add(session_id, file)

    def showing(self, session_id: str, files: set[str]) -> None:
        """A run of the page has ended with these in its uploaders; what an earlier run showed and
        this one does not may go.
        """
        with self._lock:
            past = (self.past.get(session_id, set()) | self.shown.get(session_id, set())) - files
            self.past[session_id], self.shown[session_id] = past, files

    def gone(self, session_id: str) -> None:
        """A session has ended."""
        self.refused.discard(session_id)
        self.shown.pop(session_id, None)
        self.past.pop(session_id, None)


def bind(manager: Any, settings: Settings) -> Bound:
    """Bound what ``manager`` keeps, once."""
    bound = getattr(manager, BOUND, None)
    if bound is None:
        bound, ended = Bound(manager, settings), manager.remove_session_files

        @wraps(ended)
        def remove(session_id: str) -> None:
            bound.gone(session_id)
            ended(session_id)

        setattr(manager, BOUND, bound)
        manager.add_file, manager.remove_session_files = bound.add_file, remove
    return bound


def bind_this_server() -> None:
    """Bound the uploads of the running server; where a switch is wrong, which every page says, by
    the usual amounts. Without a server, as in tests, there is nothing to do.
    """
    if runtime.exists():
        bind(runtime.get_instance().uploaded_file_mgr, _settings())


def session_mb() -> int:
    """Megabytes that one visit may hold."""
    return _settings().max_session_mb


def _settings() -> Settings:
    try:
        return services.settings()
    except ConfigError:
        return Settings()


def seen(files: Sequence[Any] | None) -> None:
    """These stand in an uploader of the page that is being drawn."""
    st.session_state.setdefault(SEEN, set()).update(file.file_id for file in files or ())


@contextmanager
def watched() -> Iterator[None]:
    """Around the run of a page: afterwards what no uploader of it shows any more may make room for
    what comes next.
    """
    st.session_state[SEEN] = set()
    try:
        yield
    finally:
        bound, context = _bound(), get_script_run_ctx()
        if bound is not None and context is not None:
            bound.showing(context.session_id, set(st.session_state.get(SEEN, ())))


def _bound() -> Bound | None:
    return (
        getattr(runtime.get_instance().uploaded_file_mgr, BOUND, None) if runtime.exists() else None
    )


def say_refused() -> None:
    """A sentence where files of this session were refused since the last run of the page."""
    bound, context = _bound(), get_script_run_ctx()
    if bound is not None and context is not None and context.session_id in bound.refused:
        bound.refused.discard(context.session_id)
        st.warning(
            f"One visit may upload {session_mb()} MB at a time, and all visits together share a"
            " fixed amount. Remove some of the files above, or upload them in parts.",
            title="Some files were not accepted: too much at once",
            icon=":material/stacks:",
        )
