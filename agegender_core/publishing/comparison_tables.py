"""The comparison table: each system on each dataset, its paper's claims beside our measurements.
Made only from ``reports/``, the manifest and ``published_results``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agegender_core.evaluation.published_results import (
    CLAIMS,
    COMPARISONS,
    DATASET_TITLES,
    NOT_HERE,
    OURS,
    SYSTEMS,
    Claim,
    System,
)
from agegender_core.evaluation.report_store import EDGE
from agegender_core.evaluation.report_types import (
    AttentionReport,
    BenchReport,
    Estimate,
    EvaluationReport,
    LeakageReport,
    ProtocolReport,
    RivalRow,
    RivalsReport,
)
from agegender_core.inference.model_zoo import ModelInfo, passes_of
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import (
    METRIC_FORMATS,
    shown_claim,
    shown_estimate,
    shown_measured,
)

FLAT_MASKS = (
    "Flat masks: every channel's mask replaced by its mean over the face, so that it no longer says"
    " where; the change of the error is paired, face by face. A network that loses nothing by it"
    " does not need its masks to find its places."
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
"""Metrics of the table, in this order, with their labels."""


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """One system on one dataset: what its paper claims and what one of our models measures.

    ``system``: its key. ``claimed``, ``measured``: by metric. ``weights``, ``how`` (split or
    protocol), ``n``, ``answered`` (those of them with a face), ``parameters``, ``ms`` (milliseconds
    a face, network only): None where nothing was measured; ``missing`` then says why, and is empty
    otherwise.
    """

    system: str
    title: str
    set: str
    claimed: dict[str, Claim]
    measured: dict[str, Estimate]
    weights: str | None = None
    how: str | None = None
    n: int | None = None
    answered: int | None = None
    parameters: int | None = None
    ms: float | None = None
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class AblationRow:
    """One model made for the ablation on one dataset.

    ``mask``: its kind; ``gated``, ``mask_norm``: as in the architecture. ``saturated``: share of
    mask values near 0 or 1, by block. ``flattened``: an attention report's estimate of what flat
    masks cost in years, None where that was not measured. ``gates``: learned, by name.
    """

    weights: str
    set: str
    split: str
    n: int
    measured: dict[str, Estimate]
    mask: str
    gated: bool
    mask_norm: bool
    gates: dict[str, float]
    saturated: tuple[float, ...]
    flattened: Estimate | None
    parameters: int
    minutes: float | None
    pictures_seen: int | None
    pictures: int | None = None


def comparison_rows(
    entries: Sequence[ModelInfo],
    reports: Sequence[EvaluationReport],
    protocols: Sequence[ProtocolReport],
    bench: BenchReport | None,
) -> list[ComparisonRow]:
    """A row for each system, model, dataset and protocol, in the order of ``SYSTEMS`` and
    ``DATASET_TITLES``.
    """
    times = _times(bench)
    rows: list[ComparisonRow] = []
    for system in SYSTEMS.values():
        own = [
            info
            for info in entries
            if info.architecture in system.architectures and not info.for_comparison
        ]
        claims = [claim for claim in CLAIMS if claim.system == system.key]
        for dataset_name in DATASET_TITLES:
            rows += _set_rows(
                system,
                own,
                dataset_name,
                [claim for claim in claims if claim.set == dataset_name],
                reports,
                protocols,
                times,
            )
    return rows


def _set_rows(
    system: System,
    entries: Sequence[ModelInfo],
    dataset_name: str,
    claims: Sequence[Claim],
    reports: Sequence[EvaluationReport],
    protocols: Sequence[ProtocolReport],
    times: dict[str, float],
) -> list[ComparisonRow]:
    nothing = ComparisonRow(
        system=system.key,
        title=system.title,
        set=dataset_name,
        claimed={claim.metric: claim for claim in claims},
        measured={},
    )
    rows: list[ComparisonRow] = []
    for info in entries:
        base = replace(
            nothing, weights=info.name, parameters=info.parameters, ms=times.get(info.name)
        )
        for report in reports:
            if report.weights == info.name and report.set == dataset_name:
                missed = f", no face in {report.no_face}" if report.no_face else ""
                measured = _headlines(report.metrics)
                rows.append(
                    replace(
                        base,
                        how=report.split + missed,
                        n=report.n,
                        answered=report.answered,
                        measured=measured,
                    )
                )
        for run in protocols:
            if run.weights == info.name and run.set == dataset_name:
                measured = _headlines(run.metrics)
                rows.append(
                    replace(base, how=run.method, n=run.n, answered=run.n, measured=measured)
                )
    if not rows and claims:
        why = "its images are not here" if dataset_name in NOT_HERE else "not trained yet"
        rows.append(replace(nothing, missing=f"not run here: {why}"))
    return rows


def _headlines(metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {key: metrics[key] for key in HEADLINES if key in metrics}


def _times(bench: BenchReport | None) -> dict[str, float]:
    """Milliseconds of a network for one face as the app runs it, by weights."""
    found: dict[str, float] = {}
    for row in bench.rows if bench else ():
        if row.what.startswith("network, one face"):
            found.setdefault(row.weights, row.median_ms)
    return found


def comparison_table(rows: Sequence[ComparisonRow]) -> str:
    """Markdown of ``comparison_rows``."""
    head = (
        "system, weights",
        "dataset, split, n",
        "claimed by the paper",
        "measured here",
        "parameters",
        "ms a face",
    )
    lines = markdown_head(head)
    for row in rows:
        name = f"{row.title}<br>`{row.weights}`" if row.weights else row.title
        where = (
            DATASET_TITLES[row.set]
            if row.n is None
            else f"{DATASET_TITLES[row.set]}, {row.how}, {row.n:,}"
        )
        measured = row.missing or _measured_cell(row.measured, row.answered)
        parameters = "–" if row.parameters is None else f"{row.parameters / 1e6:.1f}M"
        speed = "–" if row.ms is None else f"{row.ms:.1f}"
        lines.append(
            markdown_row((name, where, _claimed_cell(row.claimed), measured, parameters, speed))
        )
    return "\n".join(lines)


def _claimed_cell(claimed: Mapping[str, Claim]) -> str:
    """«age, MAE 1.07 years (split not stated)», or a dash."""
    return (
        "<br>".join(
            f"{HEADLINES[key]} {shown_claim(claim.value, key)} ({claim.protocol})"
            for key, claim in claimed.items()
        )
        or "–"
    )


def _measured_cell(measured: Mapping[str, Estimate], answered: int | None) -> str:
    """«age, MAE 5.04 years (4.90–5.20)», a line a metric; with its n where that is not
    ``answered``.
    """
    return "<br>".join(
        f"{HEADLINES[key]} {shown_measured(item, key)}"
        + ("" if item.n == answered else f", n {item.n:,}")
        for key, item in measured.items()
    )


def long_rows(rows: Sequence[ComparisonRow]) -> list[dict[str, Any]]:
    """``comparison_rows`` with a row for each metric, flat, by titles of columns: for a spreadsheet
    or a data frame. Shares are in per cent.
    """
    return [
        _long_row(row, metric)
        for row in rows
        for metric in HEADLINES
        if metric in row.claimed or metric in row.measured
    ]


def _long_row(row: ComparisonRow, metric: str) -> dict[str, Any]:
    claim, item, shown = row.claimed.get(metric), row.measured.get(metric), METRIC_FORMATS[metric]
    return {
        "system": row.title,
        "weights": row.weights,
        "set": DATASET_TITLES[row.set],
        "split": row.how,
        "n": None if item is None else item.n,
        "measure": f"{shown.label}, {shown.unit}",
        "claimed": None if claim is None else round(shown.factor * claim.value, 2),
        "claimed on": None if claim is None else f"{claim.protocol}; {claim.source}",
        "measured": None if item is None else round(shown.factor * item.value, 6),
        "from": None if item is None else round(shown.factor * item.low, 6),
        "to": None if item is None else round(shown.factor * item.high, 6),
        "not run": row.missing or None,
        "parameters": row.parameters,
        "ms a face": row.ms,
    }


def ablation_rows(
    entries: Sequence[ModelInfo],
    reports: Sequence[EvaluationReport],
    attention: Sequence[AttentionReport] = (),
) -> list[AblationRow]:
    """Gates and mask kinds, one seed each: a row for each model made for it and dataset it was
    measured on.

    ``attention``: the attention reports there are.
    """
    rows = [
        _ablation_row(info, report, attention)
        for info in entries
        if info.for_comparison
        for report in reports
        if report.weights == info.name
    ]
    order = ["mixed", "channel", "spatial", "ones"]
    return sorted(
        rows,
        key=lambda row: (
            list(DATASET_TITLES).index(row.set),
            not row.gated,
            order.index(row.mask),
            not row.mask_norm,
        ),
    )


def _ablation_row(
    info: ModelInfo, report: EvaluationReport, attention: Sequence[AttentionReport]
) -> AblationRow:
    matching = (item for item in attention if (item.weights, item.set) == (info.name, report.set))
    masks = next(matching, None)
    flat = masks.flat_masks if masks else None
    return AblationRow(
        weights=info.name,
        set=report.set,
        split=report.split,
        n=report.n,
        measured=_headlines(report.metrics),
        mask=info.options.get("mask", "mixed"),
        gated=info.options.get("gated", True),
        mask_norm=info.options.get("mask_norm", False),
        gates=report.gates or {},
        saturated=tuple(block.saturated for block in masks.activity.values()) if masks else (),
        flattened=flat.mae if flat else None,
        parameters=info.parameters,
        minutes=info.training.get("minutes"),
        pictures_seen=info.training.get("pictures_seen"),
        pictures=info.training.get("pictures"),
    )


def mask_words(row: AblationRow) -> str:
    """Mask kind, and whether the mask branch is normalised."""
    return row.mask if row.mask_norm else f"{row.mask}, mask branch as in the annex"


def saturated_words(row: AblationRow) -> str:
    """«0 %, 12 %, 38 %», by block."""
    return ", ".join(f"{100 * share:.0f} %" for share in row.saturated) or "–"


def flattened_words(row: AblationRow) -> str:
    """«+0.40 (0.30 to 0.50) years»: what the error gains when the masks no longer depend on the
    position in the image.
    """
    found = row.flattened
    return (
        "–"
        if found is None
        else f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f}) years"
    )


def ablation_table(rows: Sequence[AblationRow]) -> str:
    """Markdown of ``ablation_rows``, with the paper's claims about gates below."""
    head = (
        "mask, gate",
        "dataset, split, n",
        "measured here",
        "learned gates, block 1 to 3",
        f"mask values within {EDGE:g} of 0 or 1, block 1 to 3",
        "error of age with flat masks",
        "budget",
    )
    lines = markdown_head(head)
    for row in rows:
        kind = (
            f"{mask_words(row)}, {'gated' if row.gated else 'no gate (residual attention network)'}"
        )
        where = f"{DATASET_TITLES[row.set]}, {row.split}, {row.n:,}"
        measured = _measured_cell(row.measured, row.n)
        gates = ", ".join(f"{gate:.2f}" for gate in row.gates.values()) or "–"
        budget = f"{row.minutes:.0f} minutes, {row.pictures_seen:,} images"
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
            f"{budget_words(rows)} {FLAT_MASKS}".strip(),
        ]
    )


