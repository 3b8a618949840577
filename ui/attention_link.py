"""The explorer's settings: where they live in the session, and how they travel in the page's address.

An address says how something is looked at, never at whom: no picture is in it but the word for the bundled sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from ui.image_input import SAMPLE, SOURCE_KEY

TABS = {"look": "Where it looks", "matter": "Does it matter?", "faithful": "Is it faithful?", "set": "Over a test set"}
"""The explorer's parts, by their word in the address."""
VIEWS = {"mean": "Mean", "max": "Maximum", "channel": "One channel"}
"""What of a mask's channels is shown."""
COLOURS = {"viridis": "Viridis", "magma": "Magma", "cividis": "Cividis"}
CELLS = {"blocks": "Honest blocks", "smooth": "Smooth"}
SCALES = {"own": "From its lowest to its highest", "full": "From 0 to 1"}
FACES = {"sharp": "As in the picture", "crop": "As the network sees it"}
TARGETS = {"age": "Age", "gender": "Gender"}


def choice(*options: str) -> Callable[[str], str | None]:
    """Reads one of ``options``; None for anything else."""
    return lambda text: text if text in options else None


def number(low: int, high: int) -> Callable[[str], int | None]:
    """Reads a whole number within bounds; None for anything else."""
    return lambda text: int(text) if text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high else None


@dataclass(frozen=True)
class Setting:
    """One setting: what it is until it is changed, and how it is read from an address."""

    default: Any
    read: Callable[[str], Any]


SETTINGS = {
    "weights": Setting(None, lambda text: text or None),
    "face": Setting(1, number(1, 999)),
    "tab": Setting("look", choice(*TABS)),
    "block": Setting(None, lambda text: text or None),
    "view": Setting("mean", choice(*VIEWS)),
    "channel": Setting(None, number(0, 99999)),
    "colours": Setting("viridis", choice(*COLOURS)),
    "cells": Setting("blocks", choice(*CELLS)),
    "scale": Setting("own", choice(*SCALES)),
    "under": Setting("sharp", choice(*FACES)),
    "opacity": Setting(60, number(0, 100)),
    "target": Setting("age", choice(*TARGETS)),
}
"""By their name in the address."""
RESERVED = ("set", "row")
"""Names kept for pictures of a test set."""


def key(name: str) -> str:
    """Where setting ``name`` lives in the session: the key of its widget."""
    return f"attention_{name}"


def get(name: str) -> Any:
    """Value of setting ``name``."""
    return st.session_state.get(key(name), SETTINGS[name].default)


def put(name: str, value: Any) -> None:
    """Set setting ``name``; only before its widget is drawn, or in a callback."""
    st.session_state[key(name)] = value


def hold(name: str, options: Sequence[Any]) -> Any:
    """Setting ``name``, moved to the first of ``options`` where it is none of them."""
    if get(name) not in options:
        put(name, options[0])
    return get(name)


def read() -> None:
    """Take what the session does not know yet from the address; what cannot be read there stays at its default."""
    params = st.query_params
    if params.get("picture") == "sample" and SOURCE_KEY not in st.session_state:
        st.session_state[SOURCE_KEY] = SAMPLE
    for name, setting in SETTINGS.items():
        if key(name) not in st.session_state:
            found = setting.read(params[name]) if name in params else None
            put(name, setting.default if found is None else found)


def write() -> None:
    """Bring the address up to date: what differs from the defaults."""
    wanted = {name: str(get(name)) for name, setting in SETTINGS.items() if get(name) != setting.default}
    if get("view") != "channel":
        wanted.pop("channel", None)
    if st.session_state.get(SOURCE_KEY) == SAMPLE:
        wanted["picture"] = "sample"
    wanted |= {name: st.query_params[name] for name in RESERVED if name in st.query_params}
    if wanted != st.query_params.to_dict():
        st.query_params.from_dict(wanted)
