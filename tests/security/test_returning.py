"""What a tab gets back after a refresh, over raw HTTP: only with a cookie that this server issued,
and only the tab that left it.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState, UploadedFileInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from agegender_core.inference.model_zoo import list_weights
from tests.security.servers import Server, portrait, serving
from ui.guard import visitor_cookie

pytestmark = pytest.mark.slow

sync = pytest.importorskip("websockets.sync.client")

PAGE = {"Accept": "text/html,*/*"}
TAB, OTHER_TAB = "0123456789abcdef" * 2, "f" * 32
NAME = visitor_cookie.NAME


@pytest.fixture(scope="module")
def streamlit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``serve.py`` with its network loaded."""
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    with serving("serve.py", tmp_path_factory.mktemp("server")) as server:
        yield server


def opened(server: Server, **headers: str) -> httpx.Response:
    """The page as a browser asks for it."""
    return httpx.get(f"{server.url}/", headers=PAGE | headers, timeout=30, trust_env=False)


def cookie_of(server: Server) -> str:
    return opened(server).cookies[NAME]


@dataclass
class Tab:
    """A tab of a browser without a browser: its web socket, the widgets it was sent."""

    server: Server
    line: Any
    cookie: str
    number: str
    session: str = ""
    widgets: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    said: str = ""

    def run(self, fragment: str = "") -> str:
        """One run of the page with the widgets as they are; all its words. A component that asks
        for the tab's number is answered.
        """
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        ask.rerun_script.fragment_id = fragment
        for widget, (kind, value) in self.widgets.items():
            state = ask.rerun_script.widget_states.widgets.add(id=widget)
            if kind == "json":
                state.json_value = value
            elif kind == "trigger":
                state.trigger_value = True
            else:
                state.file_uploader_state_value.CopyFrom(value)
        self.line.send(ask.SerializeToString())
        self.widgets = {key: one for key, one in self.widgets.items() if one[0] != "trigger"}
        self.said = "" if not fragment else self.said
        while True:
            message = ForwardMsg()
            message.ParseFromString(self.line.recv(timeout=90))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session = message.new_session.initialize.session_id or self.session
            elif kind == "delta":
                self._note(message)
            elif kind == "script_finished":
                break
        return self.said

    def settled(self) -> str:
        """The words of the page once it knows which tab it is, or need not know."""
        self.run()
        if "tab" in self.ids and self.ids["tab"] not in self.widgets:
            self.widgets[self.ids["tab"]] = ("json", json.dumps({"tab": self.number}))
            self.run()
        return self.said

    def upload(self, name: str) -> str:
        """Drop an image on Predict; the words of the page afterwards."""
        number = str(uuid.uuid4())
        with httpx.Client(timeout=30, trust_env=False) as http:
            http.get(f"{self.server.url}/_stcore/health")
            answer = http.put(
                f"{self.server.url}/_stcore/upload_file/{self.session}/{number}",
                files={"file": (name, portrait())},
                headers={"X-Xsrftoken": http.cookies["_streamlit_xsrf"]},
            )
        assert answer.status_code == 204
        info = UploadedFileInfo(name=name, file_id=number, size=len(portrait()))
        info.file_urls.file_id = number
        self.widgets[self.ids["uploader"]] = (
            "file",
            FileUploaderState(uploaded_file_info=[info]),
        )
        return self.settled()

    def remove(self) -> str:
        self.widgets[self.ids["remove"]] = ("trigger", True)
        return self.run()

    def _note(self, message: Any) -> None:
        element = message.delta.new_element
        self.said += str(message.delta)
        if element.WhichOneof("type") == "file_uploader":
            self.ids["uploader"] = element.file_uploader.id
        if element.WhichOneof("type") == "button" and element.button.label == "Remove":
            self.ids["remove"] = element.button.id
        if (
            element.WhichOneof("type") == "bidi_component"
            and "tab-number" in element.bidi_component.id
        ):
            self.ids["tab"] = element.bidi_component.id


@contextlib.contextmanager
def tab(server: Server, cookie: str, number: str = TAB) -> Iterator[Tab]:
    """A session of the browser with this cookie."""
    with sync.connect(
        server.url.replace("http", "ws") + "/_stcore/stream",
        subprotocols=["streamlit"],
        origin=server.url,
        max_size=2**26,
        additional_headers={"Cookie": f"{NAME}={cookie}"} if cookie else {},
    ) as line:
        yield Tab(server, line, cookie, number)


def left(server: Server, name: str) -> str:
    """Cookie of a browser one of whose tabs was closed with an upload called ``name``."""
    cookie = cookie_of(server)
    with tab(server, cookie) as first:
        first.settled()
        assert name in first.upload(name)
    return cookie


