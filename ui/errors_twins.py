"""Near-duplicates with different labels, each pair side by side. Their pictures stay in memory, as all others do."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd
import streamlit as st

from agegender_core.error_analysis.filters import TASKS, page
from agegender_core.error_analysis.suspects import read_twins, twins_path
from ui import measured
from ui.charts import shown
from ui.errors_data import Scope
from ui.errors_pictures import Pictures, placeholder, thumbnails
from ui.messages import plain

PAIRS = 12
"""On a page."""
SPLITS = {"train": "training", "val": "validation", "test": "test"}
HEADS = {"file": "file", "other_file": "other file", "correlation": "correlation", "split": "split", "other_split": "other split",
         "age": "age", "other_age": "other age", "years_apart": "years apart", "gender": "gender", "other_gender": "other gender",
         "race": "race", "other_race": "other race"}  # fmt: skip
"""Columns of the table for people; those without a value are left out."""


@st.cache_data(max_entries=8, show_spinner=False)
def _read(reports: str, set_name: str, stamp: int) -> pd.DataFrame | None:
    return read_twins(measured.REPORTS, set_name)


def show(scope: Scope, pictures: Pictures) -> None:
    """The pairs, a page at a time, and all of them as a table."""
    st.subheader("Near-duplicates with different labels", anchor=False)
    if scope.own:
        st.markdown("Near-duplicates are looked for in whole sets on the command line, not in uploads.")
        return
    path = twins_path(measured.REPORTS, scope.table.set)
    found = _read(str(measured.REPORTS), scope.table.set, path.stat().st_mtime_ns if path.is_file() else 0)
    if found is None:
        st.info(
            f"Nobody has looked for near-duplicates in {plain(scope.title)} yet. Where its pictures are, run\n\n"
            f"    python -m agegender_core conditions --twins {scope.table.set}",
            icon=":material/content_copy:",
        )
        return
    if not len(found):
        st.markdown("None was found: near-duplicates of this set have the same labels.")
        return
    st.caption(
        f"{len(found):,} pairs over all splits of the set, whatever the filter says; those whose ages are farthest apart come first. Test "
        "splits keep one picture of each such group, so most of these are training pictures. Differing labels are underlined."
    )
    _pairs(found, pictures, scope.table.set)
    with st.expander("All pairs as a table", icon=":material/table:"):
        table = found.dropna(axis=1, how="all").rename(columns=HEADS)
        st.dataframe(table, hide_index=True, width="stretch", height=320, key="errors-twins", placeholder="–")


def differing(found: pd.DataFrame, task: str) -> pd.Series:
    """(N,) bool: pairs whose labels of ``task`` differ."""
    if task == "age":
        return found["years_apart"] > 0
    return found[task].notna() & found[f"other_{task}"].notna() & (found[task] != found[f"other_{task}"])


def _pairs(found: pd.DataFrame, pictures: Pictures, set_name: str) -> None:
    tasks = [task for task in TASKS if differing(found, task).any()]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        task = st.segmented_control(
            "Labels that differ", tasks, format_func=lambda name: f"{name.capitalize()}s differ", key=f"errors-twins-of-{set_name}",
            label_visibility="collapsed",
        )  # fmt: skip
        chosen = found[differing(found, task)] if task else found
        pages = page(chosen.index.to_numpy(), 1, PAIRS)[1]
        number = st.pagination(pages, key=f"errors-twins-page-{set_name}-{task}", max_visible_pages=5) if pages > 1 else 1
    visible, _ = page(chosen.index.to_numpy(), number, PAIRS)
    st.html(f'<div class="ag-twins">{"".join(_cards(found.loc[visible], pictures))}</div>')
    st.caption(f"{len(chosen):,} pairs. " + (plain(pictures.missing) if pictures.missing else ""))


def _cards(rows: pd.DataFrame, pictures: Pictures) -> list[str]:
    sides = [_addresses(rows[f"{side}file"], rows[f"{side}split"], pictures) for side in ("", "other_")]
    return [
        f'<section class="ag-twin">{_side(row, "", one)}{_side(row, "other_", other)}</section>'
        for (_, row), one, other in zip(rows.iterrows(), *sides, strict=True)
    ]


def _addresses(files: pd.Series, splits: pd.Series, pictures: Pictures) -> list[str | None]:
    """Data addresses of one side of all pairs; pictures of one split are read in one go."""
    found: dict[tuple[str, str], str | None] = {}
    for split in splits.unique():
        there: Sequence[str] = files[splits == split].tolist()
        found |= {(split, file): address for file, address in zip(there, thumbnails(pictures, there, split), strict=True)}
    return [found[split, file] for split, file in zip(splits, files, strict=True)]


def _side(row: pd.Series, side: str, address: str | None) -> str:
    file, differs = escape(str(row[f"{side}file"]), quote=True), {name: differing(row.to_frame().T, name).iloc[0] for name in TASKS}
    labels = []
    for name in TASKS:
        if isinstance(value := row[f"{side}{name}"], str):
            words = escape(shown(value) + (" years" if name == "age" else ""))
            labels.append(f"<u>{words}</u>" if differs[name] else words)
    split = escape(SPLITS.get(row[f"{side}split"], ""))
    return (
        f'<figure><img src="{address or placeholder()}" alt="{file}" title="{file}">'
        f"<figcaption>{', '.join(labels) or 'no label'}<small>{split}</small></figcaption></figure>"
    )
