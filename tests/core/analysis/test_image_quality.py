"""Image conditions on drawn images whose blur, light, colour and pose are known."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import laplace
from typer.testing import CliRunner

from agegender_core.analysis.image_quality import (
    COLUMNS,
    CONDITIONS,
    NOSE,
    chroma,
    held,
    laplacian,
    measure,
    pose,
    sharpness,
)
from agegender_core.analysis.image_quality_run import (
    conditions_path,
    measure_records,
    read_conditions,
    write_conditions,
)
from agegender_core.cli.application import app
from agegender_core.datasets import FaceRecord
from agegender_core.datasets.readers import load_set
from agegender_core.errors import ConfigError, DatasetError, DetectorError
from agegender_core.types import Face
from agegender_core.vision.alignment import TEMPLATE
from tests.support import ROOT, reader_samples

runner = CliRunner()


def face(side: float, landmarks: np.ndarray | None = TEMPLATE) -> Face:
    return Face(
        (0.0, 0.0, side, side), 1.0, None if landmarks is None else np.asarray(landmarks) * side
    )


def turned_head(degrees: float) -> np.ndarray:
    """Landmarks of a head turned about the vertical: eyes and mouth in a plane, the nose before it,
    all seen from far away. Eyes are 1 apart, corners of the mouth 0.8.
    """
    angle = math.radians(degrees)
    points = np.array(
        [(-0.5, 0, 0), (0.5, 0, 0), (0, 0.6, 0.9 * NOSE), (-0.4, 1.05, 0), (0.4, 1.05, 0)]
    )
    x = points[:, 0] * math.cos(angle) + points[:, 2] * math.sin(angle)
    return np.stack([x, points[:, 1]], axis=1) * 40 + 60


@pytest.mark.parametrize("degrees", [-70, -30, 0, 20, 50])
@pytest.mark.parametrize("tilt", [-20, 0, 15])
def test_yaw_of_a_turned_head_whatever_its_tilt(degrees: float, tilt: float) -> None:
    roll = math.radians(tilt)
    rotation = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    points = (turned_head(degrees) - 60) @ rotation.T + 60
    found = pose(Face((0.0, 0.0, 128.0, 128.0), 1.0, points))
    assert found["yaw"] == pytest.approx(degrees, abs=1e-6)
    if abs(degrees) < 30:
        assert found["roll"] == pytest.approx(tilt, abs=3)


def test_collapsed_profile_is_a_full_turn_and_not_a_division_by_nothing() -> None:
    points = np.array([(60, 40), (60, 40), (80, 60), (60, 80), (60, 80)], float)
    found = pose(Face((0.0, 0.0, 128.0, 128.0), 1.0, points))
    assert found["yaw"] == pytest.approx(90) and math.isfinite(found["face_side"])
    same = np.full((5, 2), 64.0)
    assert math.isfinite(pose(Face((0.0, 0.0, 128.0, 128.0), 1.0, same))["yaw"])


def test_size_is_that_of_the_face_and_not_of_the_picture(portrait: Image.Image) -> None:
    small = Face((10.0, 10.0, 50.0, 50.0), 1.0, TEMPLATE * 40 + 10)
    assert pose(small)["face_side"] == pytest.approx(40) and pose(face(128))[
        "face_side"
    ] == pytest.approx(128)
    without = pose(face(100, None))
    assert without["face_side"] == 100 and math.isnan(without["yaw"])


def test_laplacian_is_scipys() -> None:
    luma = np.random.default_rng(0).uniform(0, 255, (20, 30))
    assert np.allclose(laplacian(luma), laplace(luma)[1:-1, 1:-1])


def test_blur_lowers_sharpness_step_by_step_and_contrast_does_not() -> None:
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    lumas = [
        np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)).convert("L"), float)
        for radius in (0, 0.7, 1.4, 2.8)
    ]
    found = [sharpness(luma) for luma in lumas]
    assert found == sorted(found, reverse=True) and found[-1] < found[0] / 4
    assert sharpness(0.3 * lumas[1] + 20) == pytest.approx(found[1], rel=0.1)
    assert sharpness(np.full((64, 64), 90.0)) == 0
    assert (
        sharpness(np.round(np.add.outer(np.linspace(90, 120, 64), np.linspace(0, 9, 64)))) < 0.18
    ), "rounding is no detail"


def test_blurred_portrait_is_blurred(portrait: Image.Image) -> None:
    box = Face((160.0, 30.0, 290.0, 160.0), 1.0)
    table = pd.DataFrame(
        [
            {
                "file": "x",
                "face_found": True,
                **measure(portrait.filter(ImageFilter.GaussianBlur(r)), box),
            }
            for r in (0, 5)
        ]
    )
    assert held(table)["blurred"].tolist() == [False, True]
    assert (
        not held(table)[["dark", "bright", "clipped", "grey", "small_face", "profile", "no_face"]]
        .any()
        .any()
    )


def test_light_and_colour_by_hand() -> None:
    grey = measure(Image.new("RGB", (64, 64), (51, 51, 51)), face(64))
    assert (
        grey["luminance"] == pytest.approx(0.2)
        and grey["chroma"] == pytest.approx(0, abs=1e-9)
        and grey["crushed"] == grey["blown"] == 0
    )
    assert measure(Image.new("RGB", (64, 64), (2, 2, 2)), face(64))["crushed"] == 1
    assert measure(Image.new("RGB", (64, 64), (255, 255, 255)), face(64))["blown"] == 1
    half = np.zeros((2, 2, 3))
    half[0], half[1] = (200, 100, 100), (100, 100, 200)
    lumas = 0.299 * 200 + 0.701 * 100, 0.886 * 100 + 0.114 * 200
    blue = 0.564 * np.array([100 - lumas[0], 200 - lumas[1]])
    red = 0.713 * np.array([200 - lumas[0], 100 - lumas[1]])
    expected = math.sqrt(blue.var() + red.var()) / (sum(lumas) / 2)
    assert chroma(half) == pytest.approx(expected)


def test_toned_picture_counts_as_black_and_white() -> None:
    ramp = np.random.default_rng(2).uniform(60, 220, (64, 64, 1))
    sepia = np.clip(ramp * [1.0, 0.97, 0.93] + [4, 2, 0], 0, 255)
    assert chroma(sepia) < 0.03 < chroma(np.random.default_rng(3).uniform(60, 220, (64, 64, 3)))


def test_thresholds_are_where_they_say() -> None:
    base = {
        "file": "x",
        "readable": True,
        "face_found": True,
        "sharpness": 0.3,
        "luminance": 0.5,
        "crushed": 0.0,
        "blown": 0.0,
    }
    base |= {"chroma": 0.2, "face_side": 100.0, "yaw": 0.0, "roll": 0.0}
    worse = {
        "blurred": {"sharpness": 0.17},
        "dark": {"luminance": 0.19},
        "bright": {"luminance": 0.71},
        "grey": {"chroma": 0.02},
    }
    worse |= {
        "clipped": {"crushed": 0.15, "blown": 0.1},
        "small_face": {"face_side": 47.0},
        "profile": {"yaw": -46.0},
        "no_face": {"face_found": False},
    }
    assert set(worse) == set(CONDITIONS)
    for name, change in worse.items():
        found = held(pd.DataFrame([base, base | change]))
        assert found[name].tolist() == [False, True] and found.sum().sum() == 1, name
    unknown = held(pd.DataFrame([dict.fromkeys(base, math.nan) | {"face_found": True}]))
    assert not unknown.any().any(), "what is not measured holds not"


def test_records_with_and_without_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (120, 110, 100)).save(buffer, "PNG")
    labelled = FaceRecord("s", "a.png", 0, "test", landmarks=TEMPLATE)
    bare, broken = FaceRecord("s", "b.png", 1, "test"), FaceRecord("s", "c.png", 2, "test")
    ticks: list[tuple[int, int]] = []
    pairs = [(labelled, buffer.getvalue()), (bare, buffer.getvalue()), (broken, b"junk")]
    table = measure_records([labelled, bare, broken], pairs, lambda *done: ticks.append(done))
    assert list(table.columns) == list(COLUMNS) and table["file"].tolist() == [
        "a.png",
        "b.png",
        "c.png",
    ]
    assert table["face_found"].tolist() == [True, False, False] and table["readable"].tolist() == [
        True,
        True,
        False,
    ]
    assert table["luminance"].notna().tolist() == [True, True, False] and ticks[-1] == (3, 3)

    class Blind:
        def detect(self, image: Image.Image) -> list[Face]:
            return [face(40)] if image.getpixel((0, 0)) == (120, 110, 100) else []

    monkeypatch.setattr("agegender_core.vision.face_detector.MTCNNDetector", Blind)
    other = io.BytesIO()
    Image.new("RGB", (64, 64), (0, 0, 0)).save(other, "PNG")
    table = measure_records([bare, broken], [(bare, buffer.getvalue()), (broken, other.getvalue())])
    assert (
        table["face_found"].tolist() == [True, False]
        and table["face_side"][0] == 40
        and np.isnan(table["luminance"][1])
    )


def test_one_bad_picture_stops_no_batch(
    drawn_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = reader_samples.write_fairface(tmp_path / "set")
    files = [record.file for record in load_set(folder).records]
    (folder / files[0]).write_bytes(b"no image")
    (folder / files[-1]).unlink()

    class Stumbles:
        def detect(self, image: Image.Image) -> list[Face]:
            raise DetectorError("the face detector failed on an image of 64x64 px")

    monkeypatch.setattr("agegender_core.vision.face_detector.MTCNNDetector", Stumbles)
    table = write_conditions("fairface", tmp_path, folder)
    assert table["file"].tolist() == files and table["readable"].tolist() == [
        False,
        *[True] * (len(files) - 2),
        False,
    ]
    assert not table["face_found"].any() and table["luminance"].isna().all()
    empty = pq.read_table(drawn_sets / "utkface.parquet").to_pylist()
    empty[4]["image"]["bytes"] = None
    pq.write_table(pa.Table.from_pylist(empty), drawn_sets / "utkface.parquet")
    table = write_conditions("utkface", tmp_path)
    assert len(table) == 19 and table["readable"].sum() == 18


def test_writer_and_reader(drawn_sets: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    assert read_conditions(reports, "utkface") is None
    written = write_conditions("utkface", reports)
    assert len(written) == 19 and read_conditions(reports, "utkface").equals(written)
    assert (written["face_found"].sum(), written["yaw"].notna().sum()) == (18, 18), (
        "row 34 has no landmarks"
    )
    assert written["face_side"].between(60, 68).all() and set(
        pd.read_parquet(conditions_path(reports, "utkface")).columns
    ) == set(COLUMNS)
    elsewhere = write_conditions("utkface", reports, drawn_sets / "utkface.parquet")
    assert len(elsewhere) == 96, "a set in another layout is measured whole"
    with pytest.raises(ConfigError, match="unknown set"):
        write_conditions("nonsense", reports)
    pd.DataFrame({"file": ["x"]}).to_parquet(conditions_path(reports, "utkface"))
    with pytest.raises(DatasetError, match="lacks readable"):
        read_conditions(reports, "utkface")
    conditions_path(reports, "utkface").write_bytes(b"PAR1 no more")
    with pytest.raises(DatasetError, match=r"cannot be read.*«conditions utkface»"):
        read_conditions(reports, "utkface")


def test_command(drawn_sets: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    result = runner.invoke(app, ["conditions", "--reports", str(reports)])
    assert result.exit_code == 0, result.output
    assert sorted(path.stem for path in (reports / "conditions").glob("*.parquet")) == [
        "all_age_faces",
        "fairface",
        "utkface",
    ]
    assert "utkface (n 19): blurred" in result.output and "no face found 1" in result.output
    twins = runner.invoke(app, ["conditions", "utkface", "--twins", "--reports", str(reports)])
    assert twins.exit_code == 0 and "near-duplicates" in twins.output
    for arguments, complaint in (
        (["nonsense"], "unknown dataset"),
        (["--data", "/nowhere"], "name that dataset"),
        (["utkface", "--data", "/nowhere"], "does not exist"),
        (["utkface", "--twins", "--data", "/nowhere"], "leave --data out"),
    ):
        result = runner.invoke(app, ["conditions", *arguments, "--reports", str(reports)])
        assert (
            result.exit_code == 1
            and complaint in result.output
            and "Traceback" not in result.output
        )


def test_shipped_tables_hold_numbers_of_whole_test_splits() -> None:
    reports = ROOT / "reports"
    for path in (reports / "conditions").glob("*.parquet"):
        table = read_conditions(reports, path.stem)
        made = pd.read_parquet(reports / "multitask_cnn_dist" / path.stem / "predictions.parquet")
        assert set(table["file"]) == set(made["file"]) and path.stat().st_size < 300_000
