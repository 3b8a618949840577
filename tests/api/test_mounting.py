"""The server elsewhere: behind proxies and odd certificates, below a base path, and without a
Gradio that works.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from agegender_core.errors import ConfigError
from agegender_core.serving import runtime
from tests.e2e.harness import ROOT, running_app
from tests.support.loops import run_coroutine
from ui.common import proxies
from ui.gradio import mounting

pytestmark = pytest.mark.slow

DEAD = "127.0.0.1:9"
PROXIES = {
    "socks": {"ALL_PROXY": f"socks5://{DEAD}", "all_proxy": f"socks5://{DEAD}"},
    "unknown scheme": {"ALL_PROXY": f"socks://{DEAD}/"},
    "dead": {
        "HTTP_PROXY": f"http://{DEAD}",
        "http_proxy": f"http://{DEAD}",
        "HTTPS_PROXY": f"http://{DEAD}",
    },
    "odd exceptions": {"HTTP_PROXY": f"http://{DEAD}", "no_proxy": "::1/128,[fe80::]/10,,*.local"},
    "no certificates": {"SSL_CERT_FILE": "/nowhere/ca.pem", "SSL_CERT_DIR": "/nowhere"},
}


def get(url: str, **more: Any) -> httpx.Response:
    """An answer of this machine's own, whatever the environment says."""
    return httpx.get(url, timeout=30, trust_env=False, **more)


def ready(url: str, seconds: float = 90) -> dict[str, Any]:
    """What ``/ready`` says once the default network is loaded."""
    end = time.monotonic() + seconds
    while (answer := get(f"{url}/ready")).status_code != 200 and time.monotonic() < end:
        time.sleep(0.3)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def front_ends() -> Any:
    """The table of front ends, put back after the test."""
    before = dict(runtime.mounted_apps), dict(runtime.missing)
    yield
    for table, kept in zip((runtime.mounted_apps, runtime.missing), before, strict=True):
        table.clear()
        table.update(kept)


@pytest.mark.parametrize("name", PROXIES)
def test_gradio_is_imported_whatever_proxy_the_environment_names(name: str) -> None:
    code = (
        "import json, os\nfrom ui.gradio.preparation import prepare\nprepare()\nfrom ui.gradio"
        " import front_end\nprint(json.dumps(dict(os.environ)))"
    )
    environment = {
        key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**environment, **PROXIES[name]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    after = json.loads(done.stdout)
    assert PROXIES[name].items() <= after.items(), (
        "the variables are there again for whoever needs them"
    )


def test_variables_come_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://x")
    with pytest.raises(RuntimeError), proxies.hidden():
        assert "ALL_PROXY" not in os.environ
        raise RuntimeError
    assert os.environ["ALL_PROXY"] == "socks5://x"


def test_both_front_ends_start_behind_a_socks_proxy(portrait: Any, tmp_path: Path) -> None:
    with running_app(script="serve.py", switches={**PROXIES["socks"], **PROXIES["dead"]}) as url:
        assert ready(url)["gradio"] == {"path": "/gradio/", "ready": True}
        assert "gradio" in get(f"{url}/gradio/").text


def test_gradio_alone_starts_behind_a_proxy() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    switches = {**PROXIES["dead"], **PROXIES["no certificates"], "GRADIO_SERVER_PORT": str(port)}
    log = subprocess.PIPE
    server = subprocess.Popen(
        [sys.executable, "gradio_app.py"],
        cwd=ROOT,
        env={**os.environ, **switches},
        stdout=log,
        stderr=log,
    )
    try:
        end = time.monotonic() + 90
        while time.monotonic() < end and server.poll() is None:
            try:
                if get(f"http://127.0.0.1:{port}/gradio_api/info").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.3)
        time.sleep(2)  # it asks itself after it has begun to answer others
        assert server.poll() is None, server.communicate()[1].decode()[-2000:]
        assert get(f"http://127.0.0.1:{port}/").status_code == 200
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()
            raise


