"""Streamlit's side over raw HTTP: its uploads, web sockets and media addresses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import httpx
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.security.servers import Server, Watch, portrait

pytestmark = pytest.mark.slow

sync = pytest.importorskip("websockets.sync.client")


@pytest.fixture
def streamlit(server: Server) -> Server:
    """The front end that has Streamlit's pages."""
    if server.root == server.url:
        pytest.skip("Gradio alone has no Streamlit pages")
    return server


@contextlib.contextmanager
def session(server: Server) -> Iterator[tuple[str, httpx.Client]]:
    """The id of a new session, and a client with its cookie and token."""
    address = server.url.replace("http", "ws") + "/_stcore/stream"
    with (
        httpx.Client(timeout=30, verify=False) as http,
        sync.connect(
            address, subprotocols=["streamlit"], origin=server.url, max_size=2**26
        ) as line,
    ):
        http.get(f"{server.url}/_stcore/health")
        http.headers["X-Xsrftoken"] = http.cookies.get("_streamlit_xsrf", "")
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        line.send(ask.SerializeToString())
        while True:
            told = ForwardMsg()
            told.ParseFromString(line.recv(timeout=60))
            if told.WhichOneof("type") == "new_session":
                break
        yield told.new_session.initialize.session_id, http


def put(server: Server, http: httpx.Client, where: str, content: bytes) -> httpx.Response:
    return http.put(
        f"{server.url}/_stcore/upload_file/{where}", files={"file": ("secret-name.jpg", content)}
    )


def test_a_session_holds_no_more_than_its_share(streamlit: Server) -> None:
    """50 of 150 MB, in pieces of 20 MB; and nothing of it on a disk."""
    with session(streamlit) as (number, http), Watch(streamlit) as watch:
        codes = [
            put(streamlit, http, f"{number}/{file}", b"x" * 20 * 2**20).status_code
            for file in range(6)
        ]
        assert codes == [204, 204, 413, 413, 413, 413]
        assert streamlit.files() == [str(streamlit.log_file)]
        descriptors = f"/proc/{streamlit.process.pid}/fd"
        open_files = []
        for one in os.listdir(descriptors):
            with contextlib.suppress(OSError):
                open_files.append(os.readlink(f"{descriptors}/{one}"))
        assert not [name for name in open_files if "(deleted)" in name]
    assert watch.worst < 5


def test_uploads_need_a_session_of_ones_own_and_its_token(streamlit: Server) -> None:
    with session(streamlit) as (number, http):
        assert put(streamlit, http, "no-such-session/1", portrait()).status_code == 400
        assert (
            httpx.put(
                f"{streamlit.url}/_stcore/upload_file/{number}/1", files={"file": ("a", b"x")}
            ).status_code
            == 403
        )
        assert put(streamlit, http, f"{number}/../../etc", portrait()).status_code in (
            400,
            403,
            404,
            405,
        )
        assert put(streamlit, http, f"{number}/1", b"x" * 70 * 2**20).status_code == 413


def test_web_sockets_of_one_client_are_limited(streamlit: Server) -> None:
    address, other = (
        streamlit.url.replace("http", "ws") + "/_stcore/stream",
        {"X-Forwarded-For": "10.9.9.9"},
    )
    refused, opened = 0, 0
    with contextlib.ExitStack() as lines:
        for _ in range(40):
            try:
                lines.enter_context(
                    sync.connect(
                        address,
                        subprotocols=["streamlit"],
                        origin=streamlit.url,
                        additional_headers=other,
                    )
                )
                opened += 1
            except Exception as error:
                refused += "403" in str(error)
        assert (opened, refused) == (32, 8)
        with session(streamlit):  # of another client
            pass


def test_media_and_component_addresses_give_nothing_away(streamlit: Server) -> None:
    for route in (
        "media/abc.jpg",
        "media/../../etc/passwd",
        "media/%2e%2e%2f%2e%2e%2fetc/passwd",
        "component/x/../../../etc/passwd",
        "app/static/x",
    ):
        answer = streamlit.http.get(f"{streamlit.url}/{route}")
        assert answer.status_code >= 400 or "<title>Streamlit" in answer.text, (
            route,
            answer.text[:200],
        )
        assert "root:" not in answer.text
