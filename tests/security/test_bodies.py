"""Bodies: no larger, deeper or odder one than a call needs is taken in, and none comes back or into
the log.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.security.servers import WEIGHTS, Server, Watch, connect, given, portrait

pytestmark = pytest.mark.slow

HUGE = 300 * 2**20
PIECE = 2**18
ADDRESS = "data:image/jpeg;base64,"


def huge(start: bytes, fill: bytes) -> Iterator[bytes]:
    yield start
    piece = fill * (PIECE // len(fill))
    for _ in range(HUGE // PIECE):
        yield piece


BODIES = {
    "a list": ("call/predict", "application/json", b'{"data":[', b"[],"),
    "a network's name": ("call/predict", "application/json", b'{"data":[null,"', b"secret-name"),
    "a data: address": (
        "call/predict",
        "application/json",
        b'{"data":[{"url":"data:image/png;base64,',
        b"AAAA",
    ),
    "a queue's call": (
        "queue/join",
        "application/json",
        b'{"session_hash":"a","fn_index":0,"data":["',
        b"AAAA",
    ),
    "a direct call": ("run/predict", "application/json", b'{"data":["', b"AAAA"),
    "a frame": ("stream/" + "0" * 32, "application/json", b'{"data":["', b"AAAA"),
    "garbage": ("call/predict", "application/json", b"", b"\xff\x00garbage"),
    "a cancel": ("cancel", "application/json", b'{"session_hash":"', b"AAAA"),
    "a multipart field": (
        "upload",
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\n',
        b"AAAA",
    ),
    "a file": (
        "upload",
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n',
        b"AAAA",
    ),
    "line ends": (
        "upload",
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n',
        b"\r\n--\r",
    ),
    "a parts' head": ("upload", "multipart/form-data; boundary=b", b"--b\r\n", b"X-Header: y\r\n"),
    "a preamble": ("upload", "multipart/form-data; boundary=b", b"", b"preamble"),
    "a page": ("../_stcore/health", "text/plain", b"", b"AAAA"),
}


def send_until_refused(
    server: Server, route: str, kind: str, body: Iterator[bytes], announce: bool
) -> tuple[bytes, int]:
    """What was answered, and how many bytes were sent before the server had enough."""
    parts = urlsplit(f"{server.api}/{route}")
    length = f"Content-Length: {HUGE}" if announce else "Transfer-Encoding: chunked"
    sent = 0
    with connect(server) as line:
        line.sendall(
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type:"
            f" {kind}\r\n{length}\r\n\r\n".encode()
        )
        line.settimeout(0)
        told = b""
        for piece in body:
            try:
                told += line.recv(4000)
                break
            except BlockingIOError:
                pass
            line.settimeout(20)
            try:
                line.sendall(piece if announce else b"%x\r\n%s\r\n" % (len(piece), piece))
            except OSError:
                break
            sent += len(piece)
            line.settimeout(0)
        line.settimeout(20)
        with contextlib.suppress(OSError):
            told = told or line.recv(4000)
    return told, sent


@pytest.mark.parametrize("announce", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize("kind", BODIES)
def test_300_mb_are_refused_while_they_come(server: Server, kind: str, announce: bool) -> None:
    route, content_type, start, fill = BODIES[kind]
    before = server.memory_mb()
    with Watch(server) as watch:
        told, sent = send_until_refused(server, route, content_type, huge(start, fill), announce)
    assert told.startswith(b"HTTP/1.1 4"), told[:200]
    assert b"secret-name" not in told and b"AAAA" not in told and len(told) < 1000
    assert sent < 60 * 2**20, f"{sent / 2**20:.0f} MB were taken"
    assert watch.peak < before + 120 and watch.worst < 5


ODD: list[tuple[str, Any]] = [
    ("no object", [1, 2]),
    ("no data", {}),
    ("data is a text", {"data": "secret-name"}),
    ("data is an object", {"data": {"a": 1}}),
    ("deep", {"data": None}),
    ("many arguments", {"data": [None] * 3000}),
    ("very many", {"data": [0] * 30_000}),
    ("an image that is a number", {"data": [5, WEIGHTS]}),
    ("that is a list", {"data": [[[]], WEIGHTS]}),
    ("a path that is a list", {"data": [{"path": ["a"]}, WEIGHTS]}),
    ("odd meta", {"data": [{"path": "a", "meta": 5}, WEIGHTS]}),
    ("a network that is an object", {"data": [None, {"secret-name": 1}]}),
    ("a long network", {"data": [None, "secret-name" * 500]}),
    ("a damaged address", {"data": [{"url": ADDRESS + "secret-name!"}, WEIGHTS]}),
    ("an address without base64", {"data": ["data:a,b", WEIGHTS]}),
]


@pytest.mark.parametrize(("kind", "told"), ODD, ids=[kind for kind, _ in ODD])
def test_odd_calls_are_told_in_a_sentence(server: Server, kind: str, told: Any) -> None:
    if kind == "deep":
        content = b'{"data":' + b"[" * 3000 + b"]" * 3000 + b"}"
        answer = server.http.post(f"{server.api}/call/predict", content=content)
    else:
        answer = server.post("call/predict", told)
    assert answer.status_code in (400, 413, 422), answer.text[:300]
    said(answer.text)


def said(text: str) -> None:
    """A sentence, with nothing of what was sent or of how things are made."""
    assert (
        20 < len(text) < 500 and "secret-name" not in text and "<" not in text and "0x" not in text
    ), text[:500]


def test_odd_names_of_functions_and_sessions(server: Server) -> None:
    for route in (
        "call/photo_answer",
        "call/lambda",
        "call/secret-name",
        "call/_",
        "call/v2/x",
        "api/secret",
        "run/secret",
    ):
        answer = server.post(route, {"data": []})
        assert answer.status_code == 404, (route, answer.text[:300])
        said(answer.text) if "secret-name" not in route else None
    for index in (-1, 10_000, "0", None, 1.5, True, [0]):
        answer = server.post("queue/join", {"data": [], "fn_index": index, "session_hash": "abc"})
        assert answer.status_code == 404, (index, answer.text[:300])
    for session in (None, "", "a/b", "x" * 1000, 5, {"a": 1}):
        answer = server.post("queue/join", {"data": [], "fn_index": 0, "session_hash": session})
        assert answer.status_code == 400, (session, answer.text[:300])
    assert server.http.post(f"{server.api}/call/predict", content=b"").status_code == 400
    assert server.http.post(f"{server.api}/cancel", content=b"{}").status_code == 422


def test_a_call_needs_no_more_than_the_picture(server: Server) -> None:
    for data in (
        [given(server.upload(portrait()))],
        [{"url": ADDRESS + base64.b64encode(portrait()).decode()}],
    ):
        joined = server.call("predict", data)
        assert joined.status_code == 200, joined.text[:500]
        assert f'"weights": "{WEIGHTS}"' in server.answer("predict", joined.json()["event_id"])


def test_arguments_may_be_named(server: Server) -> None:
    joined = server.post("call/v2/predict", {"image": given(server.upload(portrait()))})
    assert joined.status_code == 200, joined.text[:500]
    answer = server.http.get(f"{server.api}/call/v2/predict/{joined.json()['event_id']}")
    assert "event: complete" in answer.text
    answer = server.post("call/v2/predict", {"secret-name": 1})
    assert answer.status_code == 422 and "the call takes image, weights" in answer.text
    said(answer.text)


def test_a_picture_in_a_call_is_forgotten_with_its_answer(server: Server) -> None:
    """Calls with 3 MB each, more often than one client has room for."""
    inside = ADDRESS + base64.b64encode(portrait() + bytes(3 * 2**20)).decode()
    for _ in range(20):
        joined = server.call("predict", [{"url": inside}, WEIGHTS])
        assert joined.status_code == 200, joined.text[:300]
        assert "event: complete" in server.answer("predict", joined.json()["event_id"])


def test_a_name_comes_back_as_text_only(server: Server) -> None:
    """In the page's answers, which are HTML."""
    config = server.http.get(f"{server.root}/config").json()
    kinds = {component["id"]: component["type"] for component in config["components"]}
    photo = next(
        one
        for one in config["dependencies"]
        if [kinds.get(number) for number in one["inputs"]] == ["image", "dropdown"]
        and len(one["outputs"]) == 4
    )
    name = '"><img src=x onerror=alert(1)>.jpg'
    path = server.upload(portrait())
    body = {
        "data": [given(path, orig_name=name), WEIGHTS],
        "fn_index": photo["id"],
        "session_hash": "names1",
    }
    joined = server.post("queue/join", body)
    assert joined.status_code == 200, joined.text[:300]
    told = ""
    with server.http.stream("GET", f"{server.api}/queue/data?session_hash=names1") as answer:
        for line in answer.iter_lines():
            told += line
            if "process_completed" in line:
                break
    data = json.loads(told[told.index('{"msg":"process_completed"') :].split("data: ")[0])[
        "output"
    ]["data"]
    assert "<img src=x" not in data[0] and "alt=" in data[0]
