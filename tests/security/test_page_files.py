"""What stands between Streamlit's own files and the browser: the page's head, and the scripts'
compressed copies.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ui.guard.page_head import BEFORE, SCRIPT, PageHead
from ui.guard.static_files import StaticFiles

PAGE = b"<head>" + BEFORE + b' src="./x.js"></script></head>'
FILE = b"export const word = 'a';\n" * 200
FOREVER = {"cache-control": "public, immutable, max-age=31536000", "etag": '"one"'}
ASKING = {"accept": "text/html", "accept-encoding": "gzip"}


def client(
    answers: Mapping[str, tuple[bytes, str, dict[str, str]]],
) -> tuple[TestClient, list[str]]:
    """An app with these answers behind both, and the paths it was asked for."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        body, kind, headers = answers[request.url.path]
        if request.headers.get("if-none-match") == headers.get("etag", ""):
            return Response(status_code=304)
        return Response(body, media_type=kind, headers=headers)

    app: Any = Starlette(routes=[Route("/{rest:path}", answer)])
    return TestClient(StaticFiles(PageHead(app, "/gradio/"), "/static/")), asked


def test_a_page_gets_the_script_before_streamlits_own() -> None:
    served, _ = client({"/errors": (PAGE, "text/html", {"etag": '"old"'})})
    for headers in (ASKING, ASKING | {"if-none-match": '"old"'}):
        found = served.get("/errors", headers=headers)
        assert found.status_code == 200 and "etag" not in found.headers
        assert found.content == PAGE.replace(BEFORE, f"<script>{SCRIPT}</script>".encode() + BEFORE)


@pytest.mark.parametrize("path", ["/gradio/", "/photo.png", "/plain", "/long"])
def test_anything_else_is_served_as_it_is(path: str) -> None:
    answers = {
        "/gradio/": (PAGE, "text/html", {}),
        "/photo.png": (PAGE, "image/png", {}),
        "/plain": (b"<head></head>", "text/html", {}),
        "/long": (b" " * 300_000 + PAGE, "text/html", {}),
    }
    served, _ = client(answers)
    found = served.get(path, headers=ASKING)
    assert found.content == answers[path][0]
    assert found.headers["content-length"] == str(len(answers[path][0]))


def test_a_script_is_compressed_once_and_then_served_from_memory() -> None:
    served, asked = client({"/static/a.js": (FILE, "application/javascript", FOREVER)})
    with served:
        packed = {"accept-encoding": "gzip"}
        assert "content-encoding" not in served.get("/static/a.js", headers=packed).headers
        deadline = time.monotonic() + 10
        while "content-encoding" not in served.get("/static/a.js", headers=packed).headers:
            assert time.monotonic() < deadline
        times = len(asked)
        with served.stream("GET", "/static/a.js", headers=packed) as found:
            raw = b"".join(found.iter_raw())
            assert gzip.decompress(raw) == FILE and len(raw) < len(FILE) / 10
            assert found.headers["content-length"] == str(len(raw))
            assert found.headers["cache-control"] == FOREVER["cache-control"]
            assert found.headers["vary"] == "Accept-Encoding" and "etag" not in found.headers
        assert len(asked) == times
        for headers in ({"accept-encoding": "br"}, packed | {"range": "bytes=0-9"}):
            assert served.get("/static/a.js", headers=headers).content == FILE
        assert len(asked) == times + 2


@pytest.mark.parametrize(
    "path", ["/static/./a.js", "/static//a.js", "/static/b/../a.js", "/static/././././a.js"]
)
def test_another_spelling_of_a_path_is_stored_nowhere(path: str) -> None:
    # A client tidies addresses up, an attacker does not: each spelling would be a copy in memory.
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/javascript")]
        headers += [(name.encode(), value.encode()) for name, value in FOREVER.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": FILE})

    async def asked(path: str) -> bool:
        """Whether it is served from memory once it had time for that."""
        served = StaticFiles(app, "/static/")
        headers = [(b"accept-encoding", b"gzip")]
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await served(scope, None, send)  # type: ignore[arg-type]  # nothing is received
        while served._tasks:
            await asyncio.sleep(0.01)
        sent.clear()
        await served(scope, None, send)  # type: ignore[arg-type]
        return (b"content-encoding", b"gzip") in sent[0]["headers"]

    with ThreadPoolExecutor(1) as thread:  # browser tests keep a loop running in this one
        assert thread.submit(asyncio.run, asked("/static/a.js")).result()
        assert not thread.submit(asyncio.run, asked(path)).result()


@pytest.mark.parametrize(
    ("kind", "headers", "body"),
    [
        ("text/html", {"cache-control": "no-cache"}, FILE),
        ("application/javascript", {"cache-control": "no-cache"}, FILE),
        ("font/woff2", FOREVER, FILE),
        ("application/javascript", FOREVER | {"content-encoding": "br"}, FILE),
        ("application/javascript", FOREVER, FILE[:100]),
    ],
)
def test_nothing_else_is_stored(kind: str, headers: dict[str, str], body: bytes) -> None:
    served, asked = client({"/static/a": (body, kind, headers)})
    with served:
        for _ in range(3):
            with served.stream("GET", "/static/a", headers={"accept-encoding": "gzip"}) as found:
                assert b"".join(found.iter_raw()) == body
            time.sleep(0.05)
    assert len(asked) == 3
