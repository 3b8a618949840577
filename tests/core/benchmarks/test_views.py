"""One view or two: counted on drawn faces by a network whose answers can be worked out by hand,
measured once for each set of weights, and told of today's weights alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from agegender_core.benchmarks import networks, views
from agegender_core.cli.application import app
from agegender_core.datasets import read_records
from agegender_core.datasets.crop_cache import load_crops
from agegender_core.errors import DatasetError
from agegender_core.evaluation.report_store import read_views
from agegender_core.evaluation.report_types import Estimate
from agegender_core.evaluation.speed_reports import ViewsCompared, ViewsReport, ViewsRow
from agegender_core.inference.model_zoo import ModelInfo, write_manifest
from agegender_core.labels import FAIRFACE_GROUPS, GENDERS, group_index
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.publishing import publish, views_table
from agegender_core.types import ModelOutput
from tests.support.networks import HEADS, write_network

SETS = ["utkface", "all_age_faces", "fairface"]


class LeftHalf(nn.Module):
    """Knows the left half of a crop alone, so that the mirrored crop has another answer. ``kind``:
    of ``HEADS``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, images: Tensor) -> ModelOutput:
        """``images``: (N, 3, H, W)."""
        light = images[..., : images.shape[3] // 2].mean(dim=(1, 2, 3))[:, None]  # (N, 1)
        years = 50 + 20 * light
        if self.kind == "regression":
            return ModelOutput({"age": years, "gender": light}, ())
        if self.kind == "two_values":
            return ModelOutput({"targets": torch.cat([years / 12, light], dim=1)}, ())
        logits = -0.5 * ((torch.arange(101) - years) / 6) ** 2
        return ModelOutput({"age": logits, "gender": torch.cat([-light, light], dim=1)}, ())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, in use."""
    made = tmp_path / "weights"
    made.mkdir()
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(made))
    return made


@pytest.fixture
def one_network(
    folder: Path, drawn_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ModelInfo]:
    """Publishes a ``LeftHalf`` of a kind."""

    def made(kind: str, **changes) -> ModelInfo:
        network = LeftHalf(kind)
        for module in (views, publish):
            monkeypatch.setattr(module, "load_network", lambda info: network)
        changes = {"training": {"sets": SETS}, "flip": True} | changes
        info = write_network(folder, kind, "multitask_cnn", HEADS[kind], **changes)
        write_manifest([info], folder)
        return info

    return made


def test_both_views_are_counted_as_by_hand(one_network: Callable[..., ModelInfo]) -> None:
    info = one_network("regression")
    light, ages, male, where = [], [], [], []
    for name in SETS:
        records = read_records(name, "val")
        crops = np.asarray(load_crops(records, info.input), dtype=float) / 255
        images = (crops - info.input.mean) / info.input.std
        half = images.shape[2] // 2
        light += [
            (left, (left + right) / 2)
            for left, right in zip(
                images[:, :, :half].mean(axis=(1, 2, 3)),
                images[:, :, -half:].mean(axis=(1, 2, 3)),
                strict=True,
            )
        ]
        ages += [np.nan if record.age is None else record.age for record in records]
        male += [record.gender == GENDERS[1] for record in records]
        where += [name] * len(records)
    years, right = 50 + 20 * np.array(light), (np.array(light) > 0) == np.array(male)[:, None]
    errors, names = np.abs(years - np.array(ages)[:, None]), np.array(where)  # (N, 2)
    (row,) = views.run_views().rows
    assert set(row.mae) == {"utkface", "all_age_faces"}
    for name, found in row.mae.items():
        one, two = errors[names == name].mean(axis=0)
        assert (found.one, found.two) == pytest.approx((one, two), abs=1e-3)
        assert found.gain.value == pytest.approx(one - two, abs=1e-3)
        assert found.gain.n == (names == name).sum()
    exact = errors[names != "fairface"]
    gain = exact[:, 0] - exact[:, 1]
    assert row.years is not None and row.gender is not None
    assert row.years.gain.value == pytest.approx(gain.mean(), abs=1e-3)
    assert row.years.gain.n == len(gain) and abs(gain.mean()) > 0.01
    # Student's, by hand: the bootstrap's interval is of the same width, and of paired differences.
    width = 2 * 2.02 * gain.std(ddof=1) / np.sqrt(len(gain))
    assert row.years.gain.high - row.years.gain.low == pytest.approx(width, rel=0.2)
    assert (row.gender.one, row.gender.two) == pytest.approx(tuple(right.mean(axis=0)), abs=1e-4)
    assert row.gender.gain.n == len(names)
    assert row.ranges is None, "one number has no ranges of its own"
    assert (row.weights_sha256, row.manifest_views) == (info.sha256, 2)


@pytest.mark.parametrize("kind", ["distribution", "two_values"])
@pytest.mark.parametrize("flip", [False, True])
def test_answers_are_read_as_publish_would_have_it(
    kind: str, flip: bool, one_network: Callable[..., ModelInfo]
) -> None:
    info = one_network(kind, flip=flip)
    parts = [read_records(name, "val") for name in SETS]
    network, records = LeftHalf(kind), [record for part in parts for record in part]
    seen = [
        views.both_logits(network, load_crops(part, info.input), info.input)[flip] for part in parts
    ]
    logits = {name: torch.cat([part[name] for part in seen]) for name in seen[0]}
    spec = views.fitted(logits, info, records)
    assert spec == publish.recalibrate(kind).decoding != info.decoding


def test_ranges_of_a_network_without_years(folder: Path, drawn_sets: Path) -> None:
    infos = [
        write_network(folder, kind, "multitask_cnn", HEADS[kind], training={"sets": sets})
        for kind, sets in (("groups", ["fairface"]), ("distribution", ["fairface", "utkface"]))
    ]
    write_manifest(infos, folder)
    true = [
        group_index(record.age_range[0], FAIRFACE_GROUPS)
        for record in read_records("fairface", "val")
        if record.age_range
    ]
    rows = {row.weights: row for row in views.run_views().rows}
    for row in rows.values():
        # These networks see 36 years in every face: the range 30-39, the fifth.
        share = pytest.approx(np.mean(np.array(true) == 4), abs=1e-5)
        assert row.ranges is not None and row.ranges.gain.value == 0
        assert row.ranges.one == row.ranges.two == share and row.ranges.gain.n == len(true)
    assert rows["groups"].mae == {} and views.views_by_rule(rows["groups"]) == 1
    assert set(rows["distribution"].mae) == {"utkface"}
    assert views.views_by_rule(rows["distribution"]) == 1


def test_only_what_is_missing_is_measured_and_saved(
    folder: Path, drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = [
        write_network(folder, name, "multitask_cnn", HEADS["regression"], training={"sets": SETS})
        for name in ("a", "b", "c")
    ]
    write_manifest(infos, folder)
    asked: list[str] = []
    stop = ["b"]

    def measure(info: ModelInfo, splits: dict) -> ViewsRow:
        asked.append(info.name)
        if info.name in stop:
            stop.clear()
            raise KeyboardInterrupt
        assert list(splits) == SETS
        return made_row(info.name, info.sha256, 0.2, manifest_views=2 if info.flip else 1)

    monkeypatch.setattr(views, "measure", measure)
    reports = tmp_path / "reports"
    with pytest.raises(KeyboardInterrupt):
        views.run_views(reports)
    stopped = read_views(reports)
    assert stopped is not None and [row.weights for row in stopped.rows] == ["a"]
    report = views.run_views(reports)
    assert asked == ["a", "b", "b", "c"] and read_views(reports) == report
    changed = [
        dataclasses.replace(infos[0], flip=True),
        dataclasses.replace(infos[1], sha256="0" * 64),
    ]
    write_manifest(changed, folder)
    asked.clear()
    report = views.run_views(reports)
    assert asked == ["b"], "other weights are measured, the same ones are not"
    assert [(row.weights, row.manifest_views) for row in report.rows] == [("a", 2), ("b", 1)]
    assert report.rows[1].weights_sha256 == "0" * 64 and read_views(reports) == report
    asked.clear()
    views.run_views()
    assert asked == ["a", "b"], "without a folder everything is measured"


def test_absent_data_is_said_before_anything_is_measured(
    one_network: Callable[..., ModelInfo], drawn_sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_network("regression")
    (drawn_sets / "all_age_faces.parquet").unlink()
    with pytest.raises(DatasetError, match="'all_age_faces' is not installed"):
        views.run_views()
    monkeypatch.setattr(networks, "run_bench", lambda *args: pytest.fail("it was measured"))
    done = CliRunner().invoke(app, ["bench", "--part", "networks", "--part", "views"])
    assert done.exit_code == 1 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1 and "all_age_faces" in done.stderr


def test_a_dataset_without_validation_images_is_an_error(
    one_network: Callable[..., ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_network("regression")
    monkeypatch.setattr(views, "SPLIT", "nothing")
    with pytest.raises(DatasetError, match="'utkface' has no image in split 'nothing'"):
        views.run_views()


def test_the_command_prints_the_table_and_saves_the_report(
    one_network: Callable[..., ModelInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = one_network("regression")
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    done = CliRunner().invoke(app, ["bench", "--part", "views", "--save"])
    assert done.exit_code == 0, done.output
    report = read_views(tmp_path / "reports")
    assert report is not None and [row.weights for row in report.rows] == ["regression"]
    assert done.stdout.strip() == views_table.views_table(report, [info])


# The rule and its table.


def made_row(name: str, sha: str, gain: float | None, manifest_views: int = 2) -> ViewsRow:
    """A network of which all is known, or FairFace alone where ``gain`` is None."""
    ranges = ViewsCompared(one=0.501, two=0.513, gain=Estimate(0.012, -0.001, 0.025, 1577))
    gender = ViewsCompared(one=0.9, two=0.91, gain=Estimate(0.01, 0.0, 0.02, 3222))
    if gain is None:
        return ViewsRow(
            weights=name, weights_sha256=sha, sets=("fairface",), manifest_views=manifest_views,
            ranges=ranges, gender=gender,
        )  # fmt: skip
    mae = ViewsCompared(one=5.0, two=5.0 - gain, gain=Estimate(gain, gain - 0.04, gain + 0.04, 9))
    return ViewsRow(
        weights=name, weights_sha256=sha, sets=tuple(SETS), manifest_views=manifest_views,
        mae={"utkface": mae}, years=mae, ranges=ranges, gender=gender,
    )  # fmt: skip


@pytest.mark.parametrize(("gain", "expected"), [(0.05, 2), (0.0499, 1), (-0.2, 1), (None, 1)])
def test_the_rule(gain: float | None, expected: int) -> None:
    assert views.views_by_rule(made_row("net", "0", gain)) == expected


def test_the_rule_without_exact_ages() -> None:
    row = made_row("net", "0", None)
    sure = ViewsCompared(one=0.5, two=0.53, gain=Estimate(0.03, 0.01, 0.05, 1577))
    assert views.views_by_rule(dataclasses.replace(row, ranges=sure)) == 2
    assert views.views_by_rule(dataclasses.replace(row, gender=sure)) == 2
    assert views.views_by_rule(dataclasses.replace(row, ranges=None)) == 1


def test_the_table_is_of_todays_weights_and_names_what_the_rule_would_change(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("kept", "spared", "paper", "ranges", "stale")
    infos = [
        write_network(folder, name, "multitask_cnn", HEADS["regression"], flip=name != "paper")
        for name in names
    ]
    gains = {"kept": 0.14, "spared": 0.01, "paper": 0.2, "ranges": None, "stale": 0.3}
    rows = [
        made_row(info.name, "f" * 64 if info.name == "stale" else info.sha256, gains[info.name])
        for info in infos
    ]
    monkeypatch.setattr(views_table, "EXCEPTIONS", {"paper": "its authors use one"})
    write_json(tmp_path / "views.json", to_json(ViewsReport(rows=tuple(rows))))
    table = views_table.views_section(infos, tmp_path)
    lines = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    assert set(lines) == {"kept", "spared", "paper", "ranges"}
    sha = infos[0].sha256[:8]
    both = "| 50.1 | 51.3 | +1.2 (-0.1 to +2.5) | +1.0 (+0.0 to +2.0) |"
    assert lines["kept"] == (
        f"| `kept` | `{sha}` | two | 5.00 | 4.86 | – | – | +0.14 (+0.10 to +0.18) | two {both}"
    )
    assert "| two | 5.00 | 4.99 | – | – | +0.01 (-0.03 to +0.05) | one (*) |" in lines["spared"]
    assert "| one | 5.00 | 4.80 |" in lines["paper"] and "| two (*) |" in lines["paper"]
    assert f"| two | – | – | – | – | – | one (*) {both}" in lines["ranges"]
    assert "* `paper`: its authors use one.\n" not in table.split("departs")[0]
    assert "* `spared`: no reason is given.\n* `paper`: its authors use one." in table
    assert "UTKFace 9, FairFace 1,577." in table, "All-Age-Faces was not measured"
    assert table.endswith(
        "Not measured with today's weights: `stale`; `agegender bench --part views --save` does it."
    )


def test_without_a_report_the_table_says_what_to_run(folder: Path, tmp_path: Path) -> None:
    info = write_network(folder, "net", "multitask_cnn", HEADS["regression"])
    table = views_table.views_section([info], tmp_path)
    assert table.startswith("Not measured with today's weights: `net`;") and "|" not in table
