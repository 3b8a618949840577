"""How one comes to a set, a network and a view on the Errors page, and what stands there where there is nothing."""

from __future__ import annotations

import logging

import numpy as np
import streamlit as st

from agegender_core.errors import AgeGenderError, ConfigError, DatasetError
from ui import errors_data, errors_filters, errors_gallery, errors_own, errors_sources, messages
from ui import errors_link as link
from ui.errors_data import Scope, means, read, set_title
from ui.errors_link import key
from ui.errors_pictures import Pictures
from ui.errors_words import amount
from ui.messages import plain

LOG = logging.getLogger(__name__)
SHORT = {"mae": "off by {} on average", "bias": "{} on average", "fairface9_accuracy": "age in the labelled range in {}",
         "gender_accuracy": "gender as labelled in {}", "race_accuracy": "race as labelled in {}",
         "interval_coverage": "age inside the interval in {}"}  # fmt: skip
"""Metrics of the summary. The range is told where no exact ages are labelled."""


def address_problems() -> None:
    """Parts of the address that mean nothing here."""
    if wrong := link.problems():
        lines = "\n".join(f"- {plain(line)}" for line in wrong)
        st.warning(
            f"{lines}\n\nThe rest of the address was used.", title="A part of this address cannot be read", icon=":material/link_off:"
        )


def no_reports() -> None:
    """No network has been measured at all."""
    st.info(
        "This page looks into what «evaluate» wrote: `reports/<weights>/<set>/predictions.parquet`. Where the face sets are, run\n\n"
        "    python -m agegender_core evaluate --weights NAME --set utkface\n\nand reload this page.",
        title="No predictions are here",
        icon=":material/inventory_2:",
    )


def cannot_read(error: AgeGenderError) -> None:
    """Tables of ``reports/`` that cannot be read; details name the server's files, so they go to its log."""
    LOG.error("%s: %s", type(error).__name__, error)
    st.error(
        "Choose another network or set. If this is your installation: the app's log says which table it is and how to make it anew.",
        title="What was measured here cannot be read",
        icon=":material/build:",
    )


def failed(error: AgeGenderError) -> None:
    """A part of the page that cannot be shown, by what is wrong with it."""
    if isinstance(error, ConfigError):
        st.warning(plain(str(error)), title="This cannot be shown", icon=":material/link_off:")
    elif isinstance(error, DatasetError):
        cannot_read(error)
    else:
        messages.cannot_start(error)


def pick(sets: dict[str, list[str]]) -> tuple[Scope, Pictures]:
    """Set, network, a second network, and the filter. Raises ``DatasetError`` for predictions that cannot be read."""
    asked = link.get("set")
    if asked is not None and asked not in sets:
        st.warning(
            f"There are no predictions on a set «{plain(asked)}» here; there are {plain(', '.join(sets))}.", icon=":material/link_off:"
        )
    columns = st.columns([3, 4, 4], vertical_alignment="bottom")
    name = link.hold("set", list(sets))
    with columns[0]:
        name = st.selectbox(
            "Set", list(sets), format_func=set_title, key=key("set"), on_change=link.other_set, persist_state="session"
        )  # fmt: skip
    names = errors_data.ordered(sets[name])
    if link.get("weights") not in (None, *names):
        st.warning(
            f"«{plain(str(link.get('weights')))}» has no predictions on {plain(set_title(name))} here: another network is shown.",
            icon=":material/link_off:",
        )
    link.hold("weights", names)
    with columns[1]:
        weights = st.selectbox(
            "Network", names, format_func=errors_data.title, key=key("weights"), on_change=link.first_page, persist_state="session"
        )  # fmt: skip
    table, version, left_out = read(name, weights, names)
    others = [other for other in names if other != weights and other in table.weights]
    link.hold("other", others or [None])
    with columns[2]:
        other = st.selectbox(
            "Compared with", others, index=0 if others else None, format_func=errors_data.title, key=key("other"),
            on_change=link.first_page, placeholder="no other network here", disabled=not others, persist_state="session",
        )  # fmt: skip
    if left_out:
        st.caption(f":material/info: Measured on other pictures, so left out: {plain(', '.join(map(errors_data.title, left_out)))}.")
    chosen = errors_filters.show(table)
    pictures = errors_own.pictures() if name == link.OWN else errors_sources.choose(name, table.labels["file"].tolist())
    return Scope(table, weights, other, chosen, version, left_out), pictures


def summary(scope: Scope) -> None:
    """One line: how many pictures, and how good the network is on them."""
    found, kept = means(scope), int(scope.mask.sum())
    parts = [f"**{kept:,}** pictures" if kept == len(scope.table) else f"**{kept:,}** of {len(scope.table):,} pictures"]
    for metric, words in SHORT.items():
        if np.isnan(found[metric]) or (metric == "fairface9_accuracy" and not np.isnan(found["mae"])):
            continue
        shown = f"**{plain(amount(metric, abs(found[metric])))}**"
        if metric == "bias":
            shown += " too old" if found[metric] >= 0 else " too young"
        parts.append(words.format(shown))
    st.markdown(" · ".join(parts))


def pick_view() -> str:
    """The part of the page to show."""
    link.hold("view", list(link.VIEWS))
    st.session_state.pop(errors_gallery.WALK, None)  # the part about to be drawn says where one can go from a picture
    st.segmented_control(
        "View", list(link.VIEWS), required=True, format_func=link.VIEWS.get, key=key("view"), on_change=link.first_page,
        persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    return link.get("view")
