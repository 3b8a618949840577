"""The whole server in a process of its own, as ``make app`` starts it: Streamlit, Gradio and its
API on one port.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from agegender_core.inference.model_zoo import list_weights
from tests.e2e.harness import running_app

SWITCHES = {
    "AGEGENDER_MAX_PICTURES": "5",
    "AGEGENDER_MAX_MB": "2",
    "AGEGENDER_OFFERED": "efficientnet_lite0,gra_net_dist",
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the server; its temporary files go to a folder of their own, ``uploads`` below."""
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    folder = tmp_path_factory.mktemp("server")
    with running_app(script="serve.py", switches={**SWITCHES, "TMPDIR": str(folder)}) as url:
        _FOLDERS[url] = folder
        yield url


_FOLDERS: dict[str, Path] = {}


@pytest.fixture
def uploads(server: str) -> Path:
    """Folder for temporary files of the server."""
    return _FOLDERS[server]


@pytest.fixture(scope="session")
def ready(server: str) -> dict:
    """What the server says once it is ready."""
    for _ in range(600):
        answer = httpx.get(f"{server}/ready", timeout=10)
        if answer.status_code == 200:
            return answer.json()
        import time

        time.sleep(0.2)
    raise AssertionError(f"the server is not ready: {answer.text}")


@pytest.fixture(scope="session")
def two_faces(portrait: Image.Image) -> bytes:
    """The portrait twice, the right one smaller, as PNG."""
    canvas = Image.new("RGB", (900, 512), (90, 100, 110))
    canvas.paste(portrait, (0, 0))
    canvas.paste(portrait.resize((380, 380)), (520, 60))
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG")
    return buffer.getvalue()