def test_alone_a_wrong_setting_is_one_sentence() -> None:
    environment = {**os.environ, "AGEGENDER_OFFERED": "nobody"}
    done = subprocess.run(
        [sys.executable, "gradio_app.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1 and done.stderr.startswith("AGEGENDER_OFFERED names nobody"), (
        done.stderr
    )
    assert "Traceback" not in done.stderr


def test_below_a_base_path_everything_is_below_it(portrait: Any, tmp_path: Path) -> None:
    with running_app(script="serve.py", base="/faces") as url:
        status = ready(url)
        assert status["gradio"] == {"path": "/faces/gradio/", "ready": True}
        root = url.removesuffix("/faces")
        for path in ("/ready", "/faces/ready", "/faces/ready/", "/ready/"):
            assert get(f"{root}{path}").json()["ready"] is True, path
        moved = get(f"{url}/gradio")
        assert moved.status_code == 307 and moved.headers["location"] == "gradio/"
        page = get(f"{url}/gradio/")
        assert page.status_code == 200 and f'"root":"{url}/gradio"' in page.text.replace(" ", "")
        image = tmp_path / "portrait.png"
        portrait.save(image)
        answer = Client(f"{url}/gradio/", verbose=False).predict(
            handle_file(image), "multitask_cnn_dist", api_name="/predict"
        )
        assert len(answer["faces"]) == 1
        assert get(f"{url}/").status_code == 200 and get(f"{url}/_stcore/health").text == "ok"
        page = get(f"{url}/", headers={"Accept": "text/html"})
        assert "; Path=/faces; HttpOnly; SameSite=Lax" in str(page.headers.get_list("set-cookie"))


def test_without_gradio_the_pages_start_and_say_so(tmp_path: Path) -> None:
    log = tmp_path / "log"  # Gradio turns this variable into a number when it is imported
    with running_app(script="serve.py", switches={"GRADIO_SERVER_PORT": "none"}, log=log) as url:
        status = ready(url)
        assert (
            status["ready"]
            and status["gradio"]["ready"] is False
            and "ValueError" in status["gradio"]["error"]
        )
        assert "invalid literal" not in str(status), "details are for the log"
        for method, path in (
            ("GET", "/gradio/"),
            ("POST", "/gradio/gradio_api/call/predict"),
            ("GET", "/gradio/gradio_api/info"),
        ):
            refused = httpx.request(method, f"{url}{path}", trust_env=False, timeout=30)
            assert refused.status_code == 503 and "could not be started" in refused.json()["error"]
        person = get(f"{url}/gradio/", headers={"Accept": "text/html,*/*"})
        assert person.status_code == 503 and person.text == mounting.REFUSAL
        assert get(f"{url}/").status_code == 200
    assert "invalid literal" in log.read_text() and "Traceback" in log.read_text()


def side(
    path: str = "/gradio", start: Exception | None = None, build: Exception | None = None
) -> mounting.GradioSide:
    """A stand-in for Gradio's app, which fails when it is built or when it is started."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        if start is not None:
            raise start
        yield

    def made(path: str) -> Starlette:
        if build is not None:
            raise build
        return Starlette(routes=[Mount(path, app=Starlette())], lifespan=lifespan)

    return mounting.GradioSide(path, made)


@pytest.mark.parametrize("when", ["build", "start"])
@pytest.mark.usefixtures("front_ends")
def test_a_start_that_fails_is_a_refusal(when: str) -> None:
    gradio_side = side("/base/gradio", **{when: ConfigError("AGEGENDER_X=1: give 2")})
    app = Starlette(routes=gradio_side.routes, lifespan=lambda app: gradio_side.lifespan())
    with TestClient(app) as client:
        assert client.get("/base/gradio", follow_redirects=False).headers["location"] == "gradio/"
        assert client.post("/base/gradio/gradio_api/queue/join").status_code == 503
    assert gradio_side.state() == {
        "path": "/base/gradio/",
        "ready": False,
        "error": "AGEGENDER_X=1: give 2",
    }
    assert (
        "gradio" not in runtime.mounted_apps
        and runtime.missing["gradio"] == "AGEGENDER_X=1: give 2"
    )


@pytest.mark.usefixtures("front_ends")
def test_a_start_that_works_ends_with_the_server() -> None:
    gradio_side = side()

    async def run() -> None:
        async with gradio_side.lifespan():
            assert gradio_side.state() == {"path": "/gradio/", "ready": True}

    run_coroutine(run())
    assert runtime.mounted_apps["gradio"] == "/gradio/" and "gradio" not in runtime.missing


@pytest.mark.parametrize(
    ("set_to", "path"), [(None, ""), ("", ""), ("/", ""), ("a", "/a"), ("/a/b/", "/a/b")]
)
def test_base_path_is_written_one_way(
    monkeypatch: pytest.MonkeyPatch, set_to: str | None, path: str
) -> None:
    monkeypatch.setattr(mounting, "st", SimpleNamespace(get_option=lambda name: set_to))
    assert mounting.base_path() == path
