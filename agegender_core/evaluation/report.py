"""Tables for people, made from ``reports/`` and the manifest and from nothing else. Claims stand in their own table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from agegender_core.data.terms import TERMS, TEST_SPLITS
from agegender_core.errors import ConfigError
from agegender_core.weights import WeightsEntry, list_weights, write_manifest

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

YEARS = {"mae", "bias", "interval_width"}

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


def read_reports(folder: Path) -> list[Report]:
    """Every ``metrics.json`` under ``folder``, by weights and by the order of ``TEST_SPLITS``."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*/metrics.json"))]
    order = list(TEST_SPLITS)
    return sorted(found, key=lambda report: (report["weights"], order.index(report["set"]) if report["set"] in order else len(order)))


def measured_table(entries: list[WeightsEntry], reports: list[Report]) -> str:
    """Markdown: a row for each weights and set, each number with its 95 % bootstrap interval."""
    head = ["weights", "set, split, n", *(title for _, title in COLUMNS)]
    lines = [_row(head), _row(["---"] * len(head))]
    for entry in entries:
        for report in (item for item in reports if item["weights"] == entry.name):
            missed = f", no face in {report['no_face']}" if report["no_face"] else ""
            where = f"{TERMS[report['set']].title}, {report['split']}, {report['n']:,}{missed}"
            lines.append(_row([f"`{entry.name}`", where, *(shown_estimate(report["metrics"].get(key), key) for key, _ in COLUMNS)]))
    return "\n".join(lines)


def claims_table(entries: list[WeightsEntry]) -> str:
    """Markdown: what the papers claim, on their own sets, and whether we could run that."""
    lines = [_row(["system", "claimed on", "metric", "claimed", "measured here"]), _row(["---"] * 5)]
    for entry in entries:
        for key, value in entry.claimed.items():
            where, metric = key.rsplit("/", 1)
            lines.append(_row([f"`{entry.name}`", where, metric, shown_claim(value, metric), _why_not_run(where)]))
    return "\n".join(lines)


def _why_not_run(where: str) -> str:
    here = where.split()[0] in TEST_SPLITS
    return "not run with this protocol" if here else "not run: its pictures are not here"


def speed_table(bench: Report) -> str:
    """Markdown: what ``bench`` wrote."""
    lines = [_row(["weights", "what", "median", "90th percentile"]), _row(["---"] * 4)]
    for item in bench["rows"]:
        lines.append(_row([f"`{item['weights']}`", item["what"], f"{item['median_ms']:.1f} ms", f"{item['p90_ms']:.1f} ms"]))
    memory = f"Peak memory of the process: {bench['peak_memory_mb']:,} MB. Machine: {bench['machine']}, {bench['threads']} threads."
    return "\n".join([*lines, "", memory])


def readme_section(entries: list[WeightsEntry], reports: list[Report], bench: Report | None) -> str:
    """Everything between the README's markers."""
    parts = [measured_table(entries, reports)]
    parts.append(
        "MAE: mean absolute error. CS@5: share within five years. 9 ranges: FairFace's, 8 groups: Adience's (ages in its gaps left out); "
        "one-off: exact or a neighbour. In brackets: 95 % bootstrap interval. Chips are aligned by the sets' landmarks; "
        "FG-NET is never trained on and goes through detection as whole photographs."
    )
    parts.append("What the papers claim, on their own data:\n\n" + claims_table(entries))
    if bench:
        parts.append("Time, from `python -m agegender_core bench`:\n\n" + speed_table(bench))
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
        ("Budget", f"{training.get('minutes')} minutes on {training.get('device')}"),
        ("Recipe and commit", f"`{training.get('recipe')}`, {training.get('commit')}"),
        ("Calibrated on", "the validation splits: temperatures, the 80 % interval, the point estimate"),
        ("Terms of the training data", entry.terms),
        ("Before you use it", entry.caveats),
    ]
    own = [report for report in reports if report["weights"] == entry.name]
    lines = [f"# {entry.title}", "", entry.summary, "", *(f"* **{name}**: {value}" for name, value in facts)]
    lines += ["", "## Measured", "", measured_table([entry], own)]
    if entry.claimed:
        lines += ["", "## Claimed by the paper", "", claims_table([entry])]
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
    _refuse_stale(entries, reports)
    entries = [_with_measured(entry, reports) for entry in entries]
    write_manifest(sorted(entries, key=lambda entry: entry.name), weights_folder)
    written = [weights_folder / "manifest.toml"]
    for entry in entries:
        card = weights_folder / f"{entry.name}.md"
        card.write_text(model_card(entry, reports))
        written.append(card)
    readme = root / "README.md"
    readme.write_text(replace_section(readme.read_text(), readme_section(entries, reports, read_bench(reports_folder))))
    return [*written, readme]


def read_bench(folder: Path) -> Report | None:
    """What ``bench`` wrote, or None."""
    path = folder / "bench.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _with_measured(entry: WeightsEntry, reports: list[Report]) -> WeightsEntry:
    numbers: dict[str, Any] = {}
    for report in reports:
        if report["weights"] == entry.name:
            numbers[f"{report['set']} {report['split']}"] = {
                "n": report["n"],
                **{key: item["value"] for key, item in report["metrics"].items()},
            }
    return dataclasses.replace(entry, measured=numbers)


def _refuse_stale(entries: list[WeightsEntry], reports: list[Report]) -> None:
    digests = {entry.name: entry.sha256 for entry in entries}
    stale = sorted({f"{item['weights']} on {item['set']}" for item in reports if digests.get(item["weights"]) != item["weights_sha256"]})
    if stale:
        raise ConfigError(f"reports of other weights than the manifest's: {', '.join(stale)}; run «evaluate» again")


def shown_estimate(estimate: dict[str, float] | None, metric: str) -> str:
    """«5.04 (4.90–5.20)» in years or per cent, «-0.59 (-0.83 to -0.35)» below zero, a dash where there is nothing."""
    if estimate is None:
        return "–"
    factor, digits = (1, 2) if metric in YEARS else (100, 1)
    value, low, high = (f"{factor * estimate[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if low.startswith("-") else f"{value} ({low}–{high})"


def shown_claim(value: float, metric: str) -> str:
    """«1.07 years» or «99.2 %»."""
    return f"{value:.2f} years" if metric in YEARS else f"{100 * value:.1f} %"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
