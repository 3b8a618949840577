"""Published protocols with a frozen network: features of every architecture, honest folds, whole
runs on drawn sets in official layouts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner, Result

from agegender_core.cli.application import app
from agegender_core.datasets.protocols import PROTOCOLS
from agegender_core.datasets.readers import load_dataset
from agegender_core.datasets.records import FaceRecord
from agegender_core.errors import ConfigError, DatasetError
from agegender_core.evaluation import linear_probe, protocol_images
from agegender_core.evaluation.linear_probe import (
    REFITTED,
    Guesses,
    Labels,
    Part,
    by_fold,
    frozen_features,
    head_inputs,
    refit,
    run_protocol,
    score,
    usable_parts,
)
from agegender_core.evaluation.metrics import bootstrap_mean
from agegender_core.evaluation.protocol_images import loaded_crops, seen_in_training
from agegender_core.evaluation.report_store import read_protocols
from agegender_core.evaluation.report_types import LeftOut, ProtocolReport
from agegender_core.inference.decoding import DecodingSpec, decoding_kind
from agegender_core.inference.forward import optimize_for_inference, run_network
from agegender_core.inference.model_zoo import ModelInfo, sha256, write_manifest
from agegender_core.labels import ADIENCE_GROUPS, FAIRFACE_GROUPS
from agegender_core.models import architectures, create_model
from agegender_core.output.json_records import to_json
from agegender_core.types import Face, InputSpec
from agegender_core.vision.alignment import TEMPLATE
from agegender_core.vision.preprocessing import normalise
from tests.support import ROOT
from tests.support import reader_samples as samples
from tests.support.drawn_sets import drawn_chip, write_set
from tests.support.networks import ENSEMBLE

pytestmark = pytest.mark.slow

HEADS = {"age": 101, "gender": 2}
WIDTHS = {
    # heads, side of the input, features: one trunk's once, otherwise one part a head
    "multitask_cnn": (HEADS, 32, 512),
    "residual_cnn": (HEADS | {"race": 7}, 72, 3 * 512),
    "two_branch_cnn": ({"age": 1, "gender": 1}, 48, 2 * 128),
    "xception": ({"age": 1, "gender": 1}, 64, 2 * 128),
    "efficientnet_lite0": (HEADS | {"race": 7}, 64, 1280),
    "efficientnet_lite2": (HEADS | {"race": 7}, 64, 1280),
    "ensemble": (HEADS, 64, 1280 + 512),
    "gra_net": (HEADS, 32, 1024),
    "gra_net_trio": ({"decade": 10, "digit": 1, "gender": 2}, 16, 3 * 1024),
}
SPEC = InputSpec(size=32)
runner = CliRunner()


class FakeDetector:
    """Finds one face in every drawn chip; none in an image of one colour."""

    def __init__(self, config: object = None) -> None:
        self.config = config

    def detect(self, image: Image.Image) -> list[Face]:
        if np.asarray(image).std() < 5:
            return []
        return [
            Face((0.0, 0.0, float(image.width), float(image.height)), 0.99, TEMPLATE * image.size)
        ]


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that knows drawn chips."""
    monkeypatch.setattr(protocol_images, "MTCNNDetector", FakeDetector)


