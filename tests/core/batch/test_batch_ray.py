"""The same job on a local Ray cluster of two workers, one of which is killed midway."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agegender_core.batch import ray_engine
from agegender_core.batch.image_refs import Item
from agegender_core.batch.part_writer import Job, opened_parts
from agegender_core.batch.pipeline import Failure
from agegender_core.batch.ray_engine import require_ray
from agegender_core.batch.sources import find_sources
from agegender_core.errors import ConfigError
from agegender_core.inference.model_zoo import find_weights
from tests.support.batch_jobs import (
    processes,
    run,
    same,
    start,
    table,
    wait_for_parts,
    write_folder,
)

pytestmark = pytest.mark.ray

pytest.importorskip("ray.data", reason="Ray is not installed")


def test_a_ray_worker_killed_midway_costs_nothing(tmp_path: Path) -> None:
    images = write_folder(tmp_path / "images", 80)
    process = start(
        images, "-o", tmp_path / "ray", "--engine", "ray", "--workers", 2, "--part-rows", 16
    )
    wait_for_parts(tmp_path / "ray", 1, process)
    session = os.getsid(process.pid)
    workers = [
        number for number in processes("ray::MapWorker") if os.getsid(number) == session
    ] or processes("ray::MapWorker")
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    messages = process.communicate(timeout=200)[1]
    assert process.returncode == 1 and "82 images, 80 faces, 1 failed" in messages, messages
    code, _ = run(images, "-o", tmp_path / "local", "--workers", 2, "--quiet")
    assert code == 1
    same(table(tmp_path / "ray"), table(tmp_path / "local"))
    code, messages = run(images, "-o", tmp_path / "ray", "--engine", "ray", "--workers", 1)
    assert code == 1 and "nothing new" in messages  # the engines go on with each other's parts
    code, messages = run(images, "-o", tmp_path / "ray")
    assert code == 1 and "nothing new" in messages


@dataclass(frozen=True)
class PoisonRecipe:
    """Makes finders that one image kills, whatever process it is opened in."""

    def __call__(self) -> Callable[[Item], Failure]:
        return _dying


def _dying(item: Item) -> Failure:
    if "poison" in item.file:
        os.kill(os.getpid(), signal.SIGKILL)
    return Failure(f"opened {item.file}")


def test_an_image_that_kills_its_worker_is_named_and_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (tmp_path / ("poison.jpg" if number == 7 else f"{number:02}.jpg")).touch()
    monkeypatch.setattr(ray_engine, "FinderRecipe", lambda *_: PoisonRecipe())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    info = find_weights()
    job = Job(("a",), info.name, info.sha256, False, 24)
    with opened_parts(tmp_path / "out", job, 1000) as parts:
        ray_engine.run_ray(find_sources([str(tmp_path)]), parts, 1, lambda _: None, lambda: False)
    rows = table(tmp_path / "out").set_index("key")["error"]
    assert len(rows) == 20 and "was killed, ran out of memory or crashed, twice" in rows.pop(
        "poison.jpg"
    )
    assert all(error == f"opened {tmp_path / name}" for name, error in rows.items())


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ConfigError, match=r"pip install 'ray\[data\]=="):
        require_ray()


def test_workers_of_an_own_cluster_have_ordinary_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_worker_niceness", raising=False)
    import ray

    ray_engine._start(1)
    try:

        @ray.remote
        def niceness() -> int:
            return os.nice(0)

        assert ray.get(niceness.remote(), timeout=120) == os.nice(0)
    finally:
        ray.shutdown()
        monkeypatch.setenv("RAY_worker_niceness", "0")  # so that it is taken away again
