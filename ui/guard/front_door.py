"""Before everything else, Streamlit's side included: how many requests, web sockets and uploads
there are, and how large bodies are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.guard.answers import careful
from ui.guard.bodies import Refused, chunks
from ui.guard.limits import Crowded, Limits, client_of
from ui.guard.uploads import TooMuch, UploadStore

ADDRESS = 8192
"""Bytes of a request's path and query."""
BODY = 64 * 1024
"""Bytes of a body for which there is no other limit."""
STREAMLIT_UPLOAD = "/_stcore/upload_file/"
TOO_LONG = "The request is longer than anything here takes."


class FrontDoor:
    """ASGI middleware around a whole app. ``store`` and ``limits``: those of the Gradio side, so
    that both count together. ``bodies``: of which requests the body is looked after further inside
    (Gradio's); ``largest``: bytes of one of Streamlit's uploads.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: UploadStore,
        limits: Limits,
        largest: int,
        bodies: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self.app, self.store, self.limits, self.largest, self.bodies = (
            app,
            store,
            limits,
            largest,
            bodies,
        )
        store.others = _streamlit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or web socket."""
        if scope["type"] == "http":
            await careful(self._request, scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self.limits.one("socket", client_of(scope)):
                await self.app(scope, receive, send)
        except Crowded:
            await receive()
            await send({"type": "websocket.close", "code": 1013})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, client = scope["path"], client_of(scope)
        if len(scope.get("raw_path") or path) + len(scope.get("query_string", b"")) > ADDRESS:
            raise Refused(414, TOO_LONG)
        with contextlib.ExitStack() as held:
            held.enter_context(self.limits.one("request", client))
            if self.bodies(path):
                pass
            elif STREAMLIT_UPLOAD in path and scope["method"] == "PUT":
                held.enter_context(self.limits.one("upload", client))
                take = held.enter_context(self.store.room(client))
                receive = self._capped(
                    scope, receive, self.largest, _within_session(path, self.store.share, take)
                )
            else:
                receive = self._capped(scope, receive, BODY, lambda more: None)
            await self.app(scope, receive, send)

    def _capped(
        self, scope: Scope, receive: Receive, most: int, take: Callable[[int], None]
    ) -> Receive:
        """``receive`` with a limit on the body's size and pace."""
        pieces = chunks(scope, receive, most, TOO_LONG)
        ended = False

        async def limited() -> Message:
            nonlocal ended
            if ended:
                return await receive()
            piece = await anext(pieces, b"")
            ended = not piece
            take(len(piece))
            return {"type": "http.request", "body": piece, "more_body": not ended}

        return limited


def _within_session(path: str, share: int, take: Callable[[int], None]) -> Callable[[int], None]:
    """``take``, and no more than ``share`` bytes with what the session at ``path`` has already.
    Raises ``TooMuch``.
    """
    session, got = path.partition(STREAMLIT_UPLOAD)[2].partition("/")[0], 0
    held = _session_bytes(session)

    def both(more: int) -> None:
        nonlocal got
        got += more
        if held + got > share:
            raise TooMuch(
                f"This page holds {share // 2**20} MB of uploads: take some away, or give them in"
                " parts."
            )
        take(more)

    return both


def _manager() -> Any:
    from streamlit import runtime

    return runtime.get_instance().uploaded_file_mgr if runtime.exists() else None


def _streamlit_bytes() -> int:
    """Bytes of all uploads on Streamlit's pages."""
    return getattr(_manager(), "_total_bytes", 0)


def _session_bytes(session: str) -> int:
    files = getattr(_manager(), "file_storage", {}).get(session, {})
    return sum(len(record.data) for record in list(files.values()))
