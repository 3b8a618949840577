"""TCP connections: how many one address and all of them may have, and how long one may take to send
the head of a request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Container
from functools import cache
from typing import Any

from ui.common.client_address import UNKNOWN, household
from ui.compat import asgi_private
from ui.guard.limits import Crowded, Limits

PATIENCE = 20.0
"""Seconds for the head of a request."""


def limit_connections(limits: Limits) -> None:
    """Count connections by ``limits`` from now on. Peers the operator trusts as proxies have no
    limit of their own: behind them are many.
    """
    asgi_private.watch_connections(_Watcher(limits))


class _Watcher:
    """Notes on each of uvicorn's protocol objects as whose it counts (``guarded_as``) and the timer
    for its request's head (``guard_timer``).
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def opened(self, protocol: Any, transport: asyncio.Transport) -> None:
        peer = asgi_private.peer_of(protocol) or UNKNOWN
        protocol.guarded_as, protocol.guard_timer = None, None
        try:
            self.limits.enter("connection", household(peer), trusted=_trusted(peer))
        except Crowded:
            transport.abort()
            return
        protocol.guarded_as = household(peer)
        _start_timer(protocol)

    def received(self, protocol: Any) -> None:
        if protocol.guarded_as is None:
            return
        if asgi_private.is_answering(protocol):
            _stop_timer(protocol)
        elif protocol.guard_timer is None:
            _start_timer(protocol)

    def closing(self, protocol: Any) -> None:
        if protocol.guarded_as is not None:
            self.limits.leave("connection", protocol.guarded_as)
            protocol.guarded_as = None
        _stop_timer(protocol)


def _start_timer(protocol: Any) -> None:
    protocol.guard_timer = protocol.loop.call_later(PATIENCE, _time_out, protocol)


def _stop_timer(protocol: Any) -> None:
    if protocol.guard_timer is not None:
        protocol.guard_timer.cancel()
        protocol.guard_timer = None


def _time_out(protocol: Any) -> None:
    protocol.guard_timer = None
    if not asgi_private.is_answering(protocol):
        protocol.transport.abort()


def _trusted(peer: str) -> bool:
    """Whether the operator trusts this peer to name its clients: the server's own
    ``FORWARDED_ALLOW_IPS``.
    """
    return peer in _proxies()


@cache
def _proxies() -> Container[str]:
    return asgi_private.trusted_proxies(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"))
