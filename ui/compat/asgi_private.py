"""Internals of Starlette and of uvicorn below it.

Why each is needed:

* ``route_path``: inside a mounted app the scope's path still has the mount's in front.
* ``keep_forms_in_memory``: Starlette's form parser writes what is larger than 1 MB to a disk, and
  the apps that use it have no option for that size.
* ``lifespan_of``, ``replace_lifespan``: a mounted app's start and end are not run by the outer one.
* ``watch_connections``: uvicorn limits neither the connections of one client nor the time for a
  request's head, and has no hook for either, so its protocols' methods are wrapped.
* ``limit_messages``: Streamlit starts uvicorn with one limit for the messages of browsers and for
  those to them. The server refuses larger ones by their first bytes; what stands behind it would
  have them in memory first. A text that is none is logged with a traceback.
* ``trusted_proxies``: who may name clients, read as the server itself reads it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import Any, Protocol

from starlette._utils import get_route_path
from starlette.formparsers import MultiPartParser
from starlette.types import Scope

CHECKED_WITH = {"starlette": "1.10.0", "uvicorn": "0.54.0"}
NOT_UTF_8 = "Invalid UTF-8 sequence received from client."
"""uvicorn's words for a text that is none."""
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def route_path(scope: Scope) -> str:
    """The request's path inside the app that serves it."""
    return get_route_path(scope) or "/"


def keep_forms_in_memory(size: int) -> None:
    """Files of forms stay in memory up to ``size`` bytes each."""
    MultiPartParser.spool_max_size = size


def lifespan_of(app: Any) -> Lifespan:
    """What runs around ``app``'s time as a server."""
    return app.router.lifespan_context


def replace_lifespan(app: Any, lifespan: Lifespan) -> None:
    """Run ``lifespan`` around ``app``'s time as a server."""
    app.router.lifespan_context = lifespan


class ConnectionWatcher(Protocol):
    """Hears of TCP connections. ``protocol`` is uvicorn's object for one, to which the watcher may
    add attributes.
    """

    def opened(self, protocol: Any, transport: asyncio.Transport) -> None:
        """A connection was made."""

    def received(self, protocol: Any) -> None:
        """Bytes have come and were handled."""

    def closing(self, protocol: Any) -> None:
        """The connection is lost, or a web socket from now on, which another class handles."""


def watch_connections(watcher: ConnectionWatcher) -> None:
    """Tell ``watcher``, and no other, of connections from now on, whichever protocol the server
    chose.
    """
    for kind in protocol_classes():
        if not hasattr(kind, "connection_watcher"):
            _wrap(kind)
        kind.connection_watcher = watcher


def limit_messages(size: int) -> None:
    """Web sockets opened from now on take messages of at most ``size`` bytes, and a text that is
    not UTF-8 is logged in one line. For connections that are watched.
    """
    for kind in protocol_classes():
        kind.largest_message = size
    logger = logging.getLogger("uvicorn.error")
    if _without_traceback not in logger.filters:
        logger.addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.msg == NOT_UTF_8:
        record.exc_info = None
    return True


def protocol_classes() -> list[Any]:
    """uvicorn's HTTP protocols that can be imported here."""
    from uvicorn.protocols.http import h11_impl

    kinds: list[Any] = [h11_impl.H11Protocol]
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        pass
    else:
        kinds.append(HttpToolsProtocol)
    return kinds


def peer_of(protocol: Any) -> str | None:
    """Address of the other end, None where it is not known."""
    return protocol.client[0] if protocol.client else None


def is_answering(protocol: Any) -> bool:
    """Whether a request is being answered on the connection."""
    return protocol.cycle is not None and not protocol.cycle.response_complete


def trusted_proxies(addresses: str) -> Container[str]:
    """Peers of a list as ``FORWARDED_ALLOW_IPS`` has it: addresses, networks, ``*`` for all."""
    from uvicorn.middleware.proxy_headers import _TrustedHosts

    return _TrustedHosts(addresses)


def _wrap(kind: Any) -> None:
    made, lost, received, upgrade = (
        kind.connection_made,
        kind.connection_lost,
        kind.data_received,
        kind.handle_websocket_upgrade,
    )

    @wraps(made)
    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        made(self, transport)
        self.connection_watcher.opened(self, transport)

    @wraps(lost)
    def connection_lost(self: Any, error: Exception | None) -> None:
        self.connection_watcher.closing(self)
        lost(self, error)

    @wraps(received)
    def data_received(self: Any, data: bytes) -> None:
        received(self, data)
        self.connection_watcher.received(self)

    @wraps(upgrade)
    def handle_websocket_upgrade(self: Any, *arguments: Any) -> None:
        self.connection_watcher.closing(self)
        if (largest := getattr(self, "largest_message", None)) is not None:
            self.config.ws_max_size = largest
        upgrade(self, *arguments)

    kind.connection_made, kind.connection_lost = connection_made, connection_lost
    kind.data_received, kind.handle_websocket_upgrade = data_received, handle_websocket_upgrade
