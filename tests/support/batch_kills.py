"""``batch`` killed with all its workers at random moments and started again, until it ends: no row
may be lost or be there twice.

The real command on drawn portraits, then the real engine, workers and parts without networks:

    python -m tests.support.batch_kills --kills 10 --images 300
    python -m tests.support.batch_kills --kills 100 --images 2000 --light
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from agegender_core.batch.image_refs import Item
from agegender_core.batch.local_engine import run_local
from agegender_core.batch.part_writer import Job, opened_parts
from agegender_core.batch.pipeline import Failure, Outcome
from agegender_core.batch.sources import find_sources
from agegender_core.batch.worker_pool import Pool
from tests.support.batch_jobs import ROOT, jpeg, portraits

FACES = 3
"""Rows of each image of a light job."""


@dataclass
class Killed:
    """``at_work``: kills that met a job at work; ``moments``: images done at each; ``lost`` and
    ``repeated``: rows in the end."""

    images: int = 0
    kills: int = 0
    at_work: int = 0
    moments: tuple[int, ...] = ()
    lost: int = 0
    repeated: int = 0
    half_written: int = 0
    seconds: float = 0.0


def kill_often(
    command: Sequence[str],
    out: Path,
    expected: Counter[tuple[str, int]],
    kills: int,
    longest: float,
    seed: int = 0,
) -> Killed:
    """Run ``command`` and kill it ``kills`` times, each up to ``longest`` seconds after it began or
    wrote a part, then let it end."""
    chance, result, moments = random.Random(seed), Killed(kills=kills), []
    started = time.monotonic()
    for _ in range(kills):
        process = _start(command)
        if chance.random() < 0.7:  # else while it is starting or reading the parts
            _wait_for_a_part(out, process)
        time.sleep(chance.uniform(0, longest))
        result.at_work += process.poll() is None
        _kill(process)
        moments.append(len({key for key, _ in rows_of(out)}))
    assert _start(command).wait(timeout=1200) in (0, 1)
    found = rows_of(out)
    result.moments, result.images = tuple(moments), len({key for key, _ in expected})
    result.lost, result.repeated = (expected - found).total(), (found - expected).total()
    result.half_written = len(list(out.glob(".*.tmp")))
    result.seconds = round(time.monotonic() - started, 1)
    return result


def rows_of(out: Path) -> Counter[tuple[str, int]]:
    """(key, face) of every row, how often it is there; every part must be whole."""
    found: Counter[tuple[str, int]] = Counter()
    for path in sorted(out.glob("part-*.parquet")):
        table = pq.read_table(path, columns=["key", "face"])
        found.update(
            (key, face or 0)
            for key, face in zip(*(column.to_pylist() for column in table.columns), strict=True)
        )
    return found


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _wait_for_a_part(out: Path, process: subprocess.Popen[bytes]) -> None:
    before, deadline = len(list(out.glob("part-*"))), time.monotonic() + 120
    while (
        len(list(out.glob("part-*"))) == before
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.005)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def light_expected(count: int) -> Counter[tuple[str, int]]:
    """Rows that a light job of so many images has."""
    return Counter(
        (f"{number:06}.jpg", face) for number in range(count) for face in range(1, FACES + 1)
    )


def light_command(folder: Path, out: Path) -> list[str]:
    """A job whose images are only named."""
    return [sys.executable, "-m", "tests.support.batch_kills", "--job", str(folder), str(out)]


def write_light(folder: Path, count: int) -> None:
    """Empty files under the names of ``light_expected``."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06}.jpg").touch()


class LightRecipe:
    """Stands for the finder: takes some milliseconds for an image."""

    def __call__(self) -> Any:
        return _light_find


def _light_find(item: Item) -> Outcome:
    time.sleep(0.004)
    return Failure(item.key)


def _light_answer(found: Sequence[tuple[Item, Outcome]]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [
        (
            item.key,
            [{"file": item.file, "face": face, "error": None} for face in range(1, FACES + 1)],
        )
        for item, _ in found
    ]


def light_job(folder: str, out: str) -> None:
    """What the command does, without networks."""
    with (
        opened_parts(Path(out), Job((folder,), "light", "0", False, 24), 40) as parts,
        Pool(LightRecipe(), 2) as pool,
    ):
        items = (item for item in find_sources([folder]).items() if item.key not in parts.done)
        run_local(items, parts, _light_answer, pool, lambda _: None, lambda: False)


def main() -> int:
    """Prints a ``Killed`` as JSON; 1 where rows were lost or repeated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--job", nargs=2, metavar=("FOLDER", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        light_job(*given.job)
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place) / "images", Path(place) / "out"
        if given.light:
            write_light(folder, given.images)
            command, expected, longest = (
                light_command(folder, out),
                light_expected(given.images),
                0.5,
            )
        else:
            folder.mkdir()
            for number, image in enumerate(portraits(given.images)):
                (folder / f"{number:06}.jpg").write_bytes(jpeg(image))
            command = [
                sys.executable,
                "-m",
                "agegender_core",
                "batch",
                str(folder),
                "-o",
                str(out),
                "--part-rows",
                "10",
            ]
            expected, longest = (
                Counter((f"{number:06}.jpg", 1) for number in range(given.images)),
                2.0,
            )
        result = kill_often(command, out, expected, given.kills, longest, given.seed)
    print(json.dumps(vars(result)))
    return int(bool(result.lost or result.repeated or result.half_written))


if __name__ == "__main__":
    sys.exit(main())