def budget_words(rows: Sequence[AblationRow]) -> str:
    """«24 passes each.», or what to mind where they are not equally many."""
    passes = (passes_of(vars(row)) for row in rows)
    seen = sorted({round(each, 1) for each in passes if each is not None})
    if not seen:
        return ""
    if len(seen) == 1:
        return f"{seen[0]:g} passes each."
    return f"Not equally many passes, {seen[0]:g} to {seen[-1]:g}: mind the images seen."


def leakage_table(leakage: LeakageReport) -> str:
    """Markdown of ``leakage.json``: the same recipe and budget with and without near-duplicates on
    both sides of the split.
    """
    head = (
        "recipe, budget",
        "split",
        "n",
        "age, MAE",
        "test images with a near-duplicate in training",
        "the others",
        "gender",
    )
    lines = markdown_head(head)
    for run in leakage.runs:
        duplicates = run.mae_with_twin
        lines.append(
            markdown_row(
                (
                    f"`{run.recipe}`, {run.minutes:.0f} minutes, {run.pictures_seen:,} images",
                    SPLITS[run.split],
                    "0" if run.mae is None else f"{run.mae.n:,}",
                    shown_estimate(run.mae, "mae"),
                    (
                        "none"
                        if duplicates is None
                        else f"{duplicates.n:,}: {shown_estimate(duplicates, 'mae')}"
                    ),
                    shown_estimate(run.mae_without_twin, "mae"),
                    shown_estimate(run.gender_accuracy, "gender_accuracy"),
                )
            )
        )
    return "\n".join(lines)


