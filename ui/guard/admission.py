"""Admits calls before anything is decoded: as many as the queue has room for, counted exactly, and
no more of one client than its share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from agegender_core.serving.admission import AdmissionQueue
from ui.compat.gradio_private import GradioQueue, QueuedEvent
from ui.guard.bodies import Refused
from ui.guard.limits import client_of

NETWORK = "network"
FULL = "The queue is full: many people are asking right now. Try again in a minute."
SHARE = (
    "The queue is full for you: {} calls of yours wait for their answers. Try again when one has"
    " come."
)
QUICK = 100
"""Events that wait in a queue that is not for the networks."""


class Admission:
    """``queue``: Gradio's. For the event loop's thread only, but for ``count``."""

    def __init__(self, queue: GradioQueue, gate: Callable[[], AdmissionQueue]) -> None:
        self.queue, self.gate = queue, gate
        self._joining: Counter[Hashable] = Counter()
        gate = self.gate()
        gate.elsewhere, gate.elsewhere_of = self.count, self.count_of

    def count(self) -> int:
        """Calls that are joining, wait or are worked on. Thread-safe."""
        return self._joining.total() + self.queue.length(NETWORK)

    def count_of(self, client: Hashable) -> int:
        """Those of one client that join or wait. Thread-safe."""
        waiting = sum(_client(event) == client for event in self.queue.waiting(NETWORK))
        return self._joining.get(client, 0) + waiting

    def enter(self, client: str, concurrency: str) -> Callable[[], None]:
        """Let a call join the queue; to be called once it has. Raises ``Refused`` where there is no
        room.
        """
        if concurrency != NETWORK:
            if len(self.queue.waiting(concurrency)) >= QUICK:
                raise Refused(503, FULL)
            return lambda: None
        gate = self.gate()
        with gate.asked() as room:
            self._refuse(client, gate, room)
            self._joining[client] += 1
        return self._leave_once(client)

    def check(self, client: str, concurrency: str) -> None:
        """Refuse a call whose body was not read yet, if there is no room for it now. Raises
        ``Refused``.
        """
        if concurrency == NETWORK:
            gate = self.gate()
            with gate.asked() as room:
                self._refuse(client, gate, room)

    def _refuse(self, client: str, gate: AdmissionQueue, room: bool) -> None:
        if not room:
            raise Refused(503, FULL)
        if gate.taken_by(client) >= gate.share:
            raise Refused(503, SHARE.format(gate.share))

    def _leave_once(self, client: str) -> Callable[[], None]:
        done = False

        def leave() -> None:
            nonlocal done
            if not done:
                done = True
                self._joining[client] -= 1
                if not self._joining[client]:
                    del self._joining[client]
                self._be_fair()

        return leave

    def _be_fair(self) -> None:
        """Order the queue so that each client's first call comes before anybody's second, those
        worked on counted.
        """
        waiting = self.queue.waiting(NETWORK)
        if len(waiting) < 2:
            return
        order = Counter(
            _client(event) for event in self.queue.running() if event.concurrency_id == NETWORK
        )
        ranks = []
        for event in waiting:
            ranks.append(order[_client(event)])
            order[_client(event)] += 1
        ranked = sorted(zip(ranks, waiting, strict=True), key=lambda pair: pair[0])
        self.queue.reorder(NETWORK, [event for _, event in ranked])


def _client(event: QueuedEvent) -> str:
    return client_of(event.request.scope)
