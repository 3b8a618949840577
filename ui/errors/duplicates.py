"""Near-duplicates with different labels, each pair side by side. Their images stay in memory, as
all others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd
import streamlit as st

from agegender_core.analysis.filters import TASKS, page
from agegender_core.analysis.label_issues import duplicates_path, read_conflicting_duplicates
from agegender_core.output.csv_tables import safe_frame
from agegender_core.settings import reports_dir
from ui.common.charts import with_en_dash
from ui.common.messages import plain
from ui.common.pager import pager
from ui.errors import query_params as link
from ui.errors.data import Scope
from ui.errors.images import ImageSource, placeholder, thumbnails

PAIRS = 12
"""On a page."""
SPLITS = {"train": "training", "val": "validation", "test": "test"}
HEADS = {
    "file": "file",
    "other_file": "other file",
    "correlation": "correlation",
    "split": "split",
    "other_split": "other split",
    "age": "age",
    "other_age": "other age",
    "years_apart": "years apart",
    "gender": "gender",
    "other_gender": "other gender",
    "race": "race",
    "other_race": "other race",
}
"""Columns of the table for people; those without a value are left out."""


@st.cache_data(max_entries=8, show_spinner=False)
def _read(reports: str, set_name: str, stamp: int) -> pd.DataFrame | None:
    return read_conflicting_duplicates(Path(reports), set_name)


def read(set_name: str) -> pd.DataFrame | None:
    """Pairs of a dataset with different labels; None where it was not searched."""
    folder = reports_dir()
    path = duplicates_path(folder, set_name)
    return _read(str(folder), set_name, path.stat().st_mtime_ns if path.is_file() else 0)


def show(scope: Scope, image_source: ImageSource) -> None:
    """The pairs, a page at a time, and all of them as a table."""
    st.subheader("Near-duplicates with different labels", anchor=False)
    if scope.own:
        st.markdown(
            "Near-duplicates are detected in whole datasets on the command line, not in uploads."
        )
        return
    found = read(scope.table.dataset)
    if found is None:
        st.info(
            f"{plain(scope.title)} has not been searched for near-duplicates yet. Where its images"
            f" are, run\n\n    agegender conditions --twins {scope.table.dataset}",
            icon=":material/content_copy:",
        )
        return
    if not len(found):
        st.markdown("None found: near-duplicates of this dataset have the same labels.")
        return
    st.caption(
        f"{len(found):,} pairs over all splits of the dataset, whatever the filter; those whose"
        " ages are farthest apart come first. Test splits keep one image of each such group, so"
        " most of these are training images. Differing labels are underlined."
    )
    _pairs(found, image_source, scope.table.dataset)
    with st.expander("All pairs as a table", icon=":material/table:"):
        table = found.dropna(axis=1, how="all").rename(columns=HEADS)
        st.dataframe(
            safe_frame(table),
            hide_index=True,
            width="stretch",
            height=320,
            key="errors-duplicates",
            placeholder="–",
        )


def differing(found: pd.DataFrame, task: str) -> pd.Series:
    """(N,) bool: pairs whose labels of ``task`` differ."""
    if task == "age":
        return found["years_apart"] > 0
    return (
        found[task].notna()
        & found[f"other_{task}"].notna()
        & (found[task] != found[f"other_{task}"])
    )


def _pairs(found: pd.DataFrame, image_source: ImageSource, set_name: str) -> None:
    tasks = [task for task in TASKS if differing(found, task).any()]
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    ):
        if link.get("differ") not in (None, *tasks):
            link.put("differ", None)
        task = st.segmented_control(
            "Labels that differ",
            tasks,
            format_func=lambda name: f"{name.capitalize()}s differ",
            key=link.key("differ"),
            label_visibility="collapsed",
            persist_state="session",
        )
        chosen = found[differing(found, task)] if task else found
        pages = page(chosen.index.to_numpy(), 1, PAIRS)[1]
        number = pager(pages, f"errors-duplicates-page-{set_name}-{task}")
    if image_source.missing:
        st.caption(f":material/image_not_supported: {plain(image_source.missing)}")
    visible, _ = page(chosen.index.to_numpy(), number, PAIRS)
    st.html(f'<div class="ag-duplicates">{"".join(_cards(found.loc[visible], image_source))}</div>')
    st.caption(f"{len(chosen):,} pairs.")


def _cards(rows: pd.DataFrame, image_source: ImageSource) -> list[str]:
    sides = [
        _addresses(rows[f"{side}file"], rows[f"{side}split"], image_source)
        for side in ("", "other_")
    ]
    return [
        f'<section class="ag-duplicate">{_side(row, "", one, image_source.missing)}'
        f"{_side(row, 'other_', other, image_source.missing)}</section>"
        for (_, row), one, other in zip(rows.iterrows(), *sides, strict=True)
    ]


def _addresses(files: pd.Series, splits: pd.Series, image_source: ImageSource) -> list[str | None]:
    """Data addresses of one side of all pairs; images of one split are read in one go."""
    found: dict[tuple[str, str], str | None] = {}
    for split in splits.unique():
        there: Sequence[str] = files[splits == split].tolist()
        found |= {
            (split, file): address
            for file, address in zip(there, thumbnails(image_source, there, split), strict=True)
        }
    return [found[split, file] for split, file in zip(splits, files, strict=True)]


def _side(row: pd.Series, side: str, address: str | None, missing: str) -> str:
    """One image with its labels; labels alone where all images are ``missing``."""
    file, differs = (
        escape(str(row[f"{side}file"]), quote=True),
        {name: differing(row.to_frame().T, name).iloc[0] for name in TASKS},
    )
    labels = []
    for name in TASKS:
        if isinstance(value := row[f"{side}{name}"], str):
            words = escape(with_en_dash(value) + (" years" if name == "age" else ""))
            labels.append(f"<u>{words}</u>" if differs[name] else words)
    split = escape(SPLITS.get(row[f"{side}split"], ""))
    image = "" if missing else f'<img src="{address or placeholder()}" alt="{file}">'
    return (
        f'<figure title="{file}">{image}'
        f"<figcaption>{', '.join(labels) or 'no label'}<small>{split}</small></figcaption></figure>"
    )
