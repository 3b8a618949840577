"""The same job on a local Ray cluster of two workers, one of which is killed midway."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from agegender_core.batch.ray_engine import require_ray
from agegender_core.errors import ConfigError
from tests.core.batch_jobs import processes, run, same, start, table, wait_for_parts, write_folder

pytest.importorskip("ray.data", reason="Ray is not installed")


def test_a_ray_worker_killed_midway_costs_nothing(tmp_path: Path) -> None:
    pictures = write_folder(tmp_path / "pictures", 80)
    process = start(pictures, "-o", tmp_path / "ray", "--engine", "ray", "--workers", 2, "--part-rows", 16)
    wait_for_parts(tmp_path / "ray", 1, process)
    session = os.getsid(process.pid)
    workers = [number for number in processes("ray::MapWorker") if os.getsid(number) == session] or processes("ray::MapWorker")
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    said = process.communicate(timeout=200)[1]
    assert process.returncode == 1 and "82 pictures, 80 faces, 1 failed" in said, said
    code, _ = run(pictures, "-o", tmp_path / "local", "--workers", 2, "--quiet")
    assert code == 1
    same(table(tmp_path / "ray"), table(tmp_path / "local"))
    code, said = run(pictures, "-o", tmp_path / "ray", "--engine", "ray", "--workers", 1)
    assert code == 1 and "nothing new" in said  # the engines go on with each other's parts
    code, said = run(pictures, "-o", tmp_path / "ray")
    assert code == 1 and "nothing new" in said


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ConfigError, match=r"pip install 'ray\[data\]=="):
        require_ray()
