"""What a run is said to come from stays true, however often it was stopped, gone on with, or
published: commits, starting weights, teachers, log.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.errors import ConfigError, DatasetError
from agegender_core.evaluation.evaluate import evaluate
from agegender_core.inference.model_zoo import (
    find_weights,
    from_clean_commit,
    list_weights,
    stages_of,
    write_manifest,
)
from agegender_core.publishing.publish import publish, recalibrate
from agegender_core.training import trainer
from agegender_core.training.config import Recipe, load_recipe
from agegender_core.training.curves import save_curve
from agegender_core.training.trainer import train
from tests.support import CONFIGS
from tests.support.networks import write_networks

NAME = "multitask_cnn_dist"
SMALL: dict[str, Any] = {
    "schedule.batch_size": 16,
    "schedule.sizes": [],
    "schedule.watch": 0,
    "input.size": 32,
    "data.sets": ["utkface"],
    "schedule.epochs": 1,
}


def recipe(**changes: Any) -> Recipe:
    return load_recipe(CONFIGS / f"{NAME}.toml", SMALL | changes)


@pytest.fixture
def weights(drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of weights of one's own."""
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path / "weights"))
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    return tmp_path / "weights"


@pytest.fixture
def commit(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The commit that runs are told, under «now»."""
    told = {"now": "aaaaaaa"}
    monkeypatch.setattr(trainer, "git_commit", lambda: told["now"])
    return told


def silent(line: str) -> None:
    pass


def trained(out: Path, found: Recipe, **options: Any) -> dict[str, Any]:
    return train(found, out, device="cpu", report=silent, **options)


def test_a_resumed_run_names_every_commit_it_had(
    drawn_sets: Path, tmp_path: Path, commit: dict[str, str]
) -> None:
    commit["now"] = "aaaaaaa-dirty"
    trained(tmp_path / "run", recipe())
    commit["now"] = "bbbbbbb"
    longer = trained(tmp_path / "run", recipe(**{"schedule.epochs": 2}))
    assert longer["commit"] == "aaaaaaa-dirty, bbbbbbb" and not from_clean_commit(longer)
    assert from_clean_commit({"commit": "aaaaaaa, bbbbbbb"})


def test_weights_of_unknown_training_are_not_measured(tmp_path: Path, weights: Path) -> None:
    """As by protocols: they may have learned from the test images."""
    weights.mkdir()
    write_networks(weights)
    info = find_weights("distribution", weights)
    stage = {"start": "from somewhere.safetensors", "sets": ["utkface"], "split": "train"}
    foreign = dataclasses.replace(info, training=info.training | {"stages": [stage]})
    with pytest.raises(ConfigError, match="not known which images distribution learned from"):
        evaluate(foreign, "utkface", tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_a_finished_run_is_not_made_new_by_starting_it_again(
    drawn_sets: Path, tmp_path: Path, commit: dict[str, str]
) -> None:
    run = tmp_path / "run"
    commit["now"] = "aaaaaaa-dirty"
    trained(run, recipe())
    first = json.loads((run / "run.json").read_text())
    before = (run / "model.safetensors").stat().st_mtime_ns
    commit["now"] = "bbbbbbb"
    again = trained(run, recipe(**{"card.title": "Another title"}))
    assert again["recipe"]["card"]["title"] == "Another title"
    assert json.loads((run / "run.json").read_text()) == again
    again["recipe"]["card"] = first["recipe"]["card"]
    assert again == first and (run / "model.safetensors").stat().st_mtime_ns == before


def test_a_run_that_goes_on_cannot_be_published_before_its_end(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    run = tmp_path / "run"
    trained(run, recipe())
    monkeypatch.setattr(trainer, "step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        trained(run, recipe(**{"schedule.epochs": 3}))
    with pytest.raises(ConfigError, match="no finished run"):
        publish(run, folder=weights, force=True)


def test_passes_after_the_checkpoint_are_logged_once(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after a pass was logged and before the next checkpoint."""
    run, longer = tmp_path / "run", recipe(**{"schedule.epochs": 3})
    trained(run, recipe())
    own, calls = trainer.TrainState.save, []

    def fail(state: Any, path: Path, found: Recipe) -> None:
        calls.append(state.step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.TrainState, "save", fail)
        with pytest.raises(KeyboardInterrupt):
            trained(run, longer)
    assert own is trainer.TrainState.save and calls
    trained(run, longer)
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1.0, 2.0, 3.0]


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    trained(run, recipe())
    before = (run / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(trainer, "step", lambda *_: float("nan"))
    with pytest.raises(ConfigError, match=r"loss is nan at step .* lower optimizer.lr"):
        trained(run, recipe(**{"schedule.epochs": 2}), checkpoint_seconds=0)
    assert (run / "checkpoint.pt").read_bytes() == before


def test_comparisons_go_on_only_from_a_run_of_their_length(
    drawn_sets: Path, tmp_path: Path
) -> None:
    trained(tmp_path / "run", recipe())
    with pytest.raises(ConfigError, match="another recipe"):
        trained(tmp_path / "run", recipe(**{"schedule.epochs": 2}), same_length=True)
    assert trained(tmp_path / "run", recipe(), same_length=True)["pictures_seen"] > 0


def test_weights_published_meanwhile_do_not_become_a_stage_of_others(
    tmp_path: Path, weights: Path
) -> None:
    """Two runs from the same weights, published one after the other."""
    reports = tmp_path / "reports"
    trained(tmp_path / "first", recipe())
    first = publish(tmp_path / "first", folder=weights, force=True)
    save_curve(first, tmp_path / "first", reports)
    for seed, name in ((1, "b"), (2, "c")):
        trained(tmp_path / name, recipe(start_from="published", seed=seed))
    for name in ("b", "c", "c"):  # one of them twice
        before = find_weights(NAME, weights).sha256
        info = publish(tmp_path / name, folder=weights, force=True)
        save_curve(info, tmp_path / name, reports, before)
        assert len(stages_of(info)) == 2, name
        assert stages_of(info)[0] == stages_of(first)[0]
    curve = json.loads((reports / NAME / "curve.json").read_text())
    # Of c alone: the curve of the weights it went on from was replaced by that of b.
    assert len(curve["stages"]) == 1 and curve["weights_sha256"] == info.sha256
    with pytest.raises(ConfigError, match="only weights that a run went on from"):
        publish(tmp_path / "b", folder=weights, force=True, interpolate=0.5)


def test_a_teacher_that_was_replaced_meanwhile_is_noticed(tmp_path: Path, weights: Path) -> None:
    """Also that the first run and one whose teacher is cached start from the same values."""
    weights.mkdir()
    write_networks(weights)
    teacher = find_weights("distribution", weights)
    taught = recipe(**{"distil.teacher": teacher.name})
    run = tmp_path / "run"
    assert trained(run, taught)["teachers"] == {teacher.name: teacher.sha256}
    first = torch.load(run / "checkpoint.pt", weights_only=True)["model"]
    trained(run, taught, resume=False)
    second = torch.load(run / "checkpoint.pt", weights_only=True)["model"]
    assert all(torch.equal(first[name], second[name]) for name in first)
    others = [info for info in list_weights(weights) if info != teacher]
    write_manifest([*others, dataclasses.replace(teacher, sha256="0" * 64)], weights)
    with pytest.raises(ConfigError, match="taught by weights that have been replaced"):
        trained(run, recipe(**{"distil.teacher": teacher.name, "schedule.epochs": 2}))


def test_fresh_parts_of_nothing_are_refused(drawn_sets: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fresh .* means nothing"):
        trained(tmp_path / "run", recipe(fresh=["heads"]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"data.val_split": "test"}, "chosen on «test»"),
        ({"data.split": "val"}, "learned from «val»"),
    ],
)
def test_weights_that_saw_other_splits_are_not_published(
    tmp_path: Path, weights: Path, changes: dict[str, str], told: str
) -> None:
    trained(tmp_path / "run", recipe(**changes))
    with pytest.raises(ConfigError, match=told):
        publish(tmp_path / "run", folder=weights, force=True)


