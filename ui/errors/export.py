"""Results to take away: the chosen rows as CSV and Parquet, and one HTML page with numbers, slices
and figures; never an image.
"""

from __future__ import annotations

import io
from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from agegender_core.analysis.slices import slice_table, worst_slices
from agegender_core.output.csv_tables import frame_csv
from ui.common.messages import plain
from ui.errors import data
from ui.errors import gallery as errors_gallery
from ui.errors import plots as errors_plots
from ui.errors import query_params as link
from ui.errors import selection as errors_pick
from ui.errors.data import Scope, means
from ui.errors.images import ImageSource
from ui.errors.slices import metrics_of, words_table
from ui.errors.text import LABELS_ARE, amount, filter_words, heading

ANSWERED = (
    "age_pred",
    "age_low",
    "age_high",
    "error",
    "outside",
    "fairface9_pred",
    "adience8_pred",
    "gender_pred",
    "gender_probability",
    "race_pred",
)
"""Columns of each model's answers that are exported."""
ROWS = 40
"""Slices in the one-page report."""
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1D2B2E;background:#FBFAF7}
table{border-collapse:collapse;font-size:.9rem;margin:.5rem 0 1.5rem}
th,td{padding:.2rem .7rem;border-bottom:1px solid #DBD6CA;text-align:right}
th:first-child,td:first-child{text-align:left}
small,figcaption{color:#4B5A5D}figure{margin:1rem 0 2rem}"""


def show(scope: Scope, image_source: ImageSource) -> None:
    """The buttons. Files are made when their button is pressed."""
    rows = selection(scope)
    name = f"{scope.table.set}-{scope.weights}"
    words = "; ".join(selection_words(scope)) or "all images"
    st.subheader("The current selection as a table", anchor=False)
    st.markdown(
        f"{len(rows):,} rows ({plain(words)}), in the order of the gallery: labels, the answers of "
        f"{len(scope.table.weights)} models, "
        "errors and image conditions. No images are in it."
    )
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            lambda: frame_csv(table_of(scope, rows)),
            f"{name}.csv",
            "text/csv",
            icon=":material/table:",
            key="errors-csv",
            on_click="ignore",
            disabled=not len(rows),
        )
        st.download_button(
            "Parquet",
            lambda: parquet(table_of(scope, rows)),
            f"{name}.parquet",
            "application/vnd.apache.parquet",
            icon=":material/table:",
            key="errors-parquet",
            on_click="ignore",
            disabled=not len(rows),
        )
    st.subheader("A report on one page", anchor=False)
    st.markdown(
        "Numbers, slices and all plots of the images that the filter keeps, in one HTML file that"
        " opens without the internet (5 MB)."
    )
    st.download_button(
        "Report",
        lambda: report(scope),
        f"{name}.html",
        "text/html",
        icon=":material/description:",
        key="errors-report",
        on_click="ignore",
        disabled=not scope.mask.any(),
    )
    st.subheader("Single figures", anchor=False)
    st.markdown(
        "Under «Plots» the camera above each plot saves it as PNG or SVG, whichever is chosen"
        " beside the plot's name."
    )


def selection(scope: Scope) -> np.ndarray:
    """Positions of the filtered images, and under the mark of a plot where there is one, in the
    gallery's order.
    """
    mask = scope.mask
    if text := link.get("pick"):
        mask = mask & errors_pick.mask(text, scope.table, scope.weights)
    return errors_gallery.ordered(scope, mask)


def selection_words(scope: Scope) -> list[str]:
    """The current choice in words."""
    words = filter_words(scope.filter)
    return (
        [*words, f"marked in a plot: {errors_pick.words(text)}"]
        if (text := link.get("pick"))
        else words
    )


def table_of(scope: Scope, rows: np.ndarray) -> pd.DataFrame:
    """Labels, conditions, measures and each model's answers of ``rows``; columns of answers are
    named «column weights».
    """
    parts = [scope.table.labels.drop(columns=["age_lo", "age_hi"])]
    if scope.table.measured:
        parts += [scope.table.measures, scope.table.conditions]
    for name in (
        scope.weights,
        *(other for other in scope.table.weights if other != scope.weights),
    ):
        parts.append(scope.table.predictions_for(name)[list(ANSWERED)].add_suffix(f" {name}"))
    return pd.concat(parts, axis=1).iloc[rows].reset_index(drop=True)


def parquet(table: pd.DataFrame) -> bytes:
    """The table as a Parquet file."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def report(scope: Scope) -> str:
    """The page, complete in itself."""
    found, whole = means(scope), means(scope, np.ones(len(scope.table), bool))
    title = f"{data.title(scope.weights)} on {scope.title}"
    words = "; ".join(filter_words(scope.filter)) or "all images"
    rows = [
        {
            "measure": heading(name),
            "these images": amount(name, found[name]),
            "the whole dataset": amount(name, whole[name]),
        }
        for name in metrics_of(scope)
    ]
    parts = [
        (
            f"<h1>{escape(title)}</h1><p>{int(scope.mask.sum()):,} of {len(scope.table):,} images:"
            f" {escape(words)}.</p>"
        ),
        pd.DataFrame(rows).to_html(index=False, border=0),
        f"<p><small>{escape(LABELS_ARE)}</small></p>",
        *_slices(scope),
        *_figures(scope),
    ]
    head = (
        "<meta charset='utf-8'><meta name='viewport'"
        f" content='width=device-width'><title>{escape(title)}</title><style>{STYLE}</style>"
    )
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>"


def _slices(scope: Scope) -> list[str]:
    parts = []
    for metric in [
        name
        for name in ("mae", "fairface9_accuracy", "gender_accuracy")
        if name in metrics_of(scope)
    ]:
        worst = worst_slices(scope.table, scope.weights, metric, mask=scope.mask)
        parts.append(f"<h2>{escape(heading(metric))}</h2>")
        if len(worst):
            parts.append(
                "<p>Surely worse than the rest, of "
                + f"{worst.attrs['searched']:,} slices searched:</p>"
            )
            parts.append(_html(words_table(worst, metric)))
        single = slice_table(scope.table, scope.weights, metric, 1, scope.mask)
        parts.append(
            "<p>By single labels and"
            f" conditions:</p>{_html(words_table(single.head(ROWS), metric))}"
        )
    return parts


def _html(table: pd.DataFrame) -> str:
    return table.to_html(
        index=False, border=0, na_rep="–", float_format=lambda value: f"{value:.4g}"
    )


def _figures(scope: Scope) -> list[str]:
    """All plots that this dataset and model have; the drawing library is included once."""
    parts = ["<h2>Plots</h2>"]
    first = True
    for name, draw in errors_plots.PLOTS.items():
        for item in draw(scope):
            chart = item.figure.to_html(
                full_html=False, include_plotlyjs=first, config={"displaylogo": False}
            )
            words = escape(f"{item.words} {item.note}".strip())
            parts.append(
                f"<h3>{escape(link.PLOTS[name])}</h3><figure>{chart}<figcaption>{words}</figcaption></figure>"
            )
            first = False
    return parts if not first else []
