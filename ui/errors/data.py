"""What the Errors page reads: prediction tables, computed once and cached for all sessions, and the
scope of one run of the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from agegender_core.analysis import prediction_table as tables
from agegender_core.analysis.filters import Filter
from agegender_core.analysis.image_quality_run import conditions_path
from agegender_core.analysis.nearest_errors import ErrorSpace, error_space
from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.datasets.registry import TERMS
from agegender_core.errors import AgeGenderError, DatasetError
from agegender_core.inference.model_zoo import list_weights
from agegender_core.settings import reports_dir
from ui.common import services
from ui.errors import query_params as link
from ui.errors import state

MAX_TABLES, MAX_RESULTS = 4, 64
WHOLE = ("space", "disputes")
"""Results about a whole table, whatever the filter and the chosen model."""


@dataclass(frozen=True, eq=False)
class Scope:
    """What one run of the page shows. ``mask``: (N,) bool, images that the filter selects.
    ``version``: distinguishes tables in caches. ``left_out``: models whose
    tables do not go with the first one's, and why.
    """

    table: ErrorTable
    weights: str
    other: str | None
    filter: Filter
    version: str
    left_out: tuple[str, ...] = ()

    @cached_property
    def mask(self) -> np.ndarray:
        """(N,) bool: what the filter selects, by the answers of the chosen model."""
        return self.filter.mask(self.table, self.weights)

    @property
    def title(self) -> str:
        """Name of the dataset for people."""
        return set_title(self.table.dataset)

    @property
    def own(self) -> bool:
        """Whether this is the visitor's own dataset."""
        return self.table.dataset == link.OWN

    def space(self) -> ErrorSpace:
        """Where the look-alikes are found; once a table."""
        return self.result("space", lambda: error_space(self.table))

    def result(self, name: str, work: Callable[[], Any], *settings: Any) -> Any:
        """Result of ``work``, computed once for this table, filter and ``settings``. Those of
        own datasets are cached in the session, others for all.
        """
        chosen = () if name in WHOLE else (self.weights, *sorted(self.filter.query().items()))
        question = (self.version, name, chosen, settings)
        if not self.own:
            return _result(question, work)
        cache = state.OWN_RESULTS.stored()
        if question not in cache:
            if len(cache) >= MAX_RESULTS:
                cache.clear()
            cache[question] = work()
        return cache[question]


@st.cache_resource(max_entries=MAX_RESULTS, show_spinner="Counting …")
def _result(question: tuple[Any, ...], _work: Callable[[], Any]) -> Any:
    return _work()


def set_title(name: str) -> str:
    """A dataset's name for people."""
    return "Your own dataset" if name == link.OWN else TERMS[name].title if name in TERMS else name


def sets() -> dict[str, list[str]]:
    """Dataset to the models with predictions on it; a visitor's own first where there is one."""
    found = tables.available(reports_dir())
    own = state.OWN_TABLE.get()
    return found if own is None else {link.OWN: list(own.weights), **found}


@st.cache_data(max_entries=1, ttl=60, show_spinner=False)
def titles() -> dict[str, str]:
    """Models' names for people by their weights, the default's first; empty where the manifest
    cannot be read.
    """
    try:
        entries = list_weights()
    except AgeGenderError:
        return {}
    counts: dict[str, int] = {}
    for info in entries:
        counts[info.title] = counts.get(info.title, 0) + 1
    return {
        info.name: info.title if counts[info.title] == 1 else f"{info.title} ({info.name})"
        for info in entries
    }


def title(weights: str) -> str:
    """A model's name for people."""
    return titles().get(weights, weights)


def ordered(weights: list[str]) -> list[str]:
    """The manifest's order, default first; those it does not know last."""
    known = list(titles())
    return sorted(
        weights, key=lambda name: (known.index(name) if name in known else len(known), name)
    )


def read(set_name: str, weights: str, others: list[str]) -> tuple[ErrorTable, str, tuple[str, ...]]:
    """Table of ``weights`` on ``set_name`` with all ``others`` that go with it, its version, and
    why any do not.

    Raises ``DatasetError`` where the table of ``weights`` itself cannot be read.
    """
    if set_name == link.OWN:
        return state.OWN_TABLE.get(), state.OWN_VERSION.get(), ()
    names = (weights, *(name for name in others if name != weights))
    folder = reports_dir()
    stamp = tuple(_stamp(folder / name / set_name / "predictions.parquet") for name in names)
    stamp += (_stamp(conditions_path(folder, set_name)),)
    table, left_out = _read(str(folder), set_name, tuple(sorted(names)), weights, stamp)
    services.freeze_gc("tables")
    return table, f"{folder}:{set_name}:{','.join(table.weights)}:{stamp}", left_out


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


@st.cache_resource(max_entries=MAX_TABLES, show_spinner="Reading the predictions …")
def _read(
    reports: str, set_name: str, names: tuple[str, ...], weights: str, stamp: tuple[int, ...]
) -> tuple[ErrorTable, tuple[str, ...]]:
    folder = Path(reports)
    try:
        return tables.read_table(folder, set_name, names), ()
    except DatasetError:
        pass
    good, left_out = [weights], []
    # The chosen one must be readable; its error is the page's.
    tables.read_table(folder, set_name, good)
    for name in names:
        if name == weights:
            continue
        try:
            tables.read_table(folder, set_name, (weights, name))
        except DatasetError:
            left_out.append(name)
        else:
            good.append(name)
    return tables.read_table(folder, set_name, sorted(good)), tuple(left_out)


def means(scope: Scope, mask: np.ndarray | None = None) -> dict[str, float]:
    """Mean of each metric over the images in ``mask`` (N,) bool, default those the filter selects;
    NaN where none count.
    """
    values = scope.table.values[scope.weights]
    chosen = values[scope.mask if mask is None else mask]
    return {
        name: float(chosen[name].mean()) if chosen[name].notna().any() else float("nan")
        for name in chosen
    }
