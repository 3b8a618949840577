"""Streamlit's scripts and style sheets, compressed once. Streamlit serves them as they are, several
megabytes for a first visit, and leaves compressing to a proxy, which not everybody has.
"""

from __future__ import annotations

import asyncio
import gzip
import posixpath

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.guard.bodies import header

KINDS = (b"application/javascript", b"text/javascript", b"text/css")
SMALLEST = 1024
"""Bytes below which a file is served as it is."""
LEVEL = 6
"""gzip's 9 takes twice its time and saves one per cent."""
Headers = list[tuple[bytes, bytes]]


class StaticFiles:
    """ASGI middleware around Streamlit: a file below ``path`` that never changes is stored
    compressed after it was served for the first time. Only files that are there are stored, each
    under its shortest path alone, so their number is Streamlit's.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self.app, self.path = app, path
        self._stored: dict[str, tuple[Headers, bytes] | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self._takes_gzip(scope):
            await self.app(scope, receive, send)
            return
        stored = self._stored.get(scope["path"])
        if stored is not None:
            headers, body = stored
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        elif scope["path"] in self._stored:  # being compressed, or not worth it
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, self._storing(scope["path"], send))

    def _takes_gzip(self, scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and scope["path"].startswith(self.path)
            and posixpath.normpath(scope["path"]) == scope["path"]
            and "gzip" in header(scope, b"accept-encoding")
            and not header(scope, b"range")
            and not header(scope, b"if-none-match")
            and not header(scope, b"if-modified-since")
        )

    def _storing(self, path: str, send: Send) -> Send:
        """``send``, which also notes a whole file."""
        headers: Headers = []
        pieces: list[bytes] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_permanent(message):
                headers.extend(message["headers"])
            await send(message)
            if message["type"] == "http.response.body" and headers:
                pieces.append(message.get("body", b""))
                if not message.get("more_body"):
                    self._begin(path, headers, b"".join(pieces))

        return noting

    def _begin(self, path: str, headers: Headers, body: bytes) -> None:
        if self._stored.setdefault(path, None) is None and len(body) >= SMALLEST:
            task = asyncio.create_task(self._compress(path, headers, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _compress(self, path: str, headers: Headers, body: bytes) -> None:
        small = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
        changed = (b"content-length", b"accept-ranges", b"etag", b"last-modified", b"vary")
        self._stored[path] = (
            [
                *(pair for pair in headers if pair[0].lower() not in changed),
                (b"content-encoding", b"gzip"),
                (b"vary", b"Accept-Encoding"),
                (b"content-length", str(len(small)).encode()),
            ],
            small,
        )


def _is_permanent(start: Message) -> bool:
    headers = {name.lower(): value for name, value in start["headers"]}
    return (
        start["status"] == 200
        and headers.get(b"content-type", b"").startswith(KINDS)
        and b"immutable" in headers.get(b"cache-control", b"")
        and b"content-encoding" not in headers
    )
