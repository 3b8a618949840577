"""Streamlit's web socket, as somebody would use it who has neither a cookie nor a page."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from agegender_core.inference.model_zoo import list_weights
from tests.security.servers import Server, Watch, serving
from tests.support.loops import run_coroutine
from ui.guard import web_sockets

sync = pytest.importorskip("websockets.sync.client")
websockets = pytest.importorskip("websockets")

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def streamlit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``serve.py`` with its network loaded."""
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    with serving("serve.py", tmp_path_factory.mktemp("server")) as server:
        yield server


def hashes(count: int) -> bytes:
    """A message that says the browser has ``count`` messages, with short names, all different."""
    message = BackMsg()
    message.rerun_script.cached_message_hashes.extend(f"{number:x}" for number in range(count))
    return message.SerializeToString()


def time_zone(size: int) -> bytes:
    message = BackMsg()
    message.rerun_script.context_info.timezone = "x" * size
    return message.SerializeToString()


def folder(count: int, name: str = "some folder/00001_30_1_0_2017010917.jpg") -> bytes:
    """What a page sends when a folder of ``count`` images was uploaded."""
    message = BackMsg()
    widget = message.rerun_script.widget_states.widgets.add(id="$$ID-" + "a" * 32 + "-own")
    for _ in range(count):
        file = widget.file_uploader_state_value.uploaded_file_info.add()
        file.file_id, file.name, file.size = "f" * 36, name, 10**5
        file.file_urls.file_id = file.file_id
        file.file_urls.upload_url = file.file_urls.delete_url = (
            f"/_stcore/upload_file/{'s' * 36}/{file.file_id}"
        )
    return message.SerializeToString()


@contextlib.contextmanager
def line(server: Server, path: str = "/_stcore/stream") -> Iterator[Any]:
    """A web socket without a cookie, an origin or a token."""
    with sync.connect(
        server.url.replace("http", "ws") + path, subprotocols=["streamlit"], max_size=2**26
    ) as opened:
        yield opened


def ended_by(opened: Any) -> int:
    """The code with which the server ends the socket."""
    with contextlib.suppress(TimeoutError):
        while True:
            try:
                opened.recv(timeout=20)
            except websockets.exceptions.ConnectionClosed:
                return opened.close_code
    raise AssertionError("still open")


ATTACKS = {
    "3 million hashes": (lambda: hashes(3_200_000), 1009),
    "300,000 hashes": (lambda: hashes(300_000), 1009),
    "a time zone of 24 MB": (lambda: time_zone(24_000_000), 1009),
    "a time zone of 1 MB": (lambda: time_zone(1_000_000), 1009),
    "a text": (lambda: "hello", 1003),
    "a message cut short": (lambda: folder(100)[:-1], 1002),
    "random bytes": (lambda: b"\xff" + os.urandom(10_000), 1002),
}


@SLOW
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_message_that_no_page_sends_ends_its_socket(streamlit: Server, attack: str) -> None:
    make, code = ATTACKS[attack]
    message = make()
    before = streamlit.memory_mb()
    with line(streamlit) as opened, Watch(streamlit) as watch:
        # The server may close before all of it is sent.
        with contextlib.suppress(websockets.exceptions.ConnectionClosed, OSError):
            opened.send(message)
        assert ended_by(opened) in (code, 1006) and (code != 1009 or watch.worst < 3)
        assert len(message) > 4_000_000 or opened.close_code == code
    assert watch.peak - before < 60
    assert "Traceback" not in streamlit.log(), streamlit.log()[-3000:]


@SLOW
def test_a_text_that_is_none_leaves_no_traceback(streamlit: Server) -> None:
    with line(streamlit) as opened:
        opened.send(b"\xff\xfe", text=True)
        assert ended_by(opened) == 1007
    assert "Traceback" not in streamlit.log(), streamlit.log()[-3000:]


@SLOW
@pytest.mark.parametrize(
    "path", ["/gradio/queue/data", "/", "/_stcore/stream/x", "/x/_stcore/stream"]
)
def test_there_is_one_web_socket(streamlit: Server, path: str) -> None:
    with (
        pytest.raises(websockets.exceptions.InvalidStatus) as refused,
        line(streamlit, path),
    ):
        pass
    assert refused.value.response.status_code == 403
    assert "Traceback" not in streamlit.log() and "rror" not in streamlit.log()


