"""``docs/speed.md`` and its image: this package beside an earlier release and other packages, and
curves. Made only from ``reports/``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agegender_core.benchmarks.peers import peers_table
from agegender_core.benchmarks.previous_tables import previous_table, profile_table
from agegender_core.benchmarks.scaling import scaling_table
from agegender_core.evaluation.report_store import read_peers, read_previous, read_scaling
from agegender_core.evaluation.speed_reports import ScalingPoint, ScalingReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMAGE = "scaling.svg"
COLOURS = ("#1f6feb", "#bc4c00", "#1a7f37", "#8250df")
"""Told apart without red and green alone, and dark enough on white; lines differ in markers too."""
MARKERS = ("o", "s", "^", "D")
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # letters stay letters: small, and the reader's own font
    "svg.hashsalt": "agegender",  # the same report gives the same file
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial"],  # measured with the first, the widest
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d0d7de",
    "axes.axisbelow": True,
}


def speed_section(reports: Path) -> str:
    """Everything between the markers of docs/speed.md."""
    parts = []
    if previous := read_previous(reports):
        parts += ["## Beside the previous release", previous_table(previous)]
        if previous.profile:
            parts += [
                "### Where the time of one photo goes",
                profile_table(previous),
                "Processor time of one thread, from a profile, which adds some to each call.",
            ]
    if peers := read_peers(reports):
        parts += ["## Beside other packages", peers_table(peers)]
    if scaling := read_scaling(reports):
        image = f"![Four charts of the tables below]({IMAGE})"
        parts += ["## Faces, megapixels, threads, batch size", image, scaling_table(scaling)]
    return "\n\n".join(parts)


def scaling_svg(report: ScalingReport) -> str:
    """The four curves as one SVG on white, readable on light and dark pages alike."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(9, 6.4), facecolor="white")
        figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
        (faces, size), (threads, batch) = figure.subplots(2, 2)
        _lines(faces, report.faces, _cpu)
        _lines(size, report.megapixels, _cpu)
        _bars(threads, report.threads)
        _lines(batch, report.batch, _cpu)
        _named(faces, "Photo of 1280x960 by number of faces", "faces", "ms a photo")
        _named(size, "Photo with one face by its size", "megapixels", "ms a photo")
        _named(threads, "Two threads beside one", "times as fast, by the clock", "")
        _named(batch, "The network alone by batch size", "faces in a batch", "ms a face")
        batch.set_xscale("log", base=2)
        ticks = sorted({point.x for point in report.batch})
        batch.set_xticks(ticks, [f"{x:g}" for x in ticks])
        faces.set_xticks(sorted({point.x for point in report.faces}))
        for axes in (faces, batch):
            axes.legend(frameon=False)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    # Matplotlib ends some lines in spaces, which editors and git take away.
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _cpu(point: ScalingPoint) -> float:
    return point.cpu_ms


def _lines(
    axes: Axes, points: Sequence[ScalingPoint], value: Callable[[ScalingPoint], float]
) -> None:
    for number, name in enumerate(dict.fromkeys(point.line for point in points)):
        mine = [point for point in points if point.line == name]
        axes.plot(
            [point.x for point in mine],
            [value(point) for point in mine],
            label=name,
            color=COLOURS[number],
            marker=MARKERS[number],
            markersize=5,
        )
    axes.set_ylim(bottom=0)


def _bars(axes: Axes, points: Sequence[ScalingPoint]) -> None:
    """How many times as fast the most threads are as the fewest."""
    names = list(dict.fromkeys(point.line for point in points))
    gains = []
    for name in names:
        mine = sorted((point for point in points if point.line == name), key=lambda one: one.x)
        gains.append(mine[0].wall_ms / mine[-1].wall_ms)
    bars = axes.barh(names, gains, color=COLOURS[0], height=0.6)
    axes.bar_label(bars, [f"{gain:.1f}" for gain in gains], padding=3)
    axes.axvline(1, color="#57606a", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlim(0, max([2.0, *gains]) * 1.12)
    axes.grid(visible=False, axis="y")


def _named(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
