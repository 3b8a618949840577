"""The commands that train, publish and measure, on drawn faces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.cli.recipe_options import parse_override
from agegender_core.errors import ConfigError
from tests.support import ROOT

CONFIG = ROOT / "configs" / "multitask_cnn_dist.toml"
SMALL = [
    "--set",
    "schedule.epochs=1",
    "--set",
    "schedule.batch_size=16",
    "--set",
    "input.size=32",
    "--set",
    "schedule.sizes=[]",
]
BAD_SETTINGS = {
    "name.first=1": "name is a single value",
    "schedule.epochs.first=1": "epochs is a single value",
    "optimizer.lr=-1": "optimizer.lr must be a number above 0",
    "optimizer.lr=nan": "optimizer.lr must be a number above 0",
    "distil.temperature=0": "distil.temperature must be a number above 0",
    "augment.flip_p=1.5": "augment.flip_p must be a number between 0 and 1",
    "input.std=[0, 1, 1]": "input.std must be a number above 0",
    "heads.age=8": "a head age = 8 cannot be learned",
    "heads.sex=2": "a head sex = 2 cannot be learned",
    "data.sets=[]": "data.sets is empty",
    "loss.groups=nonsense": "loss.groups 'nonsense' is not one of adience8, fairface9",
    "schedule.sizes=[[0.5, 64], [0.0, 96]]": "in the order of their shares",
    "input.size=0": "sides of 8 to 512 pixels",
    "schedule.sizes=[[0.0, 64], [2.0, 96]]": "from a share of the run between 0 and 1",
}
runner = CliRunner()


def test_overrides_are_read_as_toml() -> None:
    assert parse_override("schedule.epochs=2") == ("schedule.epochs", 2)
    assert parse_override("optimizer.lr = 1e-3") == ("optimizer.lr", 1e-3)
    assert parse_override("optimizer.name=adam") == ("optimizer.name", "adam")
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_override("epochs")


def test_train_publish_evaluate_by_command(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path / "weights"))
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    monkeypatch.setenv("AGEGENDER_REPORTS", str(reports))  # publishing keeps the curve there
    trained = runner.invoke(
        app, ["train", str(CONFIG), "--out", str(runs), "--device", "cpu", *SMALL]
    )
    assert trained.exit_code == 0, trained.output
    assert (
        "weights publish" in trained.output and (runs / "multitask_cnn_dist" / "run.json").is_file()
    )
    # --force: these tests also run on changes that are not committed.
    published = runner.invoke(
        app, ["weights", "publish", str(runs / "multitask_cnn_dist"), "--force"]
    )
    assert published.exit_code == 0 and "val loss" in published.output
    assert (reports / "multitask_cnn_dist" / "curve.json").is_file()
    measured = runner.invoke(app, ["evaluate", "--reports", str(reports)])
    assert measured.exit_code == 0, measured.output
    folders = sorted(path.parent.name for path in reports.glob("*/*/metrics.json"))
    assert folders == ["all_age_faces", "fairface", "utkface"], (
        "all sets that are here; FG-NET is not"
    )
    report = json.loads((reports / "multitask_cnn_dist" / "utkface" / "metrics.json").read_text())
    assert report["split"] == "test" and "mae" in report["metrics"]
    path = reports / "multitask_cnn_dist" / "utkface" / "metrics.json"
    path.write_text(json.dumps(report | {"metrics": {}}))
    monkeypatch.setenv("AGEGENDER_REPORTS", str(reports))
    again = runner.invoke(app, ["evaluate", "--again"])
    assert again.exit_code == 0, again.output
    assert "multitask_cnn_dist: recomputed on" in again.output
    assert json.loads(path.read_text())["metrics"] == report["metrics"]


def test_budget_shrinks_the_schedule_instead_of_cutting_it(
    drawn_sets: Path, tmp_path: Path
) -> None:
    arguments = [
        "train",
        str(CONFIG),
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
        "--minutes",
        "0.03",
        *SMALL,
        "--set",
        "schedule.epochs=100000",
    ]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    last = json.loads((tmp_path / "multitask_cnn_dist" / "log.jsonl").read_text().splitlines()[-1])
    assert last["progress"] == 1.0 and last["minutes"] <= 0.2


@pytest.mark.parametrize(
    "arguments,complaint",
    [
        (["train", str(CONFIG), "--set", "schedule.epoch=1"], "unknown key epoch"),
        (
            ["train", str(CONFIG), "--set", "optimizer.lr=-1"],
            "optimizer.lr must be a number above 0",
        ),
        (
            ["train", str(CONFIG), "--set", "optimizer.lr=nan"],
            "optimizer.lr must be a number above 0",
        ),
        (
            ["train", str(CONFIG), "--set", "augment.flip_p=1.5"],
            "augment.flip_p must be a number betw",
        ),
        (
            ["train", str(CONFIG), "--set", "input.std=[0, 1, 1]"],
            "input.std must be a number above 0",
        ),
        (
            ["train", str(CONFIG), "--set", "schedule.sizes=[[0.0, 64], [2.0, 96]]"],
            "share of the run",
        ),
        (
            ["train", str(CONFIG), "--set", "seed=99999999999999999999999"],
            "seed must lie between 0",
        ),
        (["train", str(CONFIG), "--set", "seed=-1"], "seed must lie between 0"),
        (["train", str(CONFIG), "--set", "data.val_split=train"], "must be val or test, images th"),
        (["train", str(CONFIG), "--out", __file__], "cannot be made (Not a directory)"),
        (["train", str(CONFIG), "--device", "nonsense"], "no device called 'nonsense'"),
        (["train", str(CONFIG), "--device", "meta"], "cpu or cuda, not on 'meta'"),
        (["train", str(CONFIG), "--device", "cuda:99"], "there is no 'cuda:99' here"),
        *[(["train", str(CONFIG), "--set", given], told) for given, told in BAD_SETTINGS.items()],
        (["evaluate", "--weights", "nonsense"], "no weights called"),
        (["evaluate", "--set", "nonsense"], "unknown dataset"),
        (["weights", "publish", "/nowhere"], "no finished run"),
    ],
)
def test_mistakes_are_told_in_one_line(
    drawn_sets: Path, arguments: list[str], complaint: str
) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1 and complaint in result.output and "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1, result.output


def test_a_recipe_that_is_no_text_is_told_in_one_line(drawn_sets: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b'name = "\xff\xfe"')
    result = runner.invoke(app, ["train", str(path)])
    assert result.exit_code == 1 and "cannot read recipe" in result.output
    assert len(result.output.strip().splitlines()) == 1, result.output
