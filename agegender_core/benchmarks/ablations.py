"""What a setting is worth: a recipe trained with and without it, equally long, over several seeds.

A single run cannot tell a setting's effect from the luck of its seed. Variants of the same seed see
the same images in the same order (where no run was resumed before 29 November 2026, when that began
to hold for resumed ones too), so they are compared seed by seed.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from agegender_core.benchmarks.finished_run import FinishedRun, load_run
from agegender_core.datasets import labelled_targets
from agegender_core.errors import ConfigError
from agegender_core.evaluation.metrics import band_name, stored_mean
from agegender_core.evaluation.report_store import read_ablation
from agegender_core.evaluation.report_types import (
    ALL_BLOCKS,
    AblationReport,
    AblationRun,
    Estimate,
)
from agegender_core.explain.attention import Change
from agegender_core.explain.attention_report import exact_ages
from agegender_core.explain.mask_ablation import Activity, changed_answers, effects
from agegender_core.inference.decoding import Answers
from agegender_core.labels import AGE_BANDS
from agegender_core.models.gra_net import GatedAttention
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.toml_tables import read_table
from agegender_core.training.config import Recipe, changed_settings, load_recipe
from agegender_core.training.crop_dataset import split_records
from agegender_core.training.trainer import train

MASKED = 500
"""Test images on which masks are flattened."""


@dataclass(frozen=True)
class Variant:
    """``settings``: dotted settings of the recipe in which it differs."""

    title: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """A file under ``configs/ablations``. ``baseline``: the variant that others are compared with.
    ``settings``: dotted settings of every run.
    """

    title: str
    recipe: str
    dataset: str
    baseline: str
    seeds: tuple[int, ...]
    variants: dict[str, Variant]
    settings: dict[str, Any] = field(default_factory=dict)


def read_ablation_file(path: Path) -> Ablation:
    """Raises ``ConfigError`` for an unreadable file, unknown keys, no seed or an unknown
    baseline.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    ablation = read_table(Ablation, raw, str(path))
    if ablation.baseline not in ablation.variants:
        raise ConfigError(f"{path}: the baseline {ablation.baseline!r} is none of its variants")
    if not ablation.seeds or len(set(ablation.seeds)) < len(ablation.seeds):
        raise ConfigError(f"{path}: seeds must be given, each once")
    return ablation


def run_ablation(
    path: Path,
    recipes: Path,
    out: Path,
    reports: Path,
    changes: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> AblationReport:
    """Train and measure every variant with every seed, one seed after the other, and write the
    report after each run, so that it may be stopped at any time: runs that are in the report with
    the same settings are not made again, and one that was cut off goes on from its checkpoint.

    ``recipes``: folder of the recipe. ``changes``: dotted settings of all runs, over the file's.
    Raises ``ConfigError`` or ``DatasetError``, also for a report that belongs to other settings.
    """
    ablation = read_ablation_file(path)
    name = path.stem
    common = {**ablation.settings, **(changes or {})}
    plan = {
        (key, seed): _recipe(recipes / f"{ablation.recipe}.toml", name, key, seed, settings)
        for seed in ablation.seeds
        for key, variant in ablation.variants.items()
        for settings in [{**common, **variant.settings}]
    }
    report = AblationReport(
        name=name,
        title=ablation.title,
        recipe=ablation.recipe,
        set=ablation.dataset,
        split="test",
        settings=common,
        baseline=ablation.baseline,
        variants={key: variant.title for key, variant in ablation.variants.items()},
        digests={
            key: recipe_digest(recipe)
            for (key, seed), recipe in plan.items()
            if seed == ablation.seeds[0]
        },
    )
    earlier = read_ablation(reports, name)
    if earlier is not None:
        if to_json(replace(earlier, runs=())) != to_json(report):
            raise ConfigError(
                f"{reports / 'ablations' / f'{name}.json'} was made with other settings: move it"
                " away to start again"
            )
        report = earlier
    if not split_records(next(iter(plan.values())).data, ablation.dataset, "test"):
        raise ConfigError(f"{path}: {ablation.dataset} has no split «test» to measure runs on")
    for (key, seed), recipe in plan.items():
        if any((run.variant, run.seed) == (key, seed) for run in report.runs):
            continue
        say(f"{name}: {key}, seed {seed}")
        folder = out / recipe.name
        trained = train(recipe, folder, same_length=True, report=say)
        run = _measure(recipe, folder, ablation.dataset, key, trained)
        report = replace(report, runs=(*report.runs, run))
        (reports / "ablations").mkdir(parents=True, exist_ok=True)
        write_json(reports / "ablations" / f"{name}.json", to_json(report))
        say(f"{name}: {key}, seed {seed}: {to_json(run)}")
    return report


def recipe_digest(recipe: Recipe) -> str:
    """Of all settings that differ from the defaults, without name, seed, card and what a run only
    watches: the same for two recipes that train alike, also when new settings come to exist.
    """
    bare = Recipe("", recipe.architecture, {}, seed=recipe.seed)
    settings = changed_settings(replace(recipe, name=""), bare) or {}
    settings.pop("schedule.watch", None)
    whole = json.dumps([recipe.architecture, settings], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _recipe(path: Path, name: str, key: str, seed: int, settings: dict[str, Any]) -> Recipe:
    named = {"name": f"ablation_{name}_{key}_{seed}", "seed": seed, "card.for_comparison": True}
    return load_recipe(path, {**settings, **named})


def _measure(
    recipe: Recipe, folder: Path, dataset: str, key: str, trained: dict[str, Any]
) -> AblationRun:
    """``trained``: what ``train`` returned for the run in ``folder``."""
    test = split_records(recipe.data, dataset, "test")
    run = load_run(recipe, folder)
    crops, answers = run.answers(test)
    ages, genders = exact_ages(test), labelled_targets(test).gender
    known = genders >= 0
    errors = np.abs(answers.years - ages)
    names = np.array([None if np.isnan(age) else band_name(age) for age in ages], dtype=object)
    bands = {band.name: stored_mean(errors[names == band.name]) for band in AGE_BANDS}
    saturated, flat = _masks(run, crops, ages, genders)
    return AblationRun(
        variant=key,
        seed=recipe.seed,
        commit=trained["commit"],
        minutes=trained["minutes"],
        pictures=trained["pictures"],
        pictures_seen=trained["pictures_seen"],
        mae=stored_mean(errors),
        gender_accuracy=stored_mean((answers.gender == genders)[known].astype(float)),
        saturated=saturated,
        flat_masks=flat,
        bands={name: found for name, found in bands.items() if found is not None},
    )


def _masks(
    run: FinishedRun, crops: np.ndarray, ages: np.ndarray, genders: np.ndarray
) -> tuple[dict[str, float], Estimate | None]:
    """By block, the share of mask values that are saturated, and what flat masks cost in years;
    nothing for a network without masks.
    """
    if not any(isinstance(module, GatedAttention) for module in run.network.modules()):
        return {}, None
    chosen = np.sort(np.random.default_rng(1).permutation(len(crops))[:MASKED])
    activity = Activity()
    own, changed = changed_answers(run.network, run, crops[chosen], activity=activity)
    masks = activity.found()
    if not any(seen.over_face or seen.between_faces for seen in masks.values()):
        return {}, None
    flat: dict[tuple[str, Change], Answers] = {(ALL_BLOCKS, "mean"): changed[ALL_BLOCKS, "mean"]}
    (effect,) = effects(own, flat, ages[chosen], genders[chosen])
    return {block: seen.saturated for block, seen in masks.items()}, effect.mae
