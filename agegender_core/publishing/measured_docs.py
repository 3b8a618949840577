"""Measured tables of the documents beside docs/results.md: between the same markers, from the
reports alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from agegender_core.benchmarks.batch import batch_bench_table, batch_steps_table
from agegender_core.benchmarks.batch_memory import batch_memory_table
from agegender_core.benchmarks.cold_start import start_bench_table
from agegender_core.benchmarks.detection import DetectionReport, stored
from agegender_core.benchmarks.turned_photos import TurnedPhotosReport
from agegender_core.evaluation.report_store import (
    read_bench,
    read_live_path,
    read_load,
    read_pages,
)
from agegender_core.evaluation.report_types import PagesReport, PageTiming
from agegender_core.output.json_records import from_json
from agegender_core.output.markdown import markdown_head, markdown_row

KINDS = {
    "fgnet_in_four_positions": "FG-NET's photographs in four positions",
    "fgnet_in_four_positions_as_tries": "the same as turned tries, faces from 40 px on",
    "fgnet_in_four_positions_turns_tried": "the same, every turn tried as `predict` does",
    "fgnet_enlarged": "FG-NET's photographs enlarged to 3,000 px, shrunk as `predict` does",
    "drawn": "drawn: groups, tiny, cut by the edge, tilted, turned, odd sizes",
    "drawn_large": "drawn: 12 megapixels with noise, one to four faces, some on their side",
}
"""What is compared, in words, by its key in the report."""


def turned_section(reports: Path) -> str:
    """The table of docs/turned-photos.md."""
    path = reports / "turned_photos.json"
    if not path.is_file():
        return ""
    report = from_json(TurnedPhotosReport, json.loads(path.read_text()))
    lines = markdown_head(["", "before", "now"])
    for degrees in ("90", "180", "270"):
        shares = [f"{rule.recognised[degrees]} %" for rule in (report.before, report.now)]
        lines.append(markdown_row([f"turned by {degrees}°, recognised", *shares]))
    count = f"{report.photographs:,}"
    wrong = [f"{rule.turned_wrongly} of {count}" for rule in (report.before, report.now)]
    paid = [f"{rule.paid_percent} %" for rule in (report.before, report.now)]
    lines.append(markdown_row(["upright photographs turned by mistake", *wrong]))
    lines.append(markdown_row(["upright photographs that pay for the tries", *paid]))
    other = report.other_thresholds["0.999"]
    least = min(other.recognised.values())
    return "\n".join(
        [
            *lines,
            "",
            f"All {count} photographs; sure from {report.sure} on. With 0.999 in its place"
            f" {least} % and more would be recognised, but {other.paid_percent:.0f} % of upright"
            " photographs would pay.",
        ]
    )


def detection_section(reports: Path) -> str:
    """The tables of docs/detection-speed.md."""
    report = stored(reports)
    return "\n\n".join(
        [
            "## The same faces",
            equality_table(report),
            *_apart(report),
            "## Times",
            f"Median ms, one run, {report.machine}; load {report.load_at_start:g} at the start."
            " Processor time is what one thread needs; where the machine is busy the wall clock"
            " shows several times as much, and only its ratios say something.",
            speed_table(report),
            _whole_way(report),
        ]
    )


def equality_table(report: DetectionReport) -> str:
    """Markdown."""
    heads = ["images", "how many", "faces", "same (IoU >= 0.9)", "missing", "new", "least IoU"]
    heads += ["boxes, landmarks at most apart", "ages at most apart"]
    lines = markdown_head(heads)
    for key, words in KINDS.items():
        if key in report.equality:
            row = report.equality[key]
            cells = [words, f"{row.images:,}", f"{row.faces:,}", f"{row.same_percent:g} %"]
            cells += [f"{row.missing}", f"{row.new}", f"{row.least_iou:.3f}"]
            cells.append(f"{row.farthest_box_px:.2f}, {row.farthest_landmark_px:.2f} px")
            cells.append("–" if row.most_years is None else f"{row.most_years:.3f} years")
            lines.append(markdown_row(cells))
    return "\n".join(lines)


def _apart(report: DetectionReport) -> list[str]:
    """The images whose answers differ, in words."""
    found = [line for key in KINDS if key in report.equality for line in report.equality[key].apart]
    if not found:
        return ["No image's boxes or landmarks are more than 0.1 px apart."]
    head = "Images whose answers differ by more than 0.1 px:"
    return ["\n".join([head, "", *(f"* {line}" for line in found)])]


def speed_table(report: DetectionReport) -> str:
    """Markdown."""
    heads = ["scene", "processor, before", "now, one thread", "times as fast", "wall, before"]
    heads += ["wall, now, one thread", "wall, now, two threads"]
    lines = markdown_head(heads)
    for row in report.speed:
        cells = [row.scene, f"{row.before.processor_median_ms:.0f}"]
        cells += [f"{row.now.processor_median_ms:.0f}", f"{row.times_as_fast:.1f}"]
        walls = (row.before, row.now, row.now_two_threads)
        cells += [f"{one.wall_median_ms:.0f}" for one in walls]
        lines.append(markdown_row(cells))
    return "\n".join(lines)


def _whole_way(report: DetectionReport) -> str:
    before, now = report.bytes_to_answer["before"], report.bytes_to_answer["now"]
    return (
        "From the bytes of a 640x480 JPEG to its answer with the default network:"
        f" {before.processor_median_ms:.0f} ms of processor time before,"
        f" {now.processor_median_ms:.0f} now; by the wall clock {before.wall_median_ms:.0f} and"
        f" {now.wall_median_ms:.0f} ms."
    )


def batch_section(reports: Path) -> str:
    """The tables of docs/batch.md."""
    bench = read_bench(reports)
    parts = []
    if bench is not None and bench.batch is not None:
        parts += [batch_bench_table(bench.batch), f"Machine: {bench.batch.machine}."]
        if bench.batch.steps:
            parts += ["What a worker does with one photograph:", batch_steps_table(bench.batch)]
    if bench is not None and bench.batch_memory is not None:
        parts += [
            "Memory while a job runs:",
            batch_memory_table(bench.batch_memory),
            f"Machine: {bench.batch_memory.machine}.",
        ]
    return "\n\n".join(parts)


def live_section(reports: Path) -> str:
    """The table of docs/live.md."""
    report = read_live_path(reports)
    if report is None:
        return ""
    heads = ["video 640x480", "comes back as", "new frames a second", "camera to box, median"]
    heads += ["90th percentile", "server's cores"]
    lines = markdown_head(heads)
    for row in report.rows:
        waits = [f"{row.latency_median_ms} ms", f"{row.latency_p90_ms} ms"]
        size = f"{row.width}x{row.width * 3 // 4}"
        lines.append(
            markdown_row([row.what, size, f"{row.new_fps}", *waits, f"{row.server_cores}"])
        )
    fps = sorted(row.camera_fps for row in report.rows)
    return "\n".join(
        [
            *lines,
            "",
            f"The camera gave {fps[0]} to {fps[-1]} frames a second. Browser and server shared one"
            f" machine: {report.machine}.",
        ]
    )


def start_section(reports: Path) -> str:
    """The tables of docs/start-and-memory.md."""
    bench, pages = read_bench(reports), read_pages(reports)
    parts = []
    if bench is not None and bench.start is not None:
        parts += [start_bench_table(bench.start), f"Machine: {bench.start.machine}."]
    if pages is not None:
        parts += [
            "## Pages",
            pages_opened_table(pages),
            "Median of the time until the page shows what it is for; in brackets the processor time"
            " of the server until it rests. Headless Chromium and the app on one machine:"
            f" {pages.machine}.",
        ]
    return "\n\n".join(parts)


OPENED = {
    "opened for the first time": "new visitor, by address",
    "opened": "browser that was here before",
    "turned to": "by its link",
}
"""Ways to a page as ``pages.json`` names them, with their titles."""


def pages_opened_table(pages: PagesReport) -> str:
    """Markdown: a row for each page, a column for each way to it."""
    found: dict[str, dict[str, PageTiming]] = {}
    for row in pages.rows:
        page, _, way = row.what.partition(": ")
        if way in OPENED:
            found.setdefault(page, {})[way] = row
    lines = markdown_head(["page", *OPENED.values()])
    for page, ways in found.items():
        lines.append(markdown_row([page, *(_opened_cell(ways.get(way)) for way in OPENED)]))
    return "\n".join(lines)


def _opened_cell(row: PageTiming | None) -> str:
    """«1,209 ms (350)»."""
    if row is None:
        return "–"
    server = "" if row.server_ms is None else f" ({row.server_ms:,})"
    return f"{row.median_ms:,} ms{server}"


def load_section(reports: Path) -> str:
    """The table of docs/hosting.md."""
    report = read_load(reports)
    if report is None:
        return ""
    api, browsers = report.api, report.browsers
    rows = {
        "images from API clients": f"{api.pictures:,} from {api.clients}, at the same time",
        "answered": f"{api.answered:,}; {_count(api.errors, 'error')};"
        f" {_count(api.mixed_up, 'answer')} to another client",
        "images a second": f"{api.pictures_a_second:g}",
        "time of an answer": f"{api.median_s:g} s, {api.longest_s:g} s at most",
        "server's memory": f"{api.memory_mb_first:,} MB at the first image,"
        f" {api.memory_mb_halfway:,} halfway, {api.memory_mb_last:,} at the last,"
        f" {api.memory_mb_most:,} at most",
    }
    if browsers is not None:
        rows["then browser sessions at once"] = (
            f"{browsers.sessions}; {browsers.right} saw their own answer; {browsers.seconds:g} s in"
            f" all; {browsers.memory_mb_last:,} MB afterwards"
        )
    lines = markdown_head(["what", "measured"])
    lines += [markdown_row(cells) for cells in rows.items()]
    return "\n".join([*lines, "", f"Machine: {report.machine}."])


def _count(items: Sequence[object], word: str) -> str:
    """«no error», «1 error», «2 errors»."""
    return f"{len(items) or 'no'} {word}{'' if len(items) in (0, 1) else 's'}"


SECTIONS: dict[str, Callable[[Path], str]] = {
    "batch.md": batch_section,
    "detection-speed.md": detection_section,
    "hosting.md": load_section,
    "live.md": live_section,
    "start-and-memory.md": start_section,
    "turned-photos.md": turned_section,
}
"""Document in docs/ -> what stands between its markers."""


def measured_sections(docs: Path, reports: Path) -> dict[Path, str]:
    """What stands between the markers of the documents that are in ``docs``."""
    return {
        docs / name: section(reports)
        for name, section in SECTIONS.items()
        if (docs / name).is_file()
    }
