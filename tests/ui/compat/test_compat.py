"""Internals of other packages: each stands in ui/compat, with the version it was checked with, and
is still there and still needed in the versions that are installed.

Where one of these tests fails after an update, read what the module says of that part: the package
may have got a public way, and the part can go.
"""

from __future__ import annotations

import ast
import asyncio
import copy
import importlib
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient

from tests.support import ROOT
from tests.support.loops import run_coroutine
from ui.compat import asgi_private, gradio_private, streamlit_private, webrtc_private

MODULES = [asgi_private, gradio_private, streamlit_private, webrtc_private]
PINS = {
    need.name: next(iter(need.specifier)).version
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if (text := line.split("#")[0].strip())
    for need in [Requirement(text)]
}
INTERNAL = (
    "streamlit.runtime",
    "streamlit.web",
    "streamlit.elements",
    "streamlit.config",
    "streamlit_webrtc.relay",
    "streamlit_webrtc.component",
    "gradio.data_classes",
    "gradio.queueing",
    "gradio.route_utils",
    "gradio.routes",
    "starlette._utils",
    "uvicorn.protocols",
    "uvicorn.middleware",
)
"""Modules that only ui/compat may import from."""
BY_NAME = ("getattr", "setattr", "hasattr", "delattr")
FRONT_ENDS = [
    path
    for path in [
        *(ROOT / "ui").rglob("*.py"),
        *(ROOT / "pages").glob("*.py"),
        ROOT / "app.py",
        ROOT / "serve.py",
        ROOT / "gradio_app.py",
    ]
    if path.parent != ROOT / "ui" / "compat"
]


# Versions


