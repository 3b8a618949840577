"""TCP connections: how many one address and all of them may have, and how long one may take to say
what it wants.

The web server has no limits of this kind and no place to add them, so its protocols' methods are
wrapped, once.
"""

from __future__ import annotations

import asyncio
import os
from functools import cache, wraps
from typing import Any

from ui.guard.limits import UNKNOWN, Crowded, Limits, household

PATIENCE = 20.0
"""Seconds for the head of a request."""


def limit_connections(limits: Limits) -> None:
    """Count connections by ``limits`` from now on, whichever protocol the server chose. Peers the
    operator trusts as proxies have no limit of their own: behind them are many.
    """
    from uvicorn.protocols.http import h11_impl

    kinds = [h11_impl.H11Protocol]
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        pass
    else:
        kinds.append(HttpToolsProtocol)
    for kind in kinds:
        if not hasattr(kind, "guarded"):
            _wrap(kind)
        kind.guarded = limits


def _wrap(kind: type) -> None:
    made, lost, received, upgrade = (
        kind.connection_made,
        kind.connection_lost,
        kind.data_received,
        kind.handle_websocket_upgrade,
    )

    @wraps(made)
    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        made(self, transport)
        peer = self.client[0] if self.client else UNKNOWN
        self.guarded_as, self.guard_timer = None, None
        try:
            self.guarded.enter("connection", household(peer), trusted=_trusted(peer))
        except Crowded:
            transport.abort()
            return
        self.guarded_as = household(peer)
        _expect(self)

    @wraps(lost)
    def connection_lost(self: Any, error: Exception | None) -> None:
        _leave(self)
        lost(self, error)

    @wraps(received)
    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        if self.guarded_as is None:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            _at_rest(self)
        elif self.guard_timer is None:
            _expect(self)

    @wraps(upgrade)
    # From now on it is counted as a web socket, and lost by another class.
    def handle_websocket_upgrade(self: Any, *given: Any) -> None:
        _leave(self)
        upgrade(self, *given)

    kind.connection_made, kind.connection_lost = connection_made, connection_lost
    kind.data_received, kind.handle_websocket_upgrade = data_received, handle_websocket_upgrade


def _leave(protocol: Any) -> None:
    if protocol.guarded_as is not None:
        protocol.guarded.leave("connection", protocol.guarded_as)
        protocol.guarded_as = None
    _at_rest(protocol)


def _expect(protocol: Any) -> None:
    protocol.guard_timer = protocol.loop.call_later(PATIENCE, _give_up, protocol)


def _at_rest(protocol: Any) -> None:
    if protocol.guard_timer is not None:
        protocol.guard_timer.cancel()
        protocol.guard_timer = None


def _give_up(protocol: Any) -> None:
    protocol.guard_timer = None
    if protocol.cycle is None or protocol.cycle.response_complete:
        protocol.transport.abort()


def _trusted(peer: str) -> bool:
    """Whether the operator trusts this peer to name its clients: the server's own
    ``FORWARDED_ALLOW_IPS``.
    """
    return peer in _proxies()


@cache
def _proxies() -> Any:
    from uvicorn.middleware.proxy_headers import _TrustedHosts

    return _TrustedHosts(os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"))
