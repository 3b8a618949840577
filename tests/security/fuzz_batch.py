"""Damaged and hostile zips and Parquet files by the thousand, as sources of ``batch``.

    python -m tests.security.fuzz_batch --count 20000 --minutes 8

Each file is a sound one with some bytes changed, where its tables lie more often than elsewhere.
All of it is listed and every image in it is loaded, in a process of its own, whose death is a
finding and costs one file. A finding is whatever is no error of ours, a message of more than one
line, a key that comes twice, more bytes than an image may have, or a file that takes longer than
``SLOW`` seconds. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agegender_core.batch.image_refs import Loader
from agegender_core.batch.sources import find_sources
from agegender_core.errors import AgeGenderError
from agegender_core.vision.image_io import ImageLimits
from tests.support.memory import peak_mb

KINDS = ("zip", "parquet")
SLOW = 5.0
LIMITS = ImageLimits(max_bytes=2**20)
MEMORY = 3 * 2**30
"""Bytes of address space a file may take beyond what the process had before."""
EXTREMES = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF,
    0xFFFFFFFFFFFFFFFF,
)


def zip_samples() -> list[bytes]:
    """Sound zips: stored and deflated, names of several kinds, a name twice, an archive inside, a
    comment, extra fields."""
    rng = np.random.default_rng(0)
    contents = [rng.bytes(size) for size in (1, 300, 3000)] + [b"\0" * 200_000]
    samples = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, content in zip(
                ("a.jpg", "in/ü.png", "in/c.webp", "d.bmp"), contents, strict=True
            ):
                archive.writestr(name, content)
            with warnings.catch_warnings(action="ignore"):
                archive.writestr("a.jpg", b"again")
            archive.writestr("inner.zip", b"PK\5\6" + b"\0" * 18)
            archive.writestr("folder/", b"")
            with archive.open("big.jpg", "w", force_zip64=True) as member:
                member.write(contents[1])
            archive.comment = b"a comment"
        samples.append(buffer.getvalue())
    return samples


def parquet_samples() -> list[bytes]:
    """Sound Parquet files: each compression, dictionaries and plain values, pages of both versions,
    names in two places."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "image": {"bytes": rng.bytes(50 + 40 * row), "path": f"{row}.jpg"},
            "file": f"in/{row}.jpg",
        }
        for row in range(12)
    ]
    rows[3]["image"] = {"bytes": None, "path": None}
    rows[5]["image"] = None
    table, plain = pa.Table.from_pylist(rows), pa.Table.from_pylist(rows).drop_columns("file")
    samples = []
    for options in (
        {"compression": "snappy", "row_group_size": 5},
        {"compression": "zstd", "data_page_version": "2.0", "use_dictionary": False},
        {
            "compression": "gzip",
            "row_group_size": 6,
            "data_page_size": 100,
            "write_page_index": True,
        },
        {
            "compression": "none",
            "use_dictionary": False,
            "column_encoding": {"image.bytes": "DELTA_LENGTH_BYTE_ARRAY"},
        },
    ):
        for content in (table, plain):
            buffer = io.BytesIO()
            pq.write_table(content, buffer, **options)
            samples.append(buffer.getvalue())
    return samples


SAMPLES = {"zip": zip_samples, "parquet": parquet_samples}


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to eight changes, two thirds of them in the last third, where the tables of both kinds
    lie."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if not changed:
            break
        low = 0 if rng.random() < 1 / 3 else 2 * len(changed) // 3
        place = int(rng.integers(low, len(changed)))
        change = rng.integers(7)
        if change == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif change == 1:
            changed[place] = int(rng.integers(256))
        elif change == 2:
            size = int(rng.choice((1, 2, 4, 8)))
            value = int(EXTREMES[rng.integers(len(EXTREMES))]) & (256**size - 1)
            changed[place : place + size] = value.to_bytes(size, "little")
        elif change == 3:
            del changed[place : place + int(rng.integers(1, 40))]
        elif change == 4:
            changed[place:place] = rng.bytes(int(rng.integers(1, 40)))
        elif change == 5:
            start = int(rng.integers(len(changed)))
            changed[place:place] = changed[start : start + int(rng.integers(1, 200))]
        elif rng.random() < 0.3:
            del changed[place:]
    return bytes(changed)