@SLOW
def test_a_page_of_an_uploaded_folder_is_served(streamlit: Server) -> None:
    """2,000 files, the most that an own dataset may have."""
    with line(streamlit) as opened:
        opened.send(folder(2000))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            told = ForwardMsg.FromString(opened.recv(timeout=60))
            if told.WhichOneof("type") == "new_session":
                return
    raise AssertionError("no page")


@SLOW
def test_visitors_cannot_clear_what_others_need(streamlit: Server) -> None:
    """Streamlit's developer menu clears the caches of all sessions; a heartbeat after it is
    answered, so the message was dropped and the socket stays.
    """
    with line(streamlit) as opened:
        for kind in ("clear_cache", "load_git_info", "set_run_on_save"):
            message = BackMsg()
            setattr(message, kind, True)
            assert not web_sockets.needed(message.SerializeToString())
            opened.send(message.SerializeToString())
        heartbeat = BackMsg(app_heartbeat=True)
        opened.send(heartbeat.SerializeToString())
        seen = set()
        while "heartbeat_ack" not in seen:
            seen.add(ForwardMsg.FromString(opened.recv(timeout=30)).WhichOneof("type"))
        assert "session_status_changed" not in seen and "git_info_changed" not in seen


@SLOW
def test_routes_of_streamlit_that_no_page_needs(streamlit: Server) -> None:
    for route in (
        "_stcore/metrics",
        "_stcore/metrics/",
        "_stcore/agent/openapi.json",
        "_stcore/agent/interact",
        "_stcore/agent/mcp",
        "_stcore/script-health-check",
        "_stcore/st-metrics",
        "_stcore/x",
        "auth/login",
        "auth/logout",
        "oauth2callback",
    ):
        answer = streamlit.http.get(f"{streamlit.url}/{route}", follow_redirects=False)
        assert answer.status_code == 404, (route, answer.status_code)
        assert "streamlit" not in answer.text.lower()
    for route in ("_stcore/health", "_stcore/host-config", "", "Live"):
        assert streamlit.http.get(f"{streamlit.url}/{route}").status_code == 200


def test_what_pages_send_is_let_through() -> None:
    for count in (0, 1, 2000, 6000):
        assert web_sockets.trouble(folder(count)) == 0
    assert web_sockets.trouble(hashes(2000)) == 0 == web_sockets.trouble(time_zone(30))
    assert web_sockets.trouble(folder(6300)) == web_sockets.TOO_LARGE


def test_parts_are_counted_as_protobuf_has_them() -> None:
    def parts(message: Any) -> int:
        return sum(
            1 if field.message_type is None or not repeated(value) else len(value)
            for field, value in message.ListFields()
        ) + sum(
            sum(map(parts, value if repeated(value) else [value]))
            for field, value in message.ListFields()
            if field.message_type is not None
        )

    def repeated(value: Any) -> bool:
        return hasattr(value, "add")

    for count in (0, 1, 7):
        data = folder(count)
        assert web_sockets.fields(data, BackMsg.DESCRIPTOR, 10**6) == parts(
            BackMsg.FromString(data)
        )
    assert web_sockets.fields(hashes(1000), BackMsg.DESCRIPTOR, 10**6) == 1001
    assert web_sockets.fields(hashes(1000), BackMsg.DESCRIPTOR, 50) == 51


@pytest.mark.parametrize("end", range(1, 40))
def test_cut_messages_are_malformed(end: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_sockets, "LIGHT", 0)
    data = folder(3)[:-end]
    with pytest.raises(DecodeError):
        BackMsg.FromString(data)
    assert web_sockets.trouble(data) == web_sockets.MALFORMED


def test_a_client_beyond_its_pace_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_sockets, "MINUTE", 1.0)
    monkeypatch.setattr(web_sockets, "PACE", 100)

    async def three() -> tuple[float, float]:
        pace, began = web_sockets.Pace(), time.monotonic()
        await pace.take("a", 101)
        await pace.take("b", 1)
        others = time.monotonic() - began
        await pace.take("a", 1)
        return others, time.monotonic() - began

    others, own = run_coroutine(three())
    assert others < 0.9 <= own


def test_the_front_door_is_documented() -> None:
    page = Path("docs/security.md").read_text()
    assert f"{web_sockets.FRAME // 10**6} MB" in page and "1009" in page
