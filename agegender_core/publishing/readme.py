"""Tables of README, docs and model cards, made only from ``reports/`` and the manifest. Claims
never mix with measured numbers.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agegender_core.benchmarks.batch import batch_bench_table
from agegender_core.benchmarks.cold_start import start_bench_table
from agegender_core.benchmarks.error_analysis import error_bench_words
from agegender_core.benchmarks.video import live_bench_table
from agegender_core.datasets.registry import TERMS
from agegender_core.errors import ConfigError
from agegender_core.evaluation.decade_digit import decade_digit_words
from agegender_core.evaluation.published_results import DATASET_TITLES, NOT_HERE, SYSTEMS, claims_of
from agegender_core.evaluation.report_store import (
    read_ablations,
    read_attentions,
    read_bench,
    read_corruptions,
    read_curves,
    read_leakage,
    read_pages,
    read_protocols,
    read_reports,
    read_rivals,
    read_scaling,
)
from agegender_core.evaluation.report_types import (
    AttentionReport,
    BenchReport,
    EvaluationReport,
    PagesReport,
    ProtocolReport,
)
from agegender_core.evaluation.summaries import MIN_BAND_IMAGES
from agegender_core.inference.model_zoo import (
    ModelInfo,
    is_current,
    list_weights,
    passes_of,
    stages_of,
    teacher_names,
    write_manifest,
)
from agegender_core.output.files import write_json, write_text
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import (
    METRIC_FORMATS,
    shown_claim,
    shown_estimate,
    shown_with_n,
)
from agegender_core.publishing.attention_tables import faithful_table
from agegender_core.publishing.band_tables import coverage_misses, errors_by_band
from agegender_core.publishing.comparison_tables import (
    ablation_rows,
    ablation_table,
    comparison_rows,
    comparison_table,
    leakage_table,
    long_rows,
    rivals_table,
)
from agegender_core.publishing.corruption_table import corruption_table
from agegender_core.publishing.headline import headline_table
from agegender_core.publishing.markers import replace_section
from agegender_core.publishing.measured_docs import measured_sections
from agegender_core.publishing.memorisation import memorisation_section
from agegender_core.publishing.rival_claims import rival_claims_table
from agegender_core.publishing.runs_page import runs_section
from agegender_core.publishing.seed_tables import seeds_section
from agegender_core.publishing.speed_page import IMAGE, scaling_svg, speed_section
from agegender_core.publishing.views_table import views_section
from agegender_core.training.curves import LearningCurve, fits

COLUMNS = (
    "mae",
    "cs5",
    "fairface9_accuracy",
    "fairface9_one_off",
    "adience8_accuracy",
    "adience8_one_off",
    "gender_accuracy",
    "interval_coverage",
    "balanced_mae",
    "gender_gap",
    "gender_ece",
)
"""Metrics of the cards' table."""


def measured_table(entries: list[ModelInfo], reports: list[EvaluationReport]) -> str:
    """Markdown: a row for each weights and dataset, each number with its 95 % bootstrap interval,
    and with its own n where it is not of all images with a face.
    """
    titles = (METRIC_FORMATS[key].column for key in COLUMNS)
    head = ["weights", "dataset, split, n", *titles]
    lines = markdown_head(head)
    for info in entries:
        for report in (item for item in reports if item.weights == info.name):
            missed = f", no face in {report.no_face}" if report.no_face else ""
            where = f"{TERMS[report.set].title}, {report.split}, {report.n:,}{missed}"
            lines.append(
                markdown_row(
                    [
                        f"`{info.name}`",
                        where,
                        *(
                            shown_with_n(report.metrics.get(key), key, report.answered)
                            for key in COLUMNS
                        ),
                    ]
                )
            )
    return "\n".join(lines)


def claims_table(info: ModelInfo) -> str:
    """Markdown: what the paper of ``info`` claims, and on what."""
    lines = [
        *markdown_head(["claimed on", "metric", "claimed", "where", "the same dataset here"]),
    ]
    for claim in claims_of(info.architecture):
        here = (
            "not run: its images are not here"
            if claim.set in NOT_HERE
            else "above, by our split"
            if claim.metric in COLUMNS
            else "not measured: it is not stated of what"
        )
        where = f"{DATASET_TITLES[claim.set]}, {claim.protocol}"
        lines.append(
            markdown_row(
                [
                    where,
                    METRIC_FORMATS[claim.metric].label,
                    shown_claim(claim.value, claim.metric),
                    claim.source,
                    here,
                ]
            )
        )
    return "\n".join(lines)


