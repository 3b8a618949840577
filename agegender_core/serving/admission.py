"""Admission to the work: a few callers at once, more in a queue, all others are turned away
politely; slots for what lasts.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from agegender_core.errors import BusyError
from agegender_core.serving.fair_queue import FairLine, Ticket

BUSY = "Many people are asking right now. Nothing of yours was lost: try again in a minute."

SHARE_TAKEN = (
    "Many questions from your address are waiting already. Nothing of yours was lost: try again"
    " when one has been answered."
)
LEAST_SHARE = 2
"""Places one caller may have, however short the queue is; of a longer one it may have half."""
NOTIFY = 0.5
"""Seconds after which someone in the queue is notified again of their position."""


class AdmissionQueue:
    """Lets ``inside`` callers work at the same moment and ``waiting`` more stand in a queue, first
    come, first served, but fair between callers who give a name: see ``FairLine``. Thread-safe.
    """

    def __init__(self, inside: int, waiting: int) -> None:
        self.inside, self.waiting = inside, waiting
        self.elsewhere: Callable[[], int] = int
        """How many wait or work in a front end's own queue, which is before this one. They count as
        well, and once each: their work happens within ``covered``. Called with the lock held, from
        any thread: it may not block.
        """
        self.elsewhere_of: Callable[[Hashable], int] = lambda caller: 0
        """How many of those are one caller's."""
        self._mine = 0
        self._of: Counter[Hashable] = Counter()
        self._covered = threading.local()
        self._busy = 0
        self._queue = FairLine()
        self._changed = threading.Condition()

    @contextmanager
    def admit(
        self,
        on_position: Callable[[int], None] | None = None,
        already_admitted: bool = False,
        caller: Hashable | None = None,
    ) -> Iterator[None]:
        """Do the work of the block when it is this caller's turn.

        ``on_position``: called with the number of callers ahead, again and again until then; what
        it raises ends the wait. ``caller``: who asks; callers take turns, and none has more than
        its ``share`` of the places. None: somebody new. Raises ``BusyError`` where the queue is
        full, or the caller's share of it, unless ``already_admitted``: a long job that is admitted
        once for each of its steps is not broken off halfway; it waits for room in its share.
        """
        self._enter(on_position, already_admitted, caller)
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._uncount(not getattr(self._covered, "now", False), caller)
                self._changed.notify_all()

    @property
    def share(self) -> int:
        """Places that one caller may have."""
        return max(LEAST_SHARE, (self.inside + self.waiting + 1) // 2)

    def taken_by(self, caller: Hashable) -> int:
        """Places that one caller has, here and elsewhere."""
        with self._changed:
            return self._of[caller] + self.elsewhere_of(caller)

    @contextmanager
    def asked(self) -> Iterator[bool]:
        """Whether one more may come in or wait. What the caller counts in ``elsewhere`` before the
        end of the block is counted exactly: nobody else is let in meanwhile.
        """
        with self._changed:
            yield self._mine + self.elsewhere() < self.inside + self.waiting

    @contextmanager
    def covered(self) -> Iterator[None]:
        """This thread's turns are counted by ``elsewhere`` already, and are never refused."""
        self._covered.now = True
        try:
            yield
        finally:
            self._covered.now = False

    def _enter(
        self,
        on_position: Callable[[int], None] | None,
        already_admitted: bool,
        caller: Hashable | None,
    ) -> None:
        counted = not getattr(self._covered, "now", False)
        while (me := self._join(counted, already_admitted, caller)) is None:
            if on_position is not None:
                on_position(self.share)
        try:
            while (before := self._before(me)) is not None:
                if on_position is not None:
                    on_position(before)
        except BaseException:
            with self._changed:
                if me in self._queue:
                    self._queue.leave(me)
                else:
                    self._busy -= 1
                self._uncount(counted, caller)
                self._changed.notify_all()
            raise

    def _join(
        self, counted: bool, already_admitted: bool, caller: Hashable | None
    ) -> Ticket | None:
        """A place in the queue. None after a while in which a caller who may not be refused had
        no room in its share.
        """
        with self.asked() as room:
            if counted and not already_admitted and not room:
                raise BusyError(BUSY)
            if counted and caller is not None and self.taken_by(caller) >= self.share:
                if not already_admitted:
                    raise BusyError(SHARE_TAKEN)
                self._changed.wait(NOTIFY)
                return None
            if counted:
                self._mine += 1
                self._of[caller] += 1
            return self._queue.join(caller)

    def _uncount(self, counted: bool, caller: Hashable | None) -> None:
        if counted:
            self._mine -= 1
            self._of[caller] -= 1
            if not self._of[caller]:
                del self._of[caller]

    def _before(self, me: Ticket) -> int | None:
        """Come in where it is one's turn, and return None; otherwise wait a little and return how
        many are before one.
        """
        with self._changed:
            if not self._may(me):
                self._changed.wait(NOTIFY)
            if not self._may(me):
                return self._queue.before(me) + 1
            self._queue.leave(me, served=True)
            self._busy += 1
            self._changed.notify_all()
            return None

    def _may(self, me: Ticket) -> bool:
        return self._queue.first() is me and self._busy < self.inside


class SlotLeases:
    """Leases for what lasts, such as videos, up to a fixed number. One is lost unless renewed
    within ``lost`` seconds. Thread-safe.
    """

    def __init__(self, most: int, lost: float = 10.0) -> None:
        self.most, self.lost = most, lost
        self._taken: dict[object, float] = {}
        self._lock = threading.Lock()

    def take(self, who: object, now: float | None = None) -> bool:
        """Take a slot or renew the one ``who`` has; whether there was one. ``now``: by
        ``time.monotonic``.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            self._taken = {
                one: seen for one, seen in self._taken.items() if now - seen <= self.lost
            }
            if who not in self._taken and len(self._taken) >= self.most:
                return False
            self._taken[who] = now
            return True

    def leave(self, who: object) -> None:
        """Give the slot back, if ``who`` has one."""
        with self._lock:
            self._taken.pop(who, None)
