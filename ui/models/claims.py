"""Claims of the papers against measurements of ours as dumbbells: hollow for the claim, filled for
ours, on axes from zero.

A claim and a measurement stay two numbers of two sources all the way: they are drawn in one row and
never averaged, replaced or filled in for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_store import read_bench, read_protocols
from agegender_core.evaluation.report_types import EvaluationReport
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.output.metric_formats import METRIC_FORMATS
from agegender_core.publishing.comparison_tables import ComparisonRow, comparison_rows
from agegender_core.settings import reports_dir

CLAIMED, MEASURED, LINE = "#C0691C", "#3C8C94", "rgba(128, 140, 140, 0.7)"
"""Colours that can be seen on both themes; the marker's form distinguishes them too."""
ROW = 70
"""Pixels of a row: a title, a verdict, and the dumbbell under them."""
UNITS = {
    True: "Age: mean absolute error in years, lower is better",
    False: "Correct answers in %, higher is better",
}
REFITTED = "refitted for each person"


@dataclass(frozen=True)
class Pair:
    """One claim beside one measurement of the same metric on the same dataset, in years or per
    cent.

    ``low`` and ``high``: the 95 % interval of ``measured``, over ``n`` images. ``source``: where in
    the paper the claim stands.
    """

    system: str
    model: str
    dataset: str
    metric: str
    claimed: float
    measured: float
    low: float
    high: float
    n: int
    source: str

    @property
    def in_years(self) -> bool:
        """Whether the metric is an error in years, where less is better."""
        return METRIC_FORMATS[self.metric].unit == "years"

    @property
    def gap(self) -> float:
        """By how much the measurement is worse than the claim; negative where it is better."""
        return self.measured - self.claimed if self.in_years else self.claimed - self.measured

    @property
    def reached(self) -> bool:
        """Whether the measurement is as good as the claim, or its interval contains it."""
        return self.gap <= 0 or self.low <= self.claimed <= self.high

    @property
    def title(self) -> str:
        """«GRA_Net, age distribution · UTKFace, gender»."""
        what = "" if self.metric == "mae" else f", {METRIC_FORMATS[self.metric].label}"
        return f"{self.model} · {self.dataset}{what}"

    @property
    def verdict(self) -> str:
        """One line: «Not reached: 5.8 years more error than claimed»."""
        if self.low <= self.claimed <= self.high:
            return "Reached: the claim lies inside our interval"
        if self.in_years:
            size = (
                f"{abs(self.gap):.1f} years {'more' if self.gap > 0 else 'less'} error than claimed"
            )
        else:
            size = f"{abs(self.gap):.1f} points {'below' if self.gap > 0 else 'above'} the claim"
        return f"{'Not reached' if self.gap > 0 else 'Better than claimed'}: {size}"


def rows(entries: Sequence[ModelInfo], found: Sequence[EvaluationReport]) -> list[ComparisonRow]:
    """``comparison_rows`` of what lies in the reports folder."""
    folder = reports_dir()
    return comparison_rows(entries, found, read_protocols(folder), read_bench(folder))


def pairs(entries: Sequence[ModelInfo], compared: Sequence[ComparisonRow]) -> list[Pair]:
    """Every claim that was measured on the same dataset, by paper, the smallest gap of each first.
    ``compared``: ``rows``.
    """
    titles = {info.name: info.title for info in entries}
    made = []
    for row in compared:
        for metric, claim in row.claimed.items():
            item = row.measured.get(metric)
            if item is None or row.weights is None or row.how is None:
                continue
            factor = METRIC_FORMATS[metric].factor
            refitted = f", {REFITTED}" if "refitted" in row.how else ""
            made.append(
                Pair(
                    system=row.title,
                    model=titles.get(row.weights, row.weights),
                    metric=metric,
                    dataset=DATASET_TITLES[row.set] + refitted,
                    claimed=factor * claim.value,
                    measured=factor * item.value,
                    low=factor * item.low,
                    high=factor * item.high,
                    n=item.n,
                    source=f"{claim.protocol}; {claim.source}",
                )
            )
    papers = list(dict.fromkeys(pair.system for pair in made))
    return sorted(made, key=lambda pair: (papers.index(pair.system), pair.gap))


def unmeasured(compared: Sequence[ComparisonRow]) -> list[str]:
    """Claims without any measurement here: «GRA_Net on AFAD: age 3.10 years»."""
    lines = []
    for row in compared:
        if row.missing and row.claimed:
            values = [
                f"{METRIC_FORMATS[metric].label} {METRIC_FORMATS[metric].text(claim.value)}"
                for metric, claim in row.claimed.items()
            ]
            lines.append(f"{row.title} on {DATASET_TITLES[row.set]}: {', '.join(values)}")
    return lines