@dataclass
class Result:
    """What became of the files: ``outcomes`` by word, ``findings`` with the seed of their file."""

    files: int = 0
    images: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0
    peak_mb: float = 0.0
    seconds: float = 0.0


def attempt(path: Path) -> dict[str, Any]:
    """List a file and load all that is in it; gives what happened. Raises what should not have come
    out of it."""
    outcomes: Counter[str] = Counter()
    keys: set[str] = set()
    sources = find_sources([str(path)])
    loader = Loader(LIMITS)
    for item in sources.items():
        assert item.key not in keys, f"the key {item.key!r} comes twice"
        keys.add(item.key)
        try:
            data = loader.load(item.place)
        except AgeGenderError as error:
            assert "\n" not in str(error) and len(str(error)) < 600, (
                f"no sentence: {str(error)[:700]!r}"
            )
            outcomes["one sentence"] += 1
            outcomes["the process that listed it ended"] += "the process that opened it" in str(
                error
            )
        else:
            assert isinstance(data, bytes) and len(data) <= LIMITS.max_bytes, f"{len(data)} bytes"
            outcomes["loaded"] += 1
    outcomes["said to be empty"] += bool(sources.empty)
    assert outcomes.total(), "the file vanished without a word"
    return {"images": len(keys), "outcomes": outcomes}


def _work(pipe: Connection, kind: str, folder: str) -> None:
    """Attempts files by seed until told to end."""
    samples, path = SAMPLES[kind](), Path(folder) / f"x.{kind}"
    attempt_warm(samples, path)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    while (seed := pipe.recv()) is not None:
        rng = np.random.default_rng(seed)
        path.write_bytes(mutated(samples[rng.integers(len(samples))], rng))
        started = time.perf_counter()
        try:
            answer = attempt(path)
        except BaseException as error:
            answer = {"finding": f"{type(error).__name__}: {str(error)[:300]}"}
        answer |= {"seconds": time.perf_counter() - started, "peak": peak_mb()}
        pipe.send(answer)


def attempt_warm(samples: list[bytes], path: Path) -> None:
    """The sound files, which must be read, so that what is measured later is the damage."""
    for sample in samples:
        path.write_bytes(sample)
        assert attempt(path)["outcomes"]["loaded"] > 3


@contextlib.contextmanager
def _worker(kind: str, folder: str) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    # No daemon: it has a child of its own.
    process = context.Process(target=_work, args=(theirs, kind, folder))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def fuzz(kind: str, count: int, seed: int = 0, minutes: float = 10.0) -> Result:
    """``count`` files of a kind, or as many as the minutes allow."""
    result, started, number = Result(), time.perf_counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        while number < count and time.perf_counter() - started < 60 * minutes:
            with _worker(kind, folder) as pipe:
                while number < count and time.perf_counter() - started < 60 * minutes:
                    alive = _one(pipe, [seed, number], result)
                    number += 1
                    if not alive:
                        break
    result.seconds = round(time.perf_counter() - started, 1)
    return result


def _one(pipe: Connection, seed: list[int], result: Result) -> bool:
    """One file; False where the process died or has to be ended."""
    result.files += 1
    try:
        pipe.send(seed)
        if not pipe.poll(60):
            result.findings.append(f"{seed}: takes longer than a minute")
            return False
        answer = pipe.recv()
    except (EOFError, OSError):
        result.findings.append(f"{seed}: the process died")
        return False
    if "finding" in answer or answer["seconds"] > SLOW:
        result.findings.append(
            f"{seed}: {answer.get('finding', 'slow')} ({answer['seconds']:.1f} s)"
        )
    result.images += answer.get("images", 0)
    result.outcomes += answer.get("outcomes", Counter())
    result.slowest = max(result.slowest, round(answer["seconds"], 2))
    result.peak_mb = max(result.peak_mb, round(answer["peak"]))
    return True


def main() -> int:
    """Prints a result a kind as JSON; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4000, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=4.0, help="at most, for each kind")
    parser.add_argument("--kind", choices=KINDS, action="append")
    given = parser.parse_args()
    found = 0
    for kind in given.kind or KINDS:
        result = fuzz(kind, given.count, given.seed, given.minutes)
        print(json.dumps({"kind": kind, **vars(result)}, ensure_ascii=False))
        found += len(result.findings)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
