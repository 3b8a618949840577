"""Memory of a running job, read at marks, on a short job of the local engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from agegender_core.benchmarks import batch_memory
from agegender_core.benchmarks.batch_memory import (
    SIZES,
    batch_memory_table,
    run_batch_memory_bench,
    write_images,
)
from agegender_core.benchmarks.process_tree import is_supported


def test_images_are_of_mixed_sizes(tmp_path: Path) -> None:
    write_images(tmp_path / "images", len(SIZES) + 2)
    files = sorted((tmp_path / "images").iterdir())
    assert len(files) == len(SIZES) + 2
    sizes = []
    for file in files:
        with Image.open(file) as image:
            sizes.append(image.size)
    assert sizes == [*SIZES, *SIZES[:2]]


@pytest.mark.slow
@pytest.mark.skipif(not is_supported(), reason="Linux shows its processes")
def test_memory_is_read_while_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_memory, "engines", lambda: ["local"])
    monkeypatch.setattr(batch_memory, "PART_ROWS", 16)
    bench = run_batch_memory_bench(160, (16, 48), workers=1)
    assert [row.engine for row in bench.rows] == ["local"] * len(bench.rows)
    assert 1 <= len(bench.rows) <= 2 and bench.rows[0].images >= 16
    # The command, its worker, and multiprocessing's own helper.
    assert all(row.processes >= 2 and row.memory_mb > 200 for row in bench.rows)
    assert f"| local | {bench.rows[0].images} |" in batch_memory_table(bench)