def speed_table(bench: BenchReport) -> str:
    """Markdown of ``bench.json``."""
    lines = [
        *markdown_head(["weights", "what", "median", "90th percentile"]),
    ]
    for item in bench.rows:
        lines.append(
            markdown_row(
                [
                    f"`{item.weights}`",
                    item.what,
                    f"{item.median_ms:.1f} ms",
                    f"{item.p90_ms:.1f} ms",
                ]
            )
        )
    memory = (
        f"Peak memory of the process: {bench.peak_memory_mb:,} MB. Machine: {bench.machine},"
        f" {bench.threads} threads."
    )
    return "\n".join([*lines, "", memory])


def pages_table(pages: PagesReport) -> str:
    """Markdown of ``pages.json``."""
    lines = [
        *markdown_head(
            [
                "from a key or a click to what it shows",
                "median",
                "at most",
                "server's cores",
                "browser's cores",
                "n",
            ]
        ),
    ]
    for row in pages.rows:
        spent = ["" if ms is None else f"{ms} ms" for ms in (row.server_ms, row.browser_ms)]
        times = [f"{row.median_ms} ms", f"{row.most_ms} ms", *spent]
        lines.append(markdown_row([row.what, *times, str(row.n)]))
    return "\n".join(
        [*lines, "", f"Headless Chromium and the app on one machine: {pages.machine}."]
    )


def storage_table(entries: list[ModelInfo]) -> str:
    """Markdown: how weights are stored and what that costs on the validation split (positive:
    worse).
    """
    head = (
        "weights",
        "stored",
        "MB",
        "cost: age, MAE in years",
        "gender, points",
        "9 ranges, points",
    )
    lines = markdown_head(head)
    for info in entries:
        cost = info.training.get("storage_cost", {})
        shown = [_cost(key, cost.get(key)) for key in STORAGE_COSTS]
        lines.append(
            markdown_row(
                [
                    f"`{info.name}`",
                    STORAGES[info.training.get("storage", "half")],
                    f"{info.size / 1e6:.1f}",
                    *shown,
                ]
            )
        )
    return "\n".join(lines)


STORAGE_COSTS = ("mae", "gender_accuracy", "fairface9_accuracy")
STORAGES = {
    "half": "half precision",
    "int8": "8 bits",
    "int6": "6 bits",
    "int5": "5 bits",
    "int4": "4 bits",
}


def _cost(metric: str, change: float | None) -> str:
    """A change in years or points of per cent, one decimal more than the metric itself has."""
    shown = METRIC_FORMATS[metric]
    return "–" if change is None else f"{shown.factor * change:+.{shown.digits + 1}f}"


