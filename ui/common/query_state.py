"""A page's settings: where they live in the session, and how they travel in the page's address."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

_FOREIGN = re.compile(r"embed|utm_|[a-z]*clid$|__|st_")
"""Begins names in addresses that other programs put there, such as Streamlit's own and those by
which sites follow their visitors.
"""
LONGEST = 300
"""Characters of a word in an address: more than any filter has, or any file name of a labelled
dataset.
"""
Reader = Callable[[str], Any]
"""Word of an address to a value; None for a word that means nothing here."""


def text(word: str) -> str | None:
    """Any word at all; None for an empty one."""
    return word or None


def choice(*options: str) -> Reader:
    """Reads one of ``options``; None for anything else."""
    return lambda word: word if word in options else None


def number(low: int, high: int) -> Reader:
    """Reads a whole number within bounds; None for anything else."""
    return lambda word: (
        int(word)
        if word.isascii() and word.isdigit() and len(word) < 6 and low <= int(word) <= high
        else None
    )


@dataclass(frozen=True)
class Setting:
    """One setting: what it is until it is changed, and how it is read from an address."""

    default: Any
    read: Reader


@dataclass(frozen=True)
class Address:
    """The settings of one page, by their name in its address. ``page`` keeps them apart from those
    of other pages.
    """

    page: str
    settings: Mapping[str, Setting]

    def key(self, name: str) -> str:
        """Where setting ``name`` lives in the session: the key of its widget."""
        return f"{self.page}_{name}"

    def get(self, name: str) -> Any:
        """Value of setting ``name``."""
        return st.session_state.get(self.key(name), self.settings[name].default)

    def field(self, name: str) -> Any:
        """Value of a widget that belongs to the page and is no setting; None until it is set."""
        return st.session_state.get(self.key(name))

    def knows(self, name: str) -> bool:
        """Whether the session has a value of ``name``."""
        return self.key(name) in st.session_state

    def put(self, name: str, value: Any) -> None:
        """Set setting or field ``name``; only before its widget is drawn, or in a callback."""
        st.session_state[self.key(name)] = value

    def coerce_to_options(self, name: str, options: Sequence[Any]) -> Any:
        """Setting ``name``, moved to the first of ``options`` where it is none of them; None where
        there are none.
        """
        if self.get(name) not in options:
            self.put(name, options[0] if options else None)
        return self.get(name)

    def read(self, also: Collection[str] = ()) -> list[str]:
        """Take what the session does not know yet from the address. What cannot be read stays at
        its default and is returned, with names that mean nothing. ``also``: names that the page
        reads by itself.
        """
        params = address_params()
        wrong = [
            f"{name}: not a setting of this page"
            for name in params
            if name not in self.settings and name not in also and not _FOREIGN.match(name)
        ]
        for name, setting in self.settings.items():
            if not self.knows(name):
                found = setting.read(params[name]) if name in params else None
                self.put(name, setting.default if found is None else found)
                if found is None and name in params:
                    wrong.append(f"{name}={params[name]}")
        return wrong

    def changed(self) -> dict[str, str]:
        """What differs from the defaults, in the words of an address."""
        values = {
            name: (self.get(name), setting.default) for name, setting in self.settings.items()
        }
        return {
            name: str(value)
            for name, (value, default) in values.items()
            if value not in (default, None)
        }


def address_params() -> dict[str, str]:
    """The words of the address, the last where one occurs twice. Longer ones than any of ours are
    cut before they are looked at.
    """
    return {name[:LONGEST]: word[:LONGEST] for name, word in st.query_params.to_dict().items()}


def bring_up_to_date(wanted: dict[str, str]) -> None:
    """Make ``wanted`` the page's address; nothing happens where it is already."""
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)