def test_every_module_is_covered() -> None:
    files = {path.stem for path in (ROOT / "ui" / "compat").glob("*.py")} - {"__init__"}
    assert files == {module.__name__.rpartition(".")[2] for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_it_was_checked_with_the_pinned_version(module: ModuleType) -> None:
    assert module.CHECKED_WITH
    for name, checked in module.CHECKED_WITH.items():
        assert PINS[name] == checked, f"{name} was updated: look at {module.__name__} again"
        assert version(name) == checked, f"{name}: another version is installed than is pinned"


# Nowhere else


def internals(source: str) -> list[str]:
    """Private attributes of objects that are not ``self``, private names imported, imports of
    modules that are internal, and attributes set on what was imported from another package.
    """
    tree = ast.parse(source)
    foreign: set[str] = set()
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            if module.partition(".")[0] not in ("ui", "agegender_core"):
                foreign |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            foreign |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        for name in names:
            private = any(_private(part) for part in name.split("."))
            if private or any(name == one or name.startswith(one + ".") for one in INTERNAL):
                found.append(f"{node.lineno}: import of {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_ours = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if _private(node.attr) and not of_ours:
                found.append(f"{node.lineno}: .{node.attr}")
            root: ast.expr = node
            while isinstance(root, ast.Attribute):
                root = root.value
            is_foreign = isinstance(root, ast.Name) and root.id in foreign
            if isinstance(node.ctx, ast.Store) and is_foreign:
                found.append(f"{node.lineno}: {ast.unparse(node)} is set")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
            words = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
            found += [f"{node.lineno}: {ast.unparse(node)}" for word in words if _private(word)]
    return found


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("path", FRONT_ENDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_internals_are_used_in_compat_only(path: Path) -> None:
    assert internals(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "blocks._queue",
        "function()._id",
        "getattr(manager, '_total_bytes', 0)",
        "from starlette._utils import get_route_path",
        "from streamlit import runtime",
        "from streamlit.runtime.scriptrunner import get_script_run_ctx",
        "import uvicorn.protocols.http.h11_impl",
        "from uvicorn.middleware.proxy_headers import _TrustedHosts",
        "from starlette.formparsers import MultiPartParser\nMultiPartParser.spool_max_size = 1",
        "import gradio as gr\ngr.processing_utils.check = None",
    ],
)
def test_the_check_sees_them(source: str) -> None:
    assert internals(source)


# Streamlit


@pytest.fixture
def pages_manager() -> Any:
    """Streamlit's class, left as it was."""
    from streamlit.runtime.pages_manager import PagesManager

    before = PagesManager.uses_pages_directory
    PagesManager.uses_pages_directory = None
    yield PagesManager
    PagesManager.uses_pages_directory = before


def test_streamlit_takes_a_folder_called_pages_for_its_menu(pages_manager: Any) -> None:
    assert not streamlit_private.menu_of_pages_folder_dropped(), "no server has started yet"
    pages_manager(str(ROOT / "app.py"))
    assert pages_manager.uses_pages_directory, "it no longer does: theme.page need not look"
    assert streamlit_private.menu_of_pages_folder_dropped()
    assert not streamlit_private.menu_of_pages_folder_dropped()
    pages_manager(str(ROOT / "app.py"))
    assert not pages_manager.uses_pages_directory, "the next session finds it as we left it"


def test_streamlit_bounds_a_file_and_nothing_more() -> None:
    from streamlit import config

    options = {name for name in config.get_config_options() if "upload" in name.lower()}
    assert options == {"server.maxUploadSize"}, "there may be a limit of Streamlit's own now"


def test_streamlits_store_can_be_counted_and_bound() -> None:
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
    from streamlit.runtime.uploaded_file_manager import UploadedFileRec

    store = MemoryUploadedFileManager("/upload")
    add_file = store.add_file

    class Bound:
        heard: list[str] = []  # noqa: RUF012 - of this test alone

        def add_file(self, session_id: str, file: Any) -> None:
            self.heard.append(f"add {file.file_id}")
            add_file(session_id, file)

        def session_ended(self, session_id: str) -> None:
            self.heard.append(f"end {session_id}")

    bound = streamlit_private.bind(store, Bound)
    assert streamlit_private.bind(store, Bound) is bound
    store.add_file("one", UploadedFileRec("a", "a.jpg", "image/jpeg", bytes(5)))
    store.add_file("two", UploadedFileRec("b", "b.jpg", "image/jpeg", bytes(7)))
    assert streamlit_private.stored_sizes(store) == {"one": {"a": 5}, "two": {"b": 7}}
    assert streamlit_private.stored_bytes(store) == 12
    store.remove_session_files("one")
    assert streamlit_private.stored_bytes(store) == 7
    assert bound.heard == ["add a", "add b", "end one"]


def test_without_a_server_there_is_no_store_and_no_session() -> None:
    assert streamlit_private.upload_store() is None and streamlit_private.session_id() is None
    assert streamlit_private.stored_bytes(None) == 0


def test_uploads_come_below_the_path_the_guard_knows() -> None:
    from streamlit.web.server.starlette.starlette_routes import BASE_ROUTE_UPLOAD_FILE

    from ui.guard.front_door import UPLOAD_ROUTE

    assert UPLOAD_ROUTE.strip("/") == BASE_ROUTE_UPLOAD_FILE.strip("/")


# streamlit-webrtc and aiortc


@pytest.mark.parametrize("kept", [False, True])
def test_a_camera_left_out_of_a_run_is_closed_unless_it_is_kept(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamlit_webrtc import component

    context = component.WebRtcStreamerContext(
        None, component.WebRtcStreamerState(playing=True, signalling=False)
    )
    context._last_rendered_run_count = 7
    if kept:
        webrtc_private.keep_open(context)
    monkeypatch.setattr("streamlit.session_state", {"camera": context})
    monkeypatch.setattr(component, "get_this_session_info", object)
    monkeypatch.setattr(component, "get_script_run_count", lambda _: 9)
    assert component._get_or_create_context("camera").state.playing is kept


def test_the_relay_stores_frames_unless_it_is_told_not_to() -> None:
    from aiortc import VideoStreamTrack
    from aiortc.contrib.media import MediaRelay
    from streamlit_webrtc import webrtc_streamer

    assert not [name for name in inspect.signature(webrtc_streamer).parameters if "buffer" in name]

    class Camera(VideoStreamTrack):
        count = 0

        async def recv(self) -> int:
            await asyncio.sleep(0.005)
            self.count += 1
            return self.count

    async def lag(relay: MediaRelay) -> int:
        camera = Camera()
        reader = relay.subscribe(camera)
        await reader.recv()
        await asyncio.sleep(0.3)
        await reader.recv()
        behind = camera.count - await reader.recv()
        reader.stop()
        camera.stop()
        return behind

    async def both() -> tuple[int, int]:
        usual, newest = MediaRelay(), MediaRelay()
        webrtc_private.newest_only(newest)
        webrtc_private.newest_only(newest)
        return await lag(usual), await lag(newest)

    usual, newest = run_coroutine(both())
    assert newest <= 2 < usual


def test_a_browser_is_told_the_rate_to_start_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the answer, and only by us."""
    from aiortc import RTCPeerConnection
    from aiortc.codecs import CODECS

    monkeypatch.setitem(CODECS, "video", copy.deepcopy(CODECS["video"]))

    async def answer() -> str:
        browser, server = RTCPeerConnection(), RTCPeerConnection()
        browser.addTransceiver("video")
        await browser.setLocalDescription(await browser.createOffer())
        webrtc_private.start_sharp()
        webrtc_private.start_sharp()
        await server.setRemoteDescription(browser.localDescription)
        await server.setLocalDescription(await server.createAnswer())
        offer, answer = browser.localDescription.sdp, server.localDescription.sdp
        await asyncio.gather(browser.close(), server.close())
        assert "start-bitrate" not in offer
        return answer

    lines = run_coroutine(answer()).splitlines()
    vp8 = next(line.split(":")[1].split()[0] for line in lines if "VP8/90000" in line)
    rate = f"x-google-start-bitrate={webrtc_private.START_KBPS}"
    assert f"a=fmtp:{vp8} {rate}" in lines
    h264 = [line for line in lines if "profile-level-id" in line]
    assert h264 and all(line.endswith(f";{rate}") for line in h264)


def test_the_cameras_buttons_are_in_capitals_and_take_no_style() -> None:
    import streamlit_webrtc

    scripts = (Path(str(streamlit_webrtc.__file__)).parent / "frontend").rglob("*.js")
    assert any(re.search("textTransform:.uppercase", script.read_text()) for script in scripts)
    options = inspect.signature(streamlit_webrtc.webrtc_streamer).parameters
    assert not [name for name in options if any(word in name for word in ("style", "css", "theme"))]


def test_a_mounted_app_sees_the_mounts_path_too() -> None:
    seen = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], asgi_private.route_path(scope)))
        await PlainTextResponse("")(scope, receive, send)

    with TestClient(Starlette(routes=[Mount("/gradio", app=inner)])) as client:
        client.get("/gradio/config")
        client.get("/gradio/")
    assert seen == [("/gradio/config", "/config"), ("/gradio/", "/")]


def test_forms_are_written_to_a_disk_unless_they_are_kept_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from starlette import formparsers
    from streamlit import config

    from ui.gradio.hooks import STREAMLIT_MB

    path = Path(str(formparsers.__file__))
    spec = importlib.util.spec_from_file_location("formparsers_as_installed", path)
    assert spec is not None and spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, fresh)
    spec.loader.exec_module(fresh)
    largest = int(config.get_option("server.maxUploadSize") or STREAMLIT_MB) * 2**20
    assert fresh.MultiPartParser.spool_max_size < largest
    assert "spool_max_size" not in inspect.signature(fresh.MultiPartParser).parameters
    monkeypatch.setattr(formparsers.MultiPartParser, "spool_max_size", 1)
    asgi_private.keep_forms_in_memory(12345)
    assert formparsers.MultiPartParser.spool_max_size == 12345


def test_a_mounted_apps_start_is_run_by_us() -> None:
    begun = []

    class Lifespan:
        def __init__(self, app: Any) -> None:
            pass

        async def __aenter__(self) -> None:
            begun.append(1)

        async def __aexit__(self, *_: Any) -> None:
            begun.append(2)

    inner = Starlette()
    asgi_private.replace_lifespan(inner, Lifespan)
    assert asgi_private.lifespan_of(inner) is Lifespan
    with TestClient(Starlette(routes=[Mount("/inner", app=inner)])):
        assert begun == [], "the outer app runs it now: mounting need not"
    with TestClient(inner):
        assert begun == [1]
    assert begun == [1, 2]


def test_uvicorn_has_no_limits_of_this_kind() -> None:
    import uvicorn

    options = {
        name
        for name in inspect.signature(uvicorn.Config).parameters
        if any(word in name for word in ("limit", "timeout", "max"))
    }
    assert options == {
        "h11_max_incomplete_event_size",
        "limit_concurrency",
        "limit_max_requests",
        "limit_max_requests_jitter",
        "timeout_graceful_shutdown",
        "timeout_keep_alive",
        "timeout_notify",
        "timeout_worker_healthcheck",
        "ws_max_queue",
        "ws_max_size",
        "ws_ping_timeout",
    }


@pytest.fixture
def protocols() -> Any:
    """uvicorn's protocols, with their methods left as they were."""
    kinds = asgi_private.protocol_classes()
    before = [dict(vars(kind)) for kind in kinds]
    yield kinds
    for kind, names in zip(kinds, before, strict=True):
        for name in set(vars(kind)) - set(names):
            delattr(kind, name)
        for name, value in names.items():
            if vars(kind)[name] is not value:
                setattr(kind, name, value)


@pytest.mark.parametrize("number", range(len(asgi_private.protocol_classes())))
def test_connections_are_heard_of(number: int, protocols: list[Any]) -> None:
    from uvicorn import Config
    from uvicorn.server import ServerState

    heard: list[Any] = []

    class Watcher:
        def opened(self, protocol: Any, transport: Any) -> None:
            heard.append(("opened", asgi_private.peer_of(protocol), transport))

        def received(self, protocol: Any) -> None:
            heard.append(("received", asgi_private.is_answering(protocol)))

        def closing(self, protocol: Any) -> None:
            heard.append(("closing",))

    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return ("10.1.2.3", 4) if name == "peername" else default

        def write(self, data: bytes) -> None:
            pass

        def is_closing(self) -> bool:
            return False

        def close(self) -> None:
            pass

    transport = Transport()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(10)

    async def connect() -> None:
        asgi_private.watch_connections(Watcher())
        config = Config(app, ws="none", lifespan="off")
        config.load()
        protocol = protocols[number](config=config, server_state=ServerState(), app_state={})
        assert asgi_private.peer_of(protocol) is None and not asgi_private.is_answering(protocol)
        protocol.connection_made(transport)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n")
        protocol.data_received(b"\r\n")
        protocol.connection_lost(None)
        for task in protocol.tasks:
            task.cancel()

    run_coroutine(connect())
    assert heard == [
        ("opened", "10.1.2.3", transport),
        ("received", False),
        ("received", True),
        ("closing",),
    ]


def test_a_web_socket_leaves_the_http_protocol(protocols: list[Any]) -> None:
    for kind in protocols:
        assert "handle_websocket_upgrade" in vars(kind)
        assert "handle_websocket_upgrade" in inspect.getsource(kind)


def test_uvicorn_reads_the_size_of_messages_when_a_socket_is_opened() -> None:
    """And logs what is not UTF-8 in the words whose traceback is left out."""
    from uvicorn.protocols.websockets import websockets_sansio_impl as sockets

    source = inspect.getsource(sockets.WebSocketsSansIOProtocol)
    assert "max_size=self.config.ws_max_size" in source
    assert f'"{asgi_private.NOT_UTF_8}"' in source


def test_proxies_are_trusted_as_the_server_trusts_them() -> None:
    trusted = asgi_private.trusted_proxies("10.0.0.0/8, 192.168.1.1")
    assert "10.9.8.7" in trusted and "192.168.1.1" in trusted and "192.168.1.2" not in trusted
    assert "1.2.3.4" in asgi_private.trusted_proxies("*")


# Gradio


@pytest.fixture(scope="module")
def demo() -> tuple[Any, Any, Any]:
    """A small front end, the app it is mounted in, and Gradio's own app there."""
    from fastapi import FastAPI

    from ui.gradio.preparation import prepare

    prepare()
    import gradio as gr

    with gr.Blocks() as blocks:
        box = gr.Textbox()
        box.submit(lambda text: text, box, box, concurrency_id="network")
    blocks.queue()
    outer = gr.mount_gradio_app(FastAPI(), blocks, "/here")
    return blocks, outer, gradio_private.mounted_app(outer)


def test_a_mounted_app_is_found(demo: Any) -> None:
    blocks, _, app = demo
    assert app.get_blocks() is blocks


def test_functions_go_by_a_number_that_has_no_public_name(demo: Any) -> None:
    _, _, app = demo
    ((number, function),) = gradio_private.functions(app).items()
    assert gradio_private.function_number(function) == number
    assert not {"id", "index", "fn_index"} & set(dir(function))


def test_the_queue_is_read_ordered_and_emptied(demo: Any) -> None:
    from gradio.data_classes import PredictBodyInternal
    from gradio.queueing import Event

    _, _, app = demo
    (function,) = gradio_private.functions(app).values()
    request = SimpleNamespace(scope={"client": ("10.0.0.1", 1)})

    async def joined() -> list[str]:
        numbers = []
        for session in ("one", "two", "two"):
            body = PredictBodyInternal(
                session_hash=session, fn_index=gradio_private.function_number(function), data=["x"]
            )
            body.request = None
            ok, number, _ = await app.get_blocks()._queue.push(body, request, None)
            assert ok, number
            numbers.append(number)
        return numbers

    one, two, three = run_coroutine(joined())
    queue = gradio_private.queue_of(app)
    waiting = queue.waiting("network")
    assert [event.session_hash for event in waiting] == ["one", "two", "two"]
    assert all(isinstance(event, Event) and event.fn is function for event in waiting)
    assert {event.concurrency_id for event in waiting} == {"network"}
    assert waiting[0].request.scope is request.scope
    assert queue.length("network") == 3 and queue.length("other") == 0 == len(queue.waiting("x"))
    assert list(queue.running()) == [] and queue.busy_sessions() == {"one", "two"}
    queue.reorder("network", waiting[::-1])
    assert queue.waiting("network") == waiting[::-1]
    assert queue.event(one) is waiting[0] and queue.event("none") is None
    assert queue.session_of(three) == "two" and queue.session_of("none") is None
    assert gradio_private.stored_sessions(app) == {"one", "two"}
    app.state_holder["two"]
    app.iterators[two] = object()
    gradio_private.forget_session(app, "two")
    assert gradio_private.stored_sessions(app) == {"one"} and not app.iterators
    assert queue.event(two) is None is queue.event(three) and queue.session_of(two) is None
    assert "two" not in app.state_holder.time_last_used
    gradio_private.forget_session(app, "one")
    queue.reorder("network", [])


def test_a_mounted_app_checks_no_paths_by_itself(demo: Any) -> None:
    blocks, _, app = demo
    assert not blocks.has_launched, "it does now: hooks need not turn it on"
    gradio_private.check_paths(app)
    assert blocks.has_launched
    blocks.has_launched = False


def test_mounting_has_no_options_for_state_and_threads(demo: Any) -> None:
    import gradio as gr

    blocks, _, _ = demo
    options = inspect.signature(gr.mount_gradio_app).parameters
    assert not {"max_threads", "state_session_capacity"} & set(options)
    assert blocks.max_threads and blocks.state_session_capacity, "Gradio's own numbers"
    gradio_private.limit_state_and_threads(blocks, 7, 3)
    blocks.create_limiter()
    assert blocks.limiter.total_tokens == 3 and blocks.state_session_capacity == 7


def test_open_pages_end_with_an_event(demo: Any) -> None:
    _, _, app = demo
    assert isinstance(gradio_private.stop_event(app), asyncio.Event)


def test_a_layer_added_the_public_way_is_the_outermost() -> None:
    from starlette.middleware import Middleware

    heard = []

    class Layer:
        def __init__(self, app: Any, name: str) -> None:
            self.app, self.name = app, name

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            heard.append(self.name)
            await self.app(scope, receive, send)

    app = Starlette(middleware=[Middleware(Layer, "own")])
    app.add_middleware(Layer, "public")
    gradio_private.add_innermost(app, Middleware(Layer, "innermost"))
    TestClient(app).get("/")
    assert heard == ["public", "own", "innermost"]


COMPONENT = """
import gradio as gr
from ui.compat import gradio_private

if {usual}:
    class Photo(gr.Image):
        is_template = True
else:
    Photo = gradio_private.component_class(gr.Image, __name__)
"""


@pytest.mark.parametrize("usual", [True, False])
def test_a_class_derived_the_usual_way_writes_a_file(
    usual: bool, tmp_path: Path, demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"parts_{usual}.py".lower()
    path.write_text(COMPONENT.format(usual=usual))
    monkeypatch.syspath_prepend(tmp_path)
    photo = importlib.import_module(path.stem).Photo
    assert path.with_suffix(".pyi").exists() is usual
    assert photo(render=False).get_block_name() == "image"


@pytest.mark.parametrize("usual", [True, False])
def test_gradio_copies_what_a_path_names_unless_it_is_stopped(
    usual: bool, tmp_path: Path, demo: Any
) -> None:
    import gradio as gr

    path = tmp_path / "photo.png"
    path.write_bytes(b"1")
    kind = (
        gr.Image
        if usual
        else gradio_private.component_class(gr.Image, __name__, **gradio_private.files_unmoved())
    )
    component = kind(render=False)
    moved = run_coroutine(component.async_move_resource_to_block_cache(str(path)))
    assert (moved != str(path)) is usual


def test_an_image_travels_as_its_address(demo: Any) -> None:
    import gradio as gr

    value = gradio_private.image_value("data:image/png;base64,AA==")
    assert isinstance(value, gr.Image.data_model) and value.url.startswith("data:")


# What Gradio writes when it is imported


def imported(before: str) -> dict[str, Any]:
    """Whether Gradio's classes and events are there after an import, and how often it parsed a
    source; ``before``: the line that imports it.
    """
    code = f"""
import ast, json, pathlib, sys
parsed, written = [], []
parse, write = ast.parse, pathlib.Path.write_text
ast.parse = lambda *words, **how: parsed.append(1) or parse(*words, **how)
pathlib.Path.write_text = lambda self, *words, **how: (
    written.append(str(self)) if self.suffix == ".pyi" else write(self, *words, **how))
{before}
import gradio
print(json.dumps({{
    "parsed": len(parsed), "clicks": callable(gradio.Button("a").click),
    "finders": len([one for one in sys.meta_path if type(one).__module__.startswith("ui.")]),
}}))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


def test_gradio_is_imported_without_parsing_its_sources() -> None:
    """And still parses them by itself: once it does not, ``no_type_stubs`` can go."""
    ours = "from ui.compat.gradio_private import no_type_stubs\nwith no_type_stubs(): import gradio"
    found, usual = imported(ours), imported("")
    assert found["clicks"] and usual["clicks"]
    assert usual["parsed"] > 50 and found["parsed"] < usual["parsed"] / 5
    assert found["finders"] == 0


def test_without_an_import_the_finder_is_gone_all_the_same() -> None:
    before = list(sys.meta_path)
    with gradio_private.no_type_stubs():
        assert len(sys.meta_path) == len(before) + 1
        assert importlib.util.find_spec("a_module_that_is_not_there") is None
    assert sys.meta_path == before