Publish = Callable[..., ModelInfo]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Freshly initialised weights «fresh» in a manifest of their own, said to be trained on
    ``sets``.
    """
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(folder))

    def make(*sets: str, heads: dict[str, int] = HEADS, **changes: Any) -> ModelInfo:
        torch.manual_seed(0)
        save_file(create_model("multitask_cnn", heads).state_dict(), folder / "fresh.safetensors")
        info = ModelInfo(
            name="fresh",
            title="Fresh",
            summary="Untrained.",
            files=("fresh.safetensors",),
            sha256=sha256(folder / "fresh.safetensors"),
            architecture="multitask_cnn",
            heads=heads,
            paper="none",
            terms="none",
            folder=folder,
            input=SPEC,
            decoding=DecodingSpec(kind=decoding_kind(heads), groups="adience8"),
            flip=True,
            training={"sets": list(sets), "split": "train"},
        )
        info = replace(info, **changes)
        write_manifest([info], folder)
        return info

    return make


def invoke(*arguments: str | Path) -> Result:
    return runner.invoke(app, ["protocol", *map(str, arguments)])


def encoded(rng: np.random.Generator, age: int, male: bool) -> bytes:
    buffer = io.BytesIO()
    drawn_chip(rng, age, male).save(buffer, "PNG")
    return buffer.getvalue()


def write_adience(root: Path, people: int = 8) -> Path:
    """Adience in its official layout: in each fold ``people`` with two images each, whose faces
    show their labels.
    """
    rng = np.random.default_rng(0)
    for fold in range(5):
        rows = []
        for index in range(2 * people):
            face, group, male = (
                100 * fold + index // 2,
                ADIENCE_GROUPS[(index // 2) % 4 * 2 + 1],
                bool(index // 2 % 2),
            )
            label = f"({group.lo}, {12 if group.lo == 8 else group.hi})"
            rows.append((f"{fold}@N00", f"{index}_o.jpg", str(face), label, "m" if male else "f"))
            name = f"aligned/{fold}@N00/landmark_aligned_face.{face}.{index}_o.jpg"
            samples.put(root, name, encoded(rng, int(group.centre), male))
        samples.write_adience_table(root / f"fold_{fold}_data.txt", rows)
    return root


def write_fairface(root: Path, counts: dict[str, int]) -> Path:
    """FairFace's official tables and images whose faces show their labels."""
    rng = np.random.default_rng(1)
    for split, count in counts.items():
        rows = []
        for index in range(count):
            group, male = FAIRFACE_GROUPS[index % 8 // 2 * 2], bool(index // 8 % 2)
            samples.put(root, f"{split}/{index}.jpg", encoded(rng, int(group.centre), male))
            rows.append(
                (f"{split}/{index}.jpg", group.name, "Male" if male else "Female", "White", "False")
            )
        with (root / f"fairface_label_{split}.csv").open("w", newline="") as handle:
            csv.writer(handle).writerows([("file", "age", "gender", "race", "service_test"), *rows])
    return root


def write_fgnet(root: Path) -> Path:
    """FG-NET's layout: five people with four images each, and one image without a face."""
    rng = np.random.default_rng(2)
    for person in range(5):
        for age in (3, 17, 31, 45):
            samples.put(root, f"images/{person:03d}A{age:02d}.JPG", encoded(rng, age, male=False))
    samples.put(root, "images/004A50.JPG", one_colour())
    return root


def one_colour() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()


class TestFeatures:
    def test_every_architecture_is_here(self) -> None:
        assert set(WIDTHS) == set(architectures())

    @pytest.mark.parametrize("name", WIDTHS)
    def test_of_every_architecture(self, name: str) -> None:
        heads, side, width = WIDTHS[name]
        options = ENSEMBLE if name == "ensemble" else {}
        network = optimize_for_inference(create_model(name, heads, **options))
        spec = InputSpec(size=side)
        crops = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
        features, logits = frozen_features(network, crops, spec, flip=True, batch=2)
        assert (
            features.shape == (3, width)
            and features.dtype == np.float64
            and np.isfinite(features).all()
        )
        assert features.std(axis=0).max() > 0, "images differ"
        images = normalise(torch.from_numpy(crops).permute(0, 3, 1, 2), spec)
        own = run_network(network, images, flip=True).logits
        assert set(own) == set(logits) and all(
            torch.allclose(own[key], logits[key], atol=1e-3, rtol=1e-3) for key in own
        )
        assert not any(module._forward_pre_hooks for module in network.modules()), (
            "the network is left as it was"
        )

    def test_are_what_the_heads_see_and_mirrored_views_count_alike(self) -> None:
        network = optimize_for_inference(create_model("multitask_cnn", HEADS))
        crops = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)
        features, logits = frozen_features(network, crops, SPEC, flip=True)
        rebuilt = (
            torch.from_numpy(features).float() @ network.heads["age"].weight.T
            + network.heads["age"].bias
        )
        assert torch.allclose(rebuilt, logits["age"], atol=1e-4), (
            "linear heads: mean features give mean logits"
        )
        mirrored, _ = frozen_features(network, crops[:, :, ::-1], SPEC, flip=True)
        assert np.allclose(features, mirrored, atol=1e-5)

    def test_one_view_of_logits_where_the_weights_have_one(self) -> None:
        network = optimize_for_inference(create_model("multitask_cnn", HEADS))
        crops = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), np.uint8)
        _, logits = frozen_features(network, crops, SPEC, flip=False)
        images = normalise(torch.from_numpy(crops).permute(0, 3, 1, 2), SPEC)
        assert torch.allclose(
            run_network(network, images, flip=False).logits["age"], logits["age"], atol=1e-4
        )

    def test_a_network_without_heads_is_named(self) -> None:
        with pytest.raises(ConfigError, match="Linear has no heads"), head_inputs(nn.Linear(2, 2)):
            pass


