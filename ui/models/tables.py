"""The models' results in ``reports/`` and the manifest, as a chart and tables. Read, never computed
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from agegender_core.datasets.registry import TERMS
from agegender_core.evaluation.published_results import DATASET_TITLES, SYSTEMS
from agegender_core.evaluation.report_store import (
    EDGE,
    read_attentions,
    read_bench,
    read_curves,
    read_leakage,
    read_protocols,
    read_reports,
    read_rivals,
)
from agegender_core.evaluation.report_types import EvaluationReport
from agegender_core.inference.model_zoo import ModelInfo, is_current
from agegender_core.output.metric_formats import METRIC_FORMATS, shown_estimate, shown_with_n
from agegender_core.publishing.attention_tables import FAITHFUL, faithful_rows
from agegender_core.publishing.comparison_tables import (
    HEADLINES,
    SPLITS,
    ComparisonRow,
    ablation_rows,
    comparison_rows,
    flattened_words,
    long_rows,
    mask_words,
    saturated_words,
)
from agegender_core.publishing.readme import STORAGES
from agegender_core.publishing.rival_claims import NOTE as RIVAL_NOTE
from agegender_core.publishing.rival_claims import rival_rows
from agegender_core.settings import reports_dir
from agegender_core.training.curves import LearningCurve
from ui.common.charts import AIM, CONFIG

__all__ = [
    "CONFIG",
    "FAITHFUL",
    "MEASURES",
    "RIVAL_NOTE",
    "ablation",
    "chart",
    "comparison",
    "curves",
    "faithful",
    "leakage",
    "reports",
    "rival_claims",
    "rivals",
    "storage",
    "table",
    "verdicts",
]

MEASURES = (
    "mae",
    "gender_accuracy",
    "balanced_mae",
    "gender_gap",
    "cs5",
    "fairface9_accuracy",
    "adience8_accuracy",
    "bias",
    "interval_coverage",
)
"""Metrics that the page shows, in this order."""
DIRECTIONS = {1: " (lower is better)", 0: "", -1: " (higher is better)"}
"""By ``Metric.worse``."""
POINT = "#3C8C94"
"""One colour that can be seen on the light and the dark theme."""
COSTS = ("gender_accuracy", "fairface9_accuracy")
"""Shares whose loss by storing is shown."""
_METRICS = {
    f"{metric.label}, {metric.unit}": name
    for name, metric in METRIC_FORMATS.items()
    if name in HEADLINES
}
"""Metrics by the words of ``long_rows`` for them."""
Report = dict[str, Any]


def reports() -> list[EvaluationReport]:
    """What ``evaluate`` wrote; an empty list where there is nothing."""
    return read_reports(reports_dir())


def heading(measure: str) -> str:
    """«Age: mean absolute error, years (lower is better)»."""
    metric = METRIC_FORMATS[measure]
    return metric.heading + (DIRECTIONS[metric.worse] if metric.ranks else "")


def chart(
    entries: Sequence[ModelInfo], found: Sequence[EvaluationReport], metric: str
) -> go.Figure:
    """A panel for each dataset, a line with point and interval for each model for use, the best on
    top.
    """
    used = {info.name: info.title for info in entries if not info.for_comparison}
    scale = METRIC_FORMATS[metric].factor
    panels = {
        name: [
            report
            for report in found
            if report.set == name and report.weights in used and metric in report.metrics
        ]
        for name in DATASET_TITLES
    }
    panels = {
        name: sorted(rows, key=lambda row: _best_last(row, metric))
        for name, rows in panels.items()
        if rows
    }
    heights = [len(rows) + 1.4 for rows in panels.values()]
    figure = make_subplots(
        rows=max(len(panels), 1),
        shared_xaxes=True,
        vertical_spacing=0.9 / max(sum(heights), 1),
        row_heights=heights or None,
        subplot_titles=[_panel_title(name, rows, metric) for name, rows in panels.items()],
    )
    for where, rows in enumerate(panels.values(), start=1):
        estimates = [row.metrics[metric] for row in rows]
        figure.add_scatter(
            x=[item.value * scale for item in estimates],
            y=[used[row.weights] for row in rows],
            mode="markers",
            marker={"size": 9, "color": POINT},
            error_x={
                "array": [(item.high - item.value) * scale for item in estimates],
                "arrayminus": [(item.value - item.low) * scale for item in estimates],
                "thickness": 2,
                "color": POINT,
            },
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
            row=where,
            col=1,
        )
    figure.update_layout(
        height=int(60 + 22 * sum(heights)),
        margin={"l": 4, "r": 8, "t": 24, "b": 4},
        dragmode=False,
        showlegend=False,
    )
    figure.update_annotations(x=0, xanchor="left", font_size=13)
    figure.update_xaxes(fixedrange=True, automargin=True, zeroline=metric == "bias")
    figure.update_xaxes(title_text=METRIC_FORMATS[metric].unit, row=max(len(panels), 1), col=1)
    figure.update_yaxes(fixedrange=True, automargin=True, tickfont_size=12)
    return figure


def _best_last(report: EvaluationReport, metric: str) -> float:
    """Sorts reports so that the best one stands on top of an axis that runs upwards."""
    value = report.metrics[metric].value
    return (
        -abs(value - AIM)
        if metric == "interval_coverage"
        else value
        if METRIC_FORMATS[metric].worse < 0
        else -abs(value)
    )


def _panel_title(name: str, rows: Sequence[EvaluationReport], metric: str) -> str:
    counts = sorted({row.metrics[metric].n for row in rows})
    return (
        f"{TERMS[name].title}, {rows[0].split}, n"
        f" {' to '.join(f'{count:,}' for count in dict.fromkeys((counts[0], counts[-1])))}"
    )


def table(entries: Sequence[ModelInfo], found: Sequence[EvaluationReport]) -> pd.DataFrame:
    """A row for each model and dataset; numbers with their interval as text, as in the README, and
    with their own n where that is not the row's.
    """
    rows = []
    for info in entries:
        for report in (item for item in found if item.weights == info.name):
            row = {
                "model": info.title,
                "dataset": TERMS[report.set].title,
                "split": report.split,
                "n": report.answered,
                "no face": report.no_face,
            }
            rows.append(
                row
                | {
                    METRIC_FORMATS[name].column: shown_with_n(
                        report.metrics.get(name), name, report.answered
                    )
                    for name in MEASURES
                }
            )
    return pd.DataFrame(rows)


def comparison(entries: Sequence[ModelInfo], found: Sequence[EvaluationReport]) -> pd.DataFrame:
    """A row for each system, model, dataset and measure: what the paper claims and what was
    measured here, in columns of their own.
    """
    folder = reports_dir()
    compared = comparison_rows(entries, found, read_protocols(folder), read_bench(folder))
    titles = {info.name: info.title for info in entries}
    return pd.DataFrame(
        _compared(long, row, titles) for row in compared for long in long_rows([row])
    )


def _compared(row: Report, source: ComparisonRow, titles: dict[str, str]) -> Report:
    """``row``: of ``long_rows``. Its numbers are rounded for spreadsheets; those shown are rounded
    once, from ``source``.
    """
    metric = _METRICS[row["measure"]]
    item = source.measured.get(metric)
    return {
        "system": row["system"],
        "dataset": row["set"],
        "measure": row["measure"],
        "claimed": row["claimed"],
        "measured": None if item is None else float(METRIC_FORMATS[metric].number(item.value)),
        "95 % interval": (
            None if item is None else shown_estimate(item, metric).split(" ", 1)[1].strip("()")
        ),
        "model": titles.get(row["weights"], row["weights"]) or row["not run"],
        "split or protocol": row["split"],
        "n": row["n"],
        "parameters": row["parameters"],
        "ms a face": row["ms a face"],
        "claimed on": row["claimed on"],
    }


def verdicts() -> list[tuple[str, str]]:
    """Title of each system, and why its claims are not reached or not comparable."""
    return [(system.title, system.verdict) for system in SYSTEMS.values()]


def curves(entries: Sequence[ModelInfo]) -> dict[str, LearningCurve]:
    """Learning curves by title: of these very weights first, then of experiments."""
    found = read_curves(reports_dir())
    own = {
        info.title: found[info.name]
        for info in entries
        if info.name in found and is_current(found[info.name], info)
    }
    return own | {curve.experiment: curve for curve in found.values() if curve.experiment}


def rival_claims() -> pd.DataFrame:
    """What the papers claim of other methods, a row for each."""
    return pd.DataFrame(
        row | {"claimed": _claimed(row["claimed"], row["measure"])} for row in rival_rows()
    )


def _claimed(value: float, measure: str) -> str:
    """«2.90» years; «64.0» or «98.23» per cent, with a second digit where the paper has one."""
    text = f"{value:.2f}"
    return text if measure.endswith("years") else text.removesuffix("0")


def leakage() -> pd.DataFrame:
    """What near-duplicates across a split do; empty where it was not measured."""
    rows = []
    found = read_leakage(reports_dir())
    for run in found.runs if found else ():
        duplicates = run.mae_with_twin
        rows.append(
            {
                "split": SPLITS[run.split],
                METRIC_FORMATS["mae"].column: shown_estimate(run.mae, "mae"),
                "n": 0 if run.mae is None else run.mae.n,
                "with a near-duplicate in training": (
                    "none" if duplicates is None else shown_estimate(duplicates, "mae")
                ),
                "n with one": 0 if duplicates is None else duplicates.n,
                "without": shown_estimate(run.mae_without_twin, "mae"),
                "recipe": run.recipe,
                "minutes": run.minutes,
                "images seen": run.pictures_seen,
            }
        )
    return pd.DataFrame(rows)


def faithful(entries: Sequence[ModelInfo]) -> pd.DataFrame:
    """Whether masks matter, and which maps are faithful, a row for each attention report: networks
    for use first.
    """
    titles = {info.name: info.title for info in entries}
    compared = {info.name for info in entries if info.for_comparison}
    rows = sorted(
        faithful_rows(read_attentions(reports_dir())), key=lambda row: row["weights"] in compared
    )
    return pd.DataFrame(
        {
            "model" if key == "weights" else key: titles.get(value, value)
            for key, value in row.items()
        }
        for row in rows
    )


def ablation(entries: Sequence[ModelInfo], found: Sequence[EvaluationReport]) -> pd.DataFrame:
    """Gates and mask kinds of GRA_Net, one seed each; empty where nothing was trained for
    it.
    """
    rows = []
    for row in ablation_rows(entries, found, read_attentions(reports_dir())):
        shown = {
            METRIC_FORMATS[key].column: shown_estimate(row.measured.get(key), key)
            for key in ("mae", "gender_accuracy")
        }
        rows.append(
            {
                "mask": mask_words(row),
                "gate": "gated" if row.gated else "none (residual attention network)",
                "dataset": f"{DATASET_TITLES[row.set]}, {row.split}",
                "n": row.n,
                **shown,
                "learned gates, block 1 to 3": (
                    ", ".join(f"{gate:.2f}" for gate in row.gates.values()) or "–"
                ),
                f"mask values within {EDGE:g} of 0 or 1": saturated_words(row),
                "MAE with flat masks": flattened_words(row),
                "minutes": row.minutes,
                "images seen": row.pictures_seen,
            }
        )
    return pd.DataFrame(rows)


def rivals() -> tuple[pd.DataFrame, str]:
    """Table III of the multi-task CNN's paper, claimed and run here, and the machine; empty where
    it was not run.
    """
    found = read_rivals(reports_dir())
    if found is None:
        return pd.DataFrame(), ""
    rows = [
        {
            "method": row.name,
            "parameters claimed, M": row.claimed_parameters / 1e6,
            "parameters here, M": (
                None if row.parameters is None else round(row.parameters / 1e6, 2)
            ),
            "desktop claimed, s": row.claimed_desktop_s,
            "here, ms": row.median_ms,
            "times ours": row.ratio_to_ours,
            "phone claimed, s": row.claimed_mobile_s,
            "note": row.note,
        }
        for row in found.rows
    ]
    return (
        pd.DataFrame(rows),
        f"One face at a time, {found.threads} threads, {found.machine}.",
    )


def storage(entries: Sequence[ModelInfo]) -> pd.DataFrame:
    """How the weights are stored, and what that costs on the validation split."""
    rows = []
    for info in entries:
        kind, cost = info.training.get("storage", "half"), info.training.get("storage_cost", {})
        shares = {
            f"cost: {METRIC_FORMATS[key].short}, points": (
                f"{100 * cost[key]:+.2f}" if key in cost else None
            )
            for key in COSTS
        }
        row = {
            "model": info.title,
            "stored": STORAGES[kind],
            "MB": f"{info.size / 1e6:.1f}",
            f"cost: {METRIC_FORMATS['mae'].column}": (
                f"{cost['mae']:+.3f}" if "mae" in cost else None
            ),
        }
        rows.append(row | shares)
    return pd.DataFrame(rows)
