"""Four findings before the controls, each computed from the reports and a way into the images
behind it.

A door is a sentence with its numbers and the settings it opens: filter, part and so on, as they
travel in the page's address. So a door that was opened is a link like any other, and which one is
open is read from the settings, not remembered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from agegender_core.analysis.filters import Filter
from agegender_core.analysis.quality_slices import condition_table
from agegender_core.analysis.slices import slice_table
from agegender_core.errors import AgeGenderError, ConfigError
from agegender_core.evaluation.statistics import group_means, sums
from agegender_core.labels import AGE_BANDS, FAIRFACE_GROUPS
from agegender_core.output.metric_formats import METRIC_FORMATS
from ui.common.charts import with_en_dash
from ui.common.messages import plain
from ui.errors import duplicates
from ui.errors import query_params as link
from ui.errors.data import Scope
from ui.errors.image_quality import GUESSED
from ui.errors.text import amount, condition, slice_words

LOG = logging.getLogger(__name__)
CHILD = 10
"""Years: bands that end below this are of children."""
START = {"view": "gallery", "page": 1, "pick": None, "sample": None}
"""The page's settings at the start."""


@dataclass(frozen=True)
class Door:
    """A finding. ``number``: what stands large. ``filter`` and ``settings``: what it opens.
    ``action``: on its button, another on each, as a list of buttons is read without the cards.
    """

    name: str
    title: str
    action: str
    number: str
    words: str
    icon: str
    filter: Filter
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether the page stands where this door leads."""
        return _filter() == self.filter and all(
            link.get(name) == value for name, value in self.settings.items()
        )


def show(scope: Scope) -> None:
    """The cards at the start, a line of them afterwards. ``scope``: a dataset and a model; its own
    filter does not count.
    """
    if scope.own:
        return
    found = findings(scope)
    if not found:
        return
    if at_start():
        with st.container(horizontal=True, gap="small", key="errors-doors"):
            for door in found:
                _card(door)
        return
    with st.container(
        horizontal=True, gap="small", vertical_alignment="center", key="errors-doors-line"
    ):
        st.button(
            "All findings",
            icon=":material/arrow_back:",
            key="errors-doors-back",
            on_click=leave,
            type="tertiary",
        )
        for door in found:
            st.button(
                f"**{door.title}**" if door.is_open else door.title,
                icon=door.icon,
                key=f"errors-door-{door.name}",
                on_click=enter,
                args=(door,),
                type="tertiary",
            )
    for door in found:
        if door.is_open:
            st.markdown(f"**{plain(door.number)}** {plain(door.words)}")


def findings(scope: Scope) -> list[Door]:
    """The doors of a dataset and a model; one whose table cannot be read is left out, and the log
    says which.
    """
    whole = Scope(scope.table, scope.weights, None, Filter(), scope.version)
    found = []
    for make in MAKERS:
        try:
            found.append(whole.result(f"door-{make.__name__}", lambda make=make: make(whole)))
        except AgeGenderError as error:
            LOG.error("%s: %s", type(error).__name__, error)
    return [door for door in found if door is not None]


def at_start() -> bool:
    """Whether nothing was filtered, opened or turned to yet."""
    return _filter() == Filter() and all(link.get(name) == value for name, value in START.items())


def _filter() -> Filter | None:
    """The filter of the widgets; None for an impossible one."""
    try:
        return link.get_filter()
    except ConfigError:
        return None


def _card(door: Door) -> None:
    with st.container(
        border=True, width=240, height="stretch", key=f"errors-door-card-{door.name}"
    ):
        st.markdown(f"{door.icon} **{door.title}**")
        st.markdown(f"### {plain(door.number)}")
        st.markdown(plain(door.words))
        st.button(
            door.action,
            icon=":material/arrow_forward:",
            key=f"errors-door-{door.name}",
            on_click=enter,
            args=(door,),
            width="stretch",
        )


def enter(door: Door) -> None:
    """Go where a door leads."""
    _back_to_start()
    link.set_filter(door.filter)
    for name, value in door.settings.items():
        link.put(name, value)


def leave() -> None:
    """Back to the findings."""
    _back_to_start()
    link.set_filter(Filter())


def _back_to_start() -> None:
    for name, value in START.items():
        link.put(name, value)


def worst_off(scope: Scope) -> Door | None:
    """The age band, gender or race whose errors are clearly larger than those of all others, by how
    much; by years where a dataset labels ages, else by the share in the right range.
    """
    values = scope.table.values[scope.weights]
    metric = next(
        (name for name in ("mae", "fairface9_accuracy") if values[name].notna().any()), None
    )
    if metric is None:
        return None
    found = slice_table(scope.table, scope.weights, metric, 1)
    found = found[(found["mark"] == "worse") & found["condition"].isna()]
    if not len(found):
        return None
    in_years = METRIC_FORMATS[metric].unit == "years"
    harm = found["difference_low"] if in_years else -found["difference_high"]
    row = found.loc[harm.idxmax()]
    if in_years:
        times = row["value"] / row["rest"]
        number, tail = (
            f"{times:.1f} × the error",
            (
                f"off by {_span(metric, row)} on average; everyone else by"
                f" {amount(metric, row['rest'])}"
            ),
        )
    else:
        number = f"{100 * -row['difference']:.0f} points worse"
        tail = (
            f"age range correct for {_span(metric, row)}; for everyone else"
            f" {amount(metric, row['rest'])}"
        )
    chosen = {
        name: (row[name],) for name in ("age", "gender", "race") if isinstance(row[name], str)
    }
    who = slice_words(row) + (" years" if isinstance(row["age"], str) else "")
    return Door(
        "worst",
        "Who is worst off?",
        "Show this group",
        number,
        f"{who}: {tail}.",
        ":material/trending_down:",
        Filter(**chosen),
        {"view": "gallery", "sort": "error"},
    )


def children(scope: Scope) -> Door | None:
    """How often children's gender is answered otherwise than labelled, against all others."""
    ends = {group.name: group.hi for group in (*AGE_BANDS, *FAIRFACE_GROUPS)}
    column = scope.table.groups["age"]
    bands = tuple(
        name
        for name in column.cat.categories
        if ends.get(name, CHILD) < CHILD and (column == name).any()
    )
    wrong = 1 - scope.table.values[scope.weights]["gender_accuracy"].to_numpy(float)
    child = column.isin(bands).to_numpy(bool)
    codes = np.where(column.isna().to_numpy(bool), -1, np.where(child, 0, 1))
    means = group_means(sums(wrong, codes, 2, scope.table.people), share=True)
    if not bands or not means.n.all() or not np.isfinite(means.low[0]):
        return None
    row = pd.Series({"value": means.value[0], "low": means.low[0], "high": means.high[0]})
    words = (
        f"of {means.n[0]:,} children aged {_years(bands)} are given another gender than the label's"
        f" ({_bounds('gender_accuracy', row)}). From {CHILD} years on:"
        f" {amount('gender_accuracy', means.value[1])}."
    )
    return Door(
        "children",
        "Children's gender",
        "Show the children",
        f"{100 * means.value[0]:.0f} %",
        words,
        ":material/child_care:",
        Filter(age=bands, gender_is="wrong"),
        {"view": "gallery", "sort": "against_label"},
    )


