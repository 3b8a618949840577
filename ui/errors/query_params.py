"""The Errors page's settings: where they live in the session, and how they travel in the page's
address.

An address names a dataset, a model, a choice of images and, at most, the file name of one of them;
never a folder or an upload.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from agegender_core.analysis.filters import SORTS, VALUES, VERDICTS, Filter, read_filter
from agegender_core.analysis.plot_data import GROUPINGS
from agegender_core.errors import ConfigError
from ui.common.query_state import (
    Address,
    Setting,
    address_params,
    bring_up_to_date,
    choice,
    number,
    text,
)
from ui.common.state import count_up
from ui.errors import state

VIEWS = {
    "gallery": "Gallery",
    "plots": "Plots",
    "slices": "Slices",
    "conditions": "Image quality",
    "compare": "Compare",
    "suspects": "Suspicious labels",
    "duplicates": "Duplicates",
    "take": "Export",
    "own": "Your own dataset",
}
"""The page's parts, by their word in the address."""
PLOTS = {
    "ages": "True and predicted age",
    "errors": "Error by true age",
    "groups": "Confusion of age groups",
    "gender": "Gender by age",
    "sure": "Is its confidence justified?",
    "score": "Cumulative score",
}
GROUPING_TITLES = {
    "adience8": "Adience's eight",
    "fairface9": "FairFace's nine",
    "decades": "Decades",
}
DUELS = {
    "only_first": "Only the first is right",
    "only_second": "Only the second is right",
    "gain_first": "The first is closer in age",
    "gain_second": "The second is closer in age",
}
SIZES = (24, 48, 96)
"""Tiles on a page."""
OWN = "own"
"""Name of a visitor's own dataset, which is in the session only."""


ADDRESS = Address(
    "errors",
    {
        "set": Setting(None, text),
        "weights": Setting(None, text),
        "other": Setting(None, text),
        "view": Setting("gallery", choice(*VIEWS)),
        "sort": Setting("error", choice(*SORTS)),
        "page": Setting(1, number(1, 99999)),
        "tiles": Setting(SIZES[0], lambda word: int(word) if word in map(str, SIZES) else None),
        "sample": Setting(None, text),
        "plot": Setting("ages", choice(*PLOTS)),
        "grouping": Setting("decades", choice(*GROUPINGS)),
        "pick": Setting(None, text),
        "metric": Setting("mae", text),
        "duel": Setting("only_first", choice(*DUELS)),
        "task": Setting("age", choice("age", "gender", "race")),
        "differ": Setting(None, choice("age", "gender", "race")),
    },
)
"""The fields of a ``Filter`` come beside these."""
key, get, put, coerce_to_options = ADDRESS.key, ADDRESS.get, ADDRESS.put, ADDRESS.coerce_to_options
VIEWS_OF = {
    "plot": ("plots",),
    "grouping": ("plots",),
    "pick": ("plots", "take"),
    "duel": ("compare",),
    "task": ("suspects",),
    "metric": ("slices", "conditions"),
    "differ": ("duplicates",),
}
"""Settings that stand in the address of some parts only."""
FILTERS = tuple(item.name for item in fields(Filter))


def first_page(*_: Any) -> None:
    """Back to the first page of tiles, after every change of the choice."""
    put("page", 1)
    count_up(state.TILES_TURN)


def other_set(*_: Any) -> None:
    """Another dataset was chosen: an image, and a mark in a plot, belong to the one before."""
    first_page()
    put("sample", None)
    put("pick", None)


def read() -> None:
    """Take what the session does not know yet from the address; what cannot be read there is left
    out and named by ``problems``.
    """
    params, wrong = address_params(), ADDRESS.read(FILTERS)
    if not ADDRESS.knows("filter"):
        words = {name: params[name] for name in FILTERS if name in params}
        try:
            chosen = read_filter(words)
        except ConfigError as error:
            chosen = Filter()
            wrong.append(str(error))
        _fill(chosen)
    if wrong:
        state.PROBLEMS.set(wrong)


def problems() -> list[str]:
    """What of the address could not be read, once."""
    return state.PROBLEMS.pop()


def set_filter(chosen: Filter) -> None:
    """Put a filter into its widgets; only before they are drawn, or in a callback."""
    _fill(chosen)
    first_page()


def _fill(chosen: Filter) -> None:
    put("filter", True)
    for name in FILTERS:
        value = getattr(chosen, name)
        put(name, list(value) if isinstance(value, tuple) else value)


def get_filter() -> Filter:
    """The filter in the widgets. Raises ``ConfigError`` for an impossible one."""
    found = {name: ADDRESS.field(name) for name in FILTERS}
    for name in VALUES:
        found[name] = tuple(found[name] or ())
    for name in ("age_is", "gender_is", "race_is"):
        found[name] = found[name] if found[name] in VERDICTS else ""
    return Filter(**(found | {"file": (found["file"] or "").strip()}))


def compares() -> bool:
    """Whether what is shown needs a second model."""
    view = get("view")
    return (
        view == "compare"
        or (view == "plots" and get("plot") == "score")
        or (view in ("gallery", "take", "plots") and SORTS[get("sort")].two)
    )


def write(chosen: Filter) -> None:
    """Bring the address up to date: what differs from the defaults. A visitor's own dataset is in
    no address.
    """
    wanted = {} if get("set") == OWN else ADDRESS.changed() | chosen.query()
    for name, views in VIEWS_OF.items():
        if get("view") not in views:
            wanted.pop(name, None)
    if not compares():
        wanted.pop("other", None)
    bring_up_to_date(wanted)
