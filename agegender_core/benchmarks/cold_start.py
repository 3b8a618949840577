"""From nothing to the first answer, and what a server holds after many photos: import, command line
and server, each in processes of their own. Measured, never asserted: machines are noisy.

Processor time is the part that says something on a busy machine.
"""

from __future__ import annotations

import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from agegender_core.benchmarks.process_tree import end, read_process
from agegender_core.datasets.sample_image import sample_portrait
from agegender_core.evaluation.report_types import MemoryRow, StartBench, StartRow
from agegender_core.settings import ROOT

PHOTOS = 1000
SIZES = ((640, 480), (480, 640), (1280, 960), (1024, 768), (4000, 3000))
"""Of the photos, in turn; every fiftieth has the last, a phone's 12 megapixels."""
STARTS = 3
API = "/gradio/gradio_api"
ROUTES = (API, "/gradio_api", "/gradio")
"""Where releases have had their API, or might."""
ENTRIES = ("serve.py", "app.py")
"""What starts the app, the first that a release has."""
PATIENCE = 120
"""Seconds a server may take to start."""


@dataclass(frozen=True)
class ApiCall:
    """How a release's API is asked for one photo: under which address, and what stands beside the
    photo.
    """

    route: str = API
    beside: tuple[Any, ...] = (None,)


@dataclass(frozen=True)
class Server:
    """A running app: where it answers, and its process."""

    url: str
    process: subprocess.Popen[bytes]
    started: float

    def spent(self) -> tuple[float, float]:
        """Seconds since its start: by the clock, and of processor time in all threads."""
        return time.perf_counter() - self.started, processor_seconds(self.process.pid)

    def memory(self) -> tuple[int, int]:
        """Megabytes it holds, and the most it ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        now, most = (
            int(status.split(f"{key}:")[1].split()[0]) // 1024 for key in ("VmRSS", "VmHWM")
        )
        return now, most

    def api_call(self) -> ApiCall | None:
        """How its API is asked, by what it says of itself; None where there is no API."""
        for route in ROUTES:
            with suppress(OSError, ValueError, KeyError, TypeError):  # a page, or nothing
                told = json.loads(_get(f"{self.url}{route}/info"))
                inputs = told["named_endpoints"]["/predict"]["parameters"]
                return ApiCall(route, tuple(one.get("parameter_default") for one in inputs[1:]))
        return None

    def answer(self, photo: bytes, call: ApiCall = ApiCall()) -> dict[str, Any]:
        """The API's answer to one JPEG. Raises ``OSError``, or ``ValueError`` for a refusal."""
        api = f"{self.url}{call.route}"
        (path,) = json.loads(_post(f"{api}/upload", *_form(photo)))
        data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, *call.beside]}
        posted = _post(f"{api}/call/predict", json.dumps(data).encode())
        event = json.loads(posted)["event_id"]
        told = _get(f"{api}/call/predict/{event}").decode()
        kind, _, rest = told.strip().partition("\n")
        if kind != "event: complete":
            raise ValueError(told[:300])
        return json.loads(rest.removeprefix("data: "))[0]


def run_start_bench(photos: int = PHOTOS, starts: int = STARTS) -> StartBench:
    """Import, command line and server ``starts`` times each, and the last server's memory over
    ``photos``.
    """
    python = [sys.executable, "-c"]
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        photo.write_bytes(photo_of((640, 480), 0))
        predict = [sys.executable, "-m", "agegender_core", "predict", str(photo)]
        rows = [
            _row("python alone", starts, lambda: ran([*python, "pass"])),
            _row("import agegender_core", starts, lambda: ran([*python, "import agegender_core"])),
            _row("command line: one photo", starts, lambda: ran(predict)),
        ]
    pages: list[tuple[float, float]] = []
    answers: list[tuple[float, float]] = []
    memory: tuple[MemoryRow, ...] = ()
    for number in range(starts):
        with running_server() as server:
            pages.append(server.spent())
            server.answer(photo_of((640, 480), 0))
            answers.append(server.spent())
            if number == starts - 1:
                memory = tuple(_fed(server, photos))
    rows += [
        _row_of("app: first page can be served", pages),
        _row_of("app: first photo answered", answers),
    ]
    return StartBench(tuple(rows), memory)


