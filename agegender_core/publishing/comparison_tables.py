"""The one table: each system on each dataset, what its paper claims beside what was measured here.
Made from ``reports/``, the manifest and ``claims`` and from nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agegender_core.evaluation.published_results import (
    CLAIMS,
    COMPARISONS,
    NOT_HERE,
    OURS,
    SET_TITLES,
    SYSTEMS,
    Claim,
    System,
)
from agegender_core.evaluation.report_store import ALL_BLOCKS, EDGE
from agegender_core.inference.model_zoo import ModelInfo
from agegender_core.output.markdown import markdown_row
from agegender_core.output.metric_formats import (
    METRIC_FORMATS,
    shown_claim,
    shown_estimate,
    shown_measured,
)

Report = dict[str, Any]
Row = dict[str, Any]


FLAT_MASKS = (
    "Flat masks: every channel's mask replaced by its mean over the face, so that it no longer says"
    " where; the change of the error is paired, face by face. A network that loses nothing by it"
    " does not need its masks to find its places. Budgets are minutes on a machine that was not"
    " always idle: mind the images seen."
)

HEADLINES = {
    name: METRIC_FORMATS[name].label
    for name in (
        "mae",
        "balanced_mae",
        "fairface9_accuracy",
        "adience8_accuracy",
        "age_accuracy",
        "gender_accuracy",
        "gender_gap",
        "race_accuracy",
    )
}
"""What the table shows, in this order."""


def comparison_rows(
    entries: Sequence[ModelInfo],
    reports: Sequence[Report],
    protocols: Sequence[Report],
    bench: Report | None,
) -> list[Row]:
    """A row for each system, weights, set and protocol, in the order of ``SYSTEMS`` and
    ``SET_TITLES``.

    ``reports``: contents of ``metrics.json``; ``protocols``: what the runs of published protocols
    wrote; ``bench``: what ``bench`` wrote. Keys: «system», «weights» (None where nothing is
    trained), «set», «how» (split or protocol), «n», «claimed» and «measured» (by metric),
    «parameters», «ms» (a face, network only), «missing» (why nothing was measured, else None).
    """
    times = _times(bench)
    rows: list[Row] = []
    for system in SYSTEMS.values():
        own = [
            entry
            for entry in entries
            if entry.architecture in system.architectures and not entry.for_comparison
        ]
        claims = [claim for claim in CLAIMS if claim.system == system.key]
        for set_name in SET_TITLES:
            rows += _set_rows(
                system,
                own,
                set_name,
                [claim for claim in claims if claim.set == set_name],
                reports,
                protocols,
                times,
            )
    return rows


def _set_rows(
    system: System,
    entries: Sequence[ModelInfo],
    set_name: str,
    claims: Sequence[Claim],
    reports: Sequence[Report],
    protocols: Sequence[Report],
    times: dict[str, float],
) -> list[Row]:
    claimed = {
        claim.metric: {"value": claim.value, "protocol": claim.protocol, "source": claim.source}
        for claim in claims
    }
    base = {"system": system.key, "title": system.title, "set": set_name, "claimed": claimed}
    rows: list[Row] = []
    for entry in entries:
        facts = {
            "weights": entry.name,
            "parameters": entry.parameters,
            "ms": times.get(entry.name),
            "missing": None,
        }
        for report in (
            item for item in reports if item["weights"] == entry.name and item["set"] == set_name
        ):
            missed = f", no face in {report['no_face']}" if report.get("no_face") else ""
            rows.append(
                base
                | facts
                | {
                    "how": report["split"] + missed,
                    "n": report["n"],
                    "measured": _headlines(report["metrics"]),
                }
            )
        for run in (
            item for item in protocols if item["weights"] == entry.name and item["set"] == set_name
        ):
            rows.append(
                base
                | facts
                | {
                    "how": run["method"],
                    "n": run["n"],
                    "measured": _headlines(run["metrics"]),
                }
            )
    if not rows and claims:
        why = "its images are not here" if set_name in NOT_HERE else "not trained yet"
        nothing: Row = {
            "weights": None,
            "parameters": None,
            "ms": None,
            "how": None,
            "n": None,
            "measured": {},
        }
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
    head = (
        "system, weights",
        "set, split, n",
        "claimed by the paper",
        "measured here",
        "parameters",
        "ms a face",
    )
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for row in rows:
        name = f"{row['title']}<br>`{row['weights']}`" if row["weights"] else row["title"]
        where = (
            SET_TITLES[row["set"]]
            if row["n"] is None
            else f"{SET_TITLES[row['set']]}, {row['how']}, {row['n']:,}"
        )
        measured = row["missing"] or "<br>".join(
            f"{HEADLINES[key]} {shown_measured(item, key)}" for key, item in row["measured"].items()
        )
        parameters = "–" if row["parameters"] is None else f"{row['parameters'] / 1e6:.1f}M"
        speed = "–" if row["ms"] is None else f"{row['ms']:.1f}"
        lines.append(
            markdown_row((name, where, claimed_cell(row["claimed"]), measured, parameters, speed))
        )
    return "\n".join(lines)


def claimed_cell(claimed: dict[str, Any]) -> str:
    """«age, MAE 1.07 years (split not stated)», or a dash."""
    return (
        "<br>".join(
            f"{HEADLINES[key]} {shown_claim(item['value'], key)} ({item['protocol']})"
            for key, item in claimed.items()
        )
        or "–"
    )


def long_rows(rows: Sequence[Row]) -> list[Row]:
    """``comparison_rows`` with a row for each metric, flat: for a spreadsheet or a data frame.
    Shares are in per cent.
    """
    flat: list[Row] = []
    for row in rows:
        for metric in HEADLINES:
            claim, item = row["claimed"].get(metric), row["measured"].get(metric)
            if claim is None and item is None:
                continue
            shown = METRIC_FORMATS[metric]
            values = {
                key: None if item is None else round(shown.factor * item[key], 4)
                for key in ("value", "low", "high")
            }
            flat.append(
                {
                    "system": row["title"],
                    "weights": row["weights"],
                    "set": SET_TITLES[row["set"]],
                    "split": row["how"],
                    "n": None if item is None else item["n"],
                    "measure": f"{shown.label}, {shown.unit}",
                    "claimed": None if claim is None else round(shown.factor * claim["value"], 2),
                    "claimed on": (
                        None if claim is None else f"{claim['protocol']}; {claim['source']}"
                    ),
                    "measured": values["value"],
                    "from": values["low"],
                    "to": values["high"],
                    "not run": row["missing"],
                    "parameters": row["parameters"],
                    "ms a face": row["ms"],
                }
            )
    return flat


def ablation_rows(
    entries: Sequence[ModelInfo], reports: Sequence[Report], attention: Sequence[Report] = ()
) -> list[Row]:
    """Gates and mask kinds on the same budget: a row for each pair of weights made for it and
    dataset it was measured on.

    ``attention``: the attention reports there are.
    """
    rows: list[Row] = []
    for entry in (item for item in entries if item.for_comparison):
        for report in (item for item in reports if item["weights"] == entry.name):
            looked = next(
                (
                    item
                    for item in attention
                    if (item["weights"], item["set"]) == (entry.name, report["set"])
                ),
                {},
            )
            rows.append(
                {
                    "weights": entry.name,
                    "saturated": [
                        found["saturated"] for found in looked.get("activity", {}).values()
                    ],
                    "flattened": next(
                        (item["mae"] for item in looked.get("changes", []) if flattened(item)), None
                    ),
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
    order = ["mixed", "channel", "spatial", "ones"]
    return sorted(
        rows,
        key=lambda row: (
            list(SET_TITLES).index(row["set"]),
            not row["gated"],
            order.index(row["mask"]),
            not row["mask_norm"],
        ),
    )


def flattened(change: Row) -> bool:
    """Whether a change of an attention report is that of all blocks' masks to their channels'
    means.
    """
    return (change["block"], change["change"]) == (ALL_BLOCKS, "mean")


def mask_words(row: Row) -> str:
    """Mask kind of a row of ``ablation_rows``, and whether its branch is normalised."""
    return row["mask"] if row["mask_norm"] else f"{row['mask']}, mask branch as in the annex"


def saturated_words(row: Row) -> str:
    """«0 %, 12 %, 38 %» of a row of ``ablation_rows``."""
    return ", ".join(f"{100 * share:.0f} %" for share in row["saturated"]) or "–"


def flattened_words(row: Row) -> str:
    """«+0.40 (0.30 to 0.50) years»: what a row of ``ablation_rows`` loses when its masks no longer
    know places.
    """
    found = row["flattened"]
    return (
        "–"
        if found is None
        else f"{found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f}) years"
    )


def ablation_table(rows: Sequence[Row]) -> str:
    """Markdown of ``ablation_rows``, with what the paper claims of gates below."""
    head = (
        "mask, gate",
        "set, split, n",
        "measured here",
        "learned gates, block 1 to 3",
        f"mask values within {EDGE:g} of 0 or 1, block 1 to 3",
        "error of age with flat masks",
        "budget",
    )
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for row in rows:
        kind = (
            f"{mask_words(row)},"
            f" {'gated' if row['gated'] else 'no gate (residual attention network)'}"
        )
        where = f"{SET_TITLES[row['set']]}, {row['split']}, {row['n']:,}"
        measured = "<br>".join(
            f"{HEADLINES[key]} {shown_measured(item, key)}" for key, item in row["measured"].items()
        )
        gates = ", ".join(f"{gate:.2f}" for gate in row["gates"].values()) or "–"
        budget = f"{row['minutes']:.0f} minutes, {row['pictures_seen']:,} images"
        lines.append(
            markdown_row(
                (kind, where, measured, gates, saturated_words(row), flattened_words(row), budget)
            )
        )
    claims = "; ".join(
        f"{what} {pair['with gates']:g} with gates, {pair['residual attention network']:g} without"
        for what, pair in COMPARISONS.items()
    )
    return "\n".join(
        [
            *lines,
            "",
            f"Claimed by the paper (Tables 6 to 8): {claims}. Of the mask kinds it claims nothing.",
            "",
            FLAT_MASKS,
        ]
    )


def leakage_table(leakage: Report) -> str:
    """Markdown of ``leakage.json``: the same recipe and budget with and without near-duplicates on
    both sides.
    """
    head = (
        "recipe, budget",
        "split",
        "n",
        "age, MAE",
        "test images with a near-twin in training",
        "the others",
        "gender",
    )
    lines = [markdown_row(head), markdown_row(["---"] * len(head))]
    for run in leakage["runs"]:
        twins = run["mae_with_twin"]
        lines.append(
            markdown_row(
                (
                    (
                        f"`{run['recipe']}`, {run['minutes']:.0f} minutes, {run['pictures_seen']:,}"
                        " images"
                    ),
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
    "stratified_age_bins": "5,000 images, stratified 90/5/5, duplicates kept (the third paper's)",
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
    lines = [
        markdown_row(RIVALS_HEAD),
        markdown_row(["---"] * len(RIVALS_HEAD)),
        *(markdown_row(_rival_cells(row, claim)) for row in rows),
    ]
    how = (
        f"One face at a time, median of {result['repeats']} runs taken in turn, weights random"
        f" (speed does not depend on them). Machine: {result['machine']}, {result['threads']}"
        " threads. Claims: a 3.6 GHz CPU and a phone, as printed. No phone here: mobile not run."
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