SPLITS = {
    "leak_free": "ours, leak-free",
    "random": "random, duplicates kept",
    "stratified_age_bins": "5,000 images, stratified 90/5/5, duplicates kept (the third paper's)",
}
"""Splits of UTKFace that ``leakage`` can measure."""


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


def rivals_table(result: RivalsReport) -> str:
    """Markdown of what ``run_rivals`` measured, claims and our numbers in columns of their own."""
    rows = result.rows
    claim = next((row.claimed_desktop_s for row in rows if row.name == OURS), None)
    lines = [
        *markdown_head(RIVALS_HEAD),
        *(markdown_row(_rival_cells(row, claim)) for row in rows),
    ]
    how = (
        f"One face at a time, median of {result.repeats} runs taken in turn, weights random"
        f" (speed does not depend on them). Machine: {result.machine}, {result.threads}"
        " threads. Claims: a 3.6 GHz CPU and a phone, as printed. No phone here: mobile not run."
    )
    return "\n".join([*lines, "", how])


def _rival_cells(row: RivalRow, our_claim: float | None) -> list[str]:
    """One row of the table; a dash where there is nothing."""
    claimed = row.claimed_desktop_s
    claimed_ratio = claimed / our_claim if claimed and our_claim else None
    return [
        row.name,
        row.input or "–",
        f"{row.claimed_parameters / 1e6:g}M",
        _or_dash(None if row.parameters is None else row.parameters / 1e6, "{:.2f}M"),
        _or_dash(claimed, "{:g} s"),
        _or_dash(row.median_ms, "{:.1f} ms"),
        _or_dash(claimed_ratio, "{:.1f}"),
        _or_dash(row.ratio_to_ours, "{:.1f}"),
        _or_dash(row.claimed_mobile_s, "{:g} s"),
        row.note,
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
