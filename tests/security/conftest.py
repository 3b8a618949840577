"""Both front ends, once for all attacks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agegender_core.inference.model_zoo import list_weights
from tests.security.servers import Server, connect, head, portrait, serving, wait

FRONT_ENDS = ("serve.py", "gradio_app.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No attack waits for long; the first one waits for its server as well."""
    for item in items:
        if "/security/" in str(item.path):
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", params=FRONT_ENDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A front end with its networks loaded."""
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    with serving(request.param, tmp_path_factory.mktemp("server")) as server:
        server.predict(portrait())
        yield server
        ends_well(server)


def ends_well(server: Server) -> None:
    """SIGTERM, while an upload is on its way and a page is open: it ends, and leaves no folder."""
    with connect(server) as page, connect(server) as line:
        route, host = urlsplit(server.api).path, urlsplit(server.url).netloc
        page.sendall(f"GET {route}/heartbeat/abc HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b"200 OK" in page.recv(1000)
        line.sendall(head(server, 2**20) + b"x" * 1000)
        server.process.terminate()
        time.sleep(0.5)
        line.close()
        server.process.wait(30)
    assert list(server.folder.glob("agegender-*")) == []
    assert "Traceback" not in server.log(), server.log()[-3000:]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """An image on the server's disk that is nobody's upload."""
    path = tmp_path / "victim" / "picture.jpg"
    path.parent.mkdir()
    path.write_bytes(portrait())
    return path


@pytest.fixture(autouse=True)
def _still_well(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every attack the server answers, keeps no file and logs neither a traceback nor what
    was sent.
    """
    yield
    if "server" not in request.fixturenames:
        return
    server: Server = request.getfixturevalue("server")
    wait(lambda: '"faces"' in server.predict(portrait()), 30)
    assert server.files() == [str(server.log_file)]
    log = server.log()
    assert "Traceback" not in log, log[-3000:]
    assert (
        "base64" not in log
        and "secret-name" not in log
        and max(map(len, log.splitlines()), default=0) < 500
    ), log[-3000:]
