"""What Gradio stores for a caller, and when it is dropped: soon after a page was closed, and ten
minutes after a call whose answer was never fetched.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ui.compat import gradio_private

LIFETIME, CLOSED_LIFETIME = 600.0, 60.0
"""Seconds for which a session is stored after its last request, and after its page was closed."""


class Sessions:
    """Sessions of one Gradio app. For the event loop's thread only."""

    def __init__(self, app: Any, left: Callable[[str], None]) -> None:
        self.app, self.left = app, left
        self._last: dict[str, float] = {}
        self._open: Counter[str] = Counter()

    def touch(self, session: str | None) -> None:
        """A request belongs to this session."""
        if session:
            self._last[session] = time.monotonic()

    @contextmanager
    def listening(self, session: str, ends: bool = False) -> Iterator[None]:
        """A stream of the session is open for the time of the block; with ``ends`` the session ends
        with it, soon.
        """
        self._open[session] += 1
        self.touch(session)
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]
            self._last[session] = time.monotonic() - (LIFETIME - CLOSED_LIFETIME if ends else 0)

    def of_event(self, event: str) -> str:
        """The session an event belongs to; the event itself where none is known."""
        session = gradio_private.queue_of(self.app).session_of(event)
        return event if session is None else session

    def sweep(self) -> None:
        """Drop sessions that are over."""
        now = time.monotonic()
        for session in gradio_private.stored_sessions(self.app):
            self._last.setdefault(session, now)
        busy = gradio_private.queue_of(self.app).busy_sessions()
        for session, last in list(self._last.items()):
            if now - last > LIFETIME and session not in self._open and session not in busy:
                self._forget(session)

    def _forget(self, session: str) -> None:
        del self._last[session]
        gradio_private.forget_session(self.app, session)
        self.left(session)