def words(server: Server, cookie: str, number: str = TAB) -> str:
    """What a new session with this cookie is shown."""
    with tab(server, cookie, number) as one:
        return one.settled()


def test_a_page_gives_the_cookie_once(streamlit: Server) -> None:
    answer = opened(streamlit)
    (given,) = [one for one in answer.headers.get_list("set-cookie") if one.startswith(NAME)]
    value, *attributes = given.split("; ")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Lax"]
    assert answer.headers["cache-control"] == "private, no-cache"
    cookie = value.partition("=")[2]
    assert cookie not in answer.text and len({cookie_of(streamlit) for _ in range(5)}) == 5
    again = opened(streamlit, Cookie=f"{NAME}={cookie}")
    assert NAME not in str(again.headers.get_list("set-cookie"))
    secure = opened(streamlit, **{"X-Forwarded-Proto": "https"})
    assert "SameSite=Lax; Secure" in str(secure.headers.get_list("set-cookie"))
    for path in ("/_stcore/health", "/gradio/", "/ready"):
        other = httpx.get(f"{streamlit.url}{path}", headers=PAGE, timeout=30, trust_env=False)
        assert NAME not in str(other.headers.get_list("set-cookie")), path


def test_in_a_frame_of_another_site_the_cookie_is_for_that_site_alone() -> None:
    page = HTMLResponse("<p>page</p>", headers={"Cache-Control": "public"})
    app = visitor_cookie.VisitorCookie(page, "/faces", "none", "/faces/gradio/")
    http = TestClient(app, base_url="https://here")
    answer = http.get("/faces/", headers=PAGE)
    assert answer.headers["set-cookie"].endswith(
        "; Path=/faces; HttpOnly; SameSite=None; Secure; Partitioned"
    )
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "set-cookie" not in http.get("/faces/gradio/", headers=PAGE | {"Cookie": ""}).headers


def test_the_same_tab_has_its_upload_back(streamlit: Server) -> None:
    cookie = left(streamlit, "mine-a.jpg")
    assert "Still here: mine-a.jpg" in words(streamlit, cookie).replace("\\", "")
    assert "mine-a.jpg" in words(streamlit, cookie), "and again, after another refresh"


def test_cookies_of_nobody_give_nothing(streamlit: Server) -> None:
    cookie = left(streamlit, "mine-b.jpg")
    token, _, signature = cookie.partition(".")
    forged = (
        "",
        token,
        f"{token}.{'0' * 64}",
        f"{'A' * 43}.{signature}",
        f"{cookie}x",
        f"{cookie}.{signature}",
        f"{token}.{signature.upper()}",
        "x" * 5000,
        "../../etc/passwd",
        "%00",
    )
    for value in forged:
        assert "mine-b.jpg" not in words(streamlit, value), value[:80]
        fresh = opened(streamlit, Cookie=f"{NAME}={value}")
        assert fresh.status_code == 200 and fresh.cookies[NAME] not in (value, cookie), value[:80]
    assert "mine-b.jpg" not in words(streamlit, cookie_of(streamlit)), "another browser's"
    assert "mine-b.jpg" in words(streamlit, cookie), "it was there all the time"


@pytest.mark.parametrize("number", [OTHER_TAB, "none", "", TAB.upper(), TAB + "0", "x" * 100_000])
def test_another_tab_of_the_same_browser_gets_nothing(streamlit: Server, number: str) -> None:
    cookie = left(streamlit, "mine-c.jpg")
    assert "mine-c.jpg" not in words(streamlit, cookie, number)
    assert "mine-c.jpg" in words(streamlit, cookie)


def test_while_a_session_lives_its_images_are_its_own(streamlit: Server) -> None:
    cookie = cookie_of(streamlit)
    with tab(streamlit, cookie) as first:
        first.settled()
        first.upload("mine-d.jpg")
        for number in (OTHER_TAB, TAB):  # a tab that was duplicated has the same number
            assert "mine-d.jpg" not in words(streamlit, cookie, number)
        assert "mine-d.jpg" in first.run()
    assert "mine-d.jpg" in words(streamlit, cookie)


def test_what_was_removed_does_not_come_back(streamlit: Server) -> None:
    cookie = left(streamlit, "mine-e.jpg")
    with tab(streamlit, cookie) as second:
        assert "mine-e.jpg" in second.settled()
        assert "mine-e.jpg" not in second.remove()
    assert "mine-e.jpg" not in words(streamlit, cookie)


def test_nothing_of_it_is_on_a_disk_or_in_the_log(streamlit: Server) -> None:
    cookie = left(streamlit, "mine-f.jpg")
    words(streamlit, cookie)
    assert streamlit.files() == [str(streamlit.log_file)]
    log = streamlit.log()
    assert "mine-" not in log and cookie not in log and TAB not in log and "Traceback" not in log
