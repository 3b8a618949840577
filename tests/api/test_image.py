"""The image's own steps without Docker: its files in a clean folder, another user, no home yet,
nothing writable but /tmp.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support import ROOT

USER = 1000
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def environment() -> dict[str, str]:
    """Variables of the ENV step."""
    (step,) = re.findall(r"^ENV (.*?)(?<!\\)\n", DOCKERFILE, re.S | re.M)
    return dict(re.findall(r"(\w+)=(\S+)", step))


def ignored(path: str, rules: list[str]) -> bool:
    """Whether ``.dockerignore`` leaves ``path`` out: the last rule that fits decides."""
    out = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        fits = (
            any(fnmatch.fnmatch(part, pattern) for part in Path(path).parts)
            if rule.startswith("**/")
            else (fnmatch.fnmatch(path, pattern) or path.split("/")[0] == pattern)
        )
        if fits:
            out = not rule.startswith("!")
    return out


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What COPY would put into the image, readable by all and written by nobody else."""
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    folder = Path("/tmp") / f"agegender-image-{os.getpid()}"
    for name in listed.stdout.splitlines():
        if not ignored(name, rules) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def as_user(*command: str) -> list[str]:
    """``command`` run by the image's user; only root can do that, others run it as themselves.

    Where this interpreter lies in a folder of root's, the user may read it all the same, and write
    nothing more than usual.
    """
    if os.geteuid() != 0:
        return list(command)
    become = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    return [
        *become,
        "--inh-caps",
        "+dac_read_search",
        "--ambient-caps",
        "+dac_read_search",
        *command,
    ]


def test_the_image_holds_what_it_needs_and_no_more(image: Path) -> None:
    for name in (
        "app.py",
        "serve.py",
        "gradio_app.py",
        "requirements.txt",
        "README.md",
        "weights/manifest.toml",
        ".streamlit/config.toml",
    ):
        assert (image / name).is_file(), name
    for name in (".git", "tests", "runs", ".venv", "docs"):
        assert not (image / name).exists(), name


def test_front_matter_and_image_name_one_port() -> None:
    front = yaml.safe_load((ROOT / "README.md").read_text().split("---")[1])
    assert (
        front["sdk"] == "docker"
        and str(front["app_port"]) == environment()["STREAMLIT_SERVER_PORT"]
    )
    assert f"EXPOSE {front['app_port']}" in DOCKERFILE and "\nUSER 1000\n" in DOCKERFILE


@pytest.mark.slow
def test_the_image_starts_as_another_user_and_writes_only_to_tmp(
    image: Path, tmp_path: Path
) -> None:
    python = Path(sys.executable)
    probed = subprocess.run(
        as_user(str(python), "-c", "import os; print(os.getuid())"), capture_output=True, text=True
    )
    assert probed.stdout.strip() == str(USER if os.geteuid() == 0 else os.geteuid()), probed.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = Path("/tmp") / f"agegender-home-{os.getpid()}"
    named = environment() | {
        "STREAMLIT_SERVER_PORT": str(port),
        "STREAMLIT_SERVER_ADDRESS": "127.0.0.1",
        "HOME": str(home),
    }
    # whatever the app tries to fetch would go through these, and nobody is there
    closed = {
        name: "http://127.0.0.1:9"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    }
    variables = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "NO_PROXY": "127.0.0.1,localhost",
        **closed,
        **named,
    }
    checked = subprocess.run(
        as_user("sh", "deploy/check_image.sh"),
        cwd=image,
        env=variables,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0 and "the sample portrait: " in checked.stdout, checked.stderr
    log = tmp_path / "log"
    before = time.time() - 1
    with log.open("wb") as stream:
        server = subprocess.Popen(
            as_user("sh", "deploy/start.sh"), cwd=image, env=variables, stdout=stream, stderr=stream
        )
    try:
        answer = _ready(f"http://127.0.0.1:{port}", server)
        assert answer is not None, log.read_text()[-3000:]
        assert answer["ready"] and httpx.get(f"http://127.0.0.1:{port}/gradio/").status_code == 200
        cookie = httpx.get(f"http://127.0.0.1:{port}/_stcore/host-config")
        assert cookie.status_code == 200
        health = httpx.get(f"http://127.0.0.1:{port}/_stcore/health").headers.get("set-cookie", "")
        assert not health or ("SameSite=None" in health and "Secure" in health)
        if os.geteuid() == 0:
            assert _written_by_user(before, home) == []
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(home, ignore_errors=True)


def _ready(url: str, server: subprocess.Popen[bytes]) -> dict | None:
    for _ in range(300):
        if server.poll() is not None:
            return None
        try:
            answer = httpx.get(f"{url}/ready", timeout=5)
            if answer.status_code == 200:
                return answer.json()
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    return None


def _written_by_user(since: float, home: Path) -> list[str]:
    """Files of user 1000 outside of /tmp that are newer."""
    places = [
        place
        for place in ("/home", "/root", "/var", "/opt", "/srv", "/usr/local", str(ROOT))
        if Path(place).is_dir()
    ]
    command = [
        "find",
        *places,
        "-xdev",
        "-user",
        str(USER),
        "-newermt",
        f"@{since}",
        "-not",
        "-path",
        "/tmp/*",
    ]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()
