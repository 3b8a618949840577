"""Who may ask, before anything is decoded: as many as the gate has room for, counted exactly, and
no client more than its share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from agegender_core.serving.admission import AdmissionQueue
from ui.guard.bodies import Refused
from ui.guard.limits import client_of

NETWORK = "network"
FULL = "The queue is full: many people are asking right now. Try again in a minute."
SHARE = (
    "The queue is full for you: {} calls of yours wait for their answers. Try again when one has"
    " come."
)
LEAST_SHARE = 2
"""Calls one client may have in the queue, however short that is; of a longer one it may have half.
"""
QUICK = 100
"""Events that wait in a queue that is not for the networks."""


class Admission:
    """``queue``: Gradio's. For the event loop's thread only, but for ``count``."""

    def __init__(self, queue: Any, gate: Callable[[], AdmissionQueue]) -> None:
        self.queue, self.gate = queue, gate
        self._joining: Counter[str] = Counter()
        self.gate().elsewhere = self.count

    def count(self) -> int:
        """Calls that are joining, wait or are worked on. Thread-safe."""
        line = self.queue.event_queue_per_concurrency_id.get(NETWORK)
        return self._joining.total() + (len(line.queue) + line.current_concurrency if line else 0)

    def enter(self, client: str, concurrency: str) -> Callable[[], None]:
        """Let a call join the queue; to be called once it has. Raises ``Refused`` where there is no
        room.
        """
        if concurrency != NETWORK:
            line = self.queue.event_queue_per_concurrency_id.get(concurrency)
            if line is not None and len(line.queue) >= QUICK:
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
        share = max(LEAST_SHARE, (gate.inside + gate.waiting + 1) // 2)
        if not room:
            raise Refused(503, FULL)
        if self._joining[client] + self._waiting()[client] >= share:
            raise Refused(503, SHARE.format(share))

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

    def _waiting(self) -> Counter[str]:
        line = self.queue.event_queue_per_concurrency_id.get(NETWORK)
        return Counter(_client(event) for event in line.queue) if line else Counter()

    def _be_fair(self) -> None:
        """Order the queue so that each client's first call comes before anybody's second, those
        worked on counted.
        """
        line = self.queue.event_queue_per_concurrency_id.get(NETWORK)
        if line is None or len(line.queue) < 2:
            return
        order = Counter(
            _client(event)
            for job in self.queue.active_jobs
            if job
            for event in job
            if event.concurrency_id == NETWORK
        )
        ranks = []
        for event in line.queue:
            ranks.append(order[_client(event)])
            order[_client(event)] += 1
        line.queue[:] = [
            event
            for _, event in sorted(zip(ranks, line.queue, strict=True), key=lambda pair: pair[0])
        ]


def _client(event: Any) -> str:
    return client_of(event.request.scope)
