"""What worse photos cost: the damage itself, and costs that can be worked out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

from agegender_core.benchmarks import corruptions
from agegender_core.benchmarks.corruptions import (
    CORRUPTIONS,
    corrupted_crops,
    drawn,
    measure,
    run_corruptions,
)
from agegender_core.cli.application import app
from agegender_core.datasets import read_records
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_store import read_corruptions
from agegender_core.inference.model_zoo import ModelInfo, write_manifest
from agegender_core.publishing.corruption_table import (
    corruption_rows,
    corruption_table,
    rows_of,
)
from agegender_core.types import InputSpec, ModelOutput
from tests.support.networks import write_network


class Light(nn.Module):
    """Whoever is brighter is older, by 40 years from black to white; and a woman from the middle
    on.
    """

    def forward(self, images: Tensor) -> ModelOutput:
        """``images``: (N, 3, H, W) in [0, 1]."""
        light = images.mean(dim=(1, 2, 3))[:, None]
        return ModelOutput({"age": 40 * light, "gender": 0.5 - light}, ())


@pytest.fixture
def info(tmp_path: Path, drawn_sets: Path, monkeypatch: pytest.MonkeyPatch) -> ModelInfo:
    """``Light`` as the only network for use, beside one for comparison."""
    folder = tmp_path / "weights"
    folder.mkdir()
    heads = {"age": 1, "gender": 1}
    spec = InputSpec(size=32, mean=(0.0,) * 3, std=(1.0,) * 3)
    made = write_network(folder, "light", "multitask_cnn", heads, input=spec)
    other = write_network(folder, "compared", "multitask_cnn", heads, for_comparison=True)
    write_manifest([made, other], folder)
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(folder))
    monkeypatch.setattr(corruptions, "load_network", lambda info: Light())
    return made


def test_every_corruption_does_what_it_says() -> None:
    side = 128
    values = np.random.default_rng(0).integers(60, 200, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)
    before = np.asarray(image, float)
    changed = {
        name: np.asarray(one.change(image, np.random.default_rng(1)), float)
        for name, one in CORRUPTIONS.items()
    }
    for name, found in changed.items():
        assert found.shape == before.shape and np.abs(found - before).max() > 1, name
    for name in ("noise_8", "noise_16"):
        deviation = float(name.removeprefix("noise_"))
        assert (changed[name] - before).std() == pytest.approx(deviation, rel=0.05)
    assert np.ptp(changed["grey"], axis=2).max() == 0
    assert changed["dark"].mean() == pytest.approx(0.4 * before.mean(), rel=0.02)
    assert changed["faded"].std() == pytest.approx(0.5 * before.std(), rel=0.05)
    for weak, strong in (("jpeg_30", "jpeg_10"), ("blur_1", "blur_2"), ("small_48", "small_24")):
        cost = {name: np.abs(changed[name] - before).mean() for name in (weak, strong)}
        assert cost[strong] > 1.3 * cost[weak]
    again = CORRUPTIONS["noise_8"].change(image, np.random.default_rng(1))
    assert np.array_equal(np.asarray(again, float), changed["noise_8"])


def test_crops_without_damage_are_those_of_every_measurement(info: ModelInfo) -> None:
    records = read_records("utkface", "test")
    assert np.array_equal(
        corrupted_crops(records, info.input, None), load_crops(records, info.input)
    )


def test_costs_are_paired_image_by_image(info: ModelInfo) -> None:
    records = drawn(read_records("utkface", "test"), 1000)
    crops = np.asarray(load_crops(records, info.input), float) / 255
    ages = np.array([record.age for record in records])
    own = 40 * crops.mean(axis=(1, 2, 3))
    row = measure(info, records)
    assert row.mae.value == pytest.approx(np.abs(own - ages).mean(), abs=1e-3)
    cost = row.costs["dark"]
    assert cost.older == pytest.approx(-0.6 * own.mean(), rel=0.03)
    rise = np.abs(0.4 * own - ages) - np.abs(own - ages)
    assert cost.mae.value == pytest.approx(rise.mean(), abs=0.15) and cost.mae.n == len(records)
    assert cost.mae.high - cost.mae.low < 4 * rise.std() / np.sqrt(len(rise)) + 0.2
    women = np.array([record.gender == "Female" for record in records])
    now, then = own / 40 > 0.5, 0.4 * own / 40 > 0.5
    change = (then == women).mean() - (now == women).mean()
    assert cost.gender.value == pytest.approx(change, abs=0.02) and abs(change) > 0.03
    assert abs(row.costs["grey"].older) < 2 < abs(cost.older), "hardly darker or brighter"


def test_a_draw_is_always_the_same_and_of_known_ages() -> None:
    records = read_records_of(40)
    some = drawn(records, 10)
    assert some == drawn(records, 10) and len(some) == 10
    assert some == sorted(some, key=lambda record: record.row)
    assert all(record.age is not None for record in drawn(records, 100))
    assert len(drawn(records, 100)) == 39


def read_records_of(count: int) -> list:
    from agegender_core.datasets import FaceRecord

    return [
        FaceRecord("utkface", f"{row}.png", row, "test", None if row == 3 else row)
        for row in range(count)
    ]


def test_rows_of_other_weights_are_measured_again_and_others_stay(
    info: ModelInfo, tmp_path: Path
) -> None:
    reports, said = tmp_path / "reports", []
    report = run_corruptions(reports, limit=6, say=said.append)
    assert [row.weights for row in report.rows] == ["light"], "not the one for comparison"
    assert said == ["light, network 1 of 1"] and report.n == 6
    assert read_corruptions(reports) == report
    both = run_corruptions(reports, ["compared"], limit=6, say=said.append)
    assert [row.weights for row in both.rows] == ["light", "compared"]
    assert both.rows[0] == report.rows[0]
    with pytest.raises(ConfigError, match="has light on 6 images: give --limit 6"):
        run_corruptions(reports, ["compared"], limit=5, say=said.append)
    assert read_corruptions(reports) == both, "nothing is lost"
    fewer = run_corruptions(reports, ["light", "compared"], limit=5, say=said.append)
    assert fewer.n == 5 and len(fewer.rows) == 2
    write_manifest([dataclasses.replace(info, sha256="new")], info.folder)
    assert [row.weights for row in run_corruptions(reports, limit=5, say=said.append).rows] == [
        "light"
    ]
    with pytest.raises(ConfigError, match="no weights none are installed: choose from light"):
        run_corruptions(reports, ["none"])


def test_the_table_is_of_todays_weights(info: ModelInfo, tmp_path: Path) -> None:
    report = run_corruptions(tmp_path, limit=6, say=lambda text: None)
    ages, genders = (corruption_rows(report.rows, metric) for metric in ("mae", "gender_accuracy"))
    assert [row["image"] for row in ages] == [
        "as it is",
        *(one.title for one in CORRUPTIONS.values()),
    ]
    older = report.rows[0].costs["dark"].older
    (dark,) = (row for row in ages if row["image"] == "brightness 0.4")
    assert dark["light"].endswith(f"; {older:+.2f}") and dark["light"][0] in "+-"
    assert genders[0]["light"].count("(") == 1 and genders[1]["light"][0] in "+-0"
    text = corruption_table(report, [info])
    assert text.startswith("UTKFace, test, n 6,") and text.count("| brightness 0.4 |") == 2
    assert "Not measured" not in text
    spec = dataclasses.replace(info.decoding, age_temperature=2.0)
    for change in ({"name": "other"}, {"sha256": "other"}, {"decoding": spec}):
        other = dataclasses.replace(info, **change)
        assert rows_of(report, [other]) == [] and corruption_table(report, [other]) == ""
    more = [
        info,
        dataclasses.replace(info, name="later"),
        dataclasses.replace(info, name="compared", for_comparison=True),
    ]
    assert corruption_table(report, more).endswith(
        "Not measured with today's weights: `later`; `agegender corruptions` does it."
    )


def test_by_command(info: ModelInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    result = CliRunner().invoke(app, ["corruptions", "--limit", "4"])
    assert result.exit_code == 0 and "| JPEG, quality 10 |" in result.output, result.output
    assert read_corruptions(tmp_path / "reports").n == 4
    wrong = CliRunner().invoke(app, ["corruptions", "-w", "none"])
    assert wrong.exit_code == 1 and "no weights none are installed" in wrong.output
