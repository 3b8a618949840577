"""No path of the server's disk means anything: nothing there is read, told about, written or
deleted for a caller.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.security.servers import WEIGHTS, Server, Watch, connect, given, portrait

pytestmark = pytest.mark.slow
SENTENCE = "This upload is not known here"
CLOSED = [
    ("POST", "/gradio_api/process_recording"),
    ("POST", "/gradio_api/component_server"),
    ("POST", "/gradio_api/component_server/"),
    ("POST", "/gradio_api/vibe-edit"),
    ("POST", "/gradio_api/vibe-code"),
    ("GET", "/gradio_api/vibe-code"),
    ("POST", "/gradio_api/undo-vibe-edit"),
    ("POST", "/gradio_api/vibe-starter-queries"),
    ("GET", "/gradio_api/proxy=https://x.hf.space/"),
    ("GET", "/gradio_api/deep_link?session_hash=abc"),
    ("GET", "/monitoring"),
    ("GET", "/monitoring/summary"),
    ("GET", "/monitoring/x"),
    ("GET", "/gradio_api/runs"),
    ("POST", "/gradio_api/run-history/connect"),
    ("GET", "/gradio_api/run-history/buckets"),
    ("POST", "/login"),
    ("GET", "/logout"),
    ("GET", "/gradio_api/token"),
    ("GET", "/gradio_api/dev/reload"),
    ("GET", "/pwa_icon/100000"),
    ("GET", "/gradio_api/mcp/"),
    ("POST", "/gradio_api/mcp/"),
    ("GET", "/gradio_api/mcp/schema"),
    ("GET", "/gradio_api/mcp/sse"),
    ("GET", "/gradio_api/custom_component/a/client/b/c.js"),
    ("GET", "/gradio_api/stream/a/b/1/playlist.m3u8"),
    ("GET", "/gradio_api/stream/a/b/1/playlist-file"),
    ("GET", "/gradio_api/profiling/traces"),
    ("PUT", "/gradio_api/upload"),
]
"""Routes of Gradio's that nothing here needs."""


def places(victim: Path, server: Server) -> dict[str, str]:
    """Paths that mean something to a process, one of each kind."""
    ours = Path(server.example()).parent
    link, pipe, holes = ours / "link.jpg", ours / "pipe.jpg", ours / "holes.jpg"
    link.symlink_to(victim)
    os.mkfifo(pipe)
    with holes.open("wb") as file:
        file.truncate(2**36)
    up = os.path.relpath(victim, ours)
    return {
        "an image elsewhere": str(victim),
        "a text": str(victim.parent / "../../.." / "etc/passwd"),
        "nothing": "/nowhere.jpg",
        "a link": str(link),
        "a pipe": str(pipe),
        "a sparse file": str(holes),
        "zeros": "/dev/zero",
        "memory": "/proc/self/mem",
        "up and out": f"{ours}/{up}",
        "a folder": str(ours),
        "a descriptor": "/proc/self/fd/3",
        "relative": "README.md",
        "home": "~/.profile",
        "an address": "http://127.0.0.1:9/a.jpg",
        "a file address": f"file://{victim}",
        "a long one": "/a" * 4000,
        "odd": "\x00\ud800/\u202e",
    }


def clear(server: Server) -> None:
    for path in Path(server.example()).parent.iterdir():
        if not path.name.startswith("sample ") and not path.is_dir():
            path.unlink()


def shapes(path: str) -> list[Any]:
    """Ways to name a file."""
    return [
        given(path),
        {"path": path},
        {"path": path, "url": path},
        given(None, url=path),
        path,
        given(path, is_stream=True),
    ]


def test_no_path_is_read_and_all_get_the_same_sentence(server: Server, victim: Path) -> None:
    told = set()
    try:
        with Watch(server) as watch:
            for kind, path in places(victim, server).items():
                for shape in shapes(path):
                    answer = server.call("predict", [shape, WEIGHTS])
                    assert answer.status_code == 422, (kind, shape, answer.text[:300])
                    told.add(answer.text)
                for name, data in (
                    ("predict_batch", [[given(path)], WEIGHTS]),
                    ("attention", [given(path), "gra_net_dist", 0]),
                ):
                    answer = server.call(name, data)
                    assert answer.status_code == 422 and SENTENCE in answer.text, (
                        kind,
                        name,
                        answer.text[:300],
                    )
    finally:
        clear(server)
    assert len(told) == 1 and SENTENCE in told.pop()
    assert watch.worst < 5


