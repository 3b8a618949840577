"""Where the milliseconds of a frame go, so that a video keeps its pace on whatever machine this is.

Every frame earns a share of the time between two frames at the wanted pace. What following and
drawing leave of it is saved up for detection and for the network, each at the price it had
lately. Nobody can save for more than a few frames ahead.
"""

from __future__ import annotations

LOAD = 0.75
"""Share of a frame's time that may be spent; the rest is for receiving, drawing and sending."""
AHEAD = 3.0
"""Frames one can save up for, or be in debt for."""
SLOW = 0.25
"""How quickly a price follows what was paid."""
GUESS = {"detect": 40.0, "estimate": 5.0}
"""Prices in milliseconds before anything was paid: one detection, one face's estimate."""


class FrameBudget:
    """``fps``: the pace to keep, in frames a second."""

    def __init__(self, fps: float = 15.0) -> None:
        self._share = 1000 * LOAD / fps
        self._saved = self._share
        self._price = dict(GUESS)

    @property
    def saved_ms(self) -> float:
        """Milliseconds at hand; below zero in debt."""
        return self._saved

    def price(self, what: str) -> float:
        """Milliseconds that one ``what`` took lately."""
        return self._price[what]

    def next_frame(self) -> None:
        """Earn a frame's share."""
        self._saved = min(self._saved + self._share, AHEAD * self._share)

    def spend(self, milliseconds: float, what: str | None = None, count: int = 1) -> None:
        """Pay for ``count`` times ``what``, or for something that has no price of its own."""
        self._saved = max(self._saved - milliseconds, -AHEAD * self._share)
        if what is not None and count:
            # One hiccup, such as a first run, predicts little about the next.
            paid = min(milliseconds / count, 4 * self._price[what])
            self._price[what] += SLOW * (paid - self._price[what])

    def affords(self, what: str) -> int:
        """How many ``what`` can be paid for now."""
        return max(0, int(self._saved / max(self._price[what], 0.1)))
