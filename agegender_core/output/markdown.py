"""Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_row(cells: Sequence[str]) -> str:
    """Cells as a line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def markdown_head(cells: Sequence[str]) -> list[str]:
    """The first two lines of a Markdown table: its head and the rule below."""
    return [markdown_row(cells), markdown_row(["---"] * len(cells))]


def unmeasured_words(names: Sequence[str], command: str) -> str:
    """What stands under a table that lacks weights called ``names``, which ``command`` measures."""
    quoted = ", ".join(f"`{name}`" for name in names)
    return f"Not measured with today's weights: {quoted}; `{command}` does it."
