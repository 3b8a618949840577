"""How much one client and all of them may do at the same moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ui.common.client_address import UNKNOWN, household

KINDS = {
    "connection": (160, 2048),
    "request": (128, 1024),
    "upload": (8, 64),
    "stream": (64, 768),
    "socket": (32, 256),
}
"""At the same moment, of one client and of all: TCP connections; requests; bodies of files; event
streams; Streamlit's web sockets.
"""


class Crowded(Exception):  # noqa: N818
    """The limit is reached. The message says what to do."""


class Limits:
    """Counts by kind and client. For the event loop's thread only."""

    def __init__(self, kinds: Mapping[str, tuple[int, int]] = KINDS) -> None:
        self.kinds = dict(kinds)
        self.counts: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}

    @contextmanager
    def one(self, kind: str, client: str, trusted: bool = False) -> Iterator[None]:
        """One more of ``kind`` for the time of the block. ``trusted``: only the limit of all
        counts. Raises ``Crowded``.
        """
        self.enter(kind, client, trusted)
        try:
            yield
        finally:
            self.leave(kind, client)

    def enter(self, kind: str, client: str, trusted: bool = False) -> None:
        """Count one more until ``leave``. Raises ``Crowded``."""
        share, most = self.kinds[kind]
        counts = self.counts[kind]
        if counts[client] >= share and not trusted:
            raise Crowded(
                f"{share} requests of this kind from your address are open already: wait for some"
                " of them to end."
            )
        if counts.total() >= most:
            raise Crowded("The server is busy: try again in a minute.")
        counts[client] += 1

    def leave(self, kind: str, client: str) -> None:
        """Count one less."""
        counts = self.counts[kind]
        counts[client] -= 1
        if not counts[client]:
            del counts[client]


def client_of(scope: Mapping[str, Any]) -> str:
    """Whose request it is: the address of the peer, or, where the operator trusts the peer as a
    proxy, the one it names (the server has put it there: ``FORWARDED_ALLOW_IPS``). A network of
    IPv6 that one household has counts as one.
    """
    return household((scope.get("client") or (UNKNOWN,))[0])
