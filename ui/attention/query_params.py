"""The explorer's settings: where they live in the session, and how they travel in the page's
address.

An address says how an image is shown, never which: no image is in it but the word for the bundled
sample.
"""

from __future__ import annotations

import streamlit as st

from ui.attention.covers import read_word
from ui.common.image_input import SAMPLE
from ui.common.query_state import (
    LONGEST,
    Address,
    Setting,
    address_params,
    bring_up_to_date,
    choice,
    number,
    text,
)
from ui.common.state import SOURCE

TABS = {
    "cover": "Cover the face",
    "look": "Where it looks",
    "matter": "Does it matter?",
    "faithful": "Is it faithful?",
    "set": "Over a test set",
}
"""The explorer's parts, by their word in the address."""
VIEWS = {
    "effect": "Effect",
    "deviation": "Deviation",
    "mean": "Mean",
    "max": "Maximum",
    "channel": "One channel",
}
"""What of a mask is shown: what it changes, how far its channels lie from their own means, or its
values over all channels or one.
"""
COLOURS = {"viridis": "Viridis", "magma": "Magma", "cividis": "Cividis"}
CELLS = {"blocks": "Honest blocks", "smooth": "Smooth"}
SCALES = {"own": "From its lowest to its highest", "full": "From 0 to 1, or higher"}
FACES = {"sharp": "As in the image", "crop": "As the network sees it"}
TARGETS = {"age": "Age", "gender": "Gender"}


ADDRESS = Address(
    "attention",
    {
        "weights": Setting(None, text),
        "face": Setting(1, number(1, 999)),
        "tab": Setting("cover", choice(*TABS)),
        "cover": Setting(None, text),
        "details": Setting(0, number(0, 1)),
        "block": Setting(None, text),
        "view": Setting("effect", choice(*VIEWS)),
        "channel": Setting(None, number(0, 99999)),
        "colours": Setting("viridis", choice(*COLOURS)),
        "cells": Setting("blocks", choice(*CELLS)),
        "scale": Setting("own", choice(*SCALES)),
        "under": Setting("sharp", choice(*FACES)),
        "opacity": Setting(60, number(0, 100)),
        "target": Setting("age", choice(*TARGETS)),
    },
)
key, get, put, coerce_to_options = ADDRESS.key, ADDRESS.get, ADDRESS.put, ADDRESS.coerce_to_options
VIEWER = ("block", "view", "channel", "colours", "cells", "scale", "under", "opacity")
"""Settings of the viewer behind «Where it looks»: an address with one of them and no tab opens it.
"""
RESERVED = ("set", "row")
"""Names reserved for images of a test set."""


def read() -> list[str]:
    """Take what the session does not know yet from the address; what cannot be read there stays at
    its default and is returned.
    """
    picture = address_params().get("picture")
    if picture == "sample" and not SOURCE.is_set():
        SOURCE.set(SAMPLE)
    first = not ADDRESS.knows("tab")
    wrong = ADDRESS.read((*RESERVED, "picture"))
    if picture not in (None, "sample"):
        wrong.append(f"picture={picture}: an address holds no image but the sample")
    if first and get("cover") and read_word(get("cover"), 1) is None:
        wrong.append(f"cover={get('cover')}")
    if first and any(name in st.query_params for name in VIEWER):
        put("details", 1)
        if "tab" not in st.query_params:
            put("tab", "look")
    return wrong


def write() -> None:
    """Bring the address up to date: what differs from the defaults."""
    wanted = ADDRESS.changed()
    if get("view") != "channel":
        wanted.pop("channel", None)
    if len(wanted.get("cover", "")) > LONGEST:
        del wanted["cover"]
    if SOURCE.get() == SAMPLE:
        wanted["picture"] = "sample"
    bring_up_to_date(
        wanted | {name: st.query_params[name] for name in RESERVED if name in st.query_params}
    )
