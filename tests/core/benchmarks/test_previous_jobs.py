"""What two releases do beside photos: measured in turns where both can, and said to be absent where
one cannot, with nothing else lost. The releases here are drawn: they only have the layout.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agegender_core.benchmarks import (
    cold_start,
    photo_worker,
    previous,
    previous_app,
    previous_folders,
    previous_tables,
    previous_work,
    releases,
)
from agegender_core.benchmarks.cold_start import ApiCall
from agegender_core.benchmarks.releases import BEFORE, NOT_THERE, NOW
from agegender_core.errors import ConfigError
from agegender_core.evaluation.report_store import read_previous
from agegender_core.evaluation.speed_reports import Absent, PreviousReport, Quantity, ReleaseJob
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from agegender_core.publishing.speed_page import speed_section

PACKAGE = """
from types import SimpleNamespace as Some
__version__ = "0.1"
WORK = {work}
def load_predictor(weights=None):
    return Some(info=Some(name=weights or "own"))
def attention_maps(data, weights=None):
    sum(range(WORK))
    return Some(face=None, gender=None, age=Some(years=30.0))
"""
LIVE = """
from types import SimpleNamespace as Some
import agegender_core
class LiveAnalyser:
    def __init__(self, predictor):
        self.seen = []
    def warm(self):
        pass
    def analyse(self, image, seconds):
        sum(range(agegender_core.WORK))
        self.seen.append(seconds)
        assert image.size == (640, 480) and sorted(set(self.seen)) == self.seen
        return Some(tracks=self.seen[:2])
    def draw(self, frame, mirror):
        assert mirror
"""
QUESTIONS = """
import agegender_core
def write_drawn(folder, rows):
    assert rows == 50 and not any(folder.iterdir())
    (folder / "table").touch()
    return ("a", "b")
def read_table(folder, name, names):
    assert (folder / "table").is_file() and name == "drawn"
def _jobs(table):
    work = lambda: sum(range(agegender_core.WORK))
    return {"filter by age": work, "filter by name": work, "sort: oldest": work, "label": work}
"""
COMMAND = """
import os, sys, time
import pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
import agegender_core
words = sys.argv[1:]
assert words[0] == "batch"
if "--help" not in words:
    files, output = sorted(Path(words[1]).iterdir()), Path(words[words.index("-o") + 1])
    assert words[words.index("--workers") + 1] == "2" and "--quiet" in words
    end = time.time()
    for number, file in enumerate(files):
        part = output / f"part-{number}.parquet"
        pq.write_table(pa.table({"file": [file.name]}), part)
        written = end + number * agegender_core.WORK / 1e6
        os.utime(part, (written, written))
"""
NO_COMMAND = """
import sys
sys.exit("Error: No such command 'batch'.")
"""


def drawn_release(root: Path, work: int, live: str | None = "live/analyser.py") -> Path:
    files = {
        "agegender_core/__init__.py": PACKAGE.format(work=work),
        "agegender_core/__main__.py": COMMAND,
        "agegender_core/error_analysis/__init__.py": "",
        "agegender_core/error_analysis/bench.py": QUESTIONS,
        "torch.py": "def set_num_threads(count):\n    pass\n",
    }
    if live is not None:
        files |= {f"agegender_core/{live}": LIVE}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def bare_release(root: Path) -> Path:
    """One from before any of this: no attention, no galleries, no video, no folders."""
    (root / "agegender_core").mkdir(parents=True)
    (root / "agegender_core" / "__init__.py").write_text("__version__ = '0.0'\n")
    (root / "agegender_core" / "__main__.py").write_text(NO_COMMAND)
    (root / "torch.py").write_text("def set_num_threads(count):\n    pass\n")
    return root


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The slow release before and the quick one now, in place of this checkout."""
    found = {
        BEFORE: drawn_release(tmp_path / "before", 3_000_000),
        NOW: drawn_release(tmp_path / "now", 300_000, "video/analyzer.py"),
    }
    for module in (previous_work, previous_folders, previous_app):
        monkeypatch.setattr(module, "release_roots", lambda previous: found)
    monkeypatch.setattr(previous_work, "SECONDS", 0.1)
    monkeypatch.setattr(previous_folders, "IMAGES", 8)
    monkeypatch.setattr(previous_folders, "PHONES", 4)
    monkeypatch.setattr(previous_folders, "PHONE", (320, 240))
    return found


