"""The one table: each system on each set, what its paper claims beside what was measured here. Made from ``reports/``, the manifest and
``claims`` and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agegender_core.evaluation.claims import CLAIMS, COMPARISONS, NOT_HERE, OURS, SET_TITLES, SYSTEMS, Claim, System
from agegender_core.evaluation.saved import ALL_BLOCKS
from agegender_core.weights import WeightsEntry

Report = dict[str, Any]
Row = dict[str, Any]

YEARS = {"mae", "bias", "interval_width"}
"""Metrics in years; all others are shares in [0, 1]."""

FLAT_MASKS = (
    "Flat masks: every channel's mask replaced by its mean over the face, so that it no longer says where; the change of the error is "
    "paired, face by face. A network that loses nothing by it does not need its masks to find its places. Budgets are minutes on "
    "a machine that was not always idle: mind the pictures seen."
)

HEADLINES = {
    "mae": "age, MAE",
    "fairface9_accuracy": "age, 9 ranges",
    "adience8_accuracy": "age, 8 groups",
    "gender_accuracy": "gender",
    "race_accuracy": "race",
}
"""What the table shows, in this order."""


def comparison_rows(
    entries: Sequence[WeightsEntry], reports: Sequence[Report], protocols: Sequence[Report], bench: Report | None
) -> list[Row]:
    """A row for each system, weights, set and protocol, in the order of ``SYSTEMS`` and ``SET_TITLES``.

    ``reports``: contents of ``metrics.json``; ``protocols``: what the runs of published protocols wrote; ``bench``: what ``bench`` wrote.
    Keys: «system», «weights» (None where nothing is trained), «set», «how» (split or protocol), «n», «claimed» and «measured» (by metric),
    «parameters», «ms» (a face, network only), «missing» (why nothing was measured, else None).
    """
    times = _times(bench)
    rows: list[Row] = []
    for system in SYSTEMS.values():
        own = [entry for entry in entries if entry.architecture in system.architectures and not entry.for_comparison]
        claims = [claim for claim in CLAIMS if claim.system == system.key]
        for set_name in SET_TITLES:
            rows += _set_rows(system, own, set_name, [claim for claim in claims if claim.set == set_name], reports, protocols, times)
    return rows


def _set_rows(
    system: System,
    entries: Sequence[WeightsEntry],
    set_name: str,
    claims: Sequence[Claim],
    reports: Sequence[Report],
    protocols: Sequence[Report],
    times: dict[str, float],
) -> list[Row]:
    claimed = {claim.metric: {"value": claim.value, "protocol": claim.protocol, "source": claim.source} for claim in claims}
    base = {"system": system.key, "title": system.title, "set": set_name, "claimed": claimed}
    rows: list[Row] = []
    for entry in entries:
        facts = {"weights": entry.name, "parameters": entry.parameters, "ms": times.get(entry.name), "missing": None}
        for report in (item for item in reports if item["weights"] == entry.name and item["set"] == set_name):
            missed = f", no face in {report['no_face']}" if report.get("no_face") else ""
            rows.append(base | facts | {"how": report["split"] + missed, "n": report["n"], "measured": _headlines(report["metrics"])})
        for run in (item for item in protocols if item["weights"] == entry.name and item["set"] == set_name):
            rows.append(base | facts | {"how": run["method"], "n": run["n"], "measured": _headlines(run["metrics"])})
    if not rows and claims:
        why = "its pictures are not here" if set_name in NOT_HERE else "not trained yet"
        nothing = {"weights": None, "parameters": None, "ms": None, "how": None, "n": None, "measured": {}}
        rows.append(base | nothing | {"missing": f"not run here: {why}"})
    return rows


def _headlines(metrics: Report) -> dict[str, Any]:
    return {key: metrics[key] for key in HEADLINES if metrics.get(key)}


def _times(bench: Report | None) -> dict[str, float]:
    """Milliseconds of a network for one face as the app asks it, by weights."""
    found: dict[str, float] = {}
    for row in (bench or {}).get("rows", []):
        if row["what"].startswith("network, one face"):
            found.setdefault(row["weights"], row["median_ms"])
    return found


def comparison_table(rows: Sequence[Row]) -> str:
    """Markdown of ``comparison_rows``."""
    head = ("system, weights", "set, split, n", "claimed by the paper", "measured here", "parameters", "ms a face")
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for row in rows:
        name = f"{row['title']}<br>`{row['weights']}`" if row["weights"] else row["title"]
        where = SET_TITLES[row["set"]] if row["n"] is None else f"{SET_TITLES[row['set']]}, {row['how']}, {row['n']:,}"
        measured = row["missing"] or "<br>".join(f"{HEADLINES[key]} {shown_measured(item, key)}" for key, item in row["measured"].items())
        parameters = "–" if row["parameters"] is None else f"{row['parameters'] / 1e6:.1f}M"
        speed = "–" if row["ms"] is None else f"{row['ms']:.1f}"
        lines.append(markdown_row((name, where, claimed_cell(row["claimed"]), measured, parameters, speed)))
    return "\n".join(lines)


def claimed_cell(claimed: dict[str, Any]) -> str:
    """«age, MAE 1.07 years (split not stated)», or a dash."""
    return "<br>".join(f"{HEADLINES[key]} {shown_claim(item['value'], key)} ({item['protocol']})" for key, item in claimed.items()) or "–"


def long_rows(rows: Sequence[Row]) -> list[Row]:
    """``comparison_rows`` with a row for each metric, flat: for a spreadsheet or a data frame. Shares are in per cent."""
    flat: list[Row] = []
    for row in rows:
        for metric in HEADLINES:
            claim, item = row["claimed"].get(metric), row["measured"].get(metric)
            if claim is None and item is None:
                continue
            factor = 1 if metric in YEARS else 100
            values = {key: None if item is None else round(factor * item[key], 4) for key in ("value", "low", "high")}
            flat.append(
                {
                    "system": row["title"],
                    "weights": row["weights"],
                    "set": SET_TITLES[row["set"]],
                    "split": row["how"],
                    "n": None if item is None else item["n"],
                    "measure": HEADLINES[metric] + (", years" if metric in YEARS else ", %"),
                    "claimed": None if claim is None else round(factor * claim["value"], 2),
                    "claimed on": None if claim is None else f"{claim['protocol']}; {claim['source']}",
                    "measured": values["value"],
                    "from": values["low"],
                    "to": values["high"],
                    "not run": row["missing"],
                    "parameters": row["parameters"],
                    "ms a face": row["ms"],
                }
            )
    return flat


def ablation_rows(entries: Sequence[WeightsEntry], reports: Sequence[Report], attention: Sequence[Report] = ()) -> list[Row]:
    """Gates and mask kinds on the same budget: a row for each pair of weights made for it and set it was measured on.

    ``attention``: the attention reports there are.
    """
    rows: list[Row] = []
    for entry in (item for item in entries if item.for_comparison):
        for report in (item for item in reports if item["weights"] == entry.name):
            looked = next((item for item in attention if (item["weights"], item["set"]) == (entry.name, report["set"])), {})
            rows.append(
                {
                    "weights": entry.name,
                    "saturated": [found["saturated"] for found in looked.get("activity", {}).values()],
                    "flattened": next((item["mae"] for item in looked.get("changes", []) if flattened(item)), None),
                    "mask": entry.options.get("mask", "mixed"),
                    "gated": entry.options.get("gated", True),
                    "mask_norm": entry.options.get("mask_norm", False),
                    "set": report["set"],
                    "split": report["split"],
                    "n": report["n"],
                    "measured": _headlines(report["metrics"]),
                    "gates": report.get("gates") or {},
                    "parameters": entry.parameters,
                    "minutes": entry.training.get("minutes"),
                    "pictures_seen": entry.training.get("pictures_seen"),
                }
            )
    order = ["mixed", "channel", "spatial"]
    return sorted(
        rows, key=lambda row: (list(SET_TITLES).index(row["set"]), not row["gated"], order.index(row["mask"]), not row["mask_norm"])
    )


def flattened(change: Row) -> bool:
    """Whether a change of an attention report is that of all blocks' masks to their channels' means."""
    return (change["block"], change["change"]) == (ALL_BLOCKS, "mean")


def mask_words(row: Row) -> str:
    """Mask kind of a row of ``ablation_rows``, and whether its branch is normalised."""
    return row["mask"] if row["mask_norm"] else f"{row['mask']}, mask branch as in the annex"


def saturated_words(row: Row) -> str:
    """«0 %, 12 %, 38 %» of a row of ``ablation_rows``."""
    return ", ".join(f"{100 * share:.0f} %" for share in row["saturated"]) or "–"


def flattened_words(row: Row) -> str:
    """«+0.40 (0.30 to 0.50) years»: what a row of ``ablation_rows`` loses when its masks no longer know places."""
    found = row["flattened"]
    return "–" if found is None else f"{found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f}) years"


def ablation_table(rows: Sequence[Row]) -> str:
    """Markdown of ``ablation_rows``, with what the paper claims of gates below."""
    head = (
        "mask, gate",
        "set, split, n",
        "measured here",
        "learned gates, block 1 to 3",
        "mask values at 0 or 1, block 1 to 3",
        "error of age with flat masks",
        "budget",
    )
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for row in rows:
        kind = f"{mask_words(row)}, {'gated' if row['gated'] else 'no gate (residual attention network)'}"
        where = f"{SET_TITLES[row['set']]}, {row['split']}, {row['n']:,}"
        measured = "<br>".join(f"{HEADLINES[key]} {shown_measured(item, key)}" for key, item in row["measured"].items())
        gates = ", ".join(f"{gate:.2f}" for gate in row["gates"].values()) or "–"
        budget = f"{row['minutes']:.0f} minutes, {row['pictures_seen']:,} pictures"
        lines.append(markdown_row((kind, where, measured, gates, saturated_words(row), flattened_words(row), budget)))
    claims = "; ".join(
        f"{what} {pair['with gates']:g} with gates, {pair['residual attention network']:g} without" for what, pair in COMPARISONS.items()
    )
    return "\n".join([*lines, "", f"Claimed by the paper (Tables 6 to 8): {claims}. Of the mask kinds it claims nothing.", "", FLAT_MASKS])


def leakage_table(leakage: Report) -> str:
    """Markdown of ``leakage.json``: the same recipe and budget with and without near-duplicates on both sides."""
    head = ("recipe, budget", "split", "n", "age, MAE", "test pictures with a near-twin in training", "the others", "gender")
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for run in leakage["runs"]:
        twins = run["mae_with_twin"]
        lines.append(
            markdown_row(
                (
                    f"`{run['recipe']}`, {run['minutes']:.0f} minutes, {run['pictures_seen']:,} pictures",
                    SPLITS[run["split"]],
                    f"{run['mae']['n']:,}",
                    shown_estimate(run["mae"], "mae"),
                    "none" if twins is None else f"{twins['n']:,}: {shown_estimate(twins, 'mae')}",
                    shown_estimate(run["mae_without_twin"], "mae"),
                    shown_estimate(run.get("gender_accuracy"), "gender_accuracy"),
                )
            )
        )
    return "\n".join(lines)


SPLITS = {
    "leak_free": "ours, leak-free",
    "random": "random, duplicates kept",
    "stratified_age_bins": "5,000 pictures, stratified 90/5/5, duplicates kept (the third paper's)",
}
"""Ways to divide UTKFace that ``leakage`` can measure."""


RIVALS_HEAD = (
    "method",
    "input",
    "parameters: claimed",
    "here",
    "desktop: claimed",
    "here",
    "times ours: claimed",
    "here",
    "mobile: claimed",
    "note",
)


def rivals_table(result: Report) -> str:
    """Markdown of what ``run_rivals`` gave, claims and our numbers in columns of their own."""
    rows = result["rows"]
    claim = next((row["claimed_desktop_s"] for row in rows if row["name"] == OURS), None)
    lines = [markdown_row(RIVALS_HEAD), markdown_row(["---"] * len(RIVALS_HEAD)), *(markdown_row(_rival_cells(row, claim)) for row in rows)]
    how = (
        f"One face at a time, median of {result['repeats']} runs taken in turn, weights random (speed does not depend on them). Machine: "
        f"{result['machine']}, {result['threads']} threads. Claims: a 3.6 GHz CPU and a phone, as printed. No phone here: mobile not run."
    )
    return "\n".join([*lines, "", how])


def _rival_cells(row: Report, our_claim: float | None) -> list[str]:
    """One row of the table; a dash where there is nothing."""
    claimed = row["claimed_desktop_s"]
    claimed_ratio = claimed / our_claim if claimed and our_claim else None
    return [
        row["name"],
        row["input"] or "–",
        f"{row['claimed_parameters'] / 1e6:g}M",
        _or_dash(row["parameters"] and row["parameters"] / 1e6, "{:.2f}M"),
        _or_dash(claimed, "{:g} s"),
        _or_dash(row["median_ms"], "{:.1f} ms"),
        _or_dash(claimed_ratio, "{:.1f}"),
        _or_dash(row["ratio_to_ours"], "{:.1f}"),
        _or_dash(row["claimed_mobile_s"], "{:g} s"),
        row["note"],
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def shown_estimate(estimate: dict[str, float] | None, metric: str) -> str:
    """«5.04 (4.90–5.20)» in years or per cent, «-0.59 (-0.83 to -0.35)» below zero, a dash where there is nothing."""
    if estimate is None:
        return "–"
    factor, digits = (1, 2) if metric in YEARS else (100, 1)
    value, low, high = (f"{factor * estimate[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if low.startswith("-") else f"{value} ({low}–{high})"


def shown_measured(estimate: dict[str, float], metric: str) -> str:
    """``shown_estimate`` with its unit: «5.04 years (4.90–5.20)», «93.5 % (92.6–94.4)»."""
    value, rest = shown_estimate(estimate, metric).split(" ", 1)
    return f"{value} {'years' if metric in YEARS else '%'} {rest}"


def shown_claim(value: float, metric: str) -> str:
    """«1.07 years» or «99.2 %»."""
    return f"{value:.2f} years" if metric in YEARS else f"{100 * value:.1f} %"


def markdown_row(cells: Sequence[str]) -> str:
    """Cells as a line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"