def test_the_pages_functions_read_no_path_either(server: Server, victim: Path) -> None:
    config = server.http.get(f"{server.root}/config").json()
    kinds = {component["id"]: component["type"] for component in config["components"]}
    asked = 0
    with Watch(server) as watch:
        for function in config["dependencies"]:
            inputs = [kinds.get(number) for number in function["inputs"]]
            if not {"image", "file"} & set(inputs):
                continue
            for path in (str(victim), "/dev/zero", "/nowhere.jpg"):
                data = [{"image": given(path), "file": [given(path)]}.get(kind) for kind in inputs]
                body = {"data": data, "fn_index": function["id"], "session_hash": "attacker1"}
                for route in ("queue/join", "run/predict"):
                    answer = server.post(route, body)
                    assert answer.status_code in (404, 422), (function, route, answer.text[:300])
                    asked += 1
    assert asked >= 30 and watch.worst < 5


def test_no_path_is_deleted(server: Server, victim: Path) -> None:
    ours = Path(server.example()).parent
    inside = ours / "0123456789abcdef" / "inside.jpg"
    inside.parent.mkdir()
    shutil.copy(victim, inside)
    try:
        for path in (
            f"{ours}/{os.path.relpath(victim, ours)}",
            str(inside),
            f"{ours}/x/../0123456789abcdef/inside.jpg",
        ):
            for name, data in (
                ("predict", [{"path": path}, WEIGHTS]),
                ("predict", [given(path), WEIGHTS]),
                ("predict_batch", [[given(path)], WEIGHTS]),
            ):
                assert server.call(name, data).status_code == 422
        assert victim.exists() and victim.parent.exists() and inside.exists()
    finally:
        shutil.rmtree(inside.parent)


def test_the_examples_stay_whoever_names_them(server: Server) -> None:
    example = server.example()
    for name in ("predict", "predict_batch"):
        data = given(example)
        joined = server.call(name, [[data] if name == "predict_batch" else data, WEIGHTS])
        assert joined.status_code == 200 and "event: complete" in server.answer(
            name, joined.json()["event_id"]
        )
        assert Path(example).exists()
        assert server.http.get(f"{server.api}/file={example}").content[:2] == b"\x89P"


def test_an_upload_called_like_an_example_is_forgotten_like_any_other(server: Server) -> None:
    path = server.upload(portrait(), "sample portrait.jpg")
    joined = server.call("predict", [given(path), WEIGHTS])
    assert "event: complete" in server.answer("predict", joined.json()["event_id"])
    assert SENTENCE in server.call("predict", [given(path), WEIGHTS]).text


def test_downloads_give_uploads_and_nothing_else(server: Server, victim: Path) -> None:
    told = set()
    content = portrait()
    mine = server.upload(content, "mine.jpg")
    wanted = [
        str(victim),
        "/etc/passwd",
        "/dev/zero",
        "/nowhere",
        "http://127.0.0.1:9/x.jpg",
        "https://example.com/",
        "serve.py",
        "",
    ]
    with Watch(server) as watch:
        for path in [*wanted, f"{mine}/..", mine.replace("mine.jpg", ""), str(Path(mine).parent)]:
            for route in (f"file={path}", f"file/{path}"):
                answer = server.http.get(f"{server.api}/{route}")
                assert answer.status_code == 404, (route, answer.text[:300])
                told.add(answer.text)
    assert len(told) == 1 and watch.worst < 5
    answer = server.http.get(f"{server.api}/file={mine}")
    assert answer.content == content and answer.headers["content-type"] == "image/jpeg"
    page = server.upload(b"<script>alert(1)</script>", "page.html")
    answer = server.http.get(f"{server.api}/file={page}")
    assert (
        answer.headers["content-type"] == "application/octet-stream"
        and "attachment" in answer.headers["content-disposition"]
    )
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(("method", "route"), CLOSED)
def test_what_is_not_needed_is_not_there(server: Server, method: str, route: str) -> None:
    answer = server.http.request(method, f"{server.root}{route}")
    assert answer.status_code in (400, 404, 405) and len(answer.text) < 300, answer.text[:300]


@pytest.mark.parametrize(
    "route",
    [
        "/static/../../routes.py",
        "/static/%2e%2e/%2e%2e/routes.py",
        "/assets/..%2f..%2froutes.py",
        "//etc/passwd",
    ],
)
def test_no_file_of_the_programs_own_is_served(server: Server, route: str) -> None:
    with connect(server) as line:
        path = urlsplit(server.root).path
        line.sendall(
            f"GET {path}{route} HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\nConnection:"
            " close\r\n\r\n".encode()
        )
        told = b"".join(iter(lambda: line.recv(65536), b""))
    assert b"APIRouter" not in told and b"root:" not in told and len(told) < 20_000