def quiet(text: str) -> None:
    """Nobody listens."""


def test_workers_and_tables_say_the_same_of_what_a_release_lacks() -> None:
    assert photo_worker.NOT_THERE == NOT_THERE


@pytest.mark.slow
def test_live_is_fed_the_same_frames_wherever_a_release_keeps_it(roots: dict[str, Path]) -> None:
    rows = previous_work.live_jobs(roots[BEFORE], quiet, 1)
    assert [row.what.partition(",")[0] for row in rows] == ["1 face", "3 faces"] * 2
    for row in rows:
        processor, rate, faces = row.quantities
        assert processor.times_as_fast is not None and processor.times_as_fast > 2
        assert rate.before is not None and rate.now is not None and rate.before < rate.now
        assert (faces.before, faces.now, faces.times_as_fast) == (2, 2, None)
        assert row.absent == ()


@pytest.mark.slow
def test_masks_and_questions_are_timed_in_both(roots: dict[str, Path]) -> None:
    maps = previous_work.map_jobs(roots[BEFORE], quiet, 1)
    assert len(maps) == 2 and all(row.absent == () for row in maps)
    rows = previous_work.error_jobs(roots[BEFORE], quiet, 1, 50)
    found = {row.what: row.quantities[0] for row in rows}
    assert list(found)[:3] == [
        "tables of three networks read",
        "filters of the gallery, 2",
        "orders of the gallery",
    ]
    for one in (maps[0].quantities[0], found["filters of the gallery, 2"]):
        assert one.times_as_fast is not None and one.times_as_fast > 2


