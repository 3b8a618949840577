"""The manifest: what is shipped verifies, what is damaged is refused, nothing random is served."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.datasets.registry import TERMS
from agegender_core.errors import (
    WeightsCorruptError,
    WeightsError,
    WeightsMismatchError,
    WeightsMissingError,
)
from agegender_core.evaluation.report_types import CorruptionsRow
from agegender_core.inference.decoding import DecodingSpec, decoding_dict
from agegender_core.inference.model_zoo import (
    find_weights,
    is_current,
    list_weights,
    load_network,
    save_parts,
    sha256,
    verify,
    weights_dir,
    write_manifest,
)
from agegender_core.models import count_parameters, create_model

runner = CliRunner()


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder of its own with the default entry and its file."""
    info = find_weights()
    (tmp_path / info.files[0]).write_bytes(info.paths[0].read_bytes())
    write_manifest([dataclasses.replace(info, folder=tmp_path)], tmp_path)
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path))
    return tmp_path


def test_shipped_weights_verify_and_say_what_they_are() -> None:
    entries = list_weights()
    assert {"multitask_cnn_dist", "multitask_cnn_paper"} <= {info.name for info in entries}
    assert [info.default for info in entries].count(True) == 1 and entries[0].default
    for info in entries:
        network = load_network(info)
        assert not network.training and not any(
            parameter.requires_grad for parameter in network.parameters()
        )
        assert info.parameters == count_parameters(
            create_model(info.architecture, info.heads, **info.options)
        )
        assert info.title and info.summary and info.paper and info.training["commit"]
        assert all(TERMS[name].title in info.terms for name in info.training["sets"])
        assert info.measured, "no measured numbers: run evaluate and report"
        assert not set(info.claimed) & set(info.measured)


def test_weights_made_for_comparison_are_marked_as_in_their_recipes() -> None:
    from agegender_core.settings import ROOT
    from agegender_core.training.config import load_recipe

    marked = {info.name: info.for_comparison for info in list_weights()}
    assert marked == {
        name: load_recipe(ROOT / "configs" / f"{name}.toml").card.for_comparison for name in marked
    }
    assert any(marked.values()) and not all(marked.values())


def test_shipped_files_are_small() -> None:
    sizes = [path.stat().st_size for path in weights_dir().glob("*.safetensors")]
    assert sizes and max(sizes) < 50 * 2**20 and sum(sizes) < 160 * 2**20


def test_manifest_survives_a_round_trip(copied: Path) -> None:
    (info,) = list_weights(copied)
    original = find_weights(None, Path(weights_dir()))
    assert info == original
    write_manifest([info], copied)
    assert list_weights(copied) == [info] and not list(copied.glob("*.tmp"))
    margins = ((0.0, 1.0, 2.0), (30.0, 5.0, -3.0))
    spec = DecodingSpec(kind="regression", coverage=0.8, margins=margins)
    changed = dataclasses.replace(info, decoding=spec)
    write_manifest([changed], copied)
    assert list_weights(copied) == [changed]


