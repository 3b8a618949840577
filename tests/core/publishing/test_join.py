"""Joining published weights: what the ensemble is, says of itself, and refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.datasets import read_records
from agegender_core.errors import ConfigError
from agegender_core.evaluation.evaluate import chip_logits, evaluate
from agegender_core.inference.model_zoo import (
    ModelInfo,
    find_weights,
    list_weights,
    load_network,
    stages_of,
    write_manifest,
)
from agegender_core.publishing import join as joining
from agegender_core.publishing.join import join
from agegender_core.publishing.readme import model_card
from agegender_core.types import InputSpec
from tests.support import CONFIGS
from tests.support.networks import HEADS, write_network

RECIPE = """
name = "both"
architecture = "ensemble"
[heads]
age = 101
gender = 2
[model]
members = [{members}]
[card]
title = "Both"
default = true
flip = false
"""
STAGE = {"start": "from scratch", "minutes": 21.0, "pictures": 58, "pictures_seen": 580}
TRAINING = {
    "sets": ["utkface"],
    "split": "train",
    "commit": "aaaaaaa",
    "stages": [STAGE | {"sets": ["utkface"], "split": "train", "commit": "aaaaaaa"}],
}


def recipe(tmp_path: Path, *names: str) -> Path:
    path = tmp_path / "both.toml"
    members = ", ".join(f'{{ weights = "{name}" }}' for name in names)
    path.write_text(RECIPE.replace("{members}", members))
    return path


def entry(folder: Path, name: str, kind: str = "distribution", **changes: Any) -> ModelInfo:
    training = TRAINING | changes.pop("training", {})
    return write_network(folder, name, "multitask_cnn", HEADS[kind], training=training, **changes)


@pytest.fixture
def weights(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, list[ModelInfo]]:
    """A folder of two networks that differ, one of them the default."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(folder))
    monkeypatch.setattr(joining, "git_commit", lambda: "bbbbbbb")
    entries = [
        entry(folder, "one", default=True),
        entry(
            folder,
            "other",
            input=InputSpec(32, mean=(0.4, 0.5, 0.6), std=(0.5, 0.5, 0.5)),
            training={"sets": ["utkface", "all_age_faces"]},
        ),
    ]
    write_manifest(entries, folder)
    return folder, entries


def test_an_ensemble_is_published_with_all_that_its_members_say(
    weights: tuple[Path, list[ModelInfo]], tmp_path: Path
) -> None:
    folder, _ = weights
    join(recipe(tmp_path, "one", "other"), folder=folder)
    info = find_weights(None, folder)  # the only default
    assert info.name == "both" and [each.default for each in list_weights(folder)].count(True) == 1
    assert info.heads == {"age": 101, "gender": 2} and "race" not in info.heads
    assert (info.input.size, info.input.mean, info.input.std) == (64, (0, 0, 0), (1, 1, 1))
    assert list(info.training["sets"]) == ["utkface", "all_age_faces"]
    assert [stage["member"] for stage in stages_of(info)] == ["one", "other"]
    assert info.training["minutes"] == 42 and info.training["commit"] == "bbbbbbb"
    card = model_card(info, [])
    assert "1. `one` from scratch: 21 minutes, 580 images, 10.0 passes over 58" in card
    assert "bbbbbbb, joined from published weights" in card
    report = evaluate(info, "utkface", tmp_path / "reports")
    assert report.weights == "both" and "mae" in report.metrics


def test_equal_members_answer_as_one_alone(
    weights: tuple[Path, list[ModelInfo]], tmp_path: Path
) -> None:
    folder, (one, _) = weights
    info = join(recipe(tmp_path, "one", "one"), folder=folder)
    records = read_records("utkface", "val")
    found = chip_logits(load_network(info), info, records)
    alone = chip_logits(load_network(one), dataclasses.replace(one, flip=False), records)
    for name, value in found.items():
        assert torch.allclose(value, alone[name].log_softmax(dim=1), atol=2e-3), name


def test_members_that_do_not_go_together_are_refused(
    weights: tuple[Path, list[ModelInfo]], tmp_path: Path
) -> None:
    folder, entries = weights
    more = [
        entry(folder, "ranges", "groups"),
        entry(folder, "wider", input=InputSpec(margin=0.3)),
        entry(folder, "unknown", training={"stages": [STAGE | {"start": "from a file"}]}),
        dataclasses.replace(entries[0], name="gone", files=("gone.safetensors",), default=False),
    ]
    write_manifest([*entries, *more], folder)
    for name, words in {
        "ranges": "member ranges has age = 9, the recipe age = 101",
        "wider": "margins 0.1 and 0.3",
        "unknown": "not known which images its member unknown",
        "gone": "member gone is not installed",
        "nobody": "no weights called 'nobody'",
    }.items():
        with pytest.raises(ConfigError, match=words):
            join(recipe(tmp_path, "one", name), folder=folder)
    with pytest.raises(ConfigError, match="made of two published weights or more"):
        join(recipe(tmp_path), folder=folder)
    assert {info.name for info in list_weights(folder)} == {
        info.name for info in [*entries, *more]
    }, "nothing was written"
    join(recipe(tmp_path, "one", "other"), folder=folder)
    with pytest.raises(ConfigError, match="member both is an ensemble"):
        join(recipe(tmp_path, "one", "both"), folder=folder)


def test_the_command_line(
    weights: tuple[Path, list[ModelInfo]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    found = runner.invoke(app, ["weights", "join", str(recipe(tmp_path, "one", "other"))])
    assert found.exit_code == 0 and "both.safetensors: val loss" in found.output
    wrong = runner.invoke(app, ["weights", "join", "multitask_cnn_dist"])
    assert wrong.exit_code and "describes a network of 'multitask_cnn': train it" in wrong.output
    trained = runner.invoke(app, ["train", "ensemble", "--out", str(tmp_path / "runs")])
    assert trained.exit_code and "it is not trained" in " ".join(trained.output.split())
    monkeypatch.setattr(joining, "git_commit", lambda: "bbbbbbb-dirty")
    dirty = runner.invoke(app, ["weights", "join", str(recipe(tmp_path, "one", "other"))])
    assert dirty.exit_code and "uncommitted changes" in " ".join(dirty.output.split())
    assert (CONFIGS / "ensemble.toml").is_file()
