"""Recipes, augmentation, losses, and one whole run on drawn faces: train, stop, go on, publish,
evaluate.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from agegender_core.benchmarks.leakage import run_leakage
from agegender_core.datasets import FaceRecord, near_duplicates, read_records
from agegender_core.datasets.near_duplicates import has_near_duplicate
from agegender_core.errors import ConfigError, WeightsMissingError
from agegender_core.evaluation.evaluate import PREDICTION_COLUMNS, evaluate
from agegender_core.inference.decoding import DecodingSpec
from agegender_core.inference.model_zoo import (
    find_weights,
    list_weights,
    load_network,
    load_tensors,
    stages_of,
    write_manifest,
)
from agegender_core.inference.quantization import pack, unpack
from agegender_core.labels import AGE_GROUP_SETS, FAIRFACE_GROUPS, FAIRFACE_RACES, race_set
from agegender_core.models import create_model
from agegender_core.output.json_records import to_json
from agegender_core.publishing.publish import publish, recalibrate
from agegender_core.publishing.readme import model_card
from agegender_core.training import crop_dataset, trainer
from agegender_core.training.augmentation import augment, centre
from agegender_core.training.batchnorm import recompute_batchnorm_stats
from agegender_core.training.config import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    load_recipe,
    recipe_from_dict,
)
from agegender_core.training.crop_dataset import load_split, split_records
from agegender_core.training.initialization import centre_years, load_initial
from agegender_core.training.losses import (
    TargetBatch,
    age_distribution_loss,
    band_weights,
    class_loss,
    gaussian_labels,
    group_targets,
    head_loss,
    race_loss,
    total_loss,
    two_value_loss,
    two_value_targets,
    validation_loss,
)
from agegender_core.training.trainer import crop_size, learning_rate, start, step, train, update_ema
from agegender_core.training.validation import mixed_precision, predict_logits, quick_metrics
from agegender_core.vision.preprocessing import normalise
from tests.support import CONFIGS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_load_and_go_through_json(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem and recipe.card.title and recipe.card.paper
    assert recipe_from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


@pytest.mark.parametrize(
    "text,complaint",
    [
        ("colour = 1", "unknown key colour"),
        ("[schedule]\nepoch = 3", "unknown key epoch"),
        ("[schedule]\nepochs = 'many'", "expected int"),
        ("[optimizer]\nname = 'sgd'", "not one of"),
        ("[input]\nmean = [0.5]", "expected 3 values"),
        ("seed = true", "expected int"),
        ("=", "cannot read"),
    ],
)
def test_wrong_recipes_are_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    head = 'name = "x"\narchitecture = "multitask_cnn"\nheads = {age = 101, gender = 2}\n'
    path = tmp_path / "x.toml"
    path.write_text(head + text)
    with pytest.raises(ConfigError, match=complaint):
        load_recipe(path)


def test_heads_must_say_what_is_learned(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('name = "x"\narchitecture = "multitask_cnn"\nheads = {age = 101}')
    with pytest.raises(ConfigError, match="expected gender and age"):
        load_recipe(path)


def test_schedule_warms_up_falls_and_grows_the_crop() -> None:
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml")
    rates = [learning_rate(recipe, progress) for progress in np.linspace(0, 1, 101)]
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(recipe.optimizer.lr, rel=0.01) and peak == 8
    assert rates[0] < rates[4] < rates[peak] and all(
        a >= b for a, b in zip(rates[peak:], rates[peak + 1 :], strict=False)
    )
    assert crop_size(recipe, 0.0) == 48 and crop_size(recipe, 0.9) == recipe.input.size
    paper = load_recipe(CONFIGS / "multitask_cnn_paper.toml")
    assert {learning_rate(paper, progress) for progress in (0, 0.5, 1)} == {1e-3} and crop_size(
        paper, 0.0
    ) == 64


def wide_batch() -> torch.Tensor:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.integers(0, 255, (6, 3, 12, 12), dtype=np.uint8)).float()
    return torch.nn.functional.interpolate(coarse, size=(96, 96), mode="bilinear").to(torch.uint8)


def test_augmentation_switched_off_is_the_centre_crop() -> None:
    wide, generator = wide_batch(), torch.Generator().manual_seed(0)
    same = augment(wide, 64, 64 / 96, AugmentConfig(flip_p=0, affine_p=0), generator)
    assert torch.equal(centre(wide, 64, 64 / 96), wide[..., 16:80, 16:80].float())
    assert (same - wide[..., 16:80, 16:80]).abs().max() < 0.01
    mirrored = augment(wide, 64, 64 / 96, AugmentConfig(flip_p=1, affine_p=0), generator)
    assert (mirrored - wide[..., 16:80, 16:80].flip(3)).abs().max() < 0.01


def test_augmentation_is_seeded_bounded_and_varied() -> None:
    config = load_recipe(CONFIGS / "multitask_cnn_dist.toml").augment
    one, two, other = (
        augment(wide_batch(), 64, 64 / 96, config, torch.Generator().manual_seed(seed))
        for seed in (5, 5, 6)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert one.shape == (6, 3, 64, 64) and one.min() >= 0 and one.max() <= 255
    grey = augment(wide_batch(), 64, 64 / 96, AugmentConfig(grey_p=1.0), torch.Generator())
    assert (grey - grey.mean(dim=1, keepdim=True)).abs().max() < 0.5
    assert centre(wide_batch(), 48, 64 / 96).shape == (6, 3, 48, 48)


def targets(
    lo: list[int], hi: list[int], gender: list[int] | None = None, race: torch.Tensor | None = None
) -> TargetBatch:
    count = len(lo)
    sexes = torch.tensor(gender if gender is not None else [0] * count)
    return TargetBatch(
        torch.tensor(lo),
        torch.tensor(hi),
        sexes,
        race if race is not None else torch.zeros(count, 7),
    )


def test_gaussian_labels_sum_to_one_and_peak_at_the_age() -> None:
    labels = gaussian_labels(torch.tensor([0, 40, 100]), 2.5)
    assert torch.allclose(labels.sum(dim=1), torch.ones(3)) and labels.argmax(dim=1).tolist() == [
        0,
        40,
        100,
    ]
    assert labels[1, 42] / labels[1, 40] == pytest.approx(np.exp(-(2**2) / (2 * 2.5**2)))


def test_age_loss_of_a_range_is_the_mass_outside_it() -> None:
    logits = torch.zeros(1, 101)
    loss = age_distribution_loss(logits, targets([20], [29]), LossConfig())
    assert float(loss) == pytest.approx(-np.log(10 / 101))
    inside = torch.full((1, 101), -50.0)
    inside[0, 20:30] = 0
    assert float(age_distribution_loss(inside, targets([20], [29]), LossConfig())) == pytest.approx(
        0, abs=1e-5
    )


def test_age_loss_is_least_at_the_label_and_ignores_the_unlabelled() -> None:
    exact, config = targets([40], [40]), LossConfig(mean_l1=0.0)
    right = gaussian_labels(torch.tensor([40]), config.sigma).clamp(min=1e-30).log()
    assert float(age_distribution_loss(right, exact, config)) == pytest.approx(0, abs=1e-4)
    off = gaussian_labels(torch.tensor([44]), config.sigma).clamp(min=1e-30).log()
    assert age_distribution_loss(off, exact, config) > 1
    both = torch.cat([right, torch.randn(1, 101)])
    assert float(age_distribution_loss(both, targets([40, -1], [40, -1]), config)) == pytest.approx(
        0, abs=1e-4
    )
    logits = torch.zeros(3, 101, requires_grad=True)
    age_distribution_loss(logits, targets([-1, 5, 60], [-1, 5, 100]), LossConfig()).backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[0].abs().sum() == 0


def test_noise_has_the_spread_asked_for_and_compression_leaves_blocks() -> None:
    flat = torch.full((400, 3, 48, 48), 128, dtype=torch.uint8)
    plain = {"flip_p": 0.0, "affine_p": 0.0}

    def changed(**values: float) -> torch.Tensor:
        config = AugmentConfig(**plain, **values)
        return augment(flat.clone(), 48, 1.0, config, torch.Generator().manual_seed(0)) - 128

    noisy = changed(noise_p=1.0, noise=20.0)
    spread = noisy.flatten(1).std(dim=1)
    assert 0 <= spread.min() < 2 and 17 < spread.max() < 22, "deviations from 0 to the largest"
    assert 9 < spread.mean() < 11 and abs(noisy.mean()) < 0.2
    grey = (noisy[:, 0] == noisy[:, 2]).flatten(1).all(dim=1)
    step = (noisy[:, :, 0::2, 0::2] - noisy[:, :, 1::2, 1::2]).abs().flatten(1).amax(dim=1)
    coarse = step < 1e-3
    assert 0.4 < grey.float().mean() < 0.6 and 0.4 < coarse.float().mean() < 0.6
    some = changed(noise_p=0.25, noise=20.0).flatten(1).abs().amax(dim=1) > 1e-2
    assert 0.15 < some.float().mean() < 0.35
    assert changed(jpeg_p=1.0, jpeg_quality=1).abs().max() <= 2, "one colour stays one colour"
    ramp = (torch.arange(48 * 48).view(1, 1, 48, 48) * 7919 % 256).to(torch.uint8)
    images = ramp.expand(8, 3, 48, 48).contiguous()
    config = AugmentConfig(**plain, jpeg_p=1.0, jpeg_quality=10)
    pressed = augment(images, 48, 1.0, config, torch.Generator().manual_seed(0))
    errors = (pressed - images).flatten(1).abs().mean(dim=1)
    assert errors.min() > 1 and errors.max() > 2 * errors.min(), "of different qualities"
    assert pressed.min() >= 0 and pressed.max() <= 255
    for quality in (0, 96):
        with pytest.raises(ConfigError, match="jpeg_quality must lie in 1 to 95"):
            load_recipe(CONFIGS / "multitask_cnn_dist.toml", {"augment.jpeg_quality": quality})


def test_ages_weigh_by_their_band_in_training_alone(
    drawn_sets: Path,
) -> None:
    bands = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
    rows = targets([5, 9, 10, 70, 100, 3, 20, 70], [5, 9, 10, 70, 100, 9, 29, 200])
    assert band_weights(rows, bands).tolist() == [1, 1, 2, 8, 8, 1, 3, 8]
    assert band_weights(rows, ()).tolist() == [1] * 8
    torch.manual_seed(0)
    logits = torch.randn(8, 101)
    plain = age_distribution_loss(logits, rows, LossConfig())
    alike = age_distribution_loss(logits, rows, LossConfig(age_bands=(2.0,) * 8))
    assert torch.allclose(plain, alike), "the same weight for all changes nothing"
    each = torch.stack(
        [
            age_distribution_loss(
                logits[index : index + 1],
                rows.each(lambda x, at=index: x[at : at + 1]),
                LossConfig(),
            )
            for index in range(8)
        ]
    )
    expected = (each * band_weights(rows, bands)).sum() / band_weights(rows, bands).sum()
    found = age_distribution_loss(logits, rows, LossConfig(age_bands=bands))
    assert torch.allclose(found, expected, atol=1e-5)
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", {"loss.age_bands": list(bands)})
    val = load_split(recipe, "val")
    model = create_model(recipe.architecture, recipe.heads)
    alike = dataclasses.replace(recipe, loss=dataclasses.replace(recipe.loss, age_bands=()))
    assert quick_metrics(model, val, recipe, 64) == quick_metrics(model, val, alike, 64)
    logits = predict_logits(model.eval(), val, recipe, 64)
    unlike = float(total_loss(logits, val.targets, recipe.loss))
    assert unlike != pytest.approx(validation_loss(logits, val.targets, recipe.loss), rel=1e-4)


def test_weights_of_bands_need_a_distribution_of_ages() -> None:
    with pytest.raises(ConfigError, match="a head age = 101, which two_branch_cnn does not have"):
        load_recipe(CONFIGS / "two_branch_cnn.toml", {"loss.age_bands": [1.0] * 8})


@pytest.mark.parametrize(
    "weights", [[1.0] * 7, [1.0] * 7 + [0.0], [1.0] * 7 + [float("nan")], [float("inf")] * 8]
)
def test_wrong_weights_of_bands_are_one_sentence(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="a weight above 0 for each of the 8 bands of ages"):
        load_recipe(CONFIGS / "multitask_cnn_dist.toml", {"loss.age_bands": weights})


def test_race_loss_counts_the_whole_set_a_label_may_mean() -> None:
    sets = torch.zeros(2, len(FAIRFACE_RACES))
    sets[0, list(race_set("Asian", "utkface5"))] = 1
    assert float(race_loss(torch.zeros(2, 7), sets)) == pytest.approx(-np.log(2 / 7))
    logits = torch.zeros(2, 7, requires_grad=True)
    race_loss(logits, sets).backward()
    assert torch.isfinite(logits.grad).all() and logits.grad[1].abs().sum() == 0


def test_gender_loss_skips_unknowns() -> None:
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert float(class_loss(logits, torch.tensor([0, -1]))) == pytest.approx(np.log(1 + np.exp(-3)))
    assert float(class_loss(logits, torch.tensor([-1, -1]))) == 0


def test_the_papers_own_heads_have_the_papers_losses() -> None:
    batch, config = (
        targets([37, 30, -1], [37, 39, -1], gender=[1, 0, -1]),
        LossConfig(gender_smoothing=0.0),
    )
    one = head_loss("gender", torch.tensor([[2.0], [-1.0], [9.0]]), batch, config)
    assert float(one) == pytest.approx((np.log(1 + np.exp(-2)) + np.log(1 + np.exp(-1))) / 2), (
        "binary cross-entropy of a sigmoid"
    )
    assert float(head_loss("age", torch.tensor([[40.0], [0.0], [0.0]]), batch, config)) == 9, (
        "squared error, exact ages only"
    )
    assert float(head_loss("digit", torch.tensor([[5.0], [0.0], [0.0]]), batch, config)) == 4
    assert float(head_loss("decade", torch.zeros(3, 10), batch, config)) == pytest.approx(
        np.log(10)
    )
    assert float(head_loss("age", torch.zeros(3, 9), batch, config)) == pytest.approx(np.log(9)), (
        "two ages lie in one range each"
    )
    logits = {"decade": torch.eye(10)[9:] * 50, "digit": torch.tensor([[9.0]])}
    assert float(total_loss(logits, targets([100], [100]), config)) == pytest.approx(0, abs=1e-4), (
        "with ten decades 100 counts as 99"
    )
    logits = {"decade": torch.eye(11)[10:] * 50, "digit": torch.tensor([[0.0]])}
    assert float(total_loss(logits, targets([100], [100]), config)) == pytest.approx(0, abs=1e-4)


def test_two_values_leave_gaps_and_straddling_ranges_out() -> None:
    batch = targets([30, 35, 0, 20, 70], [30, 35, 2, 29, 100], gender=[1, 1, 0, 0, -1])
    wanted, usable = two_value_targets(batch, "adience8")
    assert usable.tolist() == [True, False, True, False, False] and wanted[usable].tolist() == [
        [4, 1],
        [0, 0],
    ]
    values = torch.tensor([[5.0, 1.0], [99.0, 99.0], [0.0, 0.5], [9.0, 9.0], [7.0, 0.0]])
    assert float(two_value_loss(values, batch, LossConfig())) == pytest.approx((1 + 0.25) / 2)


def test_ema_moves_by_its_decay() -> None:
    model, average = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)
    model.running_mean.fill_(10.0)
    model.num_batches_tracked.fill_(7)
    update_ema(average, model, 0.9)
    assert torch.allclose(average.running_mean, torch.ones(2)) and average.num_batches_tracked == 7


SMALL = {
    "schedule.epochs": 30,
    "schedule.batch_size": 16,
    "schedule.sizes": [[0.0, 32]],
    "input.size": 32,
    "optimizer.ema": 0.9,
    "optimizer.lr": 3e-3,
}


def test_a_run_learns_resumes_publishes_and_is_measured(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"schedule.epochs": 2})
    run, messages = tmp_path / "run", []
    first = train(recipe, run, device="cpu", report=messages.append)
    assert first["pictures_seen"] < 30 * 172 and (run / "model.safetensors").is_file()
    longer = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL)
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    del saved["recipe"]["fresh"]  # as if made before there was such a setting
    torch.save(saved, run / "checkpoint.pt")
    result, details = run / "model.safetensors", run / "run.json"
    with result.open("rb") as old_result, details.open() as old_details:
        before = result.read_bytes(), details.read_text()
        done = train(longer, run, device="cpu", report=messages.append)
        # Replaced, not written over: whoever reads meanwhile has the old files, complete.
        assert (old_result.read(), old_details.read()) == before
    assert (
        any("resumed" in line for line in messages)
        and done["pictures_seen"] > first["pictures_seen"]
    )
    assert first["settings"]["schedule.epochs"] == 2 and first["settings"]["input.size"] == 32
    assert done["settings"] == first["settings"] | {"schedule.epochs": SMALL["schedule.epochs"]}
    losses = [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]
    other = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"optimizer.lr": 1e-4})
    with pytest.raises(ConfigError, match="another recipe"):
        train(other, run, device="cpu", report=messages.append)

    weights = tmp_path / "weights"
    info = publish(run, folder=weights)
    assert info.decoding.coverage == 0.8 and info.training["val_loss"] > 0
    assert find_weights(None, weights) == list_weights(weights)[0] and load_network(info)
    small = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"card.storage": "int8"})
    (run / "run.json").write_text(json.dumps(done | {"recipe": small.as_dict()}))
    packed = publish(run, folder=weights, force=True)
    assert packed.size < 0.3 * (run / "model.safetensors").stat().st_size and load_network(packed)
    assert (
        abs(info.training["storage_cost"]["mae"])
        < abs(packed.training["storage_cost"]["mae"]) + 0.01
        < 1
        and packed.parameters == info.parameters
    )
    (run / "run.json").write_text(json.dumps(done))
    publish(run, folder=weights, force=True)
    heavier = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"loss.gender": 3.0})
    (run / "run.json").write_text(json.dumps(done | {"recipe": heavier.as_dict()}))
    again = publish(run, folder=weights)  # the same network, its loss weighed otherwise: no worse
    assert again.training["val_loss"] > info.training["val_loss"]
    (run / "run.json").write_text(json.dumps(done))
    publish(run, folder=weights)

    with monkeypatch.context() as patch:
        ruined = {"heads.age.weight": lambda value: value * float("nan")}
        patch.setattr(
            "agegender_core.publishing.publish.pack",
            lambda tensors, kind: {
                k: ruined.get(k, torch.clone)(v) for k, v in pack(tensors, kind).items()
            },
        )
        with pytest.raises(ConfigError, match="storing multitask_cnn_dist as half costs"):
            publish(run, folder=weights)
        assert find_weights(None, weights).sha256 == info.sha256, "what was there stays"

    worse = tmp_path / "worse"
    train(
        load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"schedule.epochs": 1}),
        worse,
        device="cpu",
        report=messages.append,
    )
    with pytest.raises(ConfigError, match="worse"):
        publish(worse, folder=weights)
    assert sorted(path.name for path in weights.iterdir()) == [
        "manifest.toml",
        "multitask_cnn_dist.safetensors",
    ]
    assert publish(worse, folder=weights, force=True).sha256 != info.sha256


def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a pass, with dropout and augmentation: the same images in the same order, the same
    weights to the last bit.
    """
    settings = SMALL | {"schedule.epochs": 2, "model.dropout": 0.3, "data.sets": ["utkface"]}
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", settings)
    seen: list[list[int]] = []
    one_step = trainer.step

    def stopping_after(steps: int) -> None:
        seen.clear()

        def step(recipe: Any, state: Any, crops: Any, batch: torch.Tensor) -> float:
            if len(seen) == steps:
                raise KeyboardInterrupt
            seen.append(batch.tolist())
            return one_step(recipe, state, crops, batch)

        monkeypatch.setattr(trainer, "step", step)

    stopping_after(10_000)
    train(recipe, tmp_path / "whole", device="cpu", report=lambda text: None)
    whole, half = list(seen), len(seen) // 4 + 1
    stopping_after(half)
    arguments: dict[str, Any] = {"device": "cpu", "checkpoint_seconds": -1}
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", report=lambda text: None, **arguments)
    first = list(seen)
    stopping_after(10_000)
    train(recipe, tmp_path / "cut", report=lambda text: None, **arguments)
    assert first + seen == whole and len(whole) > half
    bytes_of = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert bytes_of[0] == bytes_of[1]


