"""Everything the pages say when there is no answer to show: in plain words, with what to do next."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import streamlit as st

from agegender_core.errors import AgeGenderError, ConfigError, WeightsMissingError

CARDS = 3
LOG = logging.getLogger(__name__)
NO_FACE_TIPS = (
    "Turn the face towards the camera, so that both eyes can be seen.",
    "Crop or move closer: a face should be 40 pixels wide or more.",
    "Take off masks and sunglasses; avoid strong light from behind.",
    "Sideways and upside-down pictures are tried too; slanted ones may be missed.",
)


def plain(text: str) -> str:
    """``text`` for a place that reads Markdown, shown as it is: file names hold underscores, brackets and colons."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:])", r"\\\1", text)


def no_weights() -> None:
    """No trained network is installed at all."""
    st.error(
        "The app runs, but it has no network to ask, and it never answers with an untrained one.\n\n"
        "If this is your installation: `python -m agegender_core weights list` names the weights it knows. "
        "Put one of their files into the weights folder and reload this page.",
        title="No trained weights are installed",
        icon=":material/inventory_2:",
    )


def cannot_start(error: AgeGenderError) -> None:
    """The network cannot be loaded or a setting is wrong. Details name the server's files, so they go to its log."""
    LOG.error("%s: %s", type(error).__name__, error)
    if isinstance(error, ConfigError):
        title, body = "A setting of this app is wrong", plain(str(error))
    elif isinstance(error, WeightsMissingError):
        title, body = "The chosen weights are not installed", "Choose others, or put their file in place and reload this page."
    else:
        title, body = "The app cannot start its network", "Reload this page in a minute. If it stays so, the weights need a look."
    hint = (
        "If this is your installation: the app's log says what is missing, and `python -m agegender_core weights list` lists what is there."
    )
    st.error(f"{body}\n\n{hint}", title=title, icon=":material/build:")


def nothing_yet() -> None:
    """Empty state: what an answer will hold."""
    st.subheader("What you get for every face", anchor=False)
    promises = (
        (
            "bar_chart",
            "An age, and how sure it is",
            "The answer, the range it probably lies in, and the distribution behind them where the network gives one.",
        ),
        ("balance", "A gender with its probability", "Near even means undecided, and the answer says so."),
        ("report", "A word of caution", "Small, turned or doubtful faces are marked, so that weak answers are not taken for strong ones."),
    )
    for column, (icon, title, body) in zip(st.columns(len(promises), gap="small"), promises, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f":material/{icon}: **{title}**")
            st.markdown(body)


def no_face(name: str) -> None:
    """A good picture without a face in it."""
    tips = "\n".join(f"- {tip}" for tip in NO_FACE_TIPS)
    st.info(f"What usually helps:\n{tips}", title=f"No face found in {plain(name)}", icon=":material/search_off:")


def failed(failures: Sequence[tuple[str, AgeGenderError]]) -> None:
    """Pictures without an answer, by name: a card each, or one card for all where there are many. The others are not affected."""
    if len(failures) <= CARDS:
        for name, error in failures:
            st.error(plain(str(error)), title=f"No answer for {plain(name)}", icon=":material/broken_image:")
        return
    lines = "\n".join(f"- **{plain(name)}**: {plain(str(error))}" for name, error in failures)
    st.error(lines, title=f"No answer for {len(failures)} pictures", icon=":material/broken_image:")


def too_many(kept: int, given: int) -> None:
    """More pictures than one go takes."""
    st.warning(f"You gave {given} pictures; the first {kept} were read. Give the others in a second go.", icon=":material/stacks:")
