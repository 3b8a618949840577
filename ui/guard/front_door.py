"""The outermost layer of both front ends: limits the number of requests, web sockets and uploads,
and the size of bodies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.guard.answers import careful, send_json
from ui.guard.bodies import Refused, chunks
from ui.guard.limits import Crowded, Limits, client_of
from ui.guard.uploads import TooMuch, UploadStore

ADDRESS = 8192
"""Bytes of a request's path and query."""
BODY = 64 * 1024
"""Bytes of a body for which there is no other limit."""
ENVELOPE = 64 * 1024
"""Bytes a multipart body may have beside its one file."""
UPLOAD_ROUTE = "/_stcore/upload_file/"
"""Of Streamlit's uploads: below it the session's id and the file's."""
SOCKET_ROUTE = "/_stcore/stream"
"""Of Streamlit's web sockets, below its base path."""
CORE = "/_stcore/"
CORE_ROUTES = ("health", "host-config", "stream", "upload_file/", "bidi-components/")
"""What pages need of what Streamlit has below ``CORE``; its metrics, its routes for agents and the
like are for nobody.
"""
LOGIN_ROUTES = ("/auth/login", "/auth/logout", "/oauth2callback")
"""Of Streamlit's accounts, which the app does not have."""
TOO_LONG = "The request is longer than anything here takes."


class FrontDoor:
    """ASGI middleware around a whole app. ``store`` and ``limits``: those of the Gradio side, so
    that both count together. ``bodies``: for which paths the body is limited further inside
    (Gradio's); ``largest``: bytes of one of Streamlit's uploads; ``base``: Streamlit's base path,
    None where there is no Streamlit.
    """

    def __init__(
        self,
        app: ASGIApp,
        store: UploadStore,
        limits: Limits,
        largest: int,
        bodies: Callable[[str], bool] = lambda path: False,
        base: str | None = None,
    ) -> None:
        self.app, self.store, self.limits, self.largest, self.bodies = (
            app,
            store,
            limits,
            largest,
            bodies,
        )
        self.base = base
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
        client = client_of(scope)
        if self.base is None or scope["path"] != self.base + SOCKET_ROUTE:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        from ui.guard.web_sockets import PageSocket  # made of Streamlit's own messages

        try:
            with self.limits.one("socket", client):
                line = PageSocket(receive, send, client)
                await self.app(scope, line.receive, line.send)
        except Crowded:
            await receive()
            await send({"type": "websocket.close", "code": 1013})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, client = scope["path"], client_of(scope)
        if len(scope.get("raw_path") or path) + len(scope.get("query_string", b"")) > ADDRESS:
            raise Refused(414, TOO_LONG)
        if self.base is not None and _unneeded(path):
            await send_json(send, {"detail": "Not Found"}, 404)
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.limits.one("request", client))
            if self.bodies(path):
                pass
            elif UPLOAD_ROUTE in path and scope["method"] == "PUT":
                stack.enter_context(self.limits.one("upload", client))
                take = stack.enter_context(self.store.room(client))
                receive = self._capped(scope, receive, self.largest, _within_session(path, take))
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


def _unneeded(path: str) -> bool:
    """Whether it is one of Streamlit's routes that no page needs."""
    _, core, route = path.partition(CORE)
    if core:
        return not any(
            route == known or (known.endswith("/") and route.startswith(known))
            for known in CORE_ROUTES
        )
    return path.rstrip("/").endswith(LOGIN_ROUTES)


def _within_session(path: str, take: Callable[[int], None]) -> Callable[[int], None]:
    """``take``, and no more than the session at ``path`` has room for. Raises ``TooMuch``."""
    from ui.common import uploads

    bound = uploads.server_bound()
    if bound is None:
        return take
    session, got = path.partition(UPLOAD_ROUTE)[2].partition("/")[0], 0
    room = bound.room(session) + ENVELOPE

    def both(more: int) -> None:
        nonlocal got
        got += more
        if got > room:
            bound.refuse(session)
            raise TooMuch(bound.limits.refusal)
        take(more)

    return both


def _streamlit_bytes() -> int:
    """Bytes of all uploads on Streamlit's pages, and of those whose visitors have just left."""
    from ui.common import uploads
    from ui.compat import streamlit_private

    stored = streamlit_private.stored_bytes(streamlit_private.upload_store())
    return stored + uploads.visits().bytes()
