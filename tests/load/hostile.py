"""One client that means harm: large images that are cheap to send, calls past every limit, slow
uploads and streams left open.
"""

from __future__ import annotations

import base64
import contextlib
import io
import socket
import threading
import time
from urllib.parse import urlsplit

import httpx
from PIL import Image

API = "/gradio/gradio_api"
ADDRESS = "127.0.0.66"
ASKERS, LINES = 12, 200


class Hostile:
    """Attacks from an address of its own for the time of a ``with`` block. ``asked`` and
    ``accepted``: its calls with large images.
    """

    def __init__(self, url: str) -> None:
        self.url, self.asked, self.accepted = url, 0, 0
        self._over = threading.Event()
        picture = io.BytesIO()
        Image.new("L", (6240, 6240), 128).save(picture, "PNG")
        inside = "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()
        self.call = {"data": [{"url": inside, "meta": {"_type": "gradio.FileData"}}, None]}
        self._threads = [threading.Thread(target=self._ask) for _ in range(ASKERS)] + [
            threading.Thread(target=self._hold)
        ]

    def __enter__(self) -> Hostile:
        for thread in self._threads:
            thread.start()
        time.sleep(1)
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(
            timeout=120, verify=False, transport=httpx.HTTPTransport(local_address=ADDRESS)
        ) as http:
            while not self._over.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    self.asked += 1
                    answer = http.post(f"{self.url}{API}/call/predict", json=self.call)
                    self.accepted += answer.status_code == 200
                time.sleep(0.05)

    def _hold(self) -> None:
        """Connections: a third half a request, a third a slow upload, a third an open stream."""
        parts, lines = urlsplit(self.url), []
        heads = (
            "GET / HT",
            (
                f"POST {API}/upload HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data;"
                " boundary=b\r\nContent-Length: 9999999\r\n\r\n--b"
            ),
            f"GET {API}/heartbeat/hostile HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                line = socket.create_connection(
                    (parts.hostname, parts.port), 5, source_address=(ADDRESS, 0)
                )
                line.sendall(heads[len(lines) % 3].encode())
                lines.append(line)
            if len(lines) > LINES:
                lines.pop(0).close()
            time.sleep(0.05)
        for line in lines:
            line.close()
