"""Tables for people, made from ``reports/`` and the manifest and from nothing else. Claims never stand among measured numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from agegender_core.batch.bench import batch_bench_table
from agegender_core.data.terms import TERMS
from agegender_core.error_analysis.bench import error_bench_words
from agegender_core.errors import ConfigError
from agegender_core.evaluation.attention_table import faithful_table
from agegender_core.evaluation.claims import NOT_HERE, SET_TITLES, SYSTEMS, claims_of
from agegender_core.evaluation.comparison import (
    ablation_rows,
    ablation_table,
    comparison_rows,
    comparison_table,
    leakage_table,
    long_rows,
    markdown_row,
    rivals_table,
    shown_claim,
    shown_estimate,
)
from agegender_core.evaluation.saved import read_attentions, read_bench, read_leakage, read_pages, read_protocols, read_reports, read_rivals
from agegender_core.live.bench import live_bench_table
from agegender_core.weights import WeightsEntry, list_weights, write_manifest

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

COLUMNS = (
    ("mae", "MAE, years"),
    ("cs5", "CS@5"),
    ("fairface9_accuracy", "9 ranges, exact"),
    ("fairface9_one_off", "one-off"),
    ("adience8_accuracy", "8 groups, exact"),
    ("adience8_one_off", "one-off"),
    ("gender_accuracy", "gender"),
    ("interval_coverage", "80 % interval holds"),
)

Report = dict[str, Any]


def measured_table(entries: list[WeightsEntry], reports: list[Report]) -> str:
    """Markdown: a row for each weights and set, each number with its 95 % bootstrap interval."""
    head = ["weights", "set, split, n", *(title for _, title in COLUMNS)]
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for entry in entries:
        for report in (item for item in reports if item["weights"] == entry.name):
            missed = f", no face in {report['no_face']}" if report["no_face"] else ""
            where = f"{TERMS[report['set']].title}, {report['split']}, {report['n']:,}{missed}"
            lines.append(markdown_row([f"`{entry.name}`", where, *(shown_estimate(report["metrics"].get(key), key) for key, _ in COLUMNS)]))
    return "\n".join(lines)


def claims_table(entry: WeightsEntry) -> str:
    """Markdown: what the paper of ``entry`` claims, and on what."""
    lines = [markdown_row(["claimed on", "metric", "claimed", "where", "the same set here"]), markdown_row(["---"] * 5)]
    for claim in claims_of(entry.architecture):
        here = "not run: its pictures are not here" if claim.set in NOT_HERE else "above, where it was run, by our split"
        where = f"{SET_TITLES[claim.set]}, {claim.protocol}"
        lines.append(markdown_row([where, claim.metric, shown_claim(claim.value, claim.metric), claim.source, here]))
    return "\n".join(lines)


def speed_table(bench: Report) -> str:
    """Markdown: what ``bench`` wrote."""
    lines = [markdown_row(["weights", "what", "median", "90th percentile"]), markdown_row(["---"] * 4)]
    for item in bench["rows"]:
        lines.append(markdown_row([f"`{item['weights']}`", item["what"], f"{item['median_ms']:.1f} ms", f"{item['p90_ms']:.1f} ms"]))
    memory = f"Peak memory of the process: {bench['peak_memory_mb']:,} MB. Machine: {bench['machine']}, {bench['threads']} threads."
    return "\n".join([*lines, "", memory])


def pages_table(pages: Report) -> str:
    """Markdown: what the bench of the pages wrote."""
    lines = [markdown_row(["from a key or a click to what it shows", "median", "at most", "n"]), markdown_row(["---"] * 4)]
    lines += [markdown_row([row["what"], f"{row['median_ms']} ms", f"{row['most_ms']} ms", str(row["n"])]) for row in pages["rows"]]
    return "\n".join([*lines, "", f"Headless Chromium and the app on one machine: {pages['machine']}."])


def storage_table(entries: list[WeightsEntry]) -> str:
    """Markdown: how weights are stored and what that costs on the validation split; losses are positive."""
    head = ("weights", "stored", "MB", "cost: age, MAE in years", "gender, points", "9 ranges, points")
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for entry in entries:
        cost = entry.training.get("storage_cost", {})
        shown = [f"{factor * cost[key]:+.{digits}f}" if key in cost else "–" for key, factor, digits in STORAGE_COSTS]
        lines.append(markdown_row([f"`{entry.name}`", STORAGES[entry.training.get("storage", "half")], f"{entry.size / 1e6:.1f}", *shown]))
    return "\n".join(lines)


STORAGE_COSTS = (("mae", 1, 3), ("gender_accuracy", 100, 2), ("fairface9_accuracy", 100, 2))
STORAGES = {"half": "half precision", "int8": "8 bits", "int6": "6 bits", "int5": "5 bits", "int4": "4 bits"}


def readme_section(entries: list[WeightsEntry], reports_folder: Path) -> str:
    """Everything between the README's markers."""
    reports, bench = read_reports(reports_folder), read_bench(reports_folder)
    rows = comparison_rows(entries, reports, read_protocols(reports_folder), bench)
    parts = [
        comparison_table(rows),
        "MAE: mean absolute error. 9 ranges: FairFace's; 8 groups: Adience's (ages in its gaps left out). In brackets: 95 % bootstrap "
        "interval of the measured number. Chips are aligned by the sets' landmarks; FG-NET goes through detection as whole photographs and "
        "is never trained on, except by leave-one-person-out. A claim and a measurement in one row are about the same set, never about "
        "the same pictures. ms a face: the network alone as the app runs it, on two cores.",
        "### Why the claims are not reached here, or not comparable",
        "\n".join(f"* **{system.title}.** {system.verdict}" for system in SYSTEMS.values()),
    ]
    if leakage := read_leakage(reports_folder):
        parts += ["### What near-duplicates across a split do", leakage_table(leakage)]
    attentions = read_attentions(reports_folder)
    ablation = ablation_rows(entries, reports, attentions)
    if ablation := [row for row in ablation if row["set"] == "utkface"]:  # what they were trained on
        parts += ["### Gates and mask kinds on the same budget", ablation_table(ablation)]
    if attentions:
        parts += ["### Do masks matter, and are they faithful?", faithful_table(attentions)]
    if rivals := read_rivals(reports_folder):
        parts += ["### Speed against the rivals of the multi-task CNN (its Table III)", rivals_table(rivals)]
    if bench:
        parts += ["### Time, from `python -m agegender_core bench`", speed_table(bench)]
        if "errors" in bench:
            parts.append(error_bench_words(bench["errors"]))
        if "live" in bench:
            parts += ["### Live films, from the same bench", live_bench_table(bench["live"])]
        if "batch" in bench:
            parts += ["### Big folders, from the same bench", batch_bench_table(bench["batch"])]
    if pages := read_pages(reports_folder):
        parts += ["### Time in the browser, from `python -m tests.e2e.page_bench`", pages_table(pages)]
    parts += ["### How the weights are stored", storage_table(entries)]
    return "\n\n".join(parts)


