"""The batch command: what it reads, that it answers as ``predict`` does, and that nothing is lost
or done twice, whoever is killed.
"""

from __future__ import annotations

import json
import os
import signal
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from agegender_core import load_predictor
from agegender_core.batch.image_refs import FilePlace, Item, Loader, ZipPlace
from agegender_core.batch.local_engine import _Network
from agegender_core.batch.part_writer import Job, Parts, opened_parts
from agegender_core.batch.pipeline import IMAGES, Failure, FinderRecipe, Found
from agegender_core.batch.sources import find_sources
from agegender_core.batch.worker_pool import Pool, in_order
from agegender_core.cli.batch import _run_local
from agegender_core.errors import ConfigError, DatasetError, InvalidImageError
from agegender_core.output.tables import face_rows
from agegender_core.types import Face, InputSpec
from tests.support.batch_jobs import (
    BAD,
    jpeg,
    kill_all,
    portraits,
    processes,
    run,
    same,
    start,
    table,
    wait_for_parts,
    write_folder,
)

COUNT = 110


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("batch") / "images", COUNT)


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Rows of a job that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, messages = run(images, "-o", out, "--workers", 2)
    assert (
        code == 1
        and f"{COUNT + 2} images, {COUNT} faces, 1 failed" in messages
        and "images a second" in messages
    )
    return table(out)


@pytest.mark.slow
def test_answers_are_those_of_predict(images: Path, whole: pd.DataFrame) -> None:
    assert len(whole) == COUNT + 2
    runner = load_predictor()
    for name in ("000.jpg", "below/017.jpg"):
        (expected,) = face_rows("", runner.run(images / name))
        row = whole[whole["key"] == name].iloc[0]
        assert (
            row["age"] == pytest.approx(expected["age"], abs=0.02)
            and row["gender"] == expected["gender"]
        )
        assert [row[side] for side in ("x0", "y0", "x1", "y1")] == pytest.approx(
            [expected[side] for side in ("x0", "y0", "x1", "y1")]
        )
    bad = whole[whole["key"] == BAD].iloc[0]
    assert bad["error"].startswith("This is a text file, not an image") and pd.isna(bad["face"])
    wall = whole[whole["key"] == "wall.png"].iloc[0]
    assert wall["faces"] == 0 and pd.isna(wall["error"])