def labels(count: int, people: int | None = None, seed: int = 0) -> tuple[np.ndarray, Labels]:
    """Features that tell age, gender and group, and the labels."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 6))
    age = np.clip(np.rint(40 + 12 * features[:, 0]), 1, 90)
    group = np.where(features[:, 2] > 0.5, 2, np.where(features[:, 2] < -0.5, 0, 1))
    known = people is not None
    person = np.array(
        [f"person {index % people}" if known else f"row {index}" for index in range(count)]
    )
    return features, Labels(
        age, (features[:, 1] > 0).astype(np.int64), group, "adience8", person, known
    )


def halves(count: int) -> list[Part]:
    rows = np.arange(count)
    return [
        Part("a", rows[: count // 2], rows[count // 2 :]),
        Part("b", rows[count // 2 :], rows[: count // 2]),
    ]


class TestFits:
    def test_learn_every_task_and_say_how_strong(self) -> None:
        features, truth = labels(200)
        guesses, strengths = refit(features, truth, halves(200))
        assert np.abs(guesses.age - truth.age).mean() < 2
        assert (guesses.gender == truth.gender).mean() > 0.85 and (
            guesses.group == truth.group
        ).mean() > 0.75
        assert set(strengths) == {"age", "gender", "group"} and all(
            sum(found.values()) == 2 for found in strengths.values()
        )

    def test_never_see_the_labels_of_the_test(self) -> None:
        features, truth = labels(120)
        rng = np.random.default_rng(5)
        part = halves(120)[:1]
        shuffled = {name: getattr(truth, name).copy() for name in ("age", "gender", "group")}
        for values in shuffled.values():
            values[part[0].test] = rng.permutation(values[part[0].test])
        honest, _ = refit(features, truth, part)
        again, _ = refit(features, replace(truth, **shuffled), part)
        for name in ("age", "gender", "group"):
            assert np.array_equal(
                getattr(honest, name)[part[0].test], getattr(again, name)[part[0].test]
            )

    def test_nor_its_features(self) -> None:
        features, truth = labels(120)
        part = halves(120)[:1]
        moved = features.copy()
        moved[part[0].test[1:]] += 1000
        first = part[0].test[0]
        assert refit(features, truth, part)[0].age[first] == pytest.approx(
            refit(moved, truth, part)[0].age[first]
        )

    def test_inner_folds_keep_people_together(self) -> None:
        _, truth = labels(60, people=12)
        for target, classes in ((truth.age, False), (truth.gender, True)):
            folds = linear_probe._inner_folds(target, truth.person, classes)
            assert len(folds) == linear_probe.INNER_FOLDS
            for train, test in folds:
                assert not set(truth.person[train]) & set(truth.person[test])

    def test_little_data_is_fitted_without_a_choice(self) -> None:
        features, truth = labels(12, people=1)
        _, strengths = refit(features, truth, halves(12)[:1])
        assert all("too few to choose" in name for found in strengths.values() for name in found)
        one = replace(truth, gender=np.zeros(12, np.int64))
        guesses, strengths = refit(features, one, halves(12)[:1])
        assert strengths["gender"] == {"one class only": 1} and (guesses.gender[6:] == 0).all()

    def test_ages_stay_within_the_support(self) -> None:
        features, truth = labels(60)
        features[40:, 0] *= 100
        guesses, _ = refit(features, truth, [Part("a", np.arange(40), np.arange(40, 60))])
        tested = guesses.age[40:]
        assert tested.min() >= 0 and tested.max() <= 100 and np.isnan(guesses.age[:40]).all()

    def test_missing_labels(self) -> None:
        features, truth = labels(60)
        unlabelled = replace(truth, gender=np.full(60, -1), group=np.full(60, -1), scheme=None)
        guesses, strengths = refit(features, unlabelled, halves(60))
        assert set(strengths) == {"age"} and (guesses.gender == -1).all()
        ages = truth.age.copy()
        ages[:30] = np.nan
        with pytest.raises(
            DatasetError, match="fold a: none of its 30 training images has a label for age"
        ):
            refit(features, replace(truth, age=ages), halves(60))


class TestNumbers:
    truth = Labels(
        age=np.array([10.0, 20.0, 30.0, np.nan]),
        gender=np.array([0, 1, -1, 1]),
        group=np.array([-1, -1, -1, -1]),
        scheme=None,
        person=np.array(["person a", "person a", "person b", "person b"]),
        people_known=True,
    )
    guesses = Guesses(np.array([12.0, 14.0, 39.0, 5.0]), np.array([0, 0, 1, 1]), np.full(4, -1))
    parts = (
        Part("a", np.array([2, 3]), np.array([0, 1])),
        Part("b", np.array([0, 1]), np.array([2, 3])),
    )

    def test_by_hand(self) -> None:
        found = score(self.truth, self.guesses, self.parts)
        assert set(found) == {"mae", "bias", "cs5", "gender_accuracy"}
        mae = found["mae"]
        assert mae.value == pytest.approx((2 + 6 + 9) / 3, abs=1e-4) and mae.n == 3
        assert mae.fold_mean == pytest.approx(
            (4 + 9) / 2, abs=1e-4
        ) and mae.fold_sd == pytest.approx(np.std([4, 9], ddof=1), abs=1e-4)
        assert (mae.low, mae.high) == (4, 9), "two people: the extremes are one of them alone"
        assert found["cs5"].value == pytest.approx(1 / 3, abs=1e-4) and found[
            "gender_accuracy"
        ].value == pytest.approx(2 / 3, abs=1e-4)

    def test_fold_rows_and_a_single_fold(self) -> None:
        rows = by_fold(self.truth, self.guesses, self.parts)
        assert [(row["fold"], row["train"], row["n"], row["mae"]) for row in rows] == [
            ("a", 2, 2, 4.0),
            ("b", 2, 2, 9.0),
        ]
        assert score(self.truth, self.guesses, self.parts[:1])["mae"].fold_sd is None

    def test_groups_are_the_sets_own(self) -> None:
        truth = replace(
            self.truth, age=np.full(4, np.nan), group=np.array([0, 3, 7, -1]), scheme="adience8"
        )
        found = score(truth, replace(self.guesses, group=np.array([0, 4, 1, 2])), self.parts)
        assert (
            found["adience8_accuracy"].value == pytest.approx(1 / 3, abs=1e-4)
            and found["adience8_accuracy"].n == 3
        )
        assert (
            found["adience8_one_off"].value == pytest.approx(2 / 3, abs=1e-4)
            and "fairface9_accuracy" not in found
        )

    def test_ranges_tell_whose_groups_they_are(self) -> None:
        def scheme(*ranges: tuple[int, int] | None) -> str | None:
            return Labels.of(
                [
                    FaceRecord("x", str(row), row, "all", age_range=pair)
                    for row, pair in enumerate(ranges)
                ]
            ).scheme

        assert (
            scheme((0, 2), (25, 32), None) == "adience8" and scheme((0, 2), (20, 29)) == "fairface9"
        )
        assert scheme(None) is None and scheme((25, 32), (20, 29)) is None

    def test_people_are_drawn_whole(self) -> None:
        rng = np.random.default_rng(0)
        person = np.repeat(np.arange(40), 25)
        values = rng.normal(5, 2, 40)[person] + rng.normal(0, 0.5, 1000)
        whole, single = bootstrap_mean(values, who=person), bootstrap_mean(values)
        assert whole.value == pytest.approx(single.value) and whole.n == 1000
        assert whole.high - whole.low > 3 * (single.high - single.low)
        alone = bootstrap_mean(values, who=np.arange(1000))
        assert alone.high - alone.low == pytest.approx(single.high - single.low, rel=0.1)
        assert bootstrap_mean(np.array([np.nan]), who=np.array(["a"])) is None

    def test_images_left_out_leave_their_folds(self) -> None:
        folds = PROTOCOLS["leave_one_person_out"](
            [FaceRecord("x", str(row), row, "all", subject=str(row // 2)) for row in range(6)]
        )
        parts = usable_parts(folds, np.array([False, False, True, True, False, True]))
        assert [part.name for part in parts] == ["1", "2"]
        assert [(part.train.tolist(), part.test.tolist()) for part in parts] == [
            ([2], [0, 1]),
            ([0, 1], [2]),
        ]


def test_every_protocol_has_its_words() -> None:
    assert set(REFITTED) == set(PROTOCOLS)


def test_photographs_go_through_the_real_detector(tmp_path: Path, portrait: Image.Image) -> None:
    (tmp_path / "FGNET" / "images").mkdir(parents=True)
    portrait.resize((200, 200)).save(tmp_path / "FGNET" / "images" / "001A40.JPG")
    Image.new("RGB", (64, 64), (90, 90, 90)).save(tmp_path / "FGNET" / "images" / "002A40.JPG")
    (tmp_path / "FGNET" / "images" / "003A40.JPG").write_bytes(b"not an image")
    crops = loaded_crops(load_dataset(tmp_path / "FGNET"), "fgnet", SPEC)
    assert crops.usable.tolist() == [True, False, False] and crops.pixels.shape == (1, 32, 32, 3)
    assert crops.how == "photographs by the largest face detected: 1"
    assert [skip.reason for skip in crops.left_out] == [
        "no face was found",
        "not readable: not_an_image",
    ]


def test_chips_without_a_find_are_taken_whole_and_landmarks_come_first(
    tmp_path: Path, faces: None
) -> None:
    loaded = load_dataset(samples.write_adience(tmp_path / "adience"))
    samples.put(Path(loaded.root), loaded.records[3].file, one_colour())
    marked = replace(
        loaded, records=(replace(loaded.records[0], landmarks=TEMPLATE), *loaded.records[1:])
    )
    crops = loaded_crops(marked, "adience", SPEC)
    assert (
        crops.usable.all()
        and crops.how
        == "chips by the largest face detected: 18, by the set's landmarks: 1, whole, no face was"
        " found: 1"
    )


class TestByCommand:
    def test_adiences_five_folds(self, tmp_path: Path, publish: Publish, faces: None) -> None:
        info = publish("utkface")
        root, reports = write_adience(tmp_path / "adience"), tmp_path / "reports"
        result = invoke(
            "five_folds",
            "adience",
            "--weights",
            "fresh",
            "--data",
            root,
            "--reports",
            reports,
            "--save",
        )
        assert result.exit_code == 0, result.output
        assert "5 folds, n 80" in result.output and "adience8_accuracy" in result.output
        report = json.loads(
            (reports / "fresh" / "protocols" / "five_folds_adience.json").read_text()
        )
        assert (report["weights"], report["weights_sha256"]) == ("fresh", info.sha256)
        assert (report["protocol"], report["set"], report["n"], report["folds"]) == (
            "five_folds",
            "adience",
            80,
            5,
        )
        assert (
            report["method"].startswith("frozen features,")
            and "refitted for each official fold" in report["method"]
        )
        assert (
            report["resampled"] == "persons"
            and report["pictures"] == "chips by the largest face detected: 80"
        )
        assert (
            set(report["metrics"])
            == {"adience8_accuracy", "adience8_one_off", "gender_accuracy"}
            == set(report["own_readout"])
        )
        assert (
            report["metrics"]["gender_accuracy"]["value"] > 0.9
            and report["metrics"]["adience8_accuracy"]["value"] > 0.6
        )
        assert [row["fold"] for row in report["by_fold"]] == [f"fold_{index}" for index in range(5)]
        assert all((row["train"], row["n"]) == (64, 16) for row in report["by_fold"])
        folds = [row["gender_accuracy"] for row in report["by_fold"]]
        assert report["metrics"]["gender_accuracy"]["fold_mean"] == pytest.approx(
            np.mean(folds), abs=1e-4
        )
        (row,) = read_protocols(reports)
        assert not row.left_out and to_json(row) == report

    def test_adience_with_the_papers_two_values(
        self, tmp_path: Path, publish: Publish, faces: None
    ) -> None:
        publish("utkface", heads={"targets": 2})
        report = run_protocol_of(
            "fresh", "five_folds", "adience", write_adience(tmp_path / "adience", people=4)
        )
        assert {"adience8_accuracy", "gender_accuracy"} <= set(report.own_readout), (
            "it names Adience's groups itself"
        )

    def test_the_layouts_own_odd_rows(self, tmp_path: Path, publish: Publish, faces: None) -> None:
        publish("utkface")
        root = samples.write_adience(tmp_path / "adience")
        result = invoke("five_folds", "adience", "-w", "fresh", "--data", root)
        assert result.exit_code == 0, result.output
        assert "5 folds, n 20" in result.output

    def test_fairfaces_official_parts(self, tmp_path: Path, publish: Publish, faces: None) -> None:
        publish("utkface")
        root, reports = (
            write_fairface(tmp_path / "fairface", {"train": 96, "val": 32}),
            tmp_path / "reports",
        )
        result = invoke(
            "official_train_val", "FairFace", "--data", root, "--reports", reports, "--save"
        )
        assert result.exit_code == 0, result.output
        report = json.loads(
            (reports / "fresh" / "protocols" / "official_train_val_fairface.json").read_text()
        )
        assert (
            report["n"] == 32
            and report["folds"] == 1
            and report["resampled"] == "pictures"
            and report["fitted_on_seen"] == 0
        )
        assert set(report["metrics"]) == {
            "fairface9_accuracy",
            "fairface9_one_off",
            "gender_accuracy",
        }
        assert (
            report["metrics"]["gender_accuracy"]["value"] > 0.9
            and report["metrics"]["fairface9_accuracy"]["value"] > 0.5
        )
        assert report["notes"] == [
            "only part of the official dataset is here: 96 of 86,744 train, 32 of 10,954 val"
        ]
        assert report["metrics"]["gender_accuracy"]["fold_sd"] is None

    def test_fgnet_person_by_person_names_what_it_leaves_out(
        self, tmp_path: Path, publish: Publish, faces: None
    ) -> None:
        publish("utkface")
        report = run_protocol_of(
            "fresh", "leave_one_person_out", "fgnet", write_fgnet(tmp_path / "FGNET")
        )
        assert report.n == 20 and report.folds == 5 and report.resampled == "persons"
        assert report.left_out == (LeftOut("images/004A50.JPG", "no face was found"),)
        assert report.pictures == "photographs by the largest face detected: 20"
        assert report.metrics["mae"].value < 12 and report.metrics["mae"].n == 20
        assert report.own_readout["mae"].n == 20 and set(report.strengths) == {"age"}

    def test_nothing_is_written_without_save(
        self, tmp_path: Path, publish: Publish, faces: None
    ) -> None:
        publish("utkface")
        before = set(tmp_path.rglob("*"))
        root = write_fgnet(tmp_path / "FGNET")
        result = invoke(
            "leave_one_person_out", "fgnet", "--data", root, "--reports", tmp_path / "reports"
        )
        assert (
            result.exit_code == 0
            and "left out: images/004A50.JPG (no face was found)" in result.output
        )
        assert {path for path in tmp_path.rglob("*") if root not in (path, *path.parents)} == before

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["nonsense", "fgnet"], "unknown protocol 'nonsense'"),
            (["our_splits", "fgnet", "-w", "nonsense"], "no weights called"),
            (["our_splits", "nonsense"], "not installed"),
            (["five_folds", "adience", "--data", "/nowhere"], "does not exist"),
        ],
    )
    def test_mistakes_are_told_in_one_line(
        self, drawn_sets: Path, publish: Publish, arguments: list[str], complaint: str
    ) -> None:
        publish("utkface")
        result = invoke(*arguments)
        assert (
            result.exit_code == 1
            and complaint in result.output
            and "Traceback" not in result.output
        )

    def test_missing_images_and_another_set(
        self, tmp_path: Path, publish: Publish, faces: None
    ) -> None:
        publish("utkface")
        root = write_adience(tmp_path / "adience", people=2)
        with pytest.raises(ConfigError, match="contains the dataset 'adience', not 'fairface'"):
            run_protocol_of("fresh", "official_train_val", "fairface", root)
        next(root.rglob("*_o.jpg")).unlink()
        with pytest.raises(DatasetError, match="1 of 20 images of adience are missing"):
            run_protocol_of("fresh", "five_folds", "adience", root)


def run_protocol_of(
    weights: str, protocol: str, dataset_name: str, data: Path | None = None
) -> ProtocolReport:
    from agegender_core.inference.model_zoo import find_weights

    return run_protocol(find_weights(weights), protocol, dataset_name, data)


class TestWhatTheWeightsHaveSeen:
    def test_a_test_that_was_trained_on_is_refused(
        self, drawn_sets: Path, publish: Publish
    ) -> None:
        write_set(drawn_sets, "utkface", count=400)
        publish("utkface", "all_age_faces")
        result = invoke("stratified_age_bins", "utkface")
        assert (
            result.exit_code == 1
            and "was trained on" in result.output
            and "of the 20 images of utkface" in result.output
        )

    def test_other_weights_may_and_a_test_outside_training_is_fine(
        self, drawn_sets: Path, publish: Publish
    ) -> None:
        write_set(drawn_sets, "utkface", count=400)
        publish("all_age_faces")
        report = run_protocol_of("fresh", "stratified_age_bins", "utkface")
        assert report.n == 20 and report.fitted_on_seen == 0 and report.metrics["mae"].n == 20
        assert report.pictures == "face chips aligned by the set's landmarks"
        publish("utkface")
        report = run_protocol_of("fresh", "our_splits", "utkface")
        assert report.n == 80 and report.fitted_on_seen == 240

    def test_images_in_a_layout_are_known_by_their_names(
        self, drawn_sets: Path, tmp_path: Path, publish: Publish
    ) -> None:
        info = publish("utkface")
        known = [
            FaceRecord("utkface", f"part1/{index}.png", index, "all", age=30) for index in range(5)
        ]
        assert seen_in_training(info, "utkface", known).tolist() == [
            True,
            True,
            True,
            False,
            False,
        ], "splits by index, see conftest"
        with pytest.raises(ConfigError, match="other names"):
            seen_in_training(
                info, "utkface", [replace(record, file=f"x{record.file[6:]}") for record in known]
            )
        assert not seen_in_training(info, "afad", known).any()

    def test_every_stage_of_training_counts(self, drawn_sets: Path, publish: Publish) -> None:
        info = publish("all_age_faces")
        known = [FaceRecord("utkface", f"{index}.png", index, "all", age=30) for index in range(5)]

        def staged(*stages: dict[str, Any]) -> ModelInfo:
            return replace(info, training=info.training | {"stages": list(stages)})

        first = {"start": "from scratch", "sets": ["utkface"], "split": "test"}
        assert not seen_in_training(info, "utkface", known).any()
        seen = seen_in_training(staged(first, {"start": "from x"}), "utkface", known)
        assert seen.tolist() == [False, False, False, False, True], "splits by index"
        with pytest.raises(ConfigError, match="does not say what"):
            seen_in_training(staged(first | {"start": "from a.safetensors"}), "utkface", known)

    def test_fairfaces_two_parts_share_their_numbers(
        self, drawn_sets: Path, publish: Publish
    ) -> None:
        assert protocol_images._file_key(
            "fairface", "margin025/train/1.jpg"
        ) != protocol_images._file_key("fairface", "val/1.jpg")
        assert protocol_images._file_key(
            "fairface", "margin025/train/1.jpg"
        ) == protocol_images._file_key("fairface", "train/1.jpg")

    def test_what_cannot_be_told_is_refused(self, drawn_sets: Path, publish: Publish) -> None:
        (drawn_sets / "utkface.parquet").unlink()
        records = [FaceRecord("utkface", "0.png", 0, "all", age=3)]
        with pytest.raises(ConfigError, match="cannot be looked up"):
            seen_in_training(publish("utkface"), "utkface", records)
        with pytest.raises(ConfigError, match="does not say what fresh was trained on"):
            seen_in_training(publish(training={}), "utkface", records)

    def test_parquet_is_taken_at_its_word(
        self, drawn_sets: Path, tmp_path: Path, publish: Publish
    ) -> None:
        publish("all_age_faces")
        folder = tmp_path / "mine"
        folder.mkdir()
        write_set(folder, "faces", count=60)
        report = run_protocol_of("fresh", "our_splits", "faces", folder / "faces.parquet")
        assert report.set == "faces" and "is the claim" in report.notes[0] and report.n == 12
        with pytest.raises(ConfigError, match="contains the dataset 'utkface', not 'faces'"):
            run_protocol_of("fresh", "our_splits", "faces", drawn_sets / "utkface.parquet")


@pytest.mark.data
def test_saved_reports_of_fgnet_are_clean() -> None:
    for row in read_protocols(ROOT / "reports"):
        assert row.metrics and row.n > 0 and set(row.own_readout) <= set(row.metrics)
        if row.set == "fgnet":
            assert (
                row.folds == 82 and row.n + len(row.left_out) == 1002 and row.resampled == "persons"
            )