def results_section(entries: list[ModelInfo], reports_folder: Path) -> str:
    """Everything between the markers of docs/results.md."""
    reports, bench = read_reports(reports_folder), read_bench(reports_folder)
    rows = comparison_rows(entries, reports, read_protocols(reports_folder), bench)
    parts = [
        comparison_table(rows),
        (
            "MAE: mean absolute error; with all age bands alike: the mean over the bands that have"
            f" {MIN_BAND_IMAGES} images or more. 9 ranges: FairFace's; 8 groups: Adience's (ages in"
            " its gaps left out). In brackets: 95 % bootstrap interval of the measured number."
            " Crops are aligned by the datasets' landmarks; FG-NET goes through detection as whole"
            " photographs and is never trained on, except by leave-one-person-out. A claim and a"
            " measurement in one row are about the same dataset, never about the same images. ms a"
            " face: the network alone as the app runs it, on two cores."
        ),
        "### Why the claims are not reached here, or not comparable",
        "\n".join(f"* **{system.title}.** {system.verdict}" for system in SYSTEMS.values()),
    ]
    if apart := [_apart(report) for report in reports if report.decade_digit]:
        parts += ["### Decade and digit apart", "\n".join(apart)]
    if memorised := memorisation_section(list(read_curves(reports_folder).values())):
        parts.append(memorised)
    if bands := errors_by_band(entries, reports):
        parts += ["### Errors by age band, networks for use", bands]
    if misses := coverage_misses(entries, reports):
        parts += ["### Where the 80 % interval does not hold", misses]
    parts += ["### What the papers say of other methods", rival_claims_table()]
    if leakage := read_leakage(reports_folder):
        parts += ["### What near-duplicates across a split do", leakage_table(leakage)]
    attentions = read_attentions(reports_folder)
    ablation = ablation_rows(entries, reports, attentions)
    if ablation := [row for row in ablation if row.set == "utkface"]:  # what they were trained on
        parts += [
            "### Gates and mask kinds, one seed each",
            ablation_table(ablation),
        ]
    parts += [seeds_section(report) for report in read_ablations(reports_folder)]
    if attentions:
        parts += ["### Do masks matter, and are they faithful?", faithful_table(attentions)]
    if (worse := read_corruptions(reports_folder)) and (table := corruption_table(worse, entries)):
        parts += ["### What worse photos cost", table]
    if rivals := read_rivals(reports_folder):
        parts += [
            "### Speed against the rivals of the multi-task CNN (its Table III)",
            rivals_table(rivals),
        ]
    if bench:
        parts += ["### Time, from `agegender bench`", speed_table(bench)]
        if bench.errors:
            parts.append(error_bench_words(bench.errors))
        if bench.live:
            parts += ["### Live video, from the same bench", live_bench_table(bench.live)]
        if bench.batch:
            parts += ["### Big folders, from the same bench", batch_bench_table(bench.batch)]
        if bench.start:
            parts += ["### Start and memory, from the same bench", start_bench_table(bench.start)]
    if pages := read_pages(reports_folder):
        parts += [
            "### Time in the browser, from `python -m tests.e2e.page_bench`",
            pages_table(pages),
        ]
    parts += ["### How the weights are stored", storage_table(entries)]
    return "\n\n".join(parts)


def _apart(report: EvaluationReport) -> str:
    assert report.decade_digit is not None
    where = f"{TERMS[report.set].title}, {report.split}, n {report.metrics['mae'].n:,}"
    return f"* `{report.weights}`, {where}: {decade_digit_words(report.decade_digit)}."


def model_card(info: ModelInfo, reports: list[EvaluationReport]) -> str:
    """Markdown card of one entry."""
    training = info.training
    facts = [
        ("System", info.paper),
        ("Parameters", f"{info.parameters:,}"),
        (
            "Input",
            (
                f"{info.input.size}x{info.input.size} RGB crop aligned by five landmarks, margin"
                f" {info.input.margin}"
            ),
        ),
        ("Heads", ", ".join(f"{name} ({size})" for name, size in info.heads.items())),
        (
            "Trained on",
            (
                f"{', '.join(TERMS[name].title for name in training['sets'])}, split"
                f" {training['split']}"
            ),
        ),
        ("Stages", stages_words(info)),
        ("Set otherwise than in the recipe", settings_words(info)),
        (
            "Recipe, commit, device",
            f"`{training.get('recipe')}`, {training.get('commit')},"
            f" {training.get('device', 'joined from published weights')}",
        ),
        ("Calibrated on", calibration_words(info)),
        ("Terms of the training data", info.terms),
        ("Before you use it", info.caveats),
    ]
    own = [report for report in reports if report.weights == info.name]
    lines = [
        f"# {info.title}",
        "",
        info.summary,
        "",
        *(f"* **{name}**: {value}" for name, value in facts),
    ]
    lines += ["", "## Measured", "", measured_table([info], own)]
    if covered := coverage_table(own):
        lines += ["", "## Where the interval holds", "", covered]
    if claims_of(info.architecture):
        lines += ["", "## Claimed by the paper", "", claims_table(info)]
    lines += ["", "## Not for", "", NOT_FOR, ""]
    return "\n".join(lines)


def stages_words(info: ModelInfo) -> str:
    """«1. from scratch: 98 minutes, 2,208,864 images, 33.7 passes»: how the weights were
    trained, stage by stage.
    """
    stages_text = []
    for number, stage in enumerate(stages := stages_of(info), start=1):
        passes = passes_of(stage)
        parts = [
            "" if stage.get("minutes") is None else f"{stage['minutes']:g} minutes",
            (
                "passes not kept"
                if passes is None
                else f"{stage['pictures_seen']:,} images, {passes:.1f} passes over"
                f" {stage['pictures']:,}"
            ),
            f"taught by {' and '.join(f'`{name}`' for name in teacher_names(stage['teacher']))}"
            if stage.get("teacher")
            else "",
            f"published {stage['interpolate']:g} of the way from its start to its end"
            if "interpolate" in stage
            else "",
        ]
        member = f"`{stage['member']}` " if "member" in stage else ""
        words = f"{member}{stage.get('start', 'from scratch')}: {', '.join(filter(None, parts))}"
        stages_text.append(words if len(stages) == 1 else f"{number}. {words}")
    return "; ".join(stages_text) or "not kept"


