"""What ``reports/`` and the manifest say of the networks, as a chart and tables. Read, never computed anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from agegender_core.data.terms import TERMS
from agegender_core.evaluation.report import YEARS, read_reports, shown_claim, shown_estimate
from agegender_core.weights import WeightsEntry
from ui.charts import CONFIG

__all__ = ["CONFIG", "METRICS", "chart", "claims", "facts", "reports", "table"]

REPORTS = Path(__file__).resolve().parents[1] / "reports"

METRICS = {
    "mae": "Age: mean absolute error, years (less is better)",
    "gender_accuracy": "Gender: share right",
    "cs5": "Age: share within five years",
    "fairface9_accuracy": "Age: share in the right one of FairFace's nine ranges",
    "adience8_accuracy": "Age: share in the right one of Adience's eight groups",
    "bias": "Age: mean signed error, years (positive: guessed too old)",
    "interval_coverage": "Age: share of true ages inside the 80 % interval",
}
"""What may be shown, in words."""

HEADS = {
    "mae": "MAE, years",
    "gender_accuracy": "gender, %",
    "cs5": "within 5 years, %",
    "fairface9_accuracy": "9 ranges, %",
    "adience8_accuracy": "8 groups, %",
    "bias": "bias, years",
    "interval_coverage": "in the interval, %",
}
"""The same as heads of columns."""

Report = dict[str, Any]


def reports() -> list[Report]:
    """What ``evaluate`` wrote; an empty list where there is nothing."""
    return read_reports(REPORTS)


def _scale(metric: str) -> float:
    return 1.0 if metric in YEARS else 100.0


def chart(entries: Sequence[WeightsEntry], found: Sequence[Report], metric: str) -> go.Figure:
    """One point with its interval for each network and set: sets below each other, networks in colours."""
    figure = go.Figure()
    for entry in entries:
        rows = [report for report in found if report["weights"] == entry.name and metric in report["metrics"]]
        estimates = [report["metrics"][metric] for report in rows]
        values = [item["value"] * _scale(metric) for item in estimates]
        figure.add_scatter(
            x=values,
            y=[f"{TERMS[report['set']].title}<br>n {item['n']:,}" for report, item in zip(rows, estimates, strict=True)],
            name=entry.title,
            mode="markers",
            marker_size=11,
            error_x={
                "array": [item["high"] * _scale(metric) - value for item, value in zip(estimates, values, strict=True)],
                "arrayminus": [value - item["low"] * _scale(metric) for item, value in zip(estimates, values, strict=True)],
                "thickness": 2,
            },
            hovertemplate="%{x:.2f}<extra>" + entry.title + "</extra>",
        )
    figure.update_layout(
        height=300, margin={"l": 4, "r": 8, "t": 8, "b": 4}, dragmode=False, scattermode="group",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
    )  # fmt: skip
    unit = "years" if metric in YEARS else "%"
    figure.update_xaxes(title_text=unit, fixedrange=True, automargin=True, zeroline=metric == "bias")
    figure.update_yaxes(autorange="reversed", fixedrange=True, automargin=True)
    return figure


def table(entries: Sequence[WeightsEntry], found: Sequence[Report]) -> pd.DataFrame:
    """A row for each network and set; numbers with their interval as text, as in the README."""
    rows = []
    for entry in entries:
        for report in (item for item in found if item["weights"] == entry.name):
            row = {"network": entry.name, "set": TERMS[report["set"]].title, "split": report["split"], "n": report["n"]}
            rows.append(row | {head: shown_estimate(report["metrics"].get(name), name) for name, head in HEADS.items()})
    return pd.DataFrame(rows)


def claims(entries: Sequence[WeightsEntry]) -> pd.DataFrame:
    """A row for each number a paper claims."""
    rows = []
    for entry in entries:
        for key, value in entry.claimed.items():
            where, metric = key.rsplit("/", 1)
            words = METRICS.get(metric, metric)
            rows.append({"network": entry.name, "claimed on": where, "measure": words, "claim": shown_claim(value, metric)})
    return pd.DataFrame(rows)


def facts(entry: WeightsEntry) -> list[str]:
    """The small print of a network's card."""
    training = entry.training
    sets = ", ".join(TERMS[name].title for name in training["sets"])
    return [
        entry.paper,
        f"{entry.parameters:,} parameters; sees a face at {entry.input.size}x{entry.input.size} pixels"
        + (", twice: as it is and mirrored." if entry.flip else "."),
        f"Trained on {sets} ({training['split']}): {training['pictures']:,} pictures, {training['minutes']:.0f} minutes on "
        f"{training['device']}; recipe {training['recipe']}.",
        f"Terms of the training data: {entry.terms}",
    ]