def headline(found: Sequence[Pair]) -> str:
    """The chart's message in a sentence; ``found`` must not be empty. A claim that several models
    are compared with counts once, by the model that comes nearest to it.
    """
    nearest: dict[tuple[str, str, str], Pair] = {}
    for pair in sorted(found, key=lambda pair: (not pair.reached, pair.gap)):
        dataset = pair.dataset.removesuffix(f", {REFITTED}")
        nearest.setdefault((pair.system, dataset, pair.metric), pair)
    reached = sum(pair.reached for pair in nearest.values())
    how = (
        f" ({len(found)} comparisons: some claims with several models; the nearest counts)"
        if len(found) > len(nearest)
        else ""
    )
    first = (
        f"{reached} of {len(nearest)} claims are reached here{how}."
        if reached
        else f"None of {len(nearest)} claims is reached here{how}."
    )
    missed = [pair for pair in nearest.values() if pair.in_years and not pair.reached]
    if not missed:
        return first
    worst = max(missed, key=lambda pair: pair.measured / pair.claimed)
    return (
        f"{first} The widest gap in age: {worst.system} claims {worst.claimed:.2f} years on"
        f" {worst.dataset}; the nearest model here, {worst.model}, has {worst.measured:.2f}"
        f" ({worst.low:.2f}–{worst.high:.2f}, n {worst.n:,})."
    )


def chart(found: Sequence[Pair]) -> go.Figure:
    """Dumbbells of ``found``, all of one unit: a row each, the first on top."""
    places = list(range(len(found), 0, -1))
    figure = go.Figure()
    for pair, y in zip(found, places, strict=True):
        figure.add_scatter(
            x=[pair.claimed, pair.measured],
            y=[y, y],
            mode="lines",
            line={"width": 2, "color": LINE},
            hoverinfo="skip",
            showlegend=False,
        )
    _add_claimed(figure, found, places)
    _add_measured(figure, found, places)
    _lay_out(figure, found, places)
    return figure


def _add_claimed(figure: go.Figure, found: Sequence[Pair], places: Sequence[int]) -> None:
    """The papers' claims, hollow, each with its number on the side away from the measurement."""
    digits = METRIC_FORMATS[found[0].metric].digits
    figure.add_scatter(
        x=[pair.claimed for pair in found],
        y=places,
        mode="markers+text",
        name="claimed by the paper",
        marker={"size": 12, "symbol": "circle-open", "color": CLAIMED, "line": {"width": 2.5}},
        text=[f"{pair.claimed:.{digits}f}" for pair in found],
        cliponaxis=False,
        textfont_size=12,
        textposition=[
            f"middle {'left' if pair.claimed <= pair.measured else 'right'}" for pair in found
        ],
        customdata=[pair.source for pair in found],
        hovertemplate="claimed %{x}<br>%{customdata}<extra></extra>",
    )


def _add_measured(figure: go.Figure, found: Sequence[Pair], places: Sequence[int]) -> None:
    """What was measured here, filled, with its interval and its number outside of it."""
    digits = METRIC_FORMATS[found[0].metric].digits
    figure.add_scatter(
        x=[pair.measured for pair in found],
        y=places,
        mode="markers",
        name="measured here, 95 % interval",
        marker={"size": 11, "color": MEASURED},
        customdata=[[pair.low, pair.high, pair.n] for pair in found],
        error_x={
            "array": [pair.high - pair.measured for pair in found],
            "arrayminus": [pair.measured - pair.low for pair in found],
            "thickness": 2,
            "width": 4,
            "color": MEASURED,
        },
        hovertemplate=(
            "measured %{x:.2f} (%{customdata[0]:.2f}–%{customdata[1]:.2f})<br>%{customdata[2]:,}"
            " images<extra></extra>"
        ),
    )
    figure.add_scatter(
        x=[pair.high if pair.measured >= pair.claimed else pair.low for pair in found],
        y=places,
        mode="text",
        showlegend=False,
        text=[f" {pair.measured:.{digits}f} " for pair in found],
        cliponaxis=False,
        hoverinfo="skip",
        textfont_size=12,
        textposition=[
            f"middle {'right' if pair.measured >= pair.claimed else 'left'}" for pair in found
        ],
    )


def _lay_out(figure: go.Figure, found: Sequence[Pair], places: Sequence[int]) -> None:
    """Titles and verdicts above the rows, an axis from zero."""
    for pair, y in zip(found, places, strict=True):
        figure.add_annotation(
            x=0,
            xref="paper",
            y=y + 0.18,
            text=f"<b>{escape(pair.title)}</b><br>{escape(pair.verdict)}",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            align="left",
            font_size=12,
        )
    ends = [value for pair in found for value in (pair.claimed, pair.high)]
    figure.update_layout(
        height=70 + ROW * len(found),
        margin={"l": 4, "r": 8, "t": 34, "b": 4},
        dragmode=False,
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
    )
    top = max(ends) * 1.12 if found[0].in_years else 108
    figure.update_xaxes(
        range=[0, top],
        fixedrange=True,
        automargin=True,
        zeroline=True,
        zerolinewidth=2,
        title_text=METRIC_FORMATS[found[0].metric].unit,
    )
    figure.update_yaxes(range=[0.7, len(found) + 0.72], visible=False, fixedrange=True)


def chart_words(found: Sequence[Pair]) -> str:
    """The chart in words, for those who cannot see it."""
    unit = METRIC_FORMATS[found[0].metric].unit
    return "; ".join(
        f"{pair.title}: claimed {pair.claimed:.4g}, measured {pair.measured:.4g} {unit}"
        for pair in found
    )