def settings_words(info: ModelInfo) -> str:
    """What each stage set otherwise than the recipe's file of its commit, as it is typed."""
    found = []
    for number, stage in enumerate(stages := stages_of(info), start=1):
        changed = stage.get("settings")
        if changed:
            typed = (shlex.quote(f"{key}={_typed(value)}") for key, value in changed.items())
            words = f"`{' '.join(f'--set {one}' for one in typed)}`"
        else:
            words = "not kept" if changed is None else "nothing"
        where = f"{number}. " if len(stages) > 1 else ""
        where += f"`{stage['member']}`: " if "member" in stage else ""
        found.append(f"{where}{words} (commit {stage.get('commit', 'not kept')})")
    return "; ".join(found) or "not kept"


def _typed(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value)


def calibration_words(info: ModelInfo) -> str:
    """What was fitted on the validation splits, with its numbers."""
    spec = info.decoding
    temperatures = {
        "age": spec.age_temperature,
        "gender": spec.gender_temperature,
        "race": spec.race_temperature,
    }
    shown = ", ".join(
        f"{name} {temperatures[name]:g}"
        for name, size in info.heads.items()
        if name in temperatures and (name, size) != ("age", 1)  # a number has no temperature
    )
    words = f"the validation splits. Temperatures: {shown}." if shown else "the validation splits."
    if spec.margins:
        parts = ", ".join(
            f"from {start:g} {low:+.1f} and {high:+.1f}" for start, low, high in spec.margins
        )
        return (
            f"{words} 80 % interval: split-conformal within bands of the answered age; its ends"
            f" move outwards by years: {parts}"
        )
    return (
        f"{words} 80 % interval: the network's own quantiles at the age's temperature, for all ages"
        " alike"
        if spec.coverage
        else words
    )


def coverage_table(reports: list[EvaluationReport]) -> str:
    """Markdown: coverage and width of the 80 % interval by band of the estimated age, of the true
    age, and by gender; empty if no report has them.
    """
    lines: list[str] = []
    for report in reports:
        for slicing, title in COVERED.items():
            parts = {
                name: part
                for name, part in report.slices.get(slicing, {}).items()
                if "interval_coverage" in part
            }
            shown = [
                f"{name}: {shown_estimate(part['interval_coverage'], 'interval_coverage')}, "
                f"{part['interval_width'].value:.0f} years, n {part['interval_coverage'].n:,}"
                for name, part in parts.items()
            ]
            if shown:
                lines.append(markdown_row([TERMS[report.set].title, title, "<br>".join(shown)]))
    head = [
        *markdown_head(["dataset", "by", "80 % interval holds, %; mean width; n"]),
    ]
    return "\n".join([*head, *lines]) if lines else ""


COVERED = {"age_answered": "answered age", "age": "true age", "gender": "gender"}
"""Slices of reports for which coverage is shown, with their titles."""

NOT_FOR = (
    "Decisions about people: hiring, policing, access, insurance, proof of age. The networks guess"
    " from appearance, are wrong by years, and are less accurate for some groups than for others:"
    " see the slices in `reports/`. Gender here means what annotators saw in an image."
)