def test_missing_corrupt_and_misfit_files_are_told_apart(copied: Path) -> None:
    (info,) = list_weights(copied)
    (path,) = info.paths
    tensors = load_file(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(WeightsCorruptError, match="sha256"):
        load_network(info)
    with pytest.raises(WeightsCorruptError, match="cannot be read"):
        load_network(dataclasses.replace(info, sha256=sha256(path)))
    tensors["heads.age.weight"] = torch.zeros(7, 512)
    save_file(tensors, path)
    with pytest.raises(WeightsMismatchError, match=info.architecture):
        load_network(dataclasses.replace(info, sha256=sha256(path)))
    path.unlink()
    assert not info.installed
    with pytest.raises(WeightsMissingError, match="not installed"):
        verify(info)


def test_what_was_measured_with_other_weights_or_another_reading_is_not_current() -> None:
    info = list_weights()[0]
    today = decoding_dict(info.decoding)
    row = CorruptionsRow(
        weights=info.name,
        weights_sha256=info.sha256,
        mae=None,
        gender_accuracy=None,
        costs={},
        decoding=today,
    )
    margins = dataclasses.replace(row, decoding=today | {"margins": [[0.0, 1.0, 1.0]]})
    assert is_current(row, info) and is_current(row, info, interval=True)
    assert is_current(dataclasses.replace(row, decoding=None), info)
    assert is_current(margins, info) and not is_current(margins, info, interval=True)
    for other in (
        {"weights": "another"},
        {"weights_sha256": "0" * 64},
        {"decoding": today | {"gender_temperature": 3.21}},
    ):
        assert not is_current(dataclasses.replace(row, **other), info), other


def test_large_weights_come_in_parts_that_are_checked_together(copied: Path) -> None:
    (info,) = list_weights(copied)
    tensors = load_file(info.paths[0])
    total = sum(tensor.nbytes for tensor in tensors.values())
    files = save_parts(tensors, copied, "large", largest=total // 3)
    assert len(files) > 2 and files[0] == f"large-00001-of-{len(files):05}.safetensors"
    whole = dataclasses.replace(
        info,
        name="large",
        default=False,
        files=files,
        sha256=sha256(*(copied / file for file in files)),
    )
    write_manifest([info, whole], copied)
    (found,) = (item for item in list_weights(copied) if item.name == "large")
    one, two = load_network(info).state_dict(), load_network(found).state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one) and found.size > total
    last = copied / files[-1]
    last.write_bytes(last.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsCorruptError, match=r"one of .*large-00001"):
        verify(found)
    last.unlink()
    with pytest.raises(WeightsMissingError, match=files[-1]):
        verify(found)
    assert not found.installed


def test_unknown_names_and_broken_manifests_are_named(copied: Path) -> None:
    (info,) = list_weights(copied)
    with pytest.raises(WeightsMissingError, match=info.name):
        find_weights("nonsense")
    (copied / "manifest.toml").write_text("[weights.x]\nfile = 3")
    with pytest.raises(WeightsError, match="cannot be read"):
        list_weights()
    (copied / "manifest.toml").unlink()
    with pytest.raises(WeightsMissingError, match="no weights"):
        find_weights()


ODD = {
    "weights = 3": "weights: expected a table",
    "weights = []": "weights: expected a table",
    "[weights]\nmine = 3": "mine: expected a table, got 3",
    "[weights.mine]": "mine: missing key architecture, files",
    "TEXT\nheads = {}\nfiles = 'a'": "mine: files: expected a list, got 'a'",
    "TEXT\nheads = {}\nfiles = [3]": "mine: files: expected str, got 3",
    "TEXT\nfiles = ['../../a']\nheads = {}": "'../../a' is not the name of a file",
    "TEXT\nfiles = ['a']\nheads = 3": "mine: heads: expected a table, got 3",
    "TEXT\nfiles = ['a']\nheads = {age = 'x'}": "mine: heads: age: expected int, got 'x'",
    "TEXT\nfiles = ['a']\nheads = {age = true}": "mine: heads: age: expected int, got True",
    "FULL\ninput = 3": "mine: input: expected a table, got 3",
    "FULL\ninput = {size = '64'}": "mine: input: size: expected int, got '64'",
    "FULL\ninput = {mean = [1.0]}": "mine: input: mean: expected 3 values, got 1",
    "FULL\ndecoding = {kind = 'x'}": "mine: decoding: kind: 'x' is not one of",
    "FULL\ndecoding = []": "mine: decoding: expected a table, got []",
    "FULL\nflip = 'yes'": "mine: flip: expected bool, got 'yes'",
    "FULL\nfolder = 'x'\nwheels = 4": "mine: unknown key wheels",
    "x = " + "[" * 100_000: "manifest.toml cannot be read",
    "\xff": "manifest.toml cannot be read",
}


@pytest.mark.parametrize("text", ODD, ids=lambda text: text[:60])
def test_an_odd_manifest_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    texts = "".join(
        f"{name} = 'x'\n"
        for name in ("title", "summary", "sha256", "architecture", "paper", "terms")
    )
    (tmp_path / "manifest.toml").write_text(
        text.replace("FULL", "TEXT\nfiles = ['a']\nheads = {}").replace(
            "TEXT", f"[weights.mine]\n{texts}"
        ),
        encoding="latin-1",
    )
    with pytest.raises(WeightsError) as failure:
        list_weights(tmp_path)
    assert ODD[text] in str(failure.value) and "restore it from the repository" in str(
        failure.value
    )
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(tmp_path))
    result = runner.invoke(app, ["weights", "list"])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)


def test_an_odd_architecture_or_option_is_a_misfit(copied: Path) -> None:
    info = find_weights()
    for changes in (
        {"architecture": "nothing"},
        {"options": {"wheels": 4}},
        {"heads": {"age": -1, "gender": 2}},
    ):
        with pytest.raises(WeightsError):
            load_network(dataclasses.replace(info, **changes))


def test_commands_list_and_verify(copied: Path) -> None:
    (info,) = list_weights(copied)
    listed = runner.invoke(app, ["weights", "list"])
    assert listed.exit_code == 0 and info.name in listed.output and "default" in listed.output
    assert runner.invoke(app, ["weights", "verify"]).exit_code == 0
    (info,) = list_weights(copied)
    info.paths[0].write_bytes(b"not weights")
    broken = runner.invoke(app, ["weights", "verify"])
    assert broken.exit_code == 1 and "damaged" in broken.output
    info.paths[0].unlink()
    assert "not installed" in runner.invoke(app, ["weights", "list"]).output
