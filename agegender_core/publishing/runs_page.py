"""The measured part of docs/runs.md: what we aim at against today's reports, and whether published
weights can be traced to a commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_store import EDGE, read_attentions, read_reports
from agegender_core.evaluation.report_types import DEVIATION, AttentionReport, EvaluationReport
from agegender_core.explain.attention_images import block_title
from agegender_core.inference.model_zoo import ModelInfo, from_clean_commit
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import METRIC_FORMATS, shown_measured
from agegender_core.publishing.attention_tables import BETTER


@dataclass(frozen=True)
class Aim:
    """What ``weights`` should reach on the test images of ``set``: ``bound`` or better, in years or
    as a share.
    """

    weights: str
    set: str
    metric: str
    bound: float


OF_DEFAULT = (
    ("utkface", "mae", 4.3),
    ("utkface", "gender_accuracy", 0.955),
    ("fairface", "fairface9_accuracy", 0.58),
    ("fairface", "gender_accuracy", 0.93),
    ("fairface", "race_accuracy", 0.68),
    ("all_age_faces", "mae", 4.6),
    ("all_age_faces", "gender_accuracy", 0.96),
    ("fgnet", "mae", 4.2),
)
"""Dataset, metric, bound: of the default, and of the pre-trained network that teaches others."""
AIMS = (
    *(Aim("ensemble", *aim) for aim in OF_DEFAULT),
    *(Aim("efficientnet_lite0", *aim) for aim in OF_DEFAULT),
    Aim("gra_net_dist", "utkface", "mae", 4.9),
    Aim("gra_net_dist", "utkface", "gender_accuracy", 0.94),
    Aim("multitask_cnn_dist", "utkface", "mae", 4.45),
    Aim("multitask_cnn_dist", "utkface", "gender_accuracy", 0.95),
)
MASKED = "gra_net_dist"
MASK_SET = "utkface"
SATURATED, FLATTENED = 0.10, 0.3
"""Largest share of saturated values in any block; least cost of flat masks, in years."""
Row = tuple[str, str, str, bool | None]
"""Weights, aim, measured, whether it is met: None where it was not measured."""


def runs_section(entries: Sequence[ModelInfo], reports: Path) -> str:
    """Everything between the markers of docs/runs.md."""
    rows = [*aim_rows(read_reports(reports)), *mask_rows(read_attentions(reports))]
    lines = markdown_head(["weights", "aim", "today", ""])
    words = {True: "met", False: "**not met**", None: "not measured"}
    lines += [
        markdown_row([f"`{weights}`", aim, today, words[met]]) for weights, aim, today, met in rows
    ]
    met = sum(row[3] is True for row in rows)
    return "\n\n".join(
        [
            "\n".join(lines),
            f"{met} of {len(rows)} are met. In brackets: 95 % interval over images; whether an aim"
            " is met is decided by the value itself.",
            commits_words(entries),
        ]
    )


def aim_rows(found: Sequence[EvaluationReport]) -> list[Row]:
    """``AIMS`` against the reports."""
    rows: list[Row] = []
    for aim in AIMS:
        shown = METRIC_FORMATS[aim.metric]
        at_most = shown.worse > 0
        words = (
            f"{DATASET_TITLES[aim.set]}, {shown.label}: at {'most' if at_most else 'least'}"
            f" {shown.factor * aim.bound:g} {shown.unit}"
        )
        estimates = (
            report.metrics.get(aim.metric)
            for report in found
            if (report.weights, report.set) == (aim.weights, aim.set)
        )
        item = next(estimates, None)
        if item is None:
            rows.append((aim.weights, words, "–", None))
            continue
        met = item.value <= aim.bound if at_most else item.value >= aim.bound
        today = f"{shown_measured(item, aim.metric)}, n {item.n:,}"
        rows.append((aim.weights, words, today, met))
    return rows


def mask_rows(found: Sequence[AttentionReport]) -> list[Row]:
    """What the masks of ``MASKED`` should be, against its attention report."""
    where = DATASET_TITLES[MASK_SET]
    aims = (
        f"{where}: under {100 * SATURATED:g} % of mask values within {EDGE:g} of 0 or 1 in each"
        " block",
        f"{where}: flat masks cost {FLATTENED:g} years or more, interval above 0",
        f"{where}: the mean of a block's mask beats random maps at deletion and at insertion, for"
        " age",
        f"{where}: the same of the deviation of a block's mask, made of the mask alone as well"
        " (added on 2026-11-29)",
    )
    report = next((one for one in found if (one.weights, one.set) == (MASKED, MASK_SET)), None)
    if report is None:
        return [(MASKED, aim, "–", None) for aim in aims]
    shares = [block.saturated for block in report.activity.values()]
    saturated = ", ".join(f"{100 * share:.1f} %" for share in shares)
    flat = report.flat_masks.mae if report.flat_masks else None
    return [
        (MASKED, aims[0], saturated or "–", max(shares) < SATURATED if shares else None),
        (
            MASKED,
            aims[1],
            "–"
            if flat is None
            else f"{flat.value:+.2f} years ({flat.low:+.2f} to {flat.high:+.2f}), n {flat.n:,}",
            None if flat is None else flat.value >= FLATTENED and flat.low > 0,
        ),
        (MASKED, aims[2], *faithful_blocks(report, "")),
        (MASKED, aims[3], *faithful_blocks(report, DEVIATION)),
    ]


def faithful_blocks(report: AttentionReport, part: str) -> tuple[str, bool | None]:
    """Which blocks' maps beat random ones for age, in words, and whether one does at both.
    ``part``: of the map's name, behind the block's.
    """
    maps = report.targets["age"]
    known = {block: maps[block + part] for block in report.activity if block + part in maps}
    if not known:
        return "–", None
    better = {
        block: [kind for kind, curve in kinds.items() if curve.verdict == BETTER]
        for block, kinds in known.items()
    }
    words = ", ".join(
        f"{block_title(block).lower()} at {' and '.join(kinds)}"
        for block, kinds in better.items()
        if kinds
    )
    return (
        f"{'better than random: ' + words if words else 'none'}, n {report.curves_n:,}",
        any(len(kinds) == 2 for kinds in better.values()),
    )


def commits_words(entries: Sequence[ModelInfo]) -> str:
    """Which published weights come from a commit with uncommitted changes."""
    dirty = [info.name for info in entries if not from_clean_commit(info.training)]
    if not dirty:
        return f"All {len(entries)} published weights come from clean commits."
    return (
        f"{len(dirty)} of {len(entries)} published weights had uncommitted changes beside the"
        " commit of their last stage, so their code cannot be had again exactly:"
        f" {', '.join(f'`{name}`' for name in dirty)}. `agegender weights publish` now refuses such"
        " runs."
    )
