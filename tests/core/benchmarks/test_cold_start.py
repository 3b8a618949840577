"""What the bench of starts counts: a child's own processor time, failures, memory row by row. No
time is asserted but against another of the same run.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from agegender_core.benchmarks import cold_start
from agegender_core.evaluation.report_store import read_bench
from agegender_core.evaluation.report_types import BenchReport, MemoryRow, StartBench, StartRow
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json

WORK = "sum(range(20_000_000))"


def test_processor_time_is_the_childs_own() -> None:
    sleeping = cold_start.ran([sys.executable, "-c", "import time; time.sleep(0.5)"])
    working = cold_start.ran([sys.executable, "-c", WORK])
    assert sleeping[0] >= 0.5 > sleeping[1]
    assert working[1] > 2 * sleeping[1]


def test_a_command_that_fails_is_no_time() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        cold_start.ran([sys.executable, "-c", "raise SystemExit(3)"])


def test_memory_is_noted_after_the_first_photo_and_every_tenth_of_them() -> None:
    class Fed:
        def __init__(self) -> None:
            self.photos: list[bytes] = []

        def answer(self, photo: bytes) -> None:
            self.photos.append(photo)

        def memory(self) -> tuple[int, int]:
            return len(self.photos), 2 * len(self.photos)

    server = Fed()
    found = list(cold_start._fed(server, 50))  # type: ignore[arg-type]  # what it needs of one
    assert found == [MemoryRow(n, n, 2 * n) for n in (1, *range(5, 51, 5))]
    assert len(set(server.photos)) == 50
    sizes = {Image.open(io.BytesIO(photo)).size for photo in server.photos}
    assert sizes == set(cold_start.SIZES)


def test_rows_are_medians_and_survive_the_report(tmp_path: Path) -> None:
    row = cold_start._row_of("start", [(3.0, 1.0), (1.0, 5.0), (2.0, 2.0)])
    assert row == StartRow("start", 2.0, 2.0, 3)
    bench = StartBench((row,), (MemoryRow(1000, 512, 640),), "a machine")
    write_json(tmp_path / "bench.json", to_json(BenchReport(start=bench)))
    saved = read_bench(tmp_path)
    assert saved is not None and saved.start == bench
    table = cold_start.start_bench_table(bench)
    assert "| start | 2.00 s | 2.00 s | 3 |" in table
    assert "| 1,000 | 512 MB | 640 MB |" in table
