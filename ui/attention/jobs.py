"""A long computation beside the page: its progress, the time it has left, and a way to stop it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from agegender_core.errors import AgeGenderError

LOG = logging.getLogger(__name__)
ABANDONED = 120.0
"""Seconds without anybody asking after a job until it stops by itself."""
_TURN = threading.Semaphore(1)
"""One job at a time in this process: two would only slow each other down, and everybody's answers
with them.
"""


class CancelledError(Exception):
    """The job was cancelled or abandoned."""


class Job:
    """``work(report)`` in a thread of its own; ``report(done, total)`` raises ``CancelledError``
    once the job is to stop.
    """

    def __init__(self, work: Callable[[Callable[[int, int], None]], Any]) -> None:
        self.result: Any = None
        self.error: str | None = None
        self.done, self.total = 0, 0
        self.started: float | None = None
        """When its turn came, by ``monotonic``; None while it waits."""
        self._cancelled = threading.Event()
        self._asked = monotonic()
        self._thread = threading.Thread(
            target=self._run, args=(work,), daemon=True, name="attention-job"
        )
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still waiting or at work; asking keeps it alive."""
        self._asked = monotonic()
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Stop at the next report."""
        self._cancelled.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def seconds_left(self) -> float | None:
        """By the pace so far; None before the first step is done."""
        if self.started is None or not self.done:
            return None
        return (self._reported - self.started) / self.done * (self.total - self.done)

    def _report(self, done: int, total: int) -> None:
        if self._cancelled.is_set() or monotonic() - self._asked > ABANDONED:
            raise CancelledError
        self.done, self.total, self._reported = done, total, monotonic()

    def _run(self, work: Callable[[Callable[[int, int], None]], Any]) -> None:
        while not _TURN.acquire(timeout=0.5):
            if self._cancelled.is_set() or monotonic() - self._asked > ABANDONED:
                return
        try:
            self.started = monotonic()
            self._report(0, 0)
            self.result = work(self._report)
        except CancelledError:
            pass
        except AgeGenderError as error:
            self.error = str(error)
        except Exception:  # whatever it is, the page must report it rather than wait for ever
            LOG.exception("a test of the Attention page failed")
            self.error = "Something unexpected went wrong. Try again, or with another face."
        finally:
            _TURN.release()


def duration_words(seconds: float | None) -> str:
    """«about 40 s», «about a minute», «about 3 minutes»."""
    if seconds is None:
        return "about a minute"
    if seconds < 50:
        return f"about {max(1, round(seconds / 5) * 5 if seconds > 10 else round(seconds))} s"
    minutes = max(1, round(seconds / 60))
    return "about a minute" if minutes == 1 else f"about {minutes} minutes"
