"""Experiments of more than one table: variants over seeds, and ages in two parts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_store import read_ablations
from agegender_core.evaluation.report_types import EvaluationReport
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.output.metric_formats import shown_estimate
from agegender_core.publishing.seed_tables import (
    BANDS,
    SEEDS,
    band_rows,
    compared_words,
    seed_rows,
)
from agegender_core.settings import reports_dir
from ui.common import messages
from ui.models.static_table import NOT_RUN, static_table


def show_seeds() -> None:
    """Variants of one recipe, trained several times each, a table for each comparison."""
    found = read_ablations(reports_dir())
    if not found:
        st.info(NOT_RUN)
        return
    for report in found:
        words = compared_words(report).replace("`", "")
        st.markdown(f"**{messages.plain(report.title)}.** {messages.plain(words)}")
        static_table(pd.DataFrame(seed_rows(report)), f"seeds-{report.name}", report.name)
        if by_band := band_rows(report):
            st.markdown(messages.plain(BANDS))
            static_table(
                pd.DataFrame(by_band), f"seeds-bands-{report.name}", f"{report.name}_by_band"
            )
    st.caption(messages.plain(SEEDS))


def decade_digit(entries: Sequence[ModelInfo], found: Sequence[EvaluationReport]) -> pd.DataFrame:
    """A row for each dataset of a model that answers an age in two parts; empty without any."""
    titles = {info.name: info.title for info in entries}
    rows = []
    for report in found:
        if (parts := report.decade_digit) is None:
            continue
        rows.append(
            {
                "model": titles.get(report.weights, report.weights),
                "dataset": f"{DATASET_TITLES[report.set]}, {report.split}",
                "n": parts.decade_accuracy.n,
                "MAE, years": shown_estimate(report.metrics.get("mae"), "mae"),
                "decade right, %": shown_estimate(parts.decade_accuracy, "age_accuracy"),
                "last digit off by": shown_estimate(parts.digit_mae, "mae"),
                "MAE with perfect decades": shown_estimate(parts.perfect_decades, "mae"),
                "MAE with perfect digits": shown_estimate(parts.perfect_digits, "mae"),
            }
        )
    return pd.DataFrame(rows)
