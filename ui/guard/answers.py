"""Answers of the guard itself: one sentence, never what the caller sent."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from ui.guard.bodies import Gone, Refused
from ui.guard.limits import Crowded
from ui.guard.uploads import TooMuch

log = logging.getLogger("agegender.guard")
BROKEN = "Something went wrong here. The log says what; your image is not in it."


async def send_bytes(
    send: Send,
    status: int,
    body: bytes,
    kind: str,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """A whole answer, which no browser may interpret as anything but ``kind``."""
    all_headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, content: Any, status: int = 200) -> None:
    """JSON."""
    await send_bytes(
        send, status, json.dumps(content, ensure_ascii=False).encode(), "application/json"
    )


async def careful(
    handle: Callable[[Scope, Receive, Send], Awaitable[None]],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """``handle`` a request; what goes wrong is reported in one sentence. Where the client has gone,
    nothing is sent or logged.
    """
    gone, begun = False, False

    async def receiving() -> Message:
        nonlocal gone
        message = await receive()
        gone = gone or message["type"] == "http.disconnect"
        return message

    async def sending(message: Message) -> None:
        nonlocal begun
        begun = True
        await send(message)

    try:
        await handle(scope, receiving, sending)
    except Exception as error:
        status, detail = _words(error)
        if gone or isinstance(error, Gone):
            return
        # Such as a stream of an unknown session: it has reported that, and ends.
        if begun:
            with contextlib.suppress(Exception):
                await send({"type": "http.response.body", "body": b""})
            return
        if status == 500:
            log.exception("%s %s failed", scope.get("method"), _route(scope))
        await send_json(sending, {"detail": detail}, status)


def _words(error: Exception) -> tuple[int, Any]:
    if isinstance(error, Refused):
        return error.status, error.detail
    if isinstance(error, TooMuch):
        return 413, str(error)
    if isinstance(error, Crowded):
        return 429, str(error)
    return 500, BROKEN


def _route(scope: Scope) -> str:
    """The path's first parts, which name no file."""
    return "/".join(scope.get("path", "").split("/")[:4])[:80]
