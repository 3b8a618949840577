"""The toolbar of the Errors page, and what stands there where there is nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import streamlit as st

from agegender_core.errors import AgeGenderError, ConfigError, DatasetError
from ui.common import messages
from ui.common.messages import plain
from ui.errors import data, doors, filters, image_sources, own_set, state
from ui.errors import query_params as link
from ui.errors.data import Scope, means, read, set_title
from ui.errors.images import ImageSource
from ui.errors.query_params import key
from ui.errors.text import amount, filter_words

LOG = logging.getLogger(__name__)
SHORT = {
    "mae": "age off by {} on average",
    "bias": "{} on average",
    "fairface9_accuracy": "age range correct {} of the time",
    "gender_accuracy": "gender correct {} of the time",
    "race_accuracy": "race correct {} of the time",
    "interval_coverage": "age inside the interval {} of the time",
}
"""Metrics of the summary. The range counts where no exact ages are labelled."""


def address_problems() -> None:
    """Parts of the address that mean nothing here."""
    messages.address_problems(link.problems())


def no_reports() -> None:
    """No model has been measured at all."""
    st.info(
        "This page shows what «evaluate» wrote: `reports/<weights>/<set>/predictions.parquet`."
        " Where the face datasets are, run\n\n    agegender evaluate --weights NAME"
        " --set utkface\n\nand reload this page.",
        title="No predictions are here",
        icon=":material/inventory_2:",
    )


def cannot_read(error: AgeGenderError) -> None:
    """Tables of ``reports/`` that cannot be read; details name the server's files, so they go to
    its log.
    """
    LOG.error("%s: %s", type(error).__name__, error)
    st.error(
        "Choose another model or dataset. If this is your installation: the app's log names the"
        " table and how to make it again.",
        title="The measurements cannot be read",
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


def pick(sets: dict[str, list[str]]) -> tuple[Scope, ImageSource]:
    """Findings, then one toolbar: dataset, model, a second model where it is used, filter and image
    source.

    Raises ``DatasetError`` for predictions that cannot be read.
    """
    _refuse_unknown_dataset(sets)
    findings = st.container()
    with st.container(
        horizontal=True, vertical_alignment="bottom", gap="small", key="errors-toolbar"
    ):
        name = link.coerce_to_options("set", list(sets))
        name = st.selectbox(
            "Dataset",
            list(sets),
            format_func=set_title,
            key=key("set"),
            on_change=link.other_set,
            persist_state="session",
            width=210,
        )
        names = data.ordered(sets[name])
        if link.get("weights") not in (None, *names):
            findings.warning(
                f"«{plain(str(link.get('weights')))}» has no predictions on"
                f" {plain(set_title(name))} here: another model is shown.",
                icon=":material/link_off:",
            )
        link.coerce_to_options("weights", names)
        weights = st.selectbox(
            "Model",
            names,
            format_func=data.title,
            key=key("weights"),
            on_change=link.first_page,
            persist_state="session",
            width=300,
        )
        table, version, left_out = read(name, weights, names)
        other = _second(table.weights, weights, names)
        chosen = filters.show(table)
        images = (
            own_set.image_source()
            if name == link.OWN
            else image_sources.choose(name, table.labels["file"].tolist())
        )
    if left_out:
        st.caption(
            ":material/info: Measured on other images, so left out:"
            f" {plain(', '.join(map(data.title, left_out)))}."
        )
    scope = Scope(table, weights, other, chosen, version, left_out)
    with findings:
        doors.show(scope)
    return scope, images


def _refuse_unknown_dataset(sets: dict[str, list[str]]) -> None:
    asked = link.get("set")
    if asked is not None and asked not in sets:
        st.warning(
            f"There are no predictions on a dataset «{plain(asked)}» here; there are"
            f" {plain(', '.join(sets))}.",
            icon=":material/link_off:",
        )


def _second(read_weights: Sequence[str], weights: str, names: Sequence[str]) -> str | None:
    """The model to compare with, None where there is none; its choice stands in the toolbar only
    where it is used.
    """
    others = [other for other in names if other != weights and other in read_weights]
    asked = link.get("other")
    if asked not in (None, weights, *others, *data.titles()):
        st.warning(
            f"«{plain(str(asked))}» cannot be compared with here: another model is.",
            icon=":material/link_off:",
        )
    other = link.coerce_to_options("other", others or [None])
    if link.compares():
        st.selectbox(
            "Compared with",
            others,
            index=0 if others else None,
            format_func=data.title,
            key=key("other"),
            on_change=link.first_page,
            placeholder="no other model here",
            disabled=not others,
            persist_state="session",
            width=300,
        )
        return link.get("other")
    return other


def summary(scope: Scope) -> None:
    """One line: how many images, and how good the model is on them."""
    found, count = means(scope), int(scope.mask.sum())
    parts = [
        (
            f"**{count:,}** images"
            if count == len(scope.table)
            else f"**{count:,}** of {len(scope.table):,} images"
        )
    ]
    if words := filter_words(scope.filter):
        parts.append(f":material/filter_alt: {plain('; '.join(words))}")
    for metric, words in SHORT.items():
        if np.isnan(found[metric]) or (
            metric == "fairface9_accuracy" and not np.isnan(found["mae"])
        ):
            continue
        shown = f"**{plain(amount(metric, abs(found[metric])))}**"
        if metric == "bias":
            shown += " too old" if found[metric] >= 0 else " too young"
        parts.append(words.format(shown))
    st.markdown(" · ".join(parts))


def pick_view() -> str:
    """The part of the page to show."""
    link.coerce_to_options("view", list(link.VIEWS))
    # The part about to be drawn sets it again.
    state.WALK.clear()
    st.segmented_control(
        "View",
        list(link.VIEWS),
        required=True,
        format_func=link.VIEWS.get,
        key=key("view"),
        on_change=link.first_page,
        persist_state="session",
        label_visibility="collapsed",
    )
    return link.get("view")
