"""Learning curves: kept when weights are published, gone on with by a later stage, drawn, and kept
of experiments.
"""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.cli.recipe_options import parse_override
from agegender_core.datasets import read_records
from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_store import read_curves
from agegender_core.inference.model_zoo import (
    ModelInfo,
    find_weights,
    list_weights,
    load_tensors,
    stages_of,
    trained_on,
    write_manifest,
)
from agegender_core.publishing.publish import publish
from agegender_core.publishing.readme import settings_words, stages_words
from agegender_core.training.config import load_recipe, recipe_from_dict
from agegender_core.training.curves import fits, read_log, save_curve
from agegender_core.training.trainer import train
from tests.support import CONFIGS, ROOT
from ui.models import learning

SMALL: dict[str, Any] = {
    "schedule.batch_size": 16,
    "schedule.sizes": [],
    "input.size": 32,
    "data.sets": ["utkface"],
    "schedule.epochs": 2,
}


@pytest.fixture
def places(drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of weights and reports of one's own."""
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path / "weights"))
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_published_weights_keep_their_curve_through_all_stages(places: Path) -> None:
    for stage, begin in enumerate(("", "published")):
        recipe = load_recipe(
            CONFIGS / "multitask_cnn_dist.toml", SMALL | {"start_from": begin, "schedule.watch": 20}
        )
        train(recipe, places / str(stage), device="cpu", report=lambda text: None)
        run("weights", "publish", str(places / str(stage)), "--force")
    info = find_weights("multitask_cnn_dist")
    for stage, entry in enumerate(stages_of(info)):
        changes = dict(parse_override(f"{k}={json.dumps(v)}") for k, v in entry["settings"].items())
        again = load_recipe(CONFIGS / "multitask_cnn_dist.toml", changes)
        details = json.loads((places / str(stage) / "run.json").read_text())
        assert again == recipe_from_dict(details["recipe"]), "what is kept makes the same recipe"
    again = places / "1" / "run.json"
    details = json.loads(again.read_text())
    again.write_text(json.dumps(details | {"settings": None, "origin": None}))
    run("weights", "publish", str(places / "1"), "--force")
    assert stages_of(find_weights("multitask_cnn_dist")) == stages_of(info), "a run counts once"
    first, second = settings_words(info).split("; ")
    assert f"(commit {info.training['commit']})" in second and first.startswith("1. `--set ")
    assert second.startswith("2. `--set start_from=published --set input.size=32 --set 'data.sets")
    none = {"stages": [{"settings": {}, "commit": "abc"}, {"commit": "def"}]}
    changed = dataclasses.replace(info, training=info.training | none)
    assert settings_words(changed) == "1. nothing (commit abc); 2. not kept (commit def)"
    curve = read_curves(places / "reports")["multitask_cnn_dist"]
    assert (
        curve.weights_sha256 == find_weights("multitask_cnn_dist").sha256 and len(curve.stages) == 2
    )
    rows = curve.joined()
    assert [row["stage"] for row in rows] == sorted(row["stage"] for row in rows)
    assert all(a["epoch"] < b["epoch"] for a, b in pairwise(rows)) and rows[-1][
        "epoch"
    ] == pytest.approx(4, abs=0.5)
    assert {
        "loss",
        "val_loss",
        "utkface/mae",
        "train utkface/mae",
        "train utkface/gender_accuracy",
    } <= set(rows[0])
    assert learning.offered(curve) == ["mae", "gender_accuracy", "loss"]
    counted = len(read_records("utkface", "val"))
    assert f"Validation images (UTKFace {counted}) after each pass" in learning.caption(curve)
    lines = learning.figure(curve, "mae").data
    assert [(line.name, line.line.dash) for line in lines] == [
        ("UTKFace, validation images", "solid"),
        ("UTKFace, training images", "dash"),
    ]
    assert (
        lines[0].y[0] == rows[0]["utkface/mae"]
        and len(learning.figure(curve, "mae").layout.shapes) == 1
    ), "where the stage begins"
    assert learning.figure(curve, "gender_accuracy").data[0].y[0] == pytest.approx(
        100 * rows[0]["utkface/gender_accuracy"]
    )