@pytest.mark.slow
def test_a_job_killed_midway_goes_on_where_it_was(
    images: Path, whole: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(images, "-o", out, "--workers", 1, "--part-rows", 1, "--quiet")
    wait_for_parts(out, 1, process)
    kill_all(process)
    done = {path.name: path.read_bytes() for path in out.glob("part-*.parquet")}
    before = pd.read_parquet(out)["key"]
    assert 0 < len(before) < COUNT + 2
    code, messages = run(images, "-o", out, "--workers", 2)
    assert (
        code == 1
        and f"continuing after {len(before)} images" in messages
        and f"({len(before)} of them before)" in messages
    )
    assert all((out / name).read_bytes() == content for name, content in done.items())
    same(table(out), whole)
    code, messages = run(images, "-o", out)
    assert code == 1 and "nothing new" in messages
    same(table(out), whole)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(
    images: Path, whole: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(images, "-o", out, "--workers", 2, "--part-rows", 1, "--quiet")
    wait_for_parts(out, 1, process)
    workers = [
        number for number in processes("multiprocessing.spawn") if os.getpgid(number) == process.pid
    ]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 1  # for the broken image
    same(table(out), whole)


@pytest.mark.slow
def test_ctrl_c_writes_what_is_finished(images: Path, whole: pd.DataFrame, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(images, "-o", out, "--workers", 1, "--part-rows", 1)
    wait_for_parts(out, 1, process)
    process.send_signal(signal.SIGINT)
    messages = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "stopped; the same command continues" in messages
    assert 0 < len(table(out)) < len(whole)


def test_zip_parquet_glob_and_single_files(images: Path, tmp_path: Path) -> None:
    faces = [jpeg(image) for image in portraits(4)]
    with zipfile.ZipFile(tmp_path / "some.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/a.jpg", faces[0])
        archive.writestr("__MACOSX/a.jpg", b"junk")
        archive.writestr("readme.txt", "text")
    rows = [
        {"image": {"bytes": faces[1], "path": "b.jpg"}},
        {"image": {"bytes": b"text", "path": "c.jpg"}},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "some.parquet")
    (tmp_path / "globbed").mkdir()
    for name in ("x.jpg", "y.jpg", "z.png"):
        (tmp_path / "globbed" / name).write_bytes(faces[2])
    given = [
        tmp_path / "some.zip",
        tmp_path / "some.parquet",
        tmp_path / "globbed" / "*.jpg",
        tmp_path / "missing.jpg",
    ]
    code, _ = run(*given, "-o", tmp_path / "out", "--workers", 1, "--quiet")
    assert code == 1
    found = table(tmp_path / "out").set_index("file")
    assert len(found) == 6
    by_name = {Path(name).name: row for name, row in found.iterrows()}
    assert set(by_name) == {"a.jpg", "b.jpg", "c.jpg", "x.jpg", "y.jpg", "missing.jpg"}
    assert all(by_name[name]["faces"] == 1 for name in ("a.jpg", "b.jpg", "x.jpg", "y.jpg"))
    assert (
        "text file" in by_name["c.jpg"]["error"]
        and "no such file" in by_name["missing.jpg"]["error"]
    )


def test_wrong_use_is_said(images: Path, tmp_path: Path) -> None:
    code, messages = run(tmp_path / "none" / "*.jpg", "-o", tmp_path / "out")
    assert code == 2 and "nothing matches" in " ".join(messages.split())
    code, messages = run("hub:owner/name", "-o", tmp_path / "hub")
    try:
        import datasets  # noqa: F401
    except ImportError:
        assert code == 1 and "pip install" in messages
    code, messages = run(images, "-o", tmp_path / "other", "--weights", "nothing")
    assert code == 2 and "nothing" in messages


def job(**changes: object) -> Job:
    return Job(
        **{
            "inputs": ("a",),
            "weights": "w",
            "weights_sha256": "0",
            "race": False,
            "min_face": 24,
            **changes,
        }
    )


def row(file: str) -> dict[str, object]:
    return {"file": file, "face": None, "error": None}


def test_a_folder_of_another_job_is_refused(tmp_path: Path) -> None:
    with opened_parts(tmp_path / "out", job(), 1) as parts:
        parts.add("k", [row("k")])
        with (
            pytest.raises(ConfigError, match="is in use by another batch"),
            opened_parts(tmp_path / "out", job(), 1),
        ):
            pass
    with (
        pytest.raises(ConfigError, match="min_face is 30, was 24"),
        opened_parts(tmp_path / "out", job(min_face=30), 1),
    ):
        pass
    (tmp_path / "strange").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "strange" / "a.parquet")
    with (
        pytest.raises(ConfigError, match="that no batch job wrote"),
        opened_parts(tmp_path / "strange", job(), 1),
    ):
        pass
    assert json.loads((tmp_path / "out" / "_batch.json").read_text())["weights"] == "w"


def test_a_part_half_written_is_no_part(tmp_path: Path) -> None:
    with opened_parts(tmp_path, job(), 10) as parts:
        parts.add("one", [row("one")])
    (tmp_path / ".part-00001.parquet.tmp").write_bytes(b"half")
    with opened_parts(tmp_path, job(), 10) as parts:
        assert "one" in parts.done and "two" not in parts.done and parts.count == 1
        parts.add("two", [row("two")])
    assert sorted(pd.read_parquet(tmp_path)["key"]) == ["one", "two"] and not list(
        tmp_path.glob(".*.tmp")
    )
    (tmp_path / "part-00001.parquet").write_bytes(b"damaged")
    with (
        pytest.raises(ConfigError, match=r"part-00001\.parquet is damaged"),
        opened_parts(tmp_path, job(), 10),
    ):
        pass


class Slow:
    """Stands for a finder; the first image takes longest."""

    def __call__(self, item: Item) -> Found | Failure:
        time.sleep(0.4 if item.key == "0" else 0.001)
        if item.key == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        return Failure(item.key)


def test_reading_ahead_is_bounded_and_in_order() -> None:
    listed = []

    def items():
        for number in range(200):
            listed.append(number)
            yield Item(str(number), str(number), FilePlace(""))

    with Pool(Slow, 2) as pool:
        ahead = []
        for due, (item, _) in enumerate(in_order(items(), pool)):
            assert item.key == str(due)
            ahead.append(len(listed) - due)
    # The window of 32, and one more that is being given.
    assert len(ahead) == 200 and max(ahead) <= 34


def test_an_image_that_kills_its_worker_twice_is_given_up() -> None:
    items = [Item(name, name, FilePlace("")) for name in ("a", "poison", "b", "c")]
    with Pool(Slow, 1) as pool:
        answers = {item.key: outcome for item, outcome in in_order(items, pool)}
    assert "was killed, ran out of memory or crashed, twice" in answers["poison"].message
    assert [answers[name].message for name in "abc"] == ["a", "b", "c"]


def test_a_zip_that_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"\0" * 3_000_000)
    (item,) = find_sources([str(path)]).items()
    assert isinstance(item.place, ZipPlace)
    assert len(Loader().load(item.place)) == 3_000_000
    with pytest.raises(InvalidImageError, match="damaged in the archive"):
        Loader().load(item.place._replace(size=100))
    with pytest.raises(InvalidImageError, match="encrypted"):
        Loader().load(item.place._replace(encrypted=True))
    from agegender_core.vision.image_io import ImageLimits

    with pytest.raises(InvalidImageError, match="more than 1 MB"):
        Loader(ImageLimits(max_bytes=2**20)).load(item.place)


def test_a_glob_that_matches_nothing_and_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing matches"):
        find_sources([str(tmp_path / "*.jpg")])
    with pytest.raises(DatasetError, match="nothing to read"):
        find_sources([])


def test_keys_do_not_depend_on_the_working_directory(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = sorted(item.key for item in find_sources([str(images)]).items())
    monkeypatch.chdir(images.parent)
    relative = find_sources(["images"])
    assert (
        sorted(item.key for item in relative.items()) == absolute and relative.count() == COUNT + 2
    )
    assert relative.identity == find_sources([str(images)]).identity


class Crowd:
    """Stands for the detector: five faces in every image."""

    def __init__(self, config: object) -> None:
        self.config = config

    def detect(self, image: Image.Image) -> list[Face]:
        return [Face((2.0 * x, 0.0, 2.0 * x + 20, 20.0), 0.9) for x in range(5)]


def test_the_operators_limits_reach_finder_and_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"MAX_MEGAPIXELS": "1", "MAX_MB": "2", "MAX_FACES": "3", "THREADS": "1"}
    for name, value in limits.items():
        monkeypatch.setenv(f"AGEGENDER_{name}", value)
    asked: dict[str, Any] = {}
    made: list[FinderRecipe] = []

    def load_predictor(*_: object, **options: object) -> Any:
        asked.update(options)
        return SimpleNamespace(info=SimpleNamespace(input=InputSpec()))

    class NoPool:
        def __init__(self, recipe: FinderRecipe, count: int) -> None:
            made.append(recipe)
            raise ConfigError("far enough")

    monkeypatch.setattr("agegender_core.inference.predictor.load_predictor", load_predictor)
    monkeypatch.setattr("agegender_core.batch.worker_pool.Pool", NoPool)
    monkeypatch.setattr("agegender_core.vision.face_detector.MTCNNDetector", Crowd)
    with (
        opened_parts(tmp_path / "out", job(), 1) as parts,
        pytest.raises(ConfigError, match="far enough"),
    ):
        _run_local(find_sources([str(tmp_path)]), parts, 1, lambda _: None, lambda: False)
    assert asked["threads"] == 1
    finder = made[0]()
    portraits(1)[0].save(tmp_path / "a.png")
    Image.new("RGB", (1100, 1000)).save(tmp_path / "large.png")
    found = finder(Item("a", "a", FilePlace(str(tmp_path / "a.png"))))
    assert len(found.faces) == len(found.crops) == 3
    assert (
        "more than 1 megapixels"
        in finder(Item("b", "b", FilePlace(str(tmp_path / "large.png")))).message
    )


def test_rows_wait_in_memory_for_one_part_only(tmp_path: Path) -> None:
    with opened_parts(tmp_path, job(), 3) as parts:
        assert isinstance(parts, Parts)
        for number in range(8):
            parts.add(str(number), [row(str(number))])
            parts.write_if_full()
            assert len(parts._rows) < 3
    assert [len(pq.read_table(path)) for path in sorted(tmp_path.glob("part-*.parquet"))] == [
        3,
        3,
        2,
    ]


def test_answers_are_written_once_the_network_has_them(tmp_path: Path) -> None:
    """They do not wait until enough images for its next run have come together."""

    def answer(found: Any) -> list[tuple[str, list[dict[str, Any]]]]:
        return [(item.key, [row(item.key)]) for item, _ in found]

    with opened_parts(tmp_path, job(), 8) as parts, ThreadPoolExecutor(1) as executor:
        network = _Network(answer, parts, lambda _: None, executor)
        for number in range(IMAGES):
            network.add(Item(f"{number}", f"{number}", FilePlace("")), Failure("none"))
        executor.submit(lambda: None).result()  # after the network
        assert not parts.tally.images
        network.add(Item("next", "next", FilePlace("")), Failure("none"))
        assert parts.tally.images == IMAGES
        network.finish()
        assert parts.tally.images == IMAGES + 1


def test_a_worker_keeps_the_memory_of_large_photographs(
    portrait: Image.Image, tmp_path: Path
) -> None:
    before = Image.core.get_blocks_max()
    photo = tmp_path / "photo.jpg"
    portrait.resize((2600, 2600)).save(photo)
    item = Item("photo.jpg", "photo.jpg", FilePlace(str(photo)))
    try:
        find = FinderRecipe(InputSpec(size=32), 24)()
        first = find(item)
        reused = Image.core.get_stats()["reused_blocks"]
        again = find(item)
        assert Image.core.get_stats()["reused_blocks"] >= reused + 2  # 27 MB, blocks of 16
    finally:
        Image.core.set_blocks_max(before)
        Image.core.clear_cache()
    assert isinstance(first, Found) and isinstance(again, Found) and len(first.faces) == 1
    assert first.faces[0].box_xyxy == again.faces[0].box_xyxy
    assert (first.crops == again.crops).all()