@pytest.mark.slow
def test_what_a_release_lacks_is_said_and_the_other_is_measured(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    """Also where another release is installed beside it, whose modules Python would find."""
    roots[BEFORE] = bare_release(tmp_path / "bare")
    rows = [
        *previous_work.live_jobs(roots[BEFORE], quiet, 1),
        *previous_work.map_jobs(roots[BEFORE], quiet, 1),
        *previous_work.error_jobs(roots[BEFORE], quiet, 1, 50),
        *previous_folders.folder_jobs(roots[BEFORE], quiet),
    ]
    for row in rows:
        assert row.absent == (Absent(BEFORE, NOT_THERE),), row
        assert row.quantities[-1].before is None
        assert row.quantities[-1].now is not None, row
    assert not any("plots" in row.what for row in rows)  # of which the drawn release has none
    table = previous_tables.jobs_table("work", rows)
    assert NOT_THERE in table and "Not measured" not in table


@pytest.mark.slow
def test_folders_are_paced_from_the_parts_of_both(roots: dict[str, Path]) -> None:
    rows = previous_folders.folder_jobs(roots[BEFORE], quiet)
    assert [row.what.split(",")[0] for row in rows] == ["8 of 640x480"] * 2 + ["4 of 320x240"] * 2
    for row in rows:
        _, started, whole = row.quantities
        assert started.before == pytest.approx(1 / 3, abs=0.01)
        assert started.now == pytest.approx(1 / 0.3, abs=0.05)
        assert started.times_as_fast == pytest.approx(10, abs=0.2)
        assert whole.before is not None and whole.before > 0 and row.absent == ()


@pytest.mark.slow
def test_a_folder_that_fails_is_a_sentence(roots: dict[str, Path]) -> None:
    main = roots[NOW] / "agegender_core" / "__main__.py"
    main.write_text("import sys\nsys.exit(0 if '--help' in sys.argv else 3)\n")
    for row in previous_folders.folder_jobs(roots[BEFORE], quiet):
        assert row.absent == (Absent(NOW, "a command failed with exit code 3"),)
        assert row.quantities[1].before is not None and row.quantities[1].now is None
    main.write_text("import nothing_of_this_name\n")
    why = previous_folders.lack_of_batch(roots[NOW], roots[BEFORE])
    assert why is not None and "nothing_of_this_name" in why


class FakeServer:
    """A server that answers; this process stands for its own."""

    def __init__(self, has_api: bool, fails: bool = False) -> None:
        self.process = SimpleNamespace(pid=os.getpid())
        self.has_api, self.fails, self.photos = has_api, fails, 0

    def spent(self) -> tuple[float, float]:
        return 1.5, 1.0

    def api_call(self) -> ApiCall | None:
        return ApiCall("/its/api") if self.has_api else None

    def answer(self, photo: bytes, call: ApiCall) -> None:
        assert photo.startswith(b"\xff\xd8") and call.route == "/its/api"
        self.photos += 1
        if self.fails:
            raise ValueError("event: error")


def started_servers(**servers: Any) -> Any:
    @contextmanager
    def start(root: Path, environment: Any) -> Iterator[FakeServer]:
        server = servers[root.name]
        if server is None:
            raise RuntimeError("the app did not start")
        yield server

    return start


@pytest.mark.skipif(not previous_app.is_supported(), reason="needs /proc")
def test_the_app_of_both_is_started_in_turns_and_fed(roots: dict[str, Path]) -> None:
    servers = {"before": FakeServer(True), "now": FakeServer(True)}
    times, memory = previous_app.app_jobs(roots[BEFORE], quiet, 2, 5, started_servers(**servers))
    assert [row.what for row in times] == [previous_app.PAGE, previous_app.ANSWER]
    assert [row.quantities[1].before for row in times] == [1.5, 1.5]
    assert [row.quantities[1].times_as_fast for row in times] == [1.0, 1.0]
    assert [row.what for row in memory] == ["after 1 photo", "after 5 photos"]
    for row in memory:
        assert row.quantities[0].share == pytest.approx(1, abs=0.2) and row.absent == ()
    assert {server.photos for server in servers.values()} == {3 + 5}


@pytest.mark.skipif(not previous_app.is_supported(), reason="needs /proc")
@pytest.mark.parametrize(
    ("server", "page", "said"),
    [
        (FakeServer(False), 1.5, NOT_THERE),
        (FakeServer(True, fails=True), 1.5, "ValueError: event: error"),
        (None, None, "RuntimeError: the app did not start"),
    ],
    ids=["no API", "refuses", "does not start"],
)
def test_an_app_that_cannot_answer_leaves_the_other_measured(
    roots: dict[str, Path], server: FakeServer | None, page: float | None, said: str
) -> None:
    start = started_servers(before=server, now=FakeServer(True))
    times, memory = previous_app.app_jobs(roots[BEFORE], quiet, 1, 2, start)
    assert times[0].quantities[1].before == page
    assert times[1].absent == (Absent(BEFORE, said),)
    for row in (*times, *memory):
        assert row.quantities[-1].now is not None
    assert {row.absent for row in memory} == {(Absent(BEFORE, said),)}


@contextmanager
def serving(pages: dict[str, bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(pages.get(self.path, b"<html>a page for every address</html>"))

        def log_message(self, *words: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_api_is_asked_as_it_says_itself() -> None:
    inputs = [{"label": "photo"}, {"parameter_default": None}, {"parameter_default": 24}]
    told = json.dumps({"named_endpoints": {"/predict": {"parameters": inputs}}}).encode()
    for pages, call in (
        ({"/gradio_api/info": told}, ApiCall("/gradio_api", (None, 24))),
        ({"/gradio/gradio_api/info": b'{"named_endpoints": {}}'}, None),
        ({}, None),
    ):
        with serving(pages) as url:
            server = cold_start.Server(url, None, 0.0)  # type: ignore[arg-type]  # not looked at
            assert server.api_call() == call


def test_a_folder_without_an_app_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"no serve\.py or app\.py"),
        cold_start.running_server(tmp_path),
    ):
        pass


JOB = ReleaseJob(
    what="a job",
    quantities=(
        Quantity(name="processor", unit="s", before=12.34, now=3.2, times_as_fast=3.86),
        Quantity(name="memory", unit="MB", before=1200, now=600, share=0.5),
    ),
)
GONE = ReleaseJob(
    what="another",
    quantities=(Quantity(name="processor", unit="s", before=None, now=2.0),),
    absent=(Absent(BEFORE, NOT_THERE), Absent(NOW, "it hung")),
)
OLD = {
    "machine": "a machine",
    "load_at_start": 0.2,
    "rounds": 5,
    "previous": "abc1234",
    "now": "def5678",
    "systems": [],
    "rows": [],
}


def test_a_report_from_before_is_read_and_one_of_now_is_read_as_written(tmp_path: Path) -> None:
    write_json(tmp_path / "previous.json", OLD)
    old = read_previous(tmp_path)
    assert old is not None and old.folders == old.app == old.memory == old.live == ()
    assert "folder of photos" not in speed_section(tmp_path)
    full = PreviousReport(
        **{**OLD, "systems": (), "rows": ()},  # type: ignore[arg-type]  # values of several types
        folders=(JOB, GONE),
        app=(JOB,),
        memory=(JOB,),
        live=(GONE,),
        maps=(JOB,),
        errors=(JOB,),
    )
    write_json(tmp_path / "previous.json", to_json(full))
    assert read_previous(tmp_path) == full
    page = speed_section(tmp_path)
    for _, title, note in previous_tables.JOB_TABLES:
        assert f"| {title} |" in page and note in page


def test_jobs_are_told_side_by_side_with_what_is_absent() -> None:
    table = previous_tables.jobs_table("job", (JOB, GONE))
    head = "| job | processor, before | now | times as fast | memory, before | now | share |"
    assert table.splitlines()[0] == head
    assert "| a job | 12.3 s | 3.20 s | 3.9 | 1,200 MB | 600 MB | 0.5 |" in table
    assert f"| another | {NOT_THERE} | 2 s | – | {NOT_THERE} | – | – |" in table
    assert "Not measured: this release (it hung)." in table


def test_ratios_are_of_times_and_of_rates() -> None:
    assert releases.time_of("a", "s", 4.0, 2.0).times_as_fast == 2.0
    assert releases.time_of("a", "", 4.0, 2.0, rate=True).times_as_fast == 0.5
    assert releases.time_of("a", "s", None, 2.0).times_as_fast is None
    assert [releases.in_turns(number)[0] for number in (0, 1)] == [BEFORE, NOW]


def test_a_part_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> tuple[ReleaseJob, ...]:
        raise subprocess.CalledProcessError(5, ["a"])

    monkeypatch.setattr(previous, "folder_jobs", lambda *_: (JOB,))
    monkeypatch.setattr(previous, "app_jobs", lambda *_: ((JOB,), (GONE,)))
    monkeypatch.setattr(previous, "live_jobs", fails)
    monkeypatch.setattr(previous, "map_jobs", lambda *_: (GONE,))
    monkeypatch.setattr(previous, "error_jobs", lambda *_: (_ for _ in ()).throw(ConfigError("no")))
    absent: list[Absent] = []
    found = previous.release_jobs(Path(), quiet, absent)
    assert found == {"folders": (JOB,), "app": (JOB,), "memory": (GONE,), "maps": (GONE,)}
    assert [gone.system for gone in absent] == ["live", "errors"]
    assert absent[0].reason == "a command failed with exit code 5"