def test_weights_between_a_run_and_what_it_went_on_from(places: Path) -> None:
    for name, begin in (("first", ""), ("second", "published")):
        settings = SMALL | {"start_from": begin, "schedule.epochs": 1}
        recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", settings)
        train(recipe, places / name, device="cpu", report=lambda text: None)
        if not begin:
            run("weights", "publish", str(places / name), "--force")
    first, weights = find_weights("multitask_cnn_dist"), places / "weights"
    for folder, share, complaint in (
        ("first", 0.5, "did not go on from published weights"),
        ("second", 1.5, "must lie between 0 and 1, got 1.5"),
        ("second", float("nan"), "must lie between 0 and 1, got nan"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            publish(places / folder, folder=weights, force=True, interpolate=share)
    before = load_tensors(first)
    run("weights", "publish", str(places / "second"), "--force", "--interpolate", "0.25")
    between, info = load_tensors(find_weights(first.name)), find_weights(first.name)
    after = load_file(places / "second" / "model.safetensors")
    for name, value in between.items():
        wanted = after[name]
        if value.is_floating_point():
            wanted = 0.75 * before[name].float() + 0.25 * after[name].float()
        assert torch.allclose(value.float(), wanted.float(), rtol=2e-3, atol=1e-4), name
    assert stages_of(info)[-1]["interpolate"] == 0.25
    assert "published 0.25 of the way from its start to its end" in stages_words(info)
    with pytest.raises(ConfigError, match="only weights that a run went on from"):
        other = dataclasses.replace(info, training=info.training | {"pictures_seen": 1})
        write_manifest([other], weights)
        publish(places / "second", folder=weights, force=True, interpolate=0.5)


def test_terms_are_those_of_every_stage(places: Path) -> None:
    for stage, (begin, sets) in enumerate((("", ["utkface"]), ("published", ["fairface"]))):
        settings = SMALL | {"start_from": begin, "data.sets": sets, "schedule.epochs": 1}
        recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", settings)
        train(recipe, places / str(stage), device="cpu", report=lambda text: None)
        run("weights", "publish", str(places / str(stage)), "--force")
    info = find_weights("multitask_cnn_dist")
    assert "FairFace: CC BY 4.0" in info.terms and "UTKFace: non-commercial" in info.terms
    assert trained_on(info) == [(("utkface",), "train"), (("fairface",), "train")]


LOG = '{"epoch": 1.0, "minutes": 1.0, "loss": 2.0, "val_loss": 2.1}\n'
GONE_ON = "from the published weights net, 400 images in"


def published(folder: Path, sha256: str, *starts: str) -> ModelInfo:
    """An entry whose stages began as ``starts`` say."""
    stages = [{"start": start, "pictures": 100, "minutes": 1.0} for start in starts]
    return dataclasses.replace(
        find_weights("multitask_cnn_dist", CONFIGS.parent / "weights"),
        name="net",
        sha256=sha256,
        folder=folder,
        training={"start": starts[-1], "pictures": 100, "stages": stages},
    )


@pytest.fixture
def logged(drawn_sets: Path, tmp_path: Path) -> Path:
    """A run of one pass."""
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL)
    (tmp_path / "log.jsonl").write_text(LOG)
    (tmp_path / "run.json").write_text(json.dumps({"recipe": recipe.as_dict()}))
    return tmp_path


def test_stages_of_other_weights_are_not_gone_on_from(logged: Path) -> None:
    tmp_path = logged
    save_curve(published(tmp_path, "trial", "from scratch"), tmp_path, tmp_path)
    new = published(tmp_path, "new", "from scratch", GONE_ON)
    save_curve(new, tmp_path, tmp_path, replaced="other")
    curve = read_curves(tmp_path)["net"]
    assert [stage.start for stage in curve.stages] == [GONE_ON] and curve.begins_late
    assert "before were not recorded" in learning.figure(curve, "loss").layout.xaxis.title.text
    assert fits(curve, new)

    save_curve(published(tmp_path, "old", "from scratch"), tmp_path, tmp_path)
    save_curve(new, tmp_path, tmp_path, replaced="old")
    curve = read_curves(tmp_path)["net"]
    assert [stage.start for stage in curve.stages] == ["from scratch", GONE_ON]
    assert fits(curve, new) and not curve.begins_late
    assert "not recorded" not in learning.figure(curve, "loss").layout.xaxis.title.text
    save_curve(new, tmp_path, tmp_path, replaced="new")
    assert read_curves(tmp_path)["net"] == curve, "published twice, told once"


def test_a_curve_fits_its_own_weights_and_stages_alone(logged: Path) -> None:
    tmp_path = logged
    info = published(tmp_path, "one", "from scratch")
    save_curve(info, tmp_path, tmp_path)
    curve = read_curves(tmp_path)["net"]
    assert fits(curve, info)
    assert not fits(curve, dataclasses.replace(info, sha256="another"))
    assert not fits(curve, published(tmp_path, "one", "from ImageNet weights"))
    fewer = {"start": "from scratch", "stages": [{"start": "from scratch", "pictures": 65520}]}
    assert not fits(curve, dataclasses.replace(info, training=fewer))
    (tmp_path / "log.jsonl").unlink()
    assert save_curve(info, tmp_path, tmp_path, replaced="one") is None
    assert read_curves(tmp_path) == {}, "the curve was of the weights that are gone"


def test_every_curve_in_the_reports_is_of_the_weights_in_the_manifest() -> None:
    known = {info.name: info for info in list_weights(ROOT / "weights")}
    curves = read_curves(ROOT / "reports")
    assert {"efficientnet_lite0", "gra_net_dist"} <= set(curves)
    for name, curve in curves.items():
        assert curve.stages and all(stage.rows for stage in curve.stages)
        if curve.experiment is None:
            assert fits(curve, known[name]), name


def test_trial_weights_do_not_put_their_curve_into_the_repository(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGEGENDER_REPORTS")
    refused = CliRunner().invoke(app, ["weights", "publish", str(places / "run")])
    assert refused.exit_code == 1
    assert "under AGEGENDER_REPORTS" in " ".join(refused.output.split())


def test_beginning_again_begins_the_log_again(places: Path) -> None:
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL)
    counts = []
    for _ in range(2):
        train(recipe, places / "run", device="cpu", resume=False, report=lambda text: None)
        counts.append(len(read_log(places / "run")))
    assert counts[0] == counts[1] > 0


def test_watched_images_do_not_change_what_is_learned(places: Path) -> None:
    found = []
    for watch in (0, 20):
        recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"schedule.watch": watch})
        found.append(
            train(recipe, places / str(watch), device="cpu", report=lambda text: None)["val"]
        )
    assert found[0] == found[1]


