"""The page's parts: claims against measurements, every dataset, learning curves, experiments and
cards.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import streamlit as st
from pandas import DataFrame

from ui.common import messages, model_card
from ui.common.fold_out import fold_out
from ui.models import claims, experiments, learning, tables
from ui.models.static_table import NOT_RUN, csv_button, static_table
from ui.models.worse_photos import show_worse_photos

NOTES = {
    "Near-duplicates": (
        "UTKFace split in different ways (compare rows of one recipe and budget): near-duplicates"
        " on both sides of a split let a model recognise what it has seen. A near-duplicate: grey"
        " thumbnails of the aligned faces that correlate above 0.96. Our split keeps"
        " near-duplicates together by thumbnails of the whole images, so a few of its test images"
        " are in training all the same: the same photo, cropped or turned differently, which only"
        " aligning shows."
    ),
    "Gates and mask kinds": (
        "GRA_Net with the three mask kinds of its equations 4 to 6, without gates, and with the"
        " mask branch as the annex has it. The others here have their mask branch normalised, which"
        " did not keep every mask from saturating (values within 0.02 of 0 or 1): see the column."
        " The GRA_Net of this app normalises the masks' logits instead, and its masks stay between."
        " A quarter of the paper's width, the same data, one seed each; for several seeds see «Over"
        " seeds». A gate of 0 lets the mask decide, a gate of 1 passes it by. Flat masks: every"
        " channel's mask replaced by its mean over the face, so that it no longer says where."
    ),
    "Over seeds": (
        "Networks trained only for these comparisons, each from several random starts (their number"
        " is under «seeds»). A difference smaller than that between seeds does not count as one."
    ),
    "Worse photos": "What a dark room, strong compression or a camera out of focus cost.",
    "Decade and digit": (
        "GRA_Net as published puts an age together as 10 × decade + last digit, from two networks."
        " With perfect decades: the true decade with the answered digit. With perfect digits: the"
        " answered decade with the true digit. In brackets: 95 % bootstrap interval."
    ),
    "Do masks matter?": tables.FAITHFUL,
    "Claims about others": f"What the papers' own tables say of other methods. {tables.RIVAL_NOTE}",
    "Speed against rivals": "Table III of the multi-task CNN's paper, run again.",
    "Storage": (
        "Fewer bits per value keep the repository small. The cost is the loss on the validation"
        " split against the model as trained: positive numbers are losses."
    ),
}


def show_claims(entries: list, reports: list) -> None:
    """The dumbbells: hollow for the claim, filled for ours."""
    compared = claims.rows(entries, reports)
    found = claims.pairs(entries, compared)
    if found:
        st.markdown(f"**{messages.plain(claims.headline(found))}**")
        for in_years, title in claims.UNITS.items():
            if part := [pair for pair in found if pair.in_years == in_years]:
                st.subheader(title, anchor=False)
                st.plotly_chart(
                    claims.chart(part),
                    width="stretch",
                    config=tables.CONFIG,
                    key=f"claims-{in_years}",
                    alt=claims.chart_words(part),
                )
        st.caption(
            "Hollow: the paper's claim, on its own images. Filled: measured here on images the"
            " model never saw, with a 95 % bootstrap interval. The same dataset, never the same"
            " images: the papers split theirs in their own ways."
        )
    else:
        st.info(
            "No claim of a paper can be compared yet: nothing was measured on the datasets they"
            " name.",
            icon=":material/balance:",
        )
    if missing := claims.unmeasured(compared):
        st.caption(
            messages.plain(
                "Claimed, but not measured here because the images are not here:"
                f" {'; '.join(missing)}."
            )
        )
    with st.expander("Why claims are not reached here, or not comparable", icon=":material/help:"):
        for title, words in tables.verdicts():
            st.markdown(f"**{messages.plain(title)}.** {messages.plain(words)}")
    fold_out(
        "Claims and measurements as a table",
        "models-comparison",
        ":material/table:",
        show_comparison,
        entries,
        reports,
    )


def show_comparison(entries: list, reports: list) -> None:
    """All claims and measurements, each in a column of its own."""
    st.caption(
        "Empty under «claimed»: the paper says nothing. Errors in years are mean absolute errors;"
        " shares are in per cent."
    )
    comparison = tables.comparison(entries, reports)
    systems = st.pills(
        "Papers", comparison["system"].unique(), selection_mode="multi", key="systems"
    )
    shown = comparison[comparison["system"].isin(systems)] if systems else comparison
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        key="comparison",
        placeholder="–",
        column_config={
            "system": text(width=150),
            "dataset": text(width=160),
            "measure": text(width=130),
            "model": text(width=230),
            "claimed": number(format="%.4g", help="By the paper, on its own images"),
            "measured": number(format="%.4g", help="Here, by us"),
            "parameters": number(format="localized"),
            "ms a face": number(
                format="%.1f", help="The model alone, as the app runs it, on two cores"
            ),
        },
    )
    csv_button(shown, "comparison", "comparison")


def show_measured(entries: list, reports: list) -> None:
    """One measure on every dataset, and all numbers."""
    metric = st.selectbox(
        "Measure",
        tables.MEASURES,
        format_func=tables.heading,
        key="measure",
        width=420,
    )
    st.plotly_chart(
        tables.chart(entries, reports, metric),
        width="stretch",
        config=tables.CONFIG,
        key="measured",
    )
    st.caption(
        "Points: measured here; whiskers: 95 % bootstrap interval. FG-NET is never trained on"
        " and goes through the detector."
    )
    table = tables.table(entries, reports)
    st.dataframe(table, hide_index=True, width="stretch", key="numbers")
    csv_button(table, "numbers", "measured")


def show_curves(entries: list) -> None:
    """Learning curves of the models and experiments that have one, and which models have none."""
    curves = tables.curves(entries)
    if not curves:
        st.info(
            "There are no learning curves yet: every model published from now on stores its own."
        )
        return
    left, right = st.columns(2)
    chosen = left.selectbox("Model or experiment", list(curves), key="curve-network")
    offered = learning.offered(curves[chosen])
    measure = right.selectbox(
        "Measure by pass", offered, format_func=learning.MEASURES.get, key="curve-measure"
    )
    if measure:
        st.plotly_chart(
            learning.figure(curves[chosen], measure),
            width="stretch",
            config=tables.CONFIG,
            key="curve",
        )
    st.caption(
        f"{learning.caption(curves[chosen])} GRA_Net's paper shows such curves in its Figures"
        " 12 to 16 (we have what it says of them, not the figures themselves): there errors in"
        " training and validation fall as epochs go on, UTKFace's with many fluctuations; those in"
        " training never level off, nor get below those of validation."
    )
    if without := [info.title for info in entries if info.title not in curves]:
        st.caption(
            messages.plain(
                f"No learning curve: {'; '.join(without)}. They were trained before curves were"
                " stored."
            )
        )


def show_experiments(entries: list, reports: list) -> None:
    """What else was measured, a tab each; only the open one is made."""
    made: dict[str, Callable[[], DataFrame]] = {
        "Near-duplicates": tables.leakage,
        "Gates and mask kinds": partial(tables.ablation, entries, reports),
        "Over seeds": DataFrame,  # with tables of its own, as the next
        "Worse photos": DataFrame,
        "Decade and digit": partial(experiments.decade_digit, entries, reports),
        "Do masks matter?": partial(tables.faithful, entries),
        "Claims about others": tables.rival_claims,
        "Speed against rivals": lambda: tables.rivals()[0],
        "Storage": partial(tables.storage, entries),
    }
    for tab, name in zip(
        st.tabs(list(made), key="models-experiment", on_change="rerun"), made, strict=True
    ):
        if tab.open:
            with tab:
                show_experiment(name, made[name](), entries)


def show_experiment(name: str, table: DataFrame, entries: list) -> None:
    """What it is, and its numbers."""
    machine = f" {tables.rivals()[1]}" if name == "Speed against rivals" else ""
    st.caption(messages.plain(NOTES[name] + machine))
    if name == "Over seeds":
        experiments.show_seeds()
        return
    if name == "Worse photos":
        show_worse_photos(entries)
        return
    if not len(table):
        st.info(NOT_RUN)
        return
    static_table(table, f"experiment-{slug(name)}", slug(name))


def slug(name: str) -> str:
    """«Do masks matter?» as it may stand in a key or a file's name: «do_masks_matter»."""
    return re.sub(r"[^a-z]+", "_", name.lower()).strip("_")


def show_cards(entries: list) -> None:
    """A card for each model."""
    for info in entries:
        with st.container(border=True, key=f"card-{info.name}"):
            st.html(model_card.card(info))
