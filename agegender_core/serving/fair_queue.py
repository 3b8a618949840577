"""Who is next: one after the other in the order they came, but nobody twice before another once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Ticket:
    """A place in the line. ``round``: in which round of the line it is served."""

    caller: Hashable
    round: int
    number: int
    rank: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.rank = (self.round, self.number)


class FairLine:
    """A line that is fair between callers (start-time fair queuing). Not thread-safe: hold a lock.

    Everybody has one turn a round. A caller with many requests gets one of them served in each
    round, and a caller with one waits for at most one of each of the others. Requests of one caller
    stay in order.
    """

    def __init__(self) -> None:
        self._waiting: list[Ticket] = []
        self._last: dict[Hashable, int] = {}
        self._round = self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, caller: Hashable | None = None) -> Ticket:
        """A place at the end of the caller's own; without a name everybody is a caller of their
        own.
        """
        self._number += 1
        turn = self._round
        if caller is not None:
            turn = max(turn, self._last.get(caller, -1) + 1)
            self._last[caller] = turn
        ticket = Ticket(caller, turn, self._number)
        self._waiting.append(ticket)
        return ticket

    def before(self, ticket: Ticket) -> int:
        """How many are served before this one, as it stands."""
        return sum(other.rank < ticket.rank for other in self._waiting)

    def first(self) -> Ticket | None:
        """Whose turn it is."""
        return min(self._waiting, key=lambda ticket: ticket.rank, default=None)

    def leave(self, ticket: Ticket, served: bool = False) -> None:
        """Give the place up, or come in with it: then its round has begun."""
        self._waiting.remove(ticket)
        if served:
            self._round = max(self._round, ticket.round)
            self._last = {name: last for name, last in self._last.items() if last >= self._round}

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._waiting
