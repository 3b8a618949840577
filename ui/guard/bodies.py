"""Bodies of requests, read with an eye on their size and their pace, before anything is made of
them.
"""

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
    """The body's length as its header says, -1 where it does not."""
    told = header(scope, b"content-length")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else -1


async def chunks(scope: Scope, receive: Receive, most: int, words: str) -> AsyncIterator[bytes]:
    """The body in pieces. Raises ``Refused`` with 413 and ``words`` as soon as it is longer than
    ``most`` bytes, or says it will be, with 408 where it is too slow; ``Gone`` where the client
    went.
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
    """The whole body. ``take`` is told of each piece before it is kept."""
    got = bytearray()
    async for piece in chunks(scope, receive, most, words):
        take(len(piece))
        got += piece
    return bytes(got)


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives ``body``, then whatever else the client says."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
