"""The real front ends in processes of their own, and raw HTTP to them."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from PIL import Image

from agegender_core.datasets.sample_image import sample_portrait
from tests.e2e.harness import ROOT

SWITCHES = {
    "AGEGENDER_MAX_PICTURES": "5",
    "AGEGENDER_MAX_MB": "4",
    "AGEGENDER_OFFERED": "efficientnet_lite0,gra_net_dist",
    "AGEGENDER_CONCURRENT": "1",
    "AGEGENDER_WAITING": "9",
    "AGEGENDER_THREADS": "1",
    "AGEGENDER_UPLOADS_MB": "150",
}
WEIGHTS = "efficientnet_lite0"
PATIENCE = 60.0
START = 180.0
"""Seconds a start may take, torch's import with it, on a machine that is busy."""


@dataclass
class Server:
    """``root``: Gradio's address; ``ready``: what to ask whether the server is alive; ``folder``:
    all of its temporary files and all that libraries leave at home.
    """

    url: str
    root: str
    process: subprocess.Popen
    folder: Path
    log_file: Path
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=PATIENCE, verify=False))

    @property
    def api(self) -> str:
        return f"{self.root}/gradio_api"

    @property
    def ready(self) -> str:
        return f"{self.url}/ready" if self.root != self.url else f"{self.root}/theme.css"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def files(self) -> list[str]:
        """Temporary files, the examples left out."""
        return [
            str(path)
            for path in self.folder.rglob("*")
            if path.is_file() and not path.name.startswith("sample ")
        ]

    def example(self) -> str:
        return str(next(self.folder.glob("agegender-*/sample portrait.png")))

    def memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 2**20

    def post(self, route: str, told: Any, **more: Any) -> httpx.Response:
        """Any JSON, even such as no sound client sends."""
        return self.http.post(
            f"{self.api}/{route}",
            content=json.dumps(told),
            headers={"content-type": "application/json"},
            **more,
        )

    def upload(self, content: bytes, name: str = "a.jpg") -> str:
        answer = self.http.post(f"{self.api}/upload", files={"files": (name, content)})
        assert answer.status_code == 200, answer.text[:500]
        return answer.json()[0]

    def call(self, name: str, data: list[Any]) -> httpx.Response:
        return self.post(f"call/{name}", {"data": data})

    def answer(self, name: str, event: str) -> str:
        return self.http.get(f"{self.api}/call/{name}/{event}").text

    def predict(self, content: bytes, name: str = "a.jpg") -> str:
        """The whole way: what is told at the end."""
        joined = self.call("predict", [given(self.upload(content, name)), WEIGHTS])
        assert joined.status_code == 200, joined.text[:500]
        return self.answer("predict", joined.json()["event_id"])


@contextmanager
def serving(script: str, folder: Path, switches: dict[str, str] | None = None) -> Iterator[Server]:
    """``serve.py`` by Streamlit or ``gradio_app.py`` alone, ready to answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AGEGENDER_", "GRADIO_", "XDG_"))
    }
    environment |= {
        **SWITCHES,
        **(switches or {}),
        "TMPDIR": str(folder),
        "HOME": str(folder),
        "GRADIO_SERVER_PORT": str(port),
    }
    options = [
        "--server.headless",
        "true",
        "--server.address",
        "127.0.0.1",
        "--server.port",
        str(port),
    ]
    command = (
        [sys.executable, script]
        if script == "gradio_app.py"
        else [sys.executable, "-m", "streamlit", "run", script, *options]
    )
    url = f"http://127.0.0.1:{port}"
    log_file = folder / "log.txt"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=os.environ.get("AGEGENDER_ATTACK", ROOT),
            env=environment,
            stdout=log,
            stderr=log,
        )
        server = Server(
            url, url if script == "gradio_app.py" else f"{url}/gradio", process, folder, log_file
        )
        try:
            wait(lambda: process.poll() is not None or _status(server.ready) == 200, START)
            assert process.poll() is None, server.log()[-3000:]
            yield server
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait(true: Any, seconds: float = 20.0) -> None:
    """Until ``true`` says so. Fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def _status(url: str) -> int:
    try:
        return httpx.get(url, timeout=5).status_code
    except httpx.HTTPError:
        return 0


class Watch:
    """Asks again and again whether the server is alive, while something is done to it and once
    when it is over. ``worst``: seconds of the slowest answer.
    """

    def __init__(self, server: Server) -> None:
        self.server, self.worst, self.asked = server, 0.0, 0
        self.peak = server.memory_mb()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._over.set()
        self._thread.join(2 * PATIENCE)
        # However short the attack: one answer since its begin and one after its end.
        assert kind or (self.asked >= 2 and not self._thread.is_alive()), "nobody watched"

    def _watch(self) -> None:
        with httpx.Client(timeout=PATIENCE, verify=False) as client:
            last = False
            while not last:
                last = self._over.is_set() and self.asked > 0
                began = time.monotonic()
                try:
                    assert client.get(self.server.ready).status_code == 200
                except (httpx.HTTPError, AssertionError):
                    self.worst = PATIENCE
                self.worst = max(self.worst, time.monotonic() - began)
                self.peak = max(self.peak, self.server.memory_mb())
                self.asked += 1
                self._over.wait(0.05)


def head(server: Server, length: int) -> bytes:
    """The begin of an upload by hand: its headers, which say it has ``length`` bytes, and the begin
    of its first file.
    """
    parts = urlsplit(server.api)
    return (
        f"POST {parts.path}/upload HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type:"
        " multipart/form-data; boundary=b\r\n"
        f'Content-Length: {length}\r\n\r\n--b\r\nContent-Disposition: form-data; name="files";'
        ' filename="secret-name.jpg"\r\n\r\n'
    ).encode()


def connect(server: Server, source: str = "127.0.0.1") -> socket.socket:
    """A connection, from another address of this machine where one is named."""
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), 20, source_address=(source, 0))


def given(path: Any, **more: Any) -> dict[str, Any]:
    """A file as callers name it."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def portrait(side: int = 300) -> bytes:
    """The sample portrait as JPEG."""
    buffer = io.BytesIO()
    sample_portrait().resize((side, side)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def noise(side: int) -> bytes:
    """A PNG of random bytes: about 3 * side * side bytes."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(
        buffer, "PNG", compress_level=0
    )
    return buffer.getvalue()
