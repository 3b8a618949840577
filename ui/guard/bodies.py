"""Bodies of requests, read within limits of size and pace before anything is done with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.types import Message, Receive, Scope

IDLE = 20.0
"""Seconds without a byte after which a body counts as broken off."""
GRACE, PACE = 30.0, 16 * 1024
"""A body may take so many seconds, and one more for each so many bytes that have come."""


class Refused(Exception):  # noqa: N818
    """The request is answered with ``status`` and one sentence, or a detail that Gradio's clients
    know.
    """

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(detail if isinstance(detail, str) else "")
        self.status, self.detail = status, detail


class Gone(Exception):  # noqa: N818
    """The client went away."""


def header(scope: Scope, name: bytes) -> str:
    """A header's value, empty where it is not there."""
    return next(
        (value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), ""
    )


def announced(scope: Scope) -> int:
    """The body's length by its header, -1 where that names none."""
    length = header(scope, b"content-length")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else -1


async def chunks(scope: Scope, receive: Receive, most: int, words: str) -> AsyncIterator[bytes]:
    """The body in pieces. Raises ``Refused``: with 413 and ``words`` as soon as it is longer than
    ``most`` bytes, or its header announces more, with 408 where it is too slow; ``Gone`` where the
    client went away.
    """
    if announced(scope) > most:
        raise Refused(413, words)
    began, got = time.monotonic(), 0
    while True:
        left = began + GRACE + got / PACE - time.monotonic()
        try:
            message = await asyncio.wait_for(receive(), max(0.01, min(IDLE, left)))
        except TimeoutError:
            raise Refused(408, "The upload was too slow and was given up: send it again.") from None
        if message["type"] != "http.request":
            raise Gone
        got += len(message.get("body", b""))
        if got > most:
            raise Refused(413, words)
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


async def read_body(
    scope: Scope,
    receive: Receive,
    most: int,
    words: str,
    take: Callable[[int], None] = lambda more: None,
) -> bytes:
    """The whole body. ``take`` is called with the size of each piece before it is stored."""
    got = bytearray()
    async for piece in chunks(scope, receive, most, words):
        take(len(piece))
        got += piece
    return bytes(got)


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns ``body``, then whatever else the client sends."""
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
