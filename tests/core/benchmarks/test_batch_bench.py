"""The pace of a batch job, read from its parts, and a whole short run of the bench."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agegender_core.benchmarks import batch
from agegender_core.benchmarks.batch import (
    Part,
    batch_bench_table,
    finished_parts,
    pace_of,
    run_batch_bench,
)


def test_parts_are_in_the_order_they_were_written(tmp_path: Path) -> None:
    for name, written, rows in (("part-b", 10.5, 3), ("part-a", 12.0, 4), ("other", 1.0, 9)):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"file": ["x"] * rows}), path)
        os.utime(path, (written, written))
    assert finished_parts(tmp_path) == [Part(10.5, 3), Part(12.0, 4)]


@pytest.mark.parametrize("start", [1.0, 9.0])
def test_a_slow_start_does_not_change_the_pace(start: float) -> None:
    """Eight parts of ten images, half a second each, whenever the first comes."""
    pace = pace_of([Part(start + 0.5 * number, 10) for number in range(8)])
    assert pace is not None
    assert pace.rate == 20 and pace.images == 60
    assert (pace.began, pace.ended) == (start + 0.5, start + 3.5)


@pytest.mark.parametrize(
    "parts", [[], [Part(3.0, 5)], [Part(3.0, 5), Part(3.0, 5)]], ids=["none", "one", "at once"]
)
def test_no_time_is_no_pace(parts: list[Part]) -> None:
    assert pace_of(parts) is None


@pytest.mark.slow
def test_a_short_run_has_a_row_for_each_engine_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "engines", lambda: ["local"])
    monkeypatch.setattr(batch, "PHONE", (800, 600))
    monkeypatch.setattr(batch, "REPEATS", 1)
    bench = run_batch_bench(images=250, workers=2)
    assert [(row.engine, row.picture, row.weights) for row in bench.rows] == [
        ("local", "640x480", "default"),
        ("local", "640x480", batch.LIGHT),
        ("local", "800x600", batch.LIGHT),
    ]
    for row in bench.rows:
        assert row.started_pictures_a_second is not None and row.seconds > 0
        assert row.started_pictures_a_second > row.pictures_a_second, "the start is left out"
    assert "| once started |" in batch_bench_table(bench)
