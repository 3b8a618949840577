"""Many at once: API clients over plain HTTP, each with images of its own size, so that an answer
that is somebody else's shows.
"""

from __future__ import annotations

import io
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from PIL import Image

from agegender_core.datasets.sample_image import sample_portrait

API = "/gradio/gradio_api"
LEAST = 260
"""Width in pixels of the first image; the others are a pixel wider each."""


@dataclass
class Tally:
    """What came of it. ``seconds``: of each answer; ``memory``: (images answered, MB of the server)
    as it went; ``open``: (open descriptors, threads) of the server at the same moments.
    """

    answered: int = 0
    refused: int = 0
    mixed_up: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[int, float]] = field(default_factory=list)
    open: list[tuple[int, int]] = field(default_factory=list)


class Crowd:
    """``clients`` threads that ask for ``pictures`` in all."""

    def __init__(
        self, url: str, clients: int, pictures: int, server: int | None = None, patient: bool = True
    ) -> None:
        self.url, self.clients, self.pictures, self.server, self.patient = (
            url,
            clients,
            pictures,
            server,
            patient,
        )
        self.tally, self.lock = Tally(), threading.Lock()
        self.next = 0
        self.portrait = sample_portrait().resize((LEAST - 10, LEAST - 10))

    def run(self) -> Tally:
        """Until all images were asked for."""
        with ThreadPoolExecutor(self.clients) as pool:
            for number in range(self.clients):
                pool.submit(self._client, number)
        return self.tally

    def _client(self, number: int) -> None:
        """One client, with an address of its own."""
        transport = httpx.HTTPTransport(local_address=f"127.0.1.{number % 250 + 1}")
        with httpx.Client(timeout=120, transport=transport) as http:
            while (number := self._take()) is not None:
                try:
                    self._ask(http, number)
                except Exception as error:
                    with self.lock:
                        self.tally.errors.append(f"{type(error).__name__}: {error}"[:300])

    def _take(self) -> int | None:
        with self.lock:
            if self.next >= self.pictures:
                return None
            self.next += 1
            return self.next - 1

    def _ask(self, http: httpx.Client, number: int) -> None:
        width = LEAST + number % 700
        started = time.monotonic()
        while (event := self._join(http, number, width)) is None:
            with self.lock:
                self.tally.refused += 1
            if not self.patient:
                return
            time.sleep(random.uniform(0.5, 1.5))
        told = http.get(f"{self.url}{API}/call/predict/{event}").text
        kind, _, data = told.strip().partition("\n")
        if kind != "event: complete":
            raise RuntimeError(told[:300])
        (answer,) = json.loads(data.removeprefix("data: "))
        with self.lock:
            self.tally.answered += 1
            self.tally.seconds.append(time.monotonic() - started)
            if (answer["file"], answer["width"]) != (f"{number}.jpg", width):
                self.tally.mixed_up.append(
                    f"asked for {number}.jpg of {width}, got {answer['file']} of {answer['width']}"
                )
            if self.server is not None and self.tally.answered % 25 == 0:
                self.tally.memory.append((self.tally.answered, memory_mb(self.server)))
                self.tally.open.append(held_open(self.server))

    def _join(self, http: httpx.Client, number: int, width: int) -> str | None:
        """The event to wait for, or None where the queue is full."""
        canvas = Image.new("RGB", (width, LEAST), "grey")
        canvas.paste(self.portrait, (5, 5))
        buffer = io.BytesIO()
        canvas.save(buffer, "JPEG", quality=90)
        uploaded = http.post(
            f"{self.url}{API}/upload", files={"files": (f"{number}.jpg", buffer.getvalue())}
        )
        uploaded.raise_for_status()
        data = {
            "path": uploaded.json()[0],
            "orig_name": f"{number}.jpg",
            "meta": {"_type": "gradio.FileData"},
        }
        answer = http.post(f"{self.url}{API}/call/predict", json={"data": [data, None]})
        if answer.status_code == 503 and "full" in answer.text:
            return None
        answer.raise_for_status()
        return answer.json()["event_id"]


def memory_mb(process: int) -> float:
    """Resident memory of a process in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def held_open(process: int) -> tuple[int, int]:
    """Open descriptors and threads of a process."""
    return tuple(len(list(Path(f"/proc/{process}/{what}").iterdir())) for what in ("fd", "task"))


def wait_until_ready(url: str, seconds: float = 120) -> None:
    """Until the default network is loaded. Raises ``TimeoutError``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if httpx.get(f"{url}/ready", timeout=30).status_code == 200:
            return
        time.sleep(0.3)
    raise TimeoutError("the server did not become ready")
