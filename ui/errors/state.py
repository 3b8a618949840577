"""What the session stores for Errors, beside the settings in its address (``query_params``)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from ui.common.state import Slot

if TYPE_CHECKING:
    from agegender_core.analysis.prediction_table import ErrorTable
    from agegender_core.analysis.user_set import Job, UserDataset
    from agegender_core.types import AgeEstimate


PROBLEMS = Slot[list[str]]("errors-address-problems", list)
"""What of the address could not be read."""
TILES_TURN = Slot[int]("errors-turn", int)
"""Counts how often tiles began again: the pager then has to forget where it was."""
WALK = Slot[np.ndarray]("errors-walk", lambda: np.empty(0, int))
"""Rows of the visible gallery: the detail goes from one to the next."""
THUMBNAILS: Slot[OrderedDict[tuple[str, str | None, str], str]] = Slot(
    "errors-thumbnails", OrderedDict
)
"""Small images by source, split and file."""
PLOT_TURN = Slot[int]("errors-plot-nonce", int)
"""Counts how often marks were cleared: a figure of a new key has forgotten its own."""
PLOT_FORMAT = Slot[str]("errors-format", lambda: "png")
FRESH_MARK = Slot[bool]("errors-fresh-pick", bool)
"""Whether the mark in a plot was made in this run."""
TYPED_SOURCES = Slot[dict[str, str]]("errors-typed-sources", dict)
"""Sources of images that the visitor typed, by dataset."""
ASKED: Slot[dict[tuple[str, str, str], AgeEstimate | None]] = Slot("errors-asked", dict)
"""Last answers of models that were run again, by table, file and model."""
OWN_SET: Slot[UserDataset | None] = Slot("errors-own-set")
"""The visitor's own dataset, with its images."""
OWN_JOB: Slot[Job | None] = Slot("errors-own-job")
OWN_FILES: Slot[tuple[str, ...] | None] = Slot("errors-own-files")
"""Ids of the uploads it was read from."""
OWN_PROBLEM = Slot[str | None]("errors-own-problem")
OWN_NOTE = Slot[str | None]("errors-own-note")
OWN_TURN = Slot[int]("errors-own-turn", int)
"""Counts how often an own dataset was removed: an uploader of a new key has lost its files."""
OWN_TABLE: Slot[ErrorTable | None] = Slot("errors-own-table")
OWN_VERSION = Slot[str]("errors-own-version", str)
OWN_RESULTS = Slot[dict[tuple[Any, ...], Any]]("errors-own-results", dict)


def source_input(dataset: str) -> Slot[str]:
    """What stands in the field for a dataset's source of images."""
    return Slot(f"errors-source-{dataset}", str)


def chart(name: str, weights: str) -> Slot[Any]:
    """A plot with what is marked in it."""
    return Slot(f"errors-plot-{name}-{weights}-{PLOT_TURN.get()}")


def pager(gallery: str, pages: int) -> Slot[int]:
    """The page a gallery is turned to."""
    return Slot(f"errors-pager-{gallery}-{pages}-{TILES_TURN.get()}", lambda: 1)


def forget_own_dataset() -> None:
    """Everything of it but which uploads it came from."""
    for slot in (
        OWN_SET,
        OWN_JOB,
        OWN_PROBLEM,
        OWN_NOTE,
        OWN_TABLE,
        OWN_VERSION,
        ASKED,
        OWN_RESULTS,
    ):
        slot.clear()
