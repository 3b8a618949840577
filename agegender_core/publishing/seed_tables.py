"""Tables of what ``ablate`` measured: variants of one recipe over several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy  # its statistics are loaded at their first use

from agegender_core.evaluation.published_results import DATASET_TITLES
from agegender_core.evaluation.report_store import EDGE
from agegender_core.evaluation.report_types import AblationReport, AblationRun, Estimate
from agegender_core.inference.model_zoo import passes_of
from agegender_core.output.markdown import markdown_head, markdown_row
from agegender_core.output.metric_formats import METRIC_FORMATS

Measured = Literal["mae", "gender_accuracy"]
SEEDS = (
    "Mean over the seeds, each seed's own number in brackets. Differences are taken seed by seed;"
    " their 95 % intervals are Student's over the seeds, not over images. Networks trained for so"
    " short are compared with each other, never with the published ones."
)

BANDS = (
    "The same by band of the true age: MAE in years, mean over the seeds; in brackets the"
    " difference from the first row, seed by seed."
)


def paired_difference(
    runs: Sequence[AblationRun], variant: str, baseline: str, metric: Measured
) -> Estimate | None:
    """Mean over seeds of ``variant`` less ``baseline`` with Student's 95 % interval; ``n``: seeds.
    None where fewer than two seeds have both.
    """
    values = {
        key: {
            run.seed: found.value
            for run in runs
            if run.variant == key and (found := getattr(run, metric)) is not None
        }
        for key in (variant, baseline)
    }
    both = sorted(set(values[variant]) & set(values[baseline]))
    if len(both) < 2:
        return None
    each = np.array([values[variant][seed] - values[baseline][seed] for seed in both])
    half = scipy.stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each))
    mean = float(each.mean())
    return Estimate(mean, mean - float(half), mean + float(half), len(each))


def seed_rows(report: AblationReport) -> list[dict[str, str]]:
    """A row as text for each variant that was run, the one compared with first."""
    order = sorted(report.variants, key=lambda key: key != report.baseline)
    found = {key: [run for run in report.runs if run.variant == key] for key in order}
    return [
        {
            "variant": report.variants[key],
            "seeds": f"{len({run.seed for run in runs})}",
            "age, MAE, years": _over_seeds(runs, "mae"),
            "age, less the first": _difference(report, key, "mae"),
            "gender, %": _over_seeds(runs, "gender_accuracy"),
            "gender, less the first": _difference(report, key, "gender_accuracy"),
            f"mask values within {EDGE:g} of 0 or 1, by block": _saturated(runs),
            "error of age with flat masks": _flat(runs),
        }
        for key, runs in found.items()
        if runs
    ]


def band_rows(report: AblationReport) -> list[dict[str, str]]:
    """A row as text for each variant that was run: its error by band of the true age, mean over the
    seeds, and its difference from the baseline's, seed by seed; empty where that was not measured.
    """
    found: dict[str, dict[int, dict[str, Estimate]]] = {key: {} for key in report.variants}
    for run in report.runs:
        if run.bands:
            found[run.variant][run.seed] = run.bands
    counts = {
        band: each.n
        for runs in found.values()
        for bands in runs.values()
        for band, each in bands.items()
    }
    rows = []
    for key in sorted(found, key=lambda key: key != report.baseline):
        if not (own := found[key]):
            continue
        row = {"variant": report.variants[key], "seeds": f"{len(own)}"}
        means = []
        for band, n in counts.items():
            values = {seed: bands[band].value for seed, bands in own.items() if band in bands}
            others = found[report.baseline]
            paired = [
                value - others[seed][band].value
                for seed, value in values.items()
                if band in others.get(seed, {})
            ]
            means.append(float(np.mean(list(values.values()))) if values else math.nan)
            words = f"{means[-1]:.2f}" if values else "–"
            if paired and key != report.baseline:
                words += f" ({np.mean(paired):+.2f})"
            row[f"{band}, n {n:,}"] = words
        row["mean of the bands"] = "–" if any(map(math.isnan, means)) else f"{np.mean(means):.2f}"
        rows.append(row)
    return rows


def compared_words(report: AblationReport) -> str:
    """What was held equal: recipe, images, passes, split."""
    sizes = {(run.pictures_seen, run.pictures, run.mae.n) for run in report.runs if run.mae}
    seen, pictures, n = min(sizes) if sizes else (0, 0, 0)
    passes = passes_of({"pictures_seen": seen, "pictures": pictures}) or 0
    run_variants = {run.variant for run in report.runs}
    variants = [words for key, words in report.variants.items() if key in run_variants]
    return (
        f"Compared: {'; '.join(variants)}. `{report.recipe}`, trained on"
        f" {DATASET_TITLES[report.set]} alone, from scratch, {seen:,} images a run"
        f" ({passes:.0f} passes); measured on its {report.split} split, n {n:,}."
    )


def seeds_section(report: AblationReport) -> str:
    """Markdown: a heading, what was held equal, and a row for each variant."""
    rows = seed_rows(report)
    lines = markdown_head(tuple(rows[0])) if rows else []
    lines += [markdown_row(tuple(row.values())) for row in rows]
    several = len({run.seed for run in report.runs}) > 1
    title = f"### {report.title}, {'over seeds' if several else 'one seed so far'}"
    parts = [title, compared_words(report), "\n".join(lines), SEEDS]
    if by_band := band_rows(report):
        table = markdown_head(tuple(by_band[0]))
        table += [markdown_row(tuple(row.values())) for row in by_band]
        parts += [BANDS, "\n".join(table)]
    return "\n\n".join(parts)


def _over_seeds(runs: Sequence[AblationRun], metric: Measured) -> str:
    shown = METRIC_FORMATS[metric]
    values = [found.value for run in runs if (found := getattr(run, metric)) is not None]
    if not values:
        return "–"
    each = ", ".join(map(shown.number, values))
    return f"{shown.number(float(np.mean(values)))} ({each})"


def _difference(report: AblationReport, key: str, metric: Measured) -> str:
    if key == report.baseline:
        return "–"
    found = paired_difference(report.runs, key, report.baseline, metric)
    if found is None:
        return "one seed"
    shown = METRIC_FORMATS[metric]
    value, low, high = (shown.number(x, "+") for x in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _saturated(runs: Sequence[AblationRun]) -> str:
    blocks = [run.saturated for run in runs if run.saturated]
    if not blocks:
        return "–"
    means = [float(np.mean([found[name] for found in blocks])) for name in blocks[0]]
    return ", ".join(f"{100 * mean:.1f} %" for mean in means)


def _flat(runs: Sequence[AblationRun]) -> str:
    costs = [run.flat_masks.value for run in runs if run.flat_masks is not None]
    if not costs:
        return "–"
    return f"{np.mean(costs):+.2f} ({', '.join(f'{cost:+.2f}' for cost in costs)}) years"