def two_labels(scope: Scope) -> Door | None:
    """Near-duplicates of the dataset whose labels differ."""
    found = duplicates.read(scope.table.dataset)
    if found is None or not len(found):
        return None
    apart = found["years_apart"]
    far = (
        f" The two ages of one image differ by up to {apart.max():.0f} years."
        if apart.max() > 0
        else ""
    )
    genders = int(duplicates.differing(found, "gender").sum())
    words = (
        f"of nearly identical images in {scope.title} have different labels, {genders:,} of them"
        f" different genders.{far}"
    )
    return Door(
        "duplicates",
        "Same photo, two labels",
        "Show the pairs",
        f"{len(found):,} pairs",
        words,
        ":material/content_copy:",
        Filter(),
        {"view": "duplicates"},
    )


def paper_guesses(scope: Scope) -> Door | None:
    """What GRA_Net's paper blames for its errors, tested at the same age."""
    if not scope.table.measured:
        return None
    values = scope.table.values[scope.weights]
    metric = next(
        (name for name in ("mae", "fairface9_accuracy") if values[name].notna().any()), None
    )
    if metric is None:
        return None
    found = condition_table(scope.table, scope.weights, metric)
    found = found[found["condition"].isin(list(GUESSED)) & found["p_holm"].notna()]
    if not len(found):
        return None
    sure = found[found["mark"] == "worse"]
    names = ", ".join(condition(name) for name in found["condition"])
    in_years = METRIC_FORMATS[metric].unit == "years"
    gap = found.loc[(found["within"] if in_years else -found["within"]).idxmax()]
    size = f"{gap['within']:+.1f} years" if in_years else f"{100 * gap['within']:+.0f} points"
    sure_words = "" if gap["mark"] == "worse" else ", which may be chance"
    words = (
        f"of the conditions the paper blames ({names}) clearly make age errors larger at the same"
        f" age. The strongest is «{condition(gap['condition'])}»: {size}{sure_words}."
    )
    return Door(
        "guesses",
        "The paper's own guesses",
        "Show the test",
        f"{len(sure)} of {len(found)}",
        words,
        ":material/science:",
        Filter(),
        {"view": "conditions", "metric": metric},
    )


MAKERS: tuple[Callable[[Scope], Door | None], ...] = (
    worst_off,
    children,
    two_labels,
    paper_guesses,
)


def _bounds(metric: str, row: pd.Series) -> str:
    return f"{amount(metric, row['low']).split(' ')[0]}–{amount(metric, row['high'])}"


def _span(metric: str, row: pd.Series) -> str:
    """«9.68 years (8.37–10.99)»."""
    return f"{amount(metric, row['value'])} ({_bounds(metric, row).rsplit(' ', 1)[0]})"


def _years(bands: tuple[str, ...]) -> str:
    """«0–9 years» of one band or of several that follow one another."""
    first, last = bands[0].split("-")[0], bands[-1].split("-")[-1]
    return with_en_dash(f"{first}-{last} years")
