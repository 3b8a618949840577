"""The part of a document that is made from reports, between two markers."""

from __future__ import annotations

from agegender_core.errors import ConfigError

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def replace_section(text: str, section: str) -> str:
    """``text`` with the part between the markers replaced. Raises ``ConfigError`` if a marker is
    missing.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ConfigError(
            f"one line {BEGIN!r} and one line {END!r} are needed around the measured tables"
        )
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{section}\n{END}{rest.split(END)[1]}"
