"""A cookie that tells one browser from another, for what a tab gets back after a refresh
(``ui/predict/returning``). Scripts cannot read it, it stands in no address, it names nobody, and
one that this process did not issue counts as none.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.guard.bodies import header

NAME = "agegender_browser"
VALUE = re.compile(r"[\w-]{43}\.[0-9a-f]{64}", re.ASCII)
_KEY = secrets.token_bytes(32)
"""Of this process: a restart ends all cookies, as it ends all that is in memory."""


def issued() -> str:
    """A new value: 256 random bits and this process's signature."""
    token = secrets.token_urlsafe(32)
    return f"{token}.{_signature(token)}"


def verified(value: object) -> str | None:
    """``value`` where this process issued it, None for anything else."""
    if not isinstance(value, str) or len(value) > 200 or not VALUE.fullmatch(value):
        return None
    token, _, signature = value.partition(".")
    return value if hmac.compare_digest(signature, _signature(token)) else None


class VisitorCookie:
    """ASGI middleware: gives the cookie to a browser that opens a page without one. ``path``: what
    it is for; ``same_site``: «lax», or «none» for an app in a frame of another site, which takes
    HTTPS; ``without``: what the paths begin with whose pages need none.
    """

    def __init__(self, app: ASGIApp, path: str, same_site: str, without: str) -> None:
        self.app, self.path, self.same_site, self.without = app, path or "/", same_site, without

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self._is_page(scope) or any(map(verified, cookies(scope))):
            await self.app(scope, receive, send)
            return

        async def giving(message: Message) -> None:
            if message["type"] == "http.response.start" and _holds_page(message):
                message = {**message, "headers": self._with_cookie(scope, message["headers"])}
            await send(message)

        await self.app(scope, receive, giving)

    def _is_page(self, scope: Scope) -> bool:
        return (
            scope["type"] == "http"
            and scope["method"] == "GET"
            and "text/html" in header(scope, b"accept")
            and not scope["path"].startswith(self.without)
        )

    def _with_cookie(
        self, scope: Scope, headers: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """No store between may give the answer to somebody else."""
        secure = "https" in (scope.get("scheme"), header(scope, b"x-forwarded-proto"))
        words = f"{NAME}={issued()}; Path={self.path}; HttpOnly"
        # A frame's cookie is one for each site that frames the app.
        words += (
            "; SameSite=None; Secure; Partitioned"
            if self.same_site == "none"
            else "; SameSite=Lax" + ("; Secure" if secure else "")
        )
        kept = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
        return [
            *kept,
            (b"cache-control", b"private, no-cache"),
            (b"set-cookie", words.encode("latin-1")),
        ]


def cookies(scope: Scope) -> list[str]:
    """All values a request has for the cookie: a browser may have several, for several paths."""
    pairs = (pair.strip().partition("=") for pair in header(scope, b"cookie").split(";"))
    return [value for name, _, value in pairs if name == NAME]


def _holds_page(start: Message) -> bool:
    kinds = dict(start["headers"]).get(b"content-type", b"")
    return start["status"] == 304 or (start["status"] == 200 and kinds.startswith(b"text/html"))


def _signature(token: str) -> str:
    return hmac.new(_KEY, token.encode(), hashlib.sha256).hexdigest()
