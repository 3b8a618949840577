"""Comparisons of a recipe's variants over seeds."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from agegender_core.benchmarks import ablations
from agegender_core.benchmarks.ablations import read_ablation_file, recipe_digest, run_ablation
from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_store import read_ablation, read_ablations
from agegender_core.evaluation.report_types import AblationReport, AblationRun, Estimate
from agegender_core.output.json_records import to_json
from agegender_core.publishing.seed_tables import band_rows, paired_difference, seeds_section
from agegender_core.training.config import load_recipe
from tests.support import ROOT

CONFIGS = ROOT / "configs"
SMALL = {
    "schedule.epochs": 1,
    "schedule.batch_size": 8,
    "schedule.sizes": [],
    "input.size": 32,
    "model.width": 0.125,
}


def quiet(_: str) -> None:
    """Nothing is printed."""


@pytest.mark.parametrize(
    "path", sorted((CONFIGS / "ablations").glob("*.toml")), ids=lambda p: p.stem
)
def test_our_comparisons_differ_in_what_they_name_alone(path: Path) -> None:
    ablation = read_ablation_file(path)
    recipe = CONFIGS / f"{ablation.recipe}.toml"
    for variant in ablation.variants.values():
        made = load_recipe(recipe, {**ablation.settings, **variant.settings})
        assert made.start_from == "" and not made.distil.teacher, (
            "all begin alike, without a teacher"
        )
        assert not set(variant.settings) & set(ablation.settings)


def test_every_variant_is_run_with_every_seed_once(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, int]] = []
    train = ablations.train

    def noted(recipe, *arguments, **options):
        ran.append((recipe.name, recipe.seed))
        if len(ran) == 4:
            raise KeyboardInterrupt
        return train(recipe, *arguments, **options)

    monkeypatch.setattr(ablations, "train", noted)
    path = tmp_path / "controls.toml"
    text = (CONFIGS / "ablations" / "controls.toml").read_text()
    path.write_text(text.replace("seeds = [0, 1, 2]", "seeds = [0, 1]"))
    arguments = (path, CONFIGS, tmp_path / "runs", tmp_path / "reports", SMALL, quiet)
    with pytest.raises(KeyboardInterrupt):
        run_ablation(*arguments)
    half = read_ablation(tmp_path / "reports", "controls")
    assert [(run.variant, run.seed) for run in half.runs] == [
        ("masks", 0),
        ("no_masks", 0),
        ("no_gates", 0),
    ]
    report = run_ablation(*arguments)
    assert len(ran) == 7 and ran[3] == ran[4] == ("ablation_controls_masks_1", 1)
    assert report.runs[:3] == half.runs and len(report.runs) == 6
    written = (tmp_path / "reports" / "ablations" / "controls.json").read_text()
    assert json.loads(written) == to_json(report)
    assert read_ablations(tmp_path / "reports") == [report]
    for run in report.runs:
        assert run.mae.n > 0 and 0 <= run.gender_accuracy.value <= 1
        assert sum(found.n for found in run.bands.values()) == run.mae.n
        whole = sum(found.value * found.n for found in run.bands.values()) / run.mae.n
        assert whole == pytest.approx(run.mae.value, abs=1e-3)
        if run.variant == "no_masks":
            assert run.saturated == {} and run.flat_masks is None
        else:
            assert len(run.saturated) == 3 and run.flat_masks.n > 0
    assert len({run.mae for run in report.runs if run.variant == "masks"}) == 2, "seeds differ"
    assert run_ablation(*arguments) == report and len(ran) == 7
    with pytest.raises(ConfigError, match="made with other settings"):
        run_ablation(*arguments[:4], SMALL | {"schedule.epochs": 2}, quiet)
    changed = path.read_text().replace('"model.gated" = false', '"model.gate_start" = 0.5')
    (tmp_path / "other").mkdir()
    variant = tmp_path / "other" / path.name
    variant.write_text(changed)
    recipes = shutil.copytree(CONFIGS, tmp_path / "configs")
    recipe = recipes / "gra_net_dist.toml"
    recipe.write_text(recipe.read_text().replace("rotate = 10.0", "rotate = 20.0"))
    for file, folder in ((variant, CONFIGS), (path, recipes)):  # a variant's, the recipe's
        with pytest.raises(ConfigError, match="made with other settings"):
            run_ablation(file, folder, *arguments[2:])


def test_a_digest_is_of_what_trains_otherwise() -> None:
    path = CONFIGS / "gra_net_dist.toml"
    plain = recipe_digest(load_recipe(path))
    same = load_recipe(path, {"seed": 3, "name": "x", "schedule.watch": 7, "card.title": "y"})
    assert recipe_digest(same) == plain
    for change in ({"heads.gender": 1}, {"model.width": 0.5}, {"optimizer.lr": 1.0}):
        assert recipe_digest(load_recipe(path, change)) != plain


def test_seeds_are_compared_pair_by_pair() -> None:
    def run(variant: str, seed: int, mae: float) -> AblationRun:
        found = Estimate(mae, mae - 1, mae + 1, 3134)
        return AblationRun(
            variant=variant, seed=seed, commit="c", minutes=1, pictures=9, pictures_seen=90,
            mae=found, gender_accuracy=Estimate(0.9, 0.8, 1.0, 3134),
        )  # fmt: skip

    runs = [
        run("with", 0, 7.0), run("with", 1, 8.0), run("with", 2, 6.0),
        run("without", 0, 7.5), run("without", 1, 8.7), run("without", 2, 6.3),
        run("other", 0, 9.0),
    ]  # fmt: skip
    found = paired_difference(runs, "without", "with", "mae")
    assert found.value == pytest.approx(0.5) and found.n == 3
    # Student, 2 degrees of freedom: 4.3027 * 0.2 / sqrt(3)
    assert (found.low, found.high) == pytest.approx((0.5 - 0.49683, 0.5 + 0.49683), abs=1e-4)
    assert paired_difference(runs, "other", "with", "mae") is None
    report = AblationReport(
        name="x", title="Masks", recipe="gra_net_dist", set="utkface", split="test", settings={},
        baseline="with", variants={"without": "no masks", "with": "masks", "other": "something"},
        runs=tuple(runs),
    )  # fmt: skip
    text = seeds_section(report)
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert rows[0].startswith("| masks | 3 | 7.00 (7.00, 8.00, 6.00) | – |")
    assert rows[1].startswith("| no masks | 3 | 7.50 (7.50, 8.70, 6.30) | +0.50 (+0.00 to +1.00) |")
    assert "| 1 | 9.00 (9.00) | one seed |" in rows[2]
    assert "90 images a run" in text and "n 3,134" in text
    assert "n 0" in seeds_section(AblationReport(**{**vars(report), "runs": ()}))


def test_errors_by_band_stand_beside_the_baselines() -> None:
    def run(variant: str, seed: int, young: float, old: float) -> AblationRun:
        bands = {"0-9": Estimate(young, 0, 9, 385), "70+": Estimate(old, 0, 9, 196)}
        return AblationRun(
            variant=variant, seed=seed, commit="c", minutes=1, pictures=9, pictures_seen=90,
            mae=Estimate(5, 4, 6, 581), gender_accuracy=None, bands=bands,
        )  # fmt: skip

    report = AblationReport(
        name="x", title="Bands", recipe="gra_net_dist", set="utkface", split="test", settings={},
        baseline="alike", variants={"rare": "rare ones more", "alike": "alike"},
        runs=(run("rare", 0, 3.0, 8.0), run("alike", 0, 2.0, 10.0), run("alike", 1, 3.0, 11.0)),
    )  # fmt: skip
    assert band_rows(report) == [
        {
            "variant": "alike",
            "seeds": "2",
            "0-9, n 385": "2.50",
            "70+, n 196": "10.50",
            "mean of the bands": "6.50",
        },
        {
            "variant": "rare ones more",
            "seeds": "1",
            "0-9, n 385": "3.00 (+1.00)",  # from the baseline's run of the same seed
            "70+, n 196": "8.00 (-2.00)",
            "mean of the bands": "5.50",
        },
    ]
    assert "| rare ones more | 1 | 3.00 (+1.00) | 8.00 (-2.00) | 5.50 |" in seeds_section(report)
    before = dataclasses.replace(report.runs[1], bands={}, seed=2)
    mixed = dataclasses.replace(report, runs=(before, *report.runs))
    assert band_rows(mixed) == band_rows(report), "runs made before there were bands"
    alone = dataclasses.replace(report, runs=report.runs[:1])
    assert band_rows(alone)[0]["0-9, n 385"] == "3.00", "nothing to compare with yet"
    assert band_rows(dataclasses.replace(report, runs=())) == []


def test_a_wrong_file_is_one_sentence(tmp_path: Path) -> None:
    text = (CONFIGS / "ablations" / "controls.toml").read_text()
    path = tmp_path / "mine.toml"
    for old, new, said in (
        ('baseline = "masks"', 'baseline = "mask"', "baseline 'mask' is none of its variants"),
        ("seeds = [0, 1, 2]", "seeds = [0, 0]", "each once"),
        ("seeds = [0, 1, 2]", "seeds = []", "seeds must be given"),
        ("title = ", "titel = ", "unknown key titel"),
        ("[settings]", "[settings", "cannot read"),
    ):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(ConfigError, match=said):
            read_ablation_file(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_ablation_file(tmp_path / "none.toml")