def test_images_that_were_learned_are_not_measured_on(tmp_path: Path, weights: Path) -> None:
    trained(tmp_path / "run", recipe())
    info = publish(tmp_path / "run", folder=weights, force=True)
    seen = dataclasses.replace(info, training={"sets": ["utkface"], "split": "test"})
    with pytest.raises(ConfigError, match="trained on «test» of utkface"):
        evaluate(seen, "utkface", tmp_path / "reports")
    with pytest.raises(DatasetError):
        evaluate(info, "fgnet", tmp_path / "reports")  # not here


def test_new_calibration_leaves_no_number_of_the_old_one(tmp_path: Path, weights: Path) -> None:
    trained(tmp_path / "run", recipe())
    info = publish(tmp_path / "run", folder=weights, force=True)
    measured = {"utkface test": {"n": 1, "mae": 1.0}}
    write_manifest([dataclasses.replace(info, measured=measured)], weights)
    assert recalibrate(NAME, weights).measured == measured, "nothing has changed"
    odd = dataclasses.replace(info.decoding, gender_temperature=3.21)
    write_manifest([dataclasses.replace(info, measured=measured, decoding=odd)], weights)
    assert recalibrate(NAME, weights).measured == {} == dict(find_weights(NAME, weights).measured)


def test_a_run_without_its_weights_is_told_in_one_line(tmp_path: Path, weights: Path) -> None:
    trained(tmp_path / "run", recipe())
    (tmp_path / "run" / "model.safetensors").write_bytes(b"cut off")
    result = CliRunner().invoke(app, ["weights", "publish", str(tmp_path / "run"), "--force"])
    assert result.exit_code == 1 and "cannot be read" in result.output
    assert len(result.output.strip().splitlines()) == 1, result.output
