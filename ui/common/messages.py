"""The pages' messages for when there is no answer to show: in plain words, with what to do next."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence

import streamlit as st

from agegender_core.errors import AgeGenderError, ConfigError, WeightsMissingError

CARDS = 3
JOINER = "\N{WORD JOINER}"
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Marks that turn the direction of writing: «photo\\u202Egpj.exe» would look like «photoexe.jpg».
"""
FOUND_LATER = (
    re.compile(r"(https?:)(?=//)", re.IGNORECASE),
    re.compile(r"(www)(?=\.)", re.IGNORECASE),
    re.compile(r"(@)(?=[\w-]+\.)"),
    re.compile(r"(:)(?=material/|[\w+-]+:)"),
    re.compile(r"(?<!\S)([<>~-])(?=-?[>=-](?!\S))"),
)
"""What Streamlit's Markdown makes something of after it has been read: the part before the place
where a joiner parts it.
"""
LOG = logging.getLogger(__name__)
SMALLEST_FACE = (
    "24 pixels wide or more, in an image of over 1,024 pixels at least 1/40 of its longer side;"
    " answers are better from 40 pixels on"
)
"""What the detector finds, as ``DetectorConfig`` has it, and below what a card asks for caution."""
NO_FACE_TIPS = (
    "Turn the face towards the camera, so that both eyes can be seen.",
    f"Crop or move closer: a face should be {SMALLEST_FACE}.",
    "Take off masks and sunglasses; avoid strong light from behind.",
    "Sideways and upside-down images are tried too; slanted ones may be missed.",
)


def plain(text: str) -> str:
    """``text`` for a place that reads Markdown, shown as it is: file names contain underscores,
    brackets and colons.

    Backslashes are not enough. Addresses, emoji and icon names, and arrows are recognised in the
    finished text, so an invisible word joiner parts them. Line ends, other control characters and
    marks that turn the direction of writing are shown as a box.
    """
    text = "".join(
        "\N{REPLACEMENT CHARACTER}" if _unseen(one) else one
        for one in re.sub(r"[ \t\r\n\f\v]+", " ", text)
    )
    for found in FOUND_LATER:
        text = found.sub(r"\1" + JOINER, text)
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&=])", r"\\\1", text)


def _unseen(one: str) -> bool:
    return (one != " " and unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")) or one in TURNING


def no_weights() -> None:
    """No trained network is installed at all."""
    st.error(
        "The app runs, but no trained model is installed, and it never answers with an untrained"
        " one.\n\nIf this is your installation: `agegender weights list` lists the"
        " models it knows. Put one of their files into the weights folder and reload this page.",
        title="No trained weights are installed",
        icon=":material/inventory_2:",
    )


def cannot_start(error: AgeGenderError) -> None:
    """The network cannot be loaded or a setting is wrong. Details name the server's files, so they
    go to its log.
    """
    LOG.error("%s: %s", type(error).__name__, error)
    if isinstance(error, ConfigError):
        title, body = "A setting of this app is wrong", plain(str(error))
    elif isinstance(error, WeightsMissingError):
        title, body = (
            "The chosen model is not installed",
            "Choose another, or put their file in place and reload this page.",
        )
    else:
        title, body = (
            "The model cannot be loaded",
            "Reload this page in a minute. If that does not help, check the model's files.",
        )
    hint = (
        "If this is your installation: the app's log says what is missing, and"
        " `agegender weights list` lists what is there."
    )
    st.error(f"{body}\n\n{hint}", title=title, icon=":material/build:")


def no_face(name: str) -> None:
    """A good image without a face in it."""
    tips = "\n".join(f"- {tip}" for tip in NO_FACE_TIPS)
    st.info(
        f"What usually helps:\n{tips}",
        title=f"No face found in {plain(name)}",
        icon=":material/search_off:",
    )


def address_problems(lines: Sequence[str]) -> None:
    """Parts of the page's address that mean nothing here; nothing where there are none."""
    if lines:
        st.warning(
            "\n".join([*(f"- {plain(line)}" for line in lines), "", "The rest of it was used."]),
            title="A part of this address cannot be used",
            icon=":material/link_off:",
        )


def failed(failures: Sequence[tuple[str, AgeGenderError]]) -> None:
    """Images without an answer, by name: a card each, or one card for all where there are many. The
    others are not affected.
    """
    if len(failures) <= CARDS:
        for name, error in failures:
            st.error(
                plain(str(error)),
                title=f"No answer for {plain(name)}",
                icon=":material/broken_image:",
            )
        return
    lines = "\n".join(f"- **{plain(name)}**: {plain(str(error))}" for name, error in failures)
    st.error(lines, title=f"No answer for {len(failures)} images", icon=":material/broken_image:")


def too_many(analysed: int, chosen: int) -> None:
    """More images than are analysed at once."""
    st.warning(
        f"You chose {chosen} images; the first {analysed} were analysed. Upload the others in a"
        " second batch.",
        icon=":material/stacks:",
    )
