"""What the head of Streamlit's page has beside Streamlit's own: a script that lets Back leave a
page in one step, however many of its controls were used. A page in which the place for it is not
found is served as it is.
"""

from __future__ import annotations

from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.guard.bodies import header

BEFORE = b'<script type="module"'
"""Streamlit's own program, which must find the head complete."""
LARGEST = 256 * 1024
"""Bytes of a page; a longer one is not Streamlit's."""
SCRIPT = Path(__file__).with_name("one_entry.js").read_text(encoding="utf-8")
CONDITIONS = (b"if-none-match", b"if-modified-since", b"accept-encoding")
"""Of a request. Streamlit's file says «unchanged» of itself and knows nothing of what is added to
it, and nothing can be added to what is compressed.
"""
VALIDATORS = (b"etag", b"last-modified", b"content-length", b"accept-ranges")


class PageHead:
    """ASGI middleware around Streamlit. ``without``: what the paths begin with that are not its
    pages.
    """

    def __init__(self, app: ASGIApp, without: str) -> None:
        self.app, self.without = app, without
        self.added = f"<script>{SCRIPT}</script>".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self._asks_for_page(scope):
            await self.app(scope, receive, send)
            return
        unconditional = [pair for pair in scope["headers"] if pair[0].lower() not in CONDITIONS]
        await self.app(scope | {"headers": unconditional}, receive, _Adding(send, self.added).send)

    def _asks_for_page(self, scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and "text/html" in header(scope, b"accept")
            and not header(scope, b"range")
            and not scope["path"].startswith(self.without)
        )


class _Adding:
    """Holds a page back until it is whole; anything else goes on as it comes."""

    def __init__(self, send: Send, added: bytes) -> None:
        self._send, self._added = send, added
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_short_page(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._whole(self._start)

    async def _whole(self, start: Message) -> None:
        before, mark, after = self._body.partition(BEFORE)
        if mark:
            body = before + self._added + mark + after
            kept = [pair for pair in start["headers"] if pair[0].lower() not in VALIDATORS]
            length = (b"content-length", str(len(body)).encode())
            start = {**start, "headers": [*kept, length]}
        else:
            body = self._body
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_short_page(start: Message) -> bool:
    headers = {name.lower(): value for name, value in start["headers"]}
    length = headers.get(b"content-length", b"")
    return (
        start["status"] == 200
        and headers.get(b"content-type", b"").startswith(b"text/html")
        and b"content-encoding" not in headers
        and length.isdigit()
        and int(length) <= LARGEST
    )
