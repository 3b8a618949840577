"""Uploads: in memory, each for itself, gone when they are over, and never more than is allowed."""

from __future__ import annotations

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.security.servers import (
    WEIGHTS,
    Server,
    Watch,
    connect,
    given,
    head,
    noise,
    portrait,
    wait,
)

pytestmark = pytest.mark.slow

BAD = [
    ("another field", {"files": {"picture": ("a.jpg", b"x")}}, 400, "in fields called 'files'"),
    (
        "a plain field",
        {"data": {"files": "x" * 100}, "files": {"files": ("a.jpg", b"x")}},
        400,
        "Only files are taken",
    ),
    (
        "a long name",
        {"files": {"files": ("secret-name" + "n" * 3000, b"x")}},
        400,
        "name is longer than 255 characters",
    ),
    ("a huge name", {"files": {"files": ("secret-name" + "n" * 300_000, b"x")}}, 400, ""),
    ("too many", {"files": [("files", ("a.jpg", b"x"))] * 6}, 413, "More than 5 files"),
    (
        "too large",
        {"files": {"files": ("a.jpg", b"x" * (4 * 2**20 + 1))}},
        413,
        "exceeds the maximum allowed size of 4 MB",
    ),
    ("nothing", {"files": {}}, 400, ""),
    (
        "no multipart",
        {"content": b"x" * 1000, "headers": {"content-type": "image/jpeg"}},
        400,
        "multipart/form-data",
    ),
    (
        "garbage",
        {
            "content": os.urandom(10_000),
            "headers": {"content-type": "multipart/form-data; boundary=b"},
        },
        400,
        "damaged",
    ),
    ("no boundary", {"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, ""),
    (
        "cut",
        {
            "content": (
                b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc'
            ),
            "headers": {"content-type": "multipart/form-data; boundary=b"},
        },
        400,
        "damaged",
    ),
    (
        "many headers",
        {
            "content": b"--b\r\n" + b"X-A: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n",
            "headers": {"content-type": "multipart/form-data; boundary=b"},
        },
        400,
        "",
    ),
]


@pytest.mark.parametrize(
    ("kind", "request_", "status", "said"), BAD, ids=[kind for kind, *_ in BAD]
)
def test_what_is_no_upload_is_refused_by_its_reason(
    server: Server, kind: str, request_: dict, status: int, said: str
) -> None:
    answer = server.http.post(f"{server.api}/upload", **request_)
    assert answer.status_code == status and said in answer.text, answer.text[:500]
    assert len(answer.text) < 300 and "secret-name" not in answer.text


def test_the_same_picture_of_many_clients_is_many_uploads(server: Server) -> None:
    content = portrait()
    paths = [server.upload(content) for _ in range(4)]
    assert len(set(paths)) == 4

    def ask(_: int) -> str:
        return server.predict(content)

    with ThreadPoolExecutor(4) as pool:
        assert all("event: complete" in told for told in pool.map(ask, range(24)))


def test_an_upload_is_not_on_any_disk_while_it_is_kept(server: Server) -> None:
    path = server.upload(noise(1000), "secret-name.png")
    assert server.files() == [str(server.log_file)]
    open_files = [
        os.readlink(f"/proc/{server.process.pid}/fd/{fd}")
        for fd in os.listdir(f"/proc/{server.process.pid}/fd")
    ]
    assert not [name for name in open_files if "deleted" in name and "/tmp" in name]
    joined = server.call("predict", [given(path, orig_name="../../a\u202eb.png"), WEIGHTS])
    told = server.answer("predict", joined.json()["event_id"])
    assert "event: complete" in told and '"ab.png"' in told


def test_broken_off_uploads_leave_nothing(server: Server) -> None:
    before = server.memory_mb()
    for round_ in range(3):
        sockets = []
        for _ in range(8):
            line = connect(server)
            line.sendall(head(server, 4 * 2**20) + b"x" * 3 * 2**20)
            sockets.append(line)
        for line in sockets:
            line.close()
        wait(
            lambda: (
                server.http.post(f"{server.api}/upload", files={"files": ("a", b"x")}).status_code
                == 200
            )
        )
        assert round_ >= 0
    assert server.files() == [str(server.log_file)]
    wait(lambda: server.memory_mb() < before + 80)


def test_slow_uploads_of_one_client_do_not_shut_others_out(server: Server) -> None:
    """More of them than one client may have, from an address of its own."""
    lines = []
    try:
        for _ in range(40):
            line = connect(server, "127.0.0.7")
            line.sendall(head(server, 2**20) + b"x" * 1000)
            lines.append(line)
        time.sleep(0.5)
        with Watch(server) as watch:
            assert "event: complete" in server.predict(portrait())
        assert watch.worst < 5
        refused = 0
        for line in lines:
            line.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                refused += b" 429 " in line.recv(200)
        assert refused == 32
    finally:
        for line in lines:
            line.close()


def test_one_client_may_keep_a_third_of_the_room(server: Server) -> None:
    """50 of 150 MB; then it is told so, and others have room."""
    content, told = b"x" * (4 * 2**20 - 1000), []
    for _ in range(14):
        with connect(server, "127.0.0.8") as line:
            body = head(server, 0).split(b"\r\n\r\n", 1)[1] + content + b"\r\n--b--\r\n"
            line.sendall(head(server, len(body)).split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n" + body)
            answer = b""
            while not answer.endswith((b"]", b"}")) and (more := line.recv(4000)):
                answer += more
        told.append(answer)
    accepted = [one for one in told if b" 200 OK" in one]
    assert len(accepted) == 12 and all(
        b" 413 " in one and b"more than 50 MB" in one for one in told if one not in accepted
    )
    assert "event: complete" in server.predict(portrait())
    for one in accepted:  # by asking for their answers they are gone
        path = one.rpartition(b'["')[2].partition(b'"]')[0].decode()
        assert server.call("predict", [given(path), WEIGHTS]).status_code == 422