def replace_section(text: str, section: str) -> str:
    """``text`` with what stands between the markers replaced. Raises ``ConfigError`` where a marker is missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ConfigError(f"the README needs one line {BEGIN!r} and one line {END!r} around its measured table")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{section}\n{END}{rest.split(END)[1]}"


def model_card(entry: WeightsEntry, reports: list[Report]) -> str:
    """Markdown card of one entry."""
    training = entry.training
    facts = [
        ("System", entry.paper),
        ("Parameters", f"{entry.parameters:,}"),
        ("Input", f"{entry.input.size}x{entry.input.size} RGB crop aligned by five landmarks, margin {entry.input.margin}"),
        ("Heads", ", ".join(f"{name} ({size})" for name, size in entry.heads.items())),
        (
            "Trained on",
            f"{', '.join(TERMS[name].title for name in training['sets'])}, split {training['split']}: "
            f"{training['pictures']:,} pictures, {training['pictures_seen']:,} seen",
        ),
        ("Started", training.get("start", "from scratch")),
        ("Budget", f"{training.get('minutes')} minutes on {training.get('device')}"),
        ("Recipe and commit", f"`{training.get('recipe')}`, {training.get('commit')}"),
        ("Calibrated on", "the validation splits: temperatures, the 80 % interval, the point estimate"),
        ("Terms of the training data", entry.terms),
        ("Before you use it", entry.caveats),
    ]
    own = [report for report in reports if report["weights"] == entry.name]
    lines = [f"# {entry.title}", "", entry.summary, "", *(f"* **{name}**: {value}" for name, value in facts)]
    lines += ["", "## Measured", "", measured_table([entry], own)]
    if claims_of(entry.architecture):
        lines += ["", "## Claimed by the paper", "", claims_table(entry)]
    lines += ["", "## Not for", "", NOT_FOR, ""]
    return "\n".join(lines)


NOT_FOR = (
    "Decisions about people: hiring, policing, access, insurance, proof of age. The networks guess from appearance, are wrong by "
    "years, and are less accurate for some groups than for others: see the slices in `reports/`. Gender here means what annotators "
    "saw in a picture."
)


def update_all(root: Path, reports_folder: Path, weights_folder: Path) -> list[Path]:
    """Rewrite the README's section, the cards and the manifest's measured numbers. Returns the files written.

    Raises ``ConfigError`` where a report was made with other weights than the manifest's.
    """
    entries, reports = list_weights(weights_folder), read_reports(reports_folder)
    _refuse_stale(entries, reports, "evaluate")
    _refuse_stale(entries, read_attentions(reports_folder), "attention-report")
    entries = [_refreshed(entry, reports) for entry in entries]
    write_manifest(sorted(entries, key=lambda entry: entry.name), weights_folder)
    written = [weights_folder / "manifest.toml"]
    for entry in entries:
        card = weights_folder / f"{entry.name}.md"
        card.write_text(model_card(entry, reports))
        written.append(card)
    readme = root / "README.md"
    readme.write_text(replace_section(readme.read_text(), readme_section(entries, reports_folder)))
    comparison = reports_folder / "comparison.json"
    comparison.write_text(json.dumps(comparison_data(entries, reports_folder), indent=1, ensure_ascii=False) + "\n")
    return [*written, readme, comparison]


def comparison_data(entries: list[WeightsEntry], reports_folder: Path) -> list[Report]:
    """The README's first table as flat rows, a metric each: what ``comparison.json`` holds."""
    return long_rows(comparison_rows(entries, read_reports(reports_folder), read_protocols(reports_folder), read_bench(reports_folder)))


def _refreshed(entry: WeightsEntry, reports: list[Report]) -> WeightsEntry:
    """``entry`` with its measured numbers as in the reports and its claims as in ``claims``."""
    numbers: dict[str, Any] = {}
    for report in reports:
        if report["weights"] == entry.name:
            numbers[f"{report['set']} {report['split']}"] = {
                "n": report["n"],
                **{key: item["value"] for key, item in report["metrics"].items()},
            }
    return dataclasses.replace(entry, measured=numbers, claimed={claim.key: claim.value for claim in claims_of(entry.architecture)})


def _refuse_stale(entries: list[WeightsEntry], reports: list[Report], command: str) -> None:
    digests = {entry.name: entry.sha256 for entry in entries}
    stale = sorted({f"{item['weights']} on {item['set']}" for item in reports if digests.get(item["weights"]) != item["weights_sha256"]})
    if stale:
        raise ConfigError(f"reports of other weights than the manifest's: {', '.join(stale)}; run «{command}» again")
