"""Drawings inside Gradio's answers: SVG that takes its colours from the page, so that it suits the
light and the dark theme.
"""

from __future__ import annotations

from html import escape

from agegender_core.types import AgeEstimate
from ui.common.charts import age_chart_words

WIDTH, HEIGHT, BASE = 404, 92, 70
"""Of the drawing, and where the axis lies, in its own units: four for a year."""


def age_curve(age: AgeEstimate) -> str:
    """The age distribution over 0 to 100 years as SVG: bars inside the interval in full colour, the
    estimate as a line.

    Empty where the model answers without a distribution.
    """
    if age.probs is None:
        return ""
    low, high = age.interval or (-1.0, -1.0)
    top = float(max(age.probs)) or 1.0
    bars = "".join(
        f'<rect class="{"ag-in" if round(low) <= years <= round(high) else "ag-out"}"'
        f' x="{4 * years}" y="{BASE - 60 * share / top:.1f}" width="3.4"'
        f' height="{60 * share / top:.1f}"/>'
        for years, share in enumerate(map(float, age.probs))
        if share / top > 0.004
    )
    ticks = "".join(
        f'<text x="{4 * years + 2}" y="{HEIGHT - 6}" text-anchor="middle">{years}</text>'
        for years in range(0, 101, 20)
    )
    middle = 4 * age.years + 1.7
    return (
        f'<svg class="ag-curve" viewBox="-8 0 {WIDTH + 16} {HEIGHT}" role="img"'
        f' aria-label="{escape(age_chart_words(age))}"><line x1="0" x2="{WIDTH}" y1="{BASE}"'
        f' y2="{BASE}"/>{bars}<line class="ag-stem" x1="{middle:.1f}" x2="{middle:.1f}" y1="6"'
        f' y2="{BASE}"/>{ticks}</svg>'
    )
