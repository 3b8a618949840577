"""When a gender is too close to call, and how genders are written for people: one rule for cards,
tables, drawn labels, the terminal and both front ends. CSV, JSON and the API carry the probability
instead.
"""

from __future__ import annotations

EVEN = 0.70
"""A gender that is less probable than this is too close to call."""
LIVE_UNDECIDED, LIVE_DECIDED = 0.65, 0.72
"""In a video, whose answers waver: below the one a gender is no longer named, above the other it is
again. Around ``EVEN``, so that no name comes and goes with every frame.
"""
TOO_CLOSE = "too close to call"
UNDECIDED = "gender undecided"
"""The same where there is little room: on labels drawn beside a face."""


def too_close(probability: float | None) -> bool:
    """Whether the ``probability`` of the chosen gender is too low to name it; False for None, which
    a model without probabilities gives.
    """
    return probability is not None and probability < EVEN


def gender_words(label: str | None, probability: float | None) -> str:
    """«Female 97 %», «Too close to call (Female 62 %)»; empty where there is no ``label``."""
    if not label:
        return ""
    named = label if probability is None else f"{label} {100 * probability:.0f} %"
    return f"{TOO_CLOSE.capitalize()} ({named})" if too_close(probability) else named
