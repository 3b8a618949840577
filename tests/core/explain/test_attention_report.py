"""Attention over a test split, on drawn faces: averages against the masks themselves, verdicts, and
the privacy of mean faces.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from agegender_core.cli.application import app
from agegender_core.datasets import FaceRecord, read_records
from agegender_core.errors import ConfigError
from agegender_core.evaluation.metrics import Estimate
from agegender_core.evaluation.report_store import read_attention
from agegender_core.evaluation.report_types import MapCurve
from agegender_core.explain import attention_report as module
from agegender_core.explain.attention_report import (
    PEOPLE,
    FaceCurves,
    attention_report,
    averages,
    explain_crops,
    grouped,
    may_show_faces,
    people,
    read_crops,
    summarise,
    verdict,
)
from agegender_core.explain.mask_ablation import variants
from agegender_core.inference.decoding import Answers
from agegender_core.inference.model_zoo import ModelInfo, load_network, write_manifest
from agegender_core.publishing.attention_tables import beats, better_than
from agegender_core.types import InputSpec
from tests.support.attention_reports import attention_report_of, map_curves
from tests.support.networks import write_network

BLOCKS = ("attention1", "attention2", "attention3")
PARTS = ("", ".deviation", ".effect", ".trunk")
OWN = tuple(block + part for block in BLOCKS for part in PARTS)
MAPS = [*OWN, "grad_cam", "occlusion", "centre", "random 16x16", "random 8x8", "random 4x4"]
TRIO = {"decade": 10, "digit": 1, "gender": 2}


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelInfo]:
    """Small networks whose answer is the same for every face: no map can matter."""
    folder = tmp_path / "weights"
    folder.mkdir()
    small = {"options": {"width": 0.125}, "input": InputSpec(size=32), "flip": True}
    found = [
        write_network(folder, "gated", "gra_net", {"age": 101, "gender": 2}, **small),
        write_network(folder, "trio", "gra_net_trio", TRIO, **small),
        write_network(folder, "plain", "multitask_cnn", {"age": 101, "gender": 2}),
    ]
    write_manifest(found, folder)
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", str(folder))
    return {info.name: info for info in found}


def test_report_of_a_drawn_split(
    drawn_sets: Path, entries: dict[str, ModelInfo], tmp_path: Path
) -> None:
    info, reports = entries["gated"], tmp_path / "reports"
    stages: list[tuple[str, int, int]] = []
    report = attention_report(
        info, "utkface", reports, limit=3, progress=lambda *done: stages.append(done), steps=4
    )
    records = read_records("utkface", "test")
    assert (report.weights, report.set, report.split, report.steps) == (
        "gated",
        "utkface",
        "test",
        4,
    )
    assert (
        report.weights_sha256 == info.sha256
        and report.n == len(records) == 19
        and report.curves_n == 3
    )
    assert report.sides == {
        **{
            block + part: side
            for block, side in zip(BLOCKS, (16, 8, 4), strict=True)
            for part in PARTS
        },
        "grad_cam": 4,
        "occlusion": 8,
        "centre": 16,
    }
    assert stages == [
        ("masks", 19, 19),
        ("curves", 1, 3),
        ("curves", 2, 3),
        ("curves", 3, 3),
        ("changes", 15, 15),
    ]
    assert list(report.activity) == list(BLOCKS) and report.changes_n == 15
    assert [(row.block, row.change) for row in report.changes] == variants(list(BLOCKS)) and len(
        report.changes
    ) == 12
    assert all(row.moved < 1e-4 and abs(row.mae.value) < 1e-4 for row in report.changes), (
        "its answer is the same for every face"
    )
    for target in ("age", "gender"):
        assert list(report.targets[target]) == MAPS
        for name, kinds in report.targets[target].items():
            for found in kinds.values():
                assert len(found.curve) == 5 and found.area.n == 3
                if name.startswith("random"):
                    assert found.difference is None and found.verdict is None
                    assert found.against == {}
                else:
                    control = name == "centre" or name.endswith(".trunk")
                    effect = ("trunk",) if name.endswith(".effect") else ()
                    assert tuple(found.against) == (() if control else ("centre", *effect))
                    assert (
                        found.verdict == "no better than random"
                        and abs(found.difference.value) < 1e-5
                    )
    saved, arrays = read_attention(reports, "gated", "utkface")
    assert saved == report and not any(name.endswith("/face") for name in arrays), (
        "19 people are too few"
    )
    assert (reports / "gated" / "attention" / "utkface.npz").stat().st_size < 300_000
    assert (
        read_attention(reports, "gated", "fairface") is None
        and read_attention(reports, "plain", "utkface") is None
    )
    for slicing, parts in report.groups.items():
        for name, count in parts.items():
            assert arrays[f"{slicing}/{name}/n"] == count
            for part in ("", ".effect"):
                maps = [arrays[f"{slicing}/{name}/{block}{part}"] for block in BLOCKS]
                assert [found.shape for found in maps] == [(16, 16), (8, 8), (4, 4)]
    network, (_, crops) = load_network(info), read_crops(info, "utkface")
    with torch.inference_mode():
        batch = torch.from_numpy(np.array(crops)).permute(0, 3, 1, 2).float() / 255
        masks = network((batch - 0.5) / 0.25).attention[1].mask.mean(dim=1).numpy()  # (19, 8, 8)
    men = np.array([record.gender == "Male" for record in records])
    assert np.allclose(arrays["gender/Male/attention2"], masks[men].mean(axis=0), atol=1e-4)
    assert np.allclose(
        arrays["gender_answer/right/attention2"], masks[men].mean(axis=0), atol=1e-4
    ), "it answers Male whoever it is"
    near = np.array([abs(record.age - 36) <= 5 for record in records])
    assert report.groups["age_answer"] == {
        name: n for name, n in (("right", near.sum()), ("wrong", (~near).sum())) if n
    }


def test_the_same_report_twice_is_the_same(
    drawn_sets: Path, entries: dict[str, ModelInfo], tmp_path: Path
) -> None:
    first, second = (
        attention_report(entries["gated"], "utkface", tmp_path / name, limit=2, steps=3)
        for name in "ab"
    )
    assert first == second


def test_blocks_of_a_trio_are_judged_by_their_own_answer(
    drawn_sets: Path, entries: dict[str, ModelInfo], tmp_path: Path
) -> None:
    report = attention_report(entries["trio"], "utkface", tmp_path, limit=1, steps=3)
    age, gender = report.targets["age"], report.targets["gender"]
    assert [name for name in age if "attention" in name] == [
        f"{head}.{name}" for head in ("decade", "digit") for name in OWN
    ]
    assert [name for name in gender if "attention" in name] == [f"gender.{name}" for name in OWN]
    assert (
        "age/20-29/digit.attention3" in read_attention(tmp_path, "trio", "utkface")[1]
        or "20-29" not in report.groups["age"]
    )


def test_networks_without_masks_have_saliency_curves(
    drawn_sets: Path, entries: dict[str, ModelInfo], tmp_path: Path
) -> None:
    report = attention_report(entries["plain"], "fairface", tmp_path, limit=1, steps=3)
    assert list(report.targets["age"]) == [
        *("grad_cam", "occlusion", "centre", "random 8x8", "random 4x4")
    ]
    assert "age_answer" in report.groups and not report.groups["age_answer"], (
        "FairFace has no exact ages"
    )
    assert set(report.groups["age"]) <= {
        "0-2",
        "3-9",
        "10-19",
        "20-29",
        "30-39",
        "40-49",
        "50-59",
        "60-69",
        "70+",
    }
    assert sum(report.groups["age"].values()) == report.n


def records_of(count: int, subject: str | None = None) -> list[FaceRecord]:
    return [
        FaceRecord("utkface", f"{row}.png", row, "test", row % 90, gender="Male", subject=subject)
        for row in range(count)
    ]


def test_groups_by_hand() -> None:
    rows = [(5, "Female"), (15, "Male"), (15, None), (None, "Female"), (80, "Male")]
    records = [
        FaceRecord("x", "", row, "test", age, gender=gender)
        for row, (age, gender) in enumerate(rows)
    ]
    answers = Answers(
        years=np.array([10.0, 20.1, 15.0, 30.0, 84.0]), gender=np.array([0, 0, 1, 1, 1])
    )
    found = {
        f"{slicing}/{name}": np.flatnonzero(member).tolist()
        for slicing, parts in grouped(records, answers).items()
        for name, member in parts.items()
    }
    assert found == {
        "all/all": [0, 1, 2, 3, 4],
        "age/0-9": [0],
        "age/10-19": [1, 2],
        "age/70+": [4],
        "gender/Female": [0, 3],
        "gender/Male": [1, 4],
        "gender_answer/right": [0, 4],
        "gender_answer/wrong": [1, 3],
        "age_answer/right": [0, 2, 4],
        "age_answer/wrong": [1],
    }


def faces_in(parts: dict[str, int | np.ndarray], who: np.ndarray) -> set[str]:
    """Groups with a mean face in the arrays. ``parts``: sizes one after the other, or members."""
    members, start = {}, 0
    for name, part in parts.items():
        members[name] = (
            part
            if isinstance(part, np.ndarray)
            else (np.arange(len(who)) >= start) & (np.arange(len(who)) < start + part)
        )
        start += part if isinstance(part, int) else 0
    crops = np.random.default_rng(0).integers(0, 256, (len(who), 48, 48, 3), dtype=np.uint8)
    arrays = averages(
        {"s": members}, {"attention1": np.ones((len(who), 4, 4), np.float32)}, crops, who
    )
    faces = {name.split("/")[1]: array for name, array in arrays.items() if name.endswith("/face")}
    assert all(face.shape == (32, 32, 3) and face.dtype == np.uint8 for face in faces.values())
    assert {name.split("/")[1] for name in arrays if name.endswith("/n")} == set(parts), (
        "masks and counts are there for all"
    )
    return set(faces)


def test_mean_faces_are_of_at_least_two_hundred_people() -> None:
    assert PEOPLE == 200
    for count, shown in ((199, set()), (200, {"all"}), (500, {"all"})):
        assert faces_in({"all": count}, people(records_of(count))) == shown
    assert faces_in({"all": 500}, people(records_of(500, "one person"))) == set(), (
        "500 images of one person"
    )
    twice = np.repeat(people(records_of(199)), 2)
    assert faces_in({"all": 398}, twice) == set(), "two images each of 199 people"


def test_no_mean_face_follows_from_the_others() -> None:
    who = people(records_of(1000))
    assert faces_in({"a": 500, "b": 300, "c": 200}, who) == {"a", "b", "c"}
    assert faces_in({"a": 500, "b": 310, "c": 190}, who) == {"a"}, (
        "all less a and b would be the 190 of c"
    )
    assert faces_in({"a": 510, "b": 290, "c": 100, "d": 100}, who) == {"a", "b"}, (
        "c and d together are 200"
    )
    assert faces_in({"a": 950, "b": 50}, who) == set()
    assert faces_in({"a": 900}, who) == set(), "who is in no group counts too"
    assert may_show_faces({"all": np.ones(1000, bool)}, who) == ["all"]


def test_verdicts_need_the_whole_interval() -> None:
    assert verdict(Estimate(-0.1, -0.2, -0.01, 9), "deletion") == "better than random"
    assert verdict(Estimate(-0.1, -0.2, -0.01, 9), "insertion") == "worse than random"
    assert verdict(Estimate(0.1, 0.01, 0.2, 9), "insertion") == "better than random"
    assert verdict(Estimate(0.1, 0.01, 0.2, 9), "deletion") == "worse than random"
    for kind in ("deletion", "insertion"):
        assert (
            verdict(Estimate(0.1, -0.01, 0.2, 9), kind)
            == verdict(Estimate(0.0, 0.0, 0.0, 9), kind)
            == "no better than random"
        )


def test_what_beats_the_middle_does_so_at_both_ends_of_the_interval() -> None:
    def kinds(deletion: Estimate, insertion: Estimate) -> dict[str, MapCurve]:
        area = Estimate(0.5, 0.4, 0.6, 9)
        return {
            kind: MapCurve(area, (1.0, 0.0), area, "better than random", {"centre": difference})
            for kind, difference in (("deletion", deletion), ("insertion", insertion))
        }

    low, high = Estimate(-0.1, -0.2, -0.01, 9), Estimate(0.1, 0.01, 0.2, 9)
    both, one = kinds(low, high), kinds(low, Estimate(0.1, -0.01, 0.2, 9))
    assert beats(both, "centre") and not beats(both, "trunk")
    assert not beats(one, "centre") and not beats(kinds(high, low), "centre")
    maps = {"attention2.effect": both, "attention1": one, "centre": map_curves("a", "b")}
    report = attention_report_of(targets={"age": maps, "gender": {"occlusion": both}})
    assert better_than(report, "age", "centre") == "block 2: effect"
    assert better_than(report, "age", "trunk") == "–", "not measured in this report"
    maps["attention1"] = kinds(high, low)
    maps.pop("attention2.effect")
    assert better_than(report, "age", "centre") == "none"


def test_differences_are_paired_by_face_and_resolution() -> None:
    faces = []
    for level in (0.2, 0.5, 0.8):  # faces differ far more than maps do
        flat = {
            name: np.full(5, level + shift)
            for name, shift in (
                ("attention1", -0.1),
                ("attention1.effect", -0.15),
                ("attention1.trunk", -0.05),
                ("occlusion", 0.1),
                ("centre", -0.2),
                ("random 16x16", 0),
                ("random 8x8", 0.3),
            )
        }
        faces.append(
            FaceCurves(
                {
                    "age": {
                        name: {"deletion": values, "insertion": values}
                        for name, values in flat.items()
                    }
                },
                {
                    **dict.fromkeys(("attention1", "attention1.effect", "attention1.trunk"), 16),
                    "occlusion": 8,
                    "centre": 16,
                },
            )
        )
    found = summarise(faces, "age")
    assert found["attention1"]["deletion"].difference == Estimate(-0.1, -0.1, -0.1, 3)
    assert (
        found["attention1"]["deletion"].verdict == "better than random"
        and found["attention1"]["insertion"].verdict == "worse than random"
    )
    assert found["attention1"]["deletion"].against == {"centre": Estimate(0.1, 0.1, 0.1, 3)}
    assert found["occlusion"]["insertion"].against == {"centre": Estimate(0.3, 0.3, 0.3, 3)}
    assert found["attention1.effect"]["deletion"].against == {
        "centre": Estimate(0.05, 0.05, 0.05, 3),
        "trunk": Estimate(-0.1, -0.1, -0.1, 3),
    }
    assert (
        found["centre"]["deletion"].against == found["attention1.trunk"]["deletion"].against == {}
    )
    assert not beats(found["attention1"], "centre"), "worse at deletion"
    assert not beats(found["occlusion"], "centre")
    assert found["occlusion"]["insertion"].difference.value == pytest.approx(-0.2), (
        "its own resolution's random map"
    )
    (drawn,) = {kind.curve for kind in found["random 8x8"].values()}
    assert drawn == (0.8,) * 5 and found["random 8x8"]["deletion"].verdict is None


def test_answers_are_those_of_both_views_and_masks_of_one(
    drawn_sets: Path, entries: dict[str, ModelInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    info = entries["gated"]
    records, crops = read_crops(info, "utkface")
    monkeypatch.setattr(module, "BATCH", 8)
    seen = explain_crops(load_network(info), info, crops)
    assert len(records) == len(seen.answers.years) == len(seen.masks["attention1"]) == 19
    mirrored = explain_crops(load_network(info), info, crops[:, :, ::-1])
    assert np.allclose(seen.answers.years, mirrored.answers.years) and not np.allclose(
        seen.masks["attention1"], mirrored.masks["attention1"]
    )


def test_report_by_command(drawn_sets: Path, entries: dict[str, ModelInfo], tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["attention-report", "gated", "--limit", "1", "--reports", str(tmp_path / "r")]
    )
    assert result.exit_code == 0, result.output
    assert "gated on utkface test: masks over 19, curves over 1" in result.output
    assert (
        "age, attention1, deletion area" in result.output
        and "no better than random" in result.output
    )
    assert read_attention(tmp_path / "r", "gated", "utkface")[0].steps == 16
    for arguments, words in (
        (["nonsense"], "no weights called"),
        (["gated", "--set", "nonsense"], "unknown dataset"),
        (["gated", "--set", "fgnet"], "fgnet"),
    ):
        result = CliRunner().invoke(
            app, ["attention-report", *arguments, "--reports", str(tmp_path / "r")]
        )
        assert (
            result.exit_code == 1 and words in result.output and "Traceback" not in result.output
        ), result.output
    with pytest.raises(ConfigError, match="at least 1"):
        attention_report(entries["gated"], "utkface", tmp_path, limit=0)