def test_an_experiment_has_a_curve_and_is_not_published(places: Path) -> None:
    changes = SMALL | {"model.width": 0.125, "schedule.cpu_bf16": False}
    train(
        load_recipe(CONFIGS / "memorise.toml", changes),
        places / "runs" / "memorise",
        device="cpu",
        report=lambda text: None,
    )
    details = places / "runs" / "memorise" / "run.json"
    committed = json.loads(details.read_text()) | {"commit": "abc1234"}  # the tree here may not be
    details.write_text(json.dumps(committed))
    refused = CliRunner().invoke(app, ["weights", "publish", str(details.parent)])
    assert refused.exit_code != 0 and "not to be published" in " ".join(refused.output.split())
    run("curve", str(places / "runs" / "memorise"))
    curve = read_curves(places / "reports")["memorise"]
    assert (
        curve.experiment == "Memorisation experiment" and "train utkface/mae" in curve.joined()[0]
    )
    found, pictures = curve.measured_on, curve.stages[0].pictures
    assert found is not None and (found.split, found.resplit) == ("test", "random")
    assert curve.stages[0].held_out == {"utkface": found.pictures}
    assert (
        not found.augmented
        and curve.stages[0].watched == pictures
        and 0 < found.pictures < pictures
    )


def test_an_experiment_never_replaces_the_curve_of_published_weights(places: Path) -> None:
    recipe = load_recipe(CONFIGS / "multitask_cnn_dist.toml", SMALL | {"schedule.epochs": 1})
    train(recipe, places / "run", device="cpu", report=lambda text: None)
    details = places / "run" / "run.json"
    committed = json.loads(details.read_text()) | {"commit": "abc1234"}
    details.write_text(json.dumps(committed))
    run("weights", "publish", str(details.parent))
    before = (places / "reports" / "multitask_cnn_dist" / "curve.json").read_bytes()
    refused = CliRunner().invoke(app, ["curve", str(details.parent)])
    assert refused.exit_code and "name of published weights" in " ".join(refused.output.split())
    assert (places / "reports" / "multitask_cnn_dist" / "curve.json").read_bytes() == before


@pytest.mark.parametrize("content", ["[]", "{}", '{"recipe": 3}', '{"recipe": {"name": "a"}}', "{"])
def test_what_is_no_finished_run_is_one_sentence(places: Path, content: str) -> None:
    folder = places / "run"
    folder.mkdir()
    (folder / "run.json").write_text(content)
    for command in (["curve"], ["weights", "publish"]):
        found = CliRunner().invoke(app, [*command, str(folder)])
        assert found.exit_code and isinstance(found.exception, SystemExit), found.exception
        assert "run" in found.output and "uncommitted" not in found.output


def test_after_an_experiment_training_points_to_its_curve(places: Path) -> None:
    small = {"model.width": 0.125, "schedule.cpu_bf16": "false", "schedule.epochs": 1}
    small["schedule.batch_size"] = 16
    changes = [f"--set={key}={value}" for key, value in small.items()]
    recipe, runs = str(CONFIGS / "memorise.toml"), places / "runs"
    words = run("train", recipe, "--out", str(runs), "--device", "cpu", *changes)
    assert f"next: agegender curve {runs / 'memorise'}" in words and "publish" not in words


def test_missing_and_damaged_logs_are_one_sentence(places: Path) -> None:
    folder = places / "run"
    folder.mkdir()
    missing = CliRunner().invoke(app, ["curve", str(folder)])
    assert missing.exit_code != 0 and "contains no finished run" in " ".join(missing.output.split())
    with pytest.raises(ConfigError, match=r"log\.jsonl is missing"):
        read_log(folder)
    (folder / "log.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(ConfigError, match=r"log\.jsonl is damaged"):
        read_log(folder)
    info = find_weights("multitask_cnn_dist", CONFIGS.parent / "weights")
    assert save_curve(info, places / "nowhere", places) is None
    assert json.loads((folder / "log.jsonl").read_text().splitlines()[0]) == {"epoch": 1}
