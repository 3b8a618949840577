"""What ``previous.run_previous`` found, as tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from agegender_core.benchmarks.peers import absent_words, faces_words, threads_words
from agegender_core.benchmarks.releases import BEFORE, NOT_THERE, NOW, real_failures
from agegender_core.evaluation.speed_reports import (
    PhotoTime,
    PreviousReport,
    Quantity,
    ReleaseJob,
    StartTime,
)
from agegender_core.output.markdown import markdown_head, markdown_row

RATIOS = (("times_as_fast", "times as fast"), ("share", "share"))
"""Of a quantity, and what a table calls them."""
JOB_TABLES = (
    (
        "folders",
        "folder of photos, two workers",
        "The command `batch`. «Once started»: from the part with which a quarter of the images were"
        " written to the last part; processor time is of that span, in all processes.",
    ),
    (
        "app",
        "from nothing to",
        "The whole server with its front ends and all its processes.",
    ),
    (
        "memory",
        "memory of the app",
        "Photos of 0.3 to 12 megapixels with one face, one after the other, through the API.",
    ),
    (
        "live",
        "live video of 640x480",
        "What Live uses, on two threads, fed with drawn frames as fast as it takes them; analysed"
        " and drawn, without camera, browser and network. «Faces»: shown on the last frame.",
    ),
    ("maps", "attention maps of a photo", "`attention_maps` from the file's bytes, one thread."),
    (
        "errors",
        "analysis of errors",
        "Drawn answers of three networks on one dataset of 20,000 images; each release answers the"
        " questions of its own galleries.",
    ),
)
"""Field of the report, head of the first column, and what is measured."""


def previous_table(report: PreviousReport) -> str:
    """Markdown: photos, starts, and whatever else both releases did."""
    groups = dict.fromkeys(row.group for row in report.rows)
    parts = [_photo_table([row for row in report.rows if row.group == group]) for group in groups]
    if report.starts:
        parts.append(_start_table(report.starts))
    for field, title, note in JOB_TABLES:
        if rows := getattr(report, field):
            parts.append(jobs_table(title, rows, note))
    weights = [f"{system.name}: `{system.weights}`" for system in report.systems if system.weights]
    parts.append(
        f"Previous release: {report.previous}; this one: {report.now}. {'; '.join(weights)}."
        f" Medians of {report.rounds} rounds, all in turns, each kept to as many cores as it has"
        f" threads. Machine: {report.machine}, with a load of {report.load_at_start:g} at the"
        " start."
    )
    if report.absent:
        parts.append(absent_words(report.absent))
    return "\n\n".join(parts)


def _photo_table(rows: Sequence[PhotoTime]) -> str:
    """Before and now on each photo: processor time with the fewest threads, and the clock with the
    most.
    """
    least, most = (choose(row.threads for row in rows) for choose in (min, max))
    head = ["photo", f"processor, {threads_words(least)}, before", "now", "times as fast"]
    head += [f"clock, {threads_words(most)}, before", "now", "times as fast"]
    head += ["found, before", "now"]
    title = f"**{rows[0].group.capitalize()}**"
    lines = [title, "", *markdown_head(head)]
    for photo in dict.fromkeys(row.photo for row in rows):
        by_release = {
            (row.system.partition(",")[0], row.threads): row for row in rows if row.photo == photo
        }
        cells = []
        for threads, key in ((least, "cpu_ms"), (most, "wall_ms")):
            before, now = (by_release.get((release, threads)) for release in (BEFORE, NOW))
            cells += [_ms(before, key), _ms(now, key), _times(before, now, key)]
        for release in (BEFORE, NOW):
            row = by_release.get((release, least))
            cells.append("–" if row is None or row.failed else faces_words(len(row.faces)))
        lines.append(markdown_row([photo, *cells]))
    return "\n".join(lines)


def _ms(row: PhotoTime | None, key: str) -> str:
    value = None if row is None else getattr(row, key)
    return "–" if value is None else f"{value:.0f} ms"


def _times(before: PhotoTime | None, now: PhotoTime | None, key: str) -> str:
    old, new = (None if row is None else getattr(row, key) for row in (before, now))
    return "–" if old is None or not new else f"{old / new:.1f}"


def jobs_table(title: str, rows: Sequence[ReleaseJob], note: str = "") -> str:
    """Both releases side by side: a row a job, three columns a quantity."""
    quantities = {one.name: one for row in rows for one in row.quantities}
    head = [title]
    for name in quantities:
        head += [f"{name}, before", "now"]
        head += [words for key, words in RATIOS if _has(rows, name, key)]
    lines = markdown_head(head)
    for row in rows:
        by_name = {one.name: one for one in row.quantities}
        absent = {one.system: one.reason for one in row.absent}
        cells = [row.what]
        for name in quantities:
            one = by_name.get(name)
            cells += [_cell(one, "before", absent.get(BEFORE)), _cell(one, "now", absent.get(NOW))]
            for key, _ in RATIOS:
                if _has(rows, name, key):
                    ratio = None if one is None else getattr(one, key)
                    cells.append("–" if ratio is None else f"{ratio:.1f}")
        lines.append(markdown_row(cells))
    failed = list(dict.fromkeys(one for row in rows for one in real_failures(row.absent)))
    lines += ["", note] if note else []
    return "\n".join([*lines, *(["", absent_words(failed)] if failed else [])])


def _has(rows: Sequence[ReleaseJob], name: str, key: str) -> bool:
    return any(
        one.name == name and getattr(one, key) is not None for row in rows for one in row.quantities
    )


def _cell(one: Quantity | None, side: str, reason: str | None) -> str:
    value = None if one is None else getattr(one, side)
    if value is None:
        return NOT_THERE if reason == NOT_THERE else "–"
    digits = 0 if value == round(value) or value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{'' if one is None or not one.unit else ' ' + one.unit}"


def _start_table(starts: Sequence[StartTime]) -> str:
    lines = [
        *markdown_head(
            [
                "from nothing to",
                "processor, before",
                "now",
                "times as fast",
                "clock, before",
                "now",
            ]
        ),
    ]
    for row in starts:
        lines.append(
            markdown_row(
                [
                    row.what,
                    f"{row.before_cpu_s:.2f} s",
                    f"{row.now_cpu_s:.2f} s",
                    f"{row.times_as_fast:.1f}",
                    f"{row.before_wall_s:.2f} s",
                    f"{row.now_wall_s:.2f} s",
                ]
            )
        )
    return "\n".join(lines)


def profile_table(report: PreviousReport) -> str:
    """Markdown: where one photo's time goes, before and now."""
    totals = [sum(getattr(row, key) for row in report.profile) for key in ("before_ms", "now_ms")]
    lines = [
        *markdown_head(
            [
                report.profiled,
                f"before, {totals[0]:.0f} ms",
                "calls",
                f"now, {totals[1]:.0f} ms",
                "calls",
            ]
        ),
    ]
    for row in report.profile:
        lines.append(
            markdown_row(
                [
                    row.what,
                    f"{row.before_ms:.1f} ms",
                    f"{row.before_calls:.0f}" if row.before_calls else "",
                    f"{row.now_ms:.1f} ms",
                    f"{row.now_calls:.0f}" if row.now_calls else "",
                ]
            )
        )
    return "\n".join(lines)