def test_quick_metrics_of_age_ranges_are_right_where_the_answers_are(
    drawn_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head of FairFace's nine ranges, and one of two values with Adience's eight groups."""
    from agegender_core.training import validation

    for name, groups in (("residual_cnn", FAIRFACE_GROUPS), ("multitask_cnn_paper", None)):
        recipe = load_recipe(
            CONFIGS / f"{name}.toml", {"input.size": 32, "data.sets": ["utkface", "fairface"]}
        )
        crops = load_split(recipe, "val")
        groups = groups or AGE_GROUP_SETS[recipe.loss.groups]
        true = group_targets(crops.targets, groups)
        if "age" in recipe.heads:
            logits = {"age": 9.0 * torch.nn.functional.one_hot(true.clamp(min=0), 9).float()}
        else:
            logits = {"targets": torch.stack([true.float(), crops.targets.gender.float()], dim=1)}
        if "gender" in recipe.heads:
            logits["gender"] = torch.zeros(len(crops), recipe.heads["gender"])
        if "race" in recipe.heads:
            logits["race"] = torch.zeros(len(crops), recipe.heads["race"])
        monkeypatch.setattr(validation, "predict_logits", lambda *_, found=logits: found)
        model = create_model(recipe.architecture, recipe.heads, **recipe.model)
        found = validation.quick_metrics(model, crops, recipe, 32)
        right = {key: value for key, value in found.items() if "group" in key or "age_acc" in key}
        wanted = {f"{one}/group_accuracy" for one in ("utkface", "fairface")}
        assert "age" not in recipe.heads or set(right) == wanted | {"fairface/age_accuracy"}
        assert right and all(value == 1.0 for value in right.values()), right


def test_recomputed_batch_norm_has_the_statistics_of_the_training_images(drawn_sets: Path) -> None:
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"data.sets": ["utkface"]})
    torch.manual_seed(0)
    model = create_model(recipe.architecture, recipe.heads, **recipe.model).eval()
    crops = load_split(recipe, "train")
    before = copy.deepcopy(model.state_dict())
    found = recompute_batchnorm_stats(model, recipe, crops)
    assert not model.training and {
        module.momentum for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)
    } == {0.1}
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert {name for name in changed if not name.endswith("num_batches_tracked")} == set(found)
    first = next(
        name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)
    )
    seen: list[torch.Tensor] = []
    model.get_submodule(first).register_forward_pre_hook(
        lambda module, given: seen.append(given[0].detach())
    )
    with torch.no_grad():
        model.train()(normalise(centre(crops.wide, recipe.input.size, crops.view), recipe.input))
    torch.testing.assert_close(
        found[f"{first}.running_mean"], seen[0].mean(dim=(0, 2, 3)), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(
        found[f"{first}.running_var"], seen[0].var(dim=(0, 2, 3)), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize(
    "name", ["two_branch_cnn", "gra_net_dist", "efficientnet_lite0", "efficientnet_lite2"]
)
def test_every_kind_of_batch_norm_is_settled(name: str, drawn_sets: Path) -> None:
    """The two-branch network's dense layers have one-dimensional norms, timm's a class of its
    own.
    """
    recipe = load_recipe(
        CONFIGS / f"{name}.toml",
        {"data.sets": ["utkface"], "input.size": 32, "schedule.cpu_bf16": False},
    )
    model = create_model(recipe.architecture, recipe.heads, **recipe.model).train()
    before = copy.deepcopy(model.state_dict())
    found = recompute_batchnorm_stats(model, recipe, load_split(recipe, "train"))
    kept = {key for key in before if key.endswith(("running_mean", "running_var"))}
    assert set(found) == kept and model.training
    assert not [key for key in kept if torch.equal(before[key], found[key])]


def test_statistics_are_measured_without_dropout(drawn_sets: Path) -> None:
    recipe = load_recipe(CONFIGS / "multitask_cnn_paper.toml", SMALL)
    model = create_model(recipe.architecture, recipe.heads, **recipe.model)
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout2d)]
    rates += [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert any(rates), "what this is about"
    crops = load_split(recipe, "train")
    once, again = (
        {
            name: value.clone()
            for name, value in recompute_batchnorm_stats(model, recipe, crops).items()
        }
        for _ in range(2)
    )
    model.eval()
    assert all(torch.equal(once[name], again[name]) for name in once)
    after = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout2d)]
    after += [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert after == rates


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_name_their_start(path: Path) -> None:
    assert "start_from" in tomllib.loads(path.read_text())


def test_shear_is_an_angle_and_brightness_has_a_middle() -> None:
    """The third paper's numbers: a shear of 0.1 degrees is nothing one sees, brightness is 0.4 to
    1.4.
    """
    lines = torch.zeros(64, 3, 96, 96, dtype=torch.uint8)
    lines[..., 46:50] = 200  # an upright bar
    still = AugmentConfig(flip_p=0)
    moved = {}
    for degrees in (0.1, 20.0):
        seen = augment(
            lines,
            64,
            64 / 96,
            dataclasses.replace(still, shear=degrees),
            torch.Generator().manual_seed(0),
        )
        columns = torch.arange(64.0)
        top, bottom = (
            (seen[:, 0, row] * columns).sum(1) / seen[:, 0, row].sum(1) for row in (2, 61)
        )
        moved[degrees] = float((top - bottom).abs().max())
    assert moved[0.1] < 0.2 and moved[20.0] == pytest.approx(59 * np.tan(np.radians(20)), rel=0.1)
    config = load_recipe(CONFIGS / "two_branch_cnn.toml").augment
    assert config == dataclasses.replace(load_recipe(CONFIGS / "xception.toml").augment)
    grey = torch.full((4000, 3, 6, 6), 100, dtype=torch.uint8)
    only = AugmentConfig(
        flip_p=0, brightness=config.brightness, brightness_middle=config.brightness_middle
    )
    found = (
        augment(grey, 4, 4 / 6, only, torch.Generator().manual_seed(0)).mean(dim=(1, 2, 3)) / 100
    )
    assert float(found.min()) == pytest.approx(0.4, abs=0.02) and float(
        found.max()
    ) == pytest.approx(1.4, abs=0.02)


def test_coarse_rounding_and_runs_without_an_average_recompute_batchnorm(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = SMALL | {"schedule.epochs": 1, "data.sets": ["utkface"]}
    asked: list[str] = []
    for module, home in (("loop", "training.trainer"), ("publish", "publishing.publish")):
        monkeypatch.setattr(
            f"agegender_core.{home}.recompute_batchnorm_stats",
            lambda *given, where=module: asked.append(where) or recompute_batchnorm_stats(*given),
        )
    for ema, storage, wanted in (
        (0.9, "half", []),
        (0.0, "half", ["loop"]),
        (0.0, "int6", ["loop", "publish"]),
    ):
        asked.clear()
        run = tmp_path / f"{ema}-{storage}"
        recipe = load_recipe(
            CONFIGS / "multitask_cnn_dist.toml",
            changes | {"optimizer.ema": ema, "card.storage": storage},
        )
        train(recipe, run, device="cpu", report=lambda text: None)
        publish(run, folder=tmp_path / f"weights-{ema}-{storage}", force=True)
        assert asked == wanted


def test_weights_come_from_commits(drawn_sets: Path, tmp_path: Path) -> None:
    changes = SMALL | {"schedule.epochs": 1, "data.sets": ["utkface"]}
    done = train(
        load_recipe(CONFIGS / "multitask_cnn_dist.toml", changes),
        tmp_path / "run",
        device="cpu",
        report=lambda text: None,
    )
    for commit in ("abc1234-dirty", "unknown"):
        (tmp_path / "run" / "run.json").write_text(json.dumps(done | {"commit": commit}))
        with pytest.raises(ConfigError, match="commit first"):
            publish(tmp_path / "run", folder=tmp_path / "weights", clean=True)
    (tmp_path / "run" / "run.json").write_text(json.dumps(done | {"commit": "abc1234"}))
    assert (
        publish(tmp_path / "run", folder=tmp_path / "weights", clean=True).training["commit"]
        == "abc1234"
    )


def test_stages_are_kept_and_a_reading_can_be_fitted_again(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path / "weights"))
    changes = SMALL | {"schedule.epochs": 2, "data.sets": ["utkface"]}
    for stage, start_from in enumerate(("", "published")):
        recipe = load_recipe(
            CONFIGS / "multitask_cnn_dist.toml", changes | {"start_from": start_from}
        )
        train(recipe, tmp_path / str(stage), device="cpu", report=lambda text: None)
        publish(tmp_path / str(stage), force=True)
    stages = stages_of(find_weights("multitask_cnn_dist"))
    assert [stage["start"].split(" ")[1] for stage in stages] == ["scratch", "the"] and all(
        stage["pictures_seen"] for stage in stages
    )
    card = model_card(find_weights("multitask_cnn_dist"), [])
    assert (
        "1. from scratch: " in card
        and "; 2. from the published weights" in card
        and " passes over 58" in card
    )
    before = find_weights("multitask_cnn_dist")
    write_manifest(
        [dataclasses.replace(before, decoding=DecodingSpec(coverage=0.8))], tmp_path / "weights"
    )
    after = recalibrate("multitask_cnn_dist")
    assert (
        after.decoding == before.decoding == find_weights("multitask_cnn_dist").decoding
        and after.sha256 == before.sha256
    )


def test_evaluation_of_a_set_writes_both_files(drawn_sets: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(
        load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"schedule.epochs": 12}),
        run,
        device="cpu",
        report=lambda text: None,
    )
    info = publish(run, folder=tmp_path / "weights")
    report = evaluate(info, "fairface", tmp_path / "reports")
    folder = tmp_path / "reports" / info.name / "fairface"
    table = pd.read_parquet(folder / "predictions.parquet")
    assert tuple(table.columns) == PREDICTION_COLUMNS and len(table) == report.n
    assert json.loads((folder / "metrics.json").read_text()) == to_json(report)
    assert report.metrics["gender_accuracy"].value > 0.8, "the drawn background tells the gender"
    assert {"fairface9_accuracy", "race_accuracy"} <= set(
        report.metrics
    ) and "mae" not in report.metrics
    assert set(report.slices) == {"age", "gender", "race"} and "gender_gap" in report.metrics


@pytest.mark.parametrize(
    "name",
    [
        "gra_net_dist",
        "gra_net_paper",
        "two_branch_cnn",
        "xception",
        "residual_cnn",
        "efficientnet_lite0",
        "efficientnet_lite2",
    ],
)
def test_every_systems_recipe_takes_a_step(name: str, drawn_sets: Path) -> None:
    recipe = load_recipe(CONFIGS / f"{name}.toml", {"schedule.batch_size": 4})
    crops, state = load_split(recipe, "train"), start(recipe, torch.device("cpu"))
    before = [parameter.detach().clone() for parameter in state.model.parameters()]
    loss = step(recipe, state, crops, torch.arange(4))
    assert np.isfinite(loss)
    moved = [
        not torch.equal(old, new) for old, new in zip(before, state.model.parameters(), strict=True)
    ]
    assert np.mean(moved) > 0.9


def test_the_papers_recipe_trains_on_two_values(drawn_sets: Path, tmp_path: Path) -> None:
    changes = {"schedule.epochs": 3, "schedule.batch_size": 16, "input.size": 32}
    run = train(
        load_recipe(CONFIGS / "multitask_cnn_paper.toml", changes),
        tmp_path / "run",
        device="cpu",
        report=lambda text: None,
    )
    assert run["pictures"] < 2 * 58, "ages in Adience's gaps are left out"
    info = publish(tmp_path / "run", folder=tmp_path / "weights")
    assert info.decoding.kind == "two_values" and info.decoding.margins
    report = evaluate(info, "all_age_faces", tmp_path / "reports")
    assert {"mae", "adience8_accuracy", "interval_coverage"} <= set(report.metrics)
    assert "fairface9_accuracy" not in report.metrics


def test_random_split_keeps_sizes_and_mixes_images(drawn_sets: Path) -> None:
    own, dealt = DataConfig(sets=("utkface",)), DataConfig(sets=("utkface",), resplit="random")
    for split in ("train", "val", "test"):
        mine, theirs = split_records(own, "utkface", split), split_records(dealt, "utkface", split)
        assert len(mine) == len(theirs) and {record.file for record in mine} != {
            record.file for record in theirs
        }
        assert {record.split for record in theirs} == {split}
    parts = [
        {record.row for record in split_records(dealt, "utkface", split)}
        for split in ("train", "val", "test")
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)), "no image is in two splits"
    assert [record.row for record in split_records(dealt, "utkface", "val")] == sorted(parts[1]), (
        "always dealt alike"
    )


def test_leakage_is_measured_by_each_split_and_earlier_runs_are_kept(
    drawn_sets: Path, tmp_path: Path
) -> None:
    changes = SMALL | {"schedule.epochs": 1, "schedule.batch_size": 8}
    recipe, runs, reports = (
        CONFIGS / "multitask_cnn_dist.toml",
        tmp_path / "runs",
        tmp_path / "reports",
    )
    run_leakage(recipe, runs, reports, changes, ("random",), say=lambda text: None)
    found = run_leakage(recipe, runs, reports, changes, ("leak_free",), say=lambda text: None)
    assert json.loads((reports / "leakage.json").read_text()) == to_json(found)
    assert [run.split for run in found.runs] == ["leak_free", "random"]
    for run in found.runs:
        counts = [part.n for part in (run.mae_with_twin, run.mae_without_twin) if part]
        assert sum(counts) == run.mae.n > 0 and 0 <= run.gender_accuracy.value <= 1
    again = run_leakage(recipe, runs, reports, changes, ("leak_free",), say=lambda text: None)
    assert len(again.runs) == 2, "the same recipe and split is replaced"
    with pytest.raises(ConfigError, match="not to be published"):
        publish(runs / "leakage_multitask_cnn_dist_random", folder=tmp_path / "weights")


def test_the_third_papers_split_is_a_stratified_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        FaceRecord("utkface", f"{row}.jpg", row, "train", age=row % 90) for row in range(500)
    ]
    monkeypatch.setattr(crop_dataset, "read_records", lambda name: records)
    monkeypatch.setattr(crop_dataset, "PAPER_COUNT", 400)
    data = DataConfig(sets=("utkface",), resplit="stratified_age_bins")
    parts = {split: split_records(data, "utkface", split) for split in ("train", "val", "test")}
    assert {split: len(found) for split, found in parts.items()} == {
        "train": 360,
        "val": 20,
        "test": 20,
    }
    assert len({record.row for found in parts.values() for record in found}) == 400
    assert {record.split for record in parts["test"]} == {"test"}
    assert (
        abs(
            np.mean([record.age for record in parts["test"]])
            - np.mean([record.age for record in parts["train"]])
        )
        < 5
    )


def aged(ages: list[int]) -> TargetBatch:
    """Images of exact ages, and one of whom only a range is known."""
    low, high = torch.tensor([*ages, 0]), torch.tensor([*ages, 2])
    nothing = torch.full((len(low),), -1)
    return TargetBatch(low, high, nothing, torch.zeros(len(low), 7))


def test_one_number_for_age_starts_at_the_mean_age() -> None:
    model = create_model("two_branch_cnn", {"age": 1, "gender": 1})
    centre_years(model, aged([-1, 20, 40]))
    assert model.ends.heads["age"].bias.item() == 30 and model.ends.heads["gender"].bias.item() == 0
    other = create_model("multitask_cnn", {"age": 101, "gender": 2})
    before = copy.deepcopy(other.state_dict())
    centre_years(other, aged([20]))
    assert all(torch.equal(before[key], value) for key, value in other.state_dict().items())


def test_a_run_starts_from_what_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml")
    published, model = (
        load_network_plain(),
        create_model(recipe.architecture, recipe.heads, **recipe.model),
    )
    assert load_initial(model, recipe) == "from scratch"
    assert "published weights multitask_cnn_dist" in load_initial(
        model, dataclasses.replace(recipe, start_from="published")
    )
    assert all(torch.equal(published[key], value) for key, value in model.state_dict().items())
    other = create_model(recipe.architecture, recipe.heads, **recipe.model)
    save_file(pack(model.state_dict(), "int8"), tmp_path / "run.safetensors")
    assert (
        load_initial(
            other, dataclasses.replace(recipe, start_from=str(tmp_path / "run.safetensors"))
        )
        == "from run.safetensors"
    )
    assert not torch.equal(
        other.state_dict()["heads.age.weight"],
        torch.zeros_like(other.state_dict()["heads.age.weight"]),
    )
    with pytest.raises(WeightsMissingError, match=r"none\.safetensors"):
        load_initial(
            other, dataclasses.replace(recipe, start_from=str(tmp_path / "none.safetensors"))
        )
    with pytest.raises(ConfigError, match="ImageNet weights are for xception"):
        load_initial(other, dataclasses.replace(recipe, start_from="imagenet"))
    save_file({"w": torch.zeros(3)}, tmp_path / "small.safetensors")
    with pytest.raises(ConfigError, match="do not fit"):
        load_initial(
            other, dataclasses.replace(recipe, start_from=str(tmp_path / "small.safetensors"))
        )


def test_parts_named_fresh_start_from_scratch(tmp_path: Path) -> None:
    recipe = load_recipe(
        CONFIGS / "gra_net_ablation_mixed.toml", {"model.width": 0.125, "fresh": ["mask_branch"]}
    )
    # Its mask branch has no norm: it would not fit.
    donor = create_model("gra_net", recipe.heads, width=0.125)
    save_file(donor.state_dict(), tmp_path / "donor.safetensors")
    recipe = dataclasses.replace(recipe, start_from=str(tmp_path / "donor.safetensors"))
    model = create_model("gra_net", recipe.heads, **recipe.model)
    began = copy.deepcopy(model.state_dict())
    assert load_initial(model, recipe) == "from donor.safetensors, mask_branch from scratch"
    for name, value in model.state_dict().items():
        assert torch.equal(
            value, began[name] if "mask_branch" in name else donor.state_dict()[name]
        ), name
    with pytest.raises(ConfigError, match="do not fit"):
        load_initial(model, dataclasses.replace(recipe, fresh=()))
    with pytest.raises(ConfigError, match="fresh names nowhere"):
        load_initial(model, dataclasses.replace(recipe, fresh=("nowhere",)))


def load_network_plain() -> dict[str, torch.Tensor]:
    return unpack(load_tensors(find_weights("multitask_cnn_dist")))


def test_xception_starts_from_imagenet_weights_where_they_are(tmp_path: Path) -> None:
    recipe = load_recipe(CONFIGS / "xception.toml")
    assert recipe.start_from == "imagenet"
    model, donor = (create_model("xception", recipe.heads) for _ in range(2))
    torch.save(donor.trunk.state_dict(), tmp_path / "imagenet.pth")
    assert (
        load_initial(model, dataclasses.replace(recipe, start_from=str(tmp_path / "imagenet.pth")))
        == "from the file imagenet.pth"
    )
    assert torch.equal(model.trunk.conv1.weight, donor.trunk.conv1.weight)


def test_bfloat16_is_asked_for_by_the_recipe_and_stays_close() -> None:
    recipe = load_recipe(CONFIGS / "gra_net_dist.toml")
    assert recipe.schedule.cpu_bf16
    off = load_recipe(CONFIGS / "gra_net_dist.toml", {"schedule.cpu_bf16": False})
    layer, x = torch.nn.Linear(64, 64), torch.randn(8, 64)
    with mixed_precision(off, torch.device("cpu")):
        assert layer(x).dtype == torch.float32
    with mixed_precision(recipe, torch.device("cpu")):
        answer = layer(x)
    assert answer.dtype == (
        torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
    )
    assert torch.allclose(answer.float(), layer(x), atol=0.05)


def test_twins_are_found_by_their_looks(drawn_sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = read_records("utkface")
    assert has_near_duplicate(records[:5], records).all(), "an image is its own twin"
    noise = np.random.default_rng(0).normal(size=(20, 576)).astype(np.float32)
    noise[15] = noise[3] + 0.05 * noise[7]
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    monkeypatch.setattr(
        near_duplicates, "_thumbnails", lambda items: noise[items.start : items.stop]
    )
    assert np.flatnonzero(has_near_duplicate(range(10), range(10, 20))).tolist() == [3]