def start_bench_table(bench: StartBench) -> str:
    """Markdown."""
    lines = [
        "| from nothing to | processor time | by the clock | n |",
        "| --- | --- | --- | --- |",
    ]
    for row in bench.rows:
        lines.append(f"| {row.what} | {row.cpu_s:.2f} s | {row.wall_s:.2f} s | {row.n} |")
    lines += ["", "| photos answered | memory | most so far |", "| --- | --- | --- |"]
    for held in bench.memory:
        lines.append(f"| {held.photos:,} | {held.memory_mb:,} MB | {held.peak_mb:,} MB |")
    words = (
        "Median of processes of their own; the app is the whole server with both front ends."
        " Photos of 0.3 to 12 megapixels with one face, one after the other."
    )
    return "\n".join([*lines, "", words])


def processor_seconds(process: int) -> float:
    """What a running process has taken so far, all its threads together."""
    return read_process(process).seconds


@contextmanager
def running_server(
    root: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The app in ``root``, all its front ends, once it answers. Raises ``RuntimeError`` where it
    does not start.
    """
    entry = next((name for name in ENTRIES if (root / name).is_file()), None)
    if entry is None:
        raise RuntimeError(f"there is no {' or '.join(ENTRIES)} in it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.headless", "true", "--server.address", "127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", entry, *options]
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=root,
        env=None if environment is None else dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(f"http://127.0.0.1:{port}", process, started)
    try:
        while not _healthy(server.url):
            if process.poll() is not None or server.spent()[0] > PATIENCE:
                raise RuntimeError("the app did not start: run it by itself to see why")
            time.sleep(0.02)
        yield server
    finally:
        end(process)


def _fed(server: Server, photos: int) -> Iterator[MemoryRow]:
    """Memory after the first photo and after every tenth of them all."""
    for number in range(1, photos + 1):
        server.answer(numbered_photo(number))
        if number == 1 or number % max(1, photos // 10) == 0:
            yield MemoryRow(number, *server.memory())


def numbered_photo(number: int) -> bytes:
    """The photo that is sent as the ``number``-th."""
    return photo_of(SIZES[-1] if number % 50 == 0 else SIZES[number % (len(SIZES) - 1)], number)


def photo_of(size: tuple[int, int], number: int) -> bytes:
    """A JPEG with one face; each ``number`` puts it elsewhere, so that no two are the same."""
    side = min(size) - 40
    canvas = Image.new("RGB", size, (96, 96 + number % 64, 96))
    canvas.paste(sample_portrait().resize((side, side)), (number % 40, number // 40 % 40))
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def ran(
    command: Sequence[str], folder: Path = ROOT, environment: Mapping[str, str] | None = None
) -> tuple[float, float]:
    """Seconds a command took in ``folder``: by the clock, and of processor time. Raises
    ``CalledProcessError`` where it failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=None if environment is None else dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def _row(what: str, repeats: int, job: Callable[[], tuple[float, float]]) -> StartRow:
    job()  # the first time files come from the disk
    return _row_of(what, [job() for _ in range(repeats)])


def _row_of(what: str, times: Sequence[tuple[float, float]]) -> StartRow:
    wall, cpu = (round(statistics.median(values), 3) for values in zip(*times, strict=True))
    return StartRow(what, wall, cpu, len(times))


def _form(photo: bytes) -> tuple[bytes, str]:
    """Body and type of a form with one file."""
    edge = b"photo-and-nothing-else"
    head = b'Content-Disposition: form-data; name="files"; filename="photo.jpg"\r\n'
    body = b"--" + edge + b"\r\n" + head + b"Content-Type: image/jpeg\r\n\r\n"
    return (
        body + photo + b"\r\n--" + edge + b"--\r\n",
        f"multipart/form-data; boundary={edge.decode()}",
    )


def _post(url: str, body: bytes, kind: str = "application/json") -> bytes:
    return _read(urllib.request.Request(url, body, {"Content-Type": kind}))


def _get(url: str) -> bytes:
    return _read(urllib.request.Request(url))


def _read(request: urllib.request.Request) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        request, timeout=PATIENCE
    ) as answer:
        return answer.read()


def _healthy(url: str) -> bool:
    try:
        return bool(_get(f"{url}/_stcore/health"))
    except OSError:
        return False