def update_all(root: Path, reports_folder: Path, weights_folder: Path) -> list[Path]:
    """Rewrite the README's headline numbers, the tables of docs/results.md, docs/speed.md and other
    documents, the cards and the manifest's measured numbers. All texts are made before the first
    is written.

    Returns the files written.

    Raises ``ConfigError`` where a report was made with other weights than the manifest's, or where
    numbers that the manifest has would be lost.
    """
    entries, reports = list_weights(weights_folder), read_reports(reports_folder)
    _refuse_stale(entries, reports, "evaluate")
    _refuse_stale(entries, read_attentions(reports_folder), "attention-report")
    _refuse_stale(entries, read_protocols(reports_folder), "protocol … --save")
    _refuse_stale_curves(entries, read_curves(reports_folder))
    _refuse_missing(entries, reports, reports_folder)
    entries = [_refreshed(info, reports) for info in entries]
    sections = {
        root / "README.md": headline_table(entries, reports, read_bench(reports_folder)),
        root / "docs" / "results.md": results_section(entries, reports_folder),
        **measured_sections(root / "docs", reports_folder),
    }
    for page, section in {
        "speed.md": lambda: speed_section(reports_folder),
        "network-speed.md": lambda: views_section(entries, reports_folder),
        "runs.md": lambda: runs_section(entries, reports_folder),
    }.items():
        if (path := root / "docs" / page).is_file():
            sections[path] = section()
    texts = {
        **{weights_folder / f"{info.name}.md": model_card(info, reports) for info in entries},
        **{path: replace_section(path.read_text(), text) for path, text in sections.items()},
    }
    scaling = read_scaling(reports_folder)
    if scaling is not None and root / "docs" / "speed.md" in texts:
        texts[root / "docs" / IMAGE] = scaling_svg(scaling)
    comparison = comparison_data(entries, reports_folder)

    write_manifest(sorted(entries, key=lambda info: info.name), weights_folder)
    for path, text in texts.items():
        write_text(path, text)
    write_json(reports_folder / "comparison.json", comparison, ascii_only=False)
    return [weights_folder / "manifest.toml", *texts, reports_folder / "comparison.json"]


def comparison_data(entries: list[ModelInfo], reports_folder: Path) -> list[dict[str, Any]]:
    """The first table of docs/results.md as flat rows, a metric each: contents of
    ``comparison.json``.
    """
    return long_rows(
        comparison_rows(
            entries,
            read_reports(reports_folder),
            read_protocols(reports_folder),
            read_bench(reports_folder),
        )
    )


def _refreshed(info: ModelInfo, reports: list[EvaluationReport]) -> ModelInfo:
    """``info`` with its measured numbers from the reports and its claims from
    ``published_results``.
    """
    numbers: dict[str, Any] = {}
    for report in reports:
        if report.weights == info.name:
            numbers[f"{report.set} {report.split}"] = {
                "n": report.answered,
                **{key: item.value for key, item in report.metrics.items()},
            }
    return dataclasses.replace(
        info,
        measured=numbers,
        claimed={claim.key: claim.value for claim in claims_of(info.architecture)},
    )


def _current(report: EvaluationReport | AttentionReport | ProtocolReport, info: ModelInfo) -> bool:
    return is_current(report, info, interval=isinstance(report, EvaluationReport))


def _refuse_stale(
    entries: list[ModelInfo],
    reports: Sequence[EvaluationReport] | Sequence[AttentionReport] | Sequence[ProtocolReport],
    command: str,
) -> None:
    known = {info.name: info for info in entries}
    stale = sorted(
        {
            f"{item.weights} on {item.set}"
            for item in reports
            if not (item.weights in known and _current(item, known[item.weights]))
        }
    )
    if stale:
        raise ConfigError(
            f"reports of other weights than the manifest's: {', '.join(stale)}; run «{command}»"
            " again"
        )


def _refuse_missing(
    entries: list[ModelInfo], reports: Sequence[EvaluationReport], folder: Path
) -> None:
    """Every entry has a report, and one for each dataset and split that the manifest has numbers
    of: a wrong folder would wipe them.
    """
    found: dict[str, set[str]] = {info.name: set() for info in entries}
    for report in reports:
        found[report.weights].add(f"{report.set} {report.split}")
    missing = [
        f"{info.name} on {lost}" if lost else info.name
        for info in entries
        if (lost := ", ".join(sorted(set(info.measured) - found[info.name])))
        or not found[info.name]
    ]
    if missing:
        raise ConfigError(
            f"no numbers of {', '.join(missing)} in {folder}: run «evaluate» for them, or name the"
            " folder that evaluate wrote"
        )


def _refuse_stale_curves(entries: list[ModelInfo], curves: dict[str, LearningCurve]) -> None:
    """Curves of experiments belong to no weights."""
    known = {info.name: info for info in entries}
    stale = [
        name
        for name, curve in curves.items()
        if curve.experiment is None and not (name in known and fits(curve, known[name]))
    ]
    if stale:
        raise ConfigError(
            f"learning curves of other weights than the manifest's: {', '.join(stale)}; publish"
            " their run again with «weights publish», or remove their curve.json from the reports"
        )
