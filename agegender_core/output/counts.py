"""Numbers of things in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """«1 face», «2 faces», «1,234 images»: for nouns whose plural ends in s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
