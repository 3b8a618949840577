"""Many at once: the queue is never longer than it may be, and one client never shuts the others
out.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tests.security.servers import WEIGHTS, Server, Watch, connect, given, portrait
from ui.guard.limits import KINDS

pytestmark = pytest.mark.slow

ROOM = 10
"""One at work and nine who wait."""


def joiner(server: Server, source: str) -> httpx.Client:
    return httpx.Client(
        timeout=60, verify=False, transport=httpx.HTTPTransport(local_address=source)
    )


def test_never_more_than_the_queue_holds(server: Server) -> None:
    """A hundred calls at once, from twenty addresses. The server itself tells how many wait: a
    client learns that a call is over only after its place was given to the next.
    """
    paths = [server.upload(portrait(600), f"{number}.png") for number in range(20)]
    lengths: list[int] = []
    answered: list[bool] = []
    refused: list[str] = []

    def ask(number: int) -> None:
        with joiner(server, f"127.0.1.{number % 20 + 1}") as http:
            joined = http.post(
                f"{server.api}/call/predict", json={"data": [given(paths[number % 20]), WEIGHTS]}
            )
            lengths.append(http.get(f"{server.api}/queue/status").json()["queue_size"])
            if joined.status_code != 200:
                refused.append(joined.text)
                assert joined.status_code in (503, 422), joined.text[:300]
                return
            told = http.get(f"{server.api}/call/predict/{joined.json()['event_id']}").text
            answered.append("event: complete" in told or "This upload is not known here" in told)

    with Watch(server) as watch, ThreadPoolExecutor(50) as pool:
        list(pool.map(ask, range(100)))
    assert ROOM // 2 <= max(lengths) <= ROOM
    assert refused and len(answered) + len(refused) == 100 and all(answered)
    assert watch.worst < 5


def test_one_client_gets_no_more_than_its_share_of_the_queue(server: Server) -> None:
    """Large images of one client, as many as it may send; another one is answered meanwhile."""
    paths = [server.upload(portrait(1500), f"{number}.png") for number in range(10)]
    mine = server.upload(portrait())
    codes: list[int] = []

    def attack(path: str) -> None:
        with joiner(server, "127.0.2.1") as http:
            codes.append(
                http.post(
                    f"{server.api}/call/predict", json={"data": [given(path), WEIGHTS]}
                ).status_code
            )

    with ThreadPoolExecutor(10) as pool, Watch(server) as watch:
        attacks = [pool.submit(attack, path) for path in paths]
        time.sleep(0.3)
        joined = server.call("predict", [given(mine), WEIGHTS])
        assert joined.status_code == 200, joined.text[:300]
        assert "event: complete" in server.answer("predict", joined.json()["event_id"])
        for one in attacks:
            one.result()
    assert codes.count(503) >= 1 and watch.worst < 5


def test_event_streams_of_one_client_do_not_shut_others_out(server: Server) -> None:
    lines = []
    path = urlsplit(server.api).path
    try:
        for number in range(100):
            line = connect(server, "127.0.3.1")
            what = ("heartbeat/a", "queue/data?session_hash=a", "upload_progress?upload_id=a")[
                number % 3
            ]
            line.sendall(f"GET {path}/{what}{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            lines.append(line)
        time.sleep(0.5)
        with Watch(server) as watch:
            assert "event: complete" in server.predict(portrait())
        assert watch.worst < 5
    finally:
        for line in lines:
            line.close()


def test_connections_of_one_client_are_limited(server: Server) -> None:
    """Two hundred that say half a word each: those beyond the limit are closed, others are
    served.
    """
    lines = []
    try:
        for _ in range(200):
            line = connect(server, "127.0.3.2")
            line.sendall(b"GET / HT")
            lines.append(line)
        time.sleep(0.5)
        closed = 0
        for line in lines:
            line.settimeout(0)
            try:
                closed += line.recv(10) == b""
            except ConnectionResetError:
                closed += 1
            except BlockingIOError:
                pass
        assert closed == 200 - KINDS["connection"][0]
        assert server.http.get(server.ready).status_code == 200
    finally:
        for line in lines:
            line.close()


def test_clients_that_leave_are_forgotten(server: Server) -> None:
    """Streams and calls broken off at every moment leave no count behind."""
    path = urlsplit(server.api).path
    for number in range(150):
        with connect(server) as line:
            what = (
                ("GET", f"heartbeat/b{number}")
                if number % 2
                else ("GET", f"queue/data?session_hash=b{number}")
            )
            line.sendall(f"{what[0]} {path}/{what[1]} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            if number % 3:
                line.recv(100)
    time.sleep(1)
    for _ in range(3):
        assert "event: complete" in server.predict(portrait())
