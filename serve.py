"""One process, one port: the Streamlit app at ``/``, Gradio and its API at ``/gradio``, ``/ready`` for whoever watches over it.

Started by ``streamlit run serve.py``, which finds ``app``. All of it shares one set of loaded networks and one gate.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gradio_app  # before Gradio itself: it says where Gradio may write

import gradio as gr  # isort: skip
import streamlit as st
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agegender_core import endpoints, shared
from agegender_core.errors import AgeGenderError

GRADIO = "/gradio"
trouble: list[str] = []
"""Why the default network could not be loaded."""


def load_default() -> None:
    """Load the default network, so that nobody waits for it."""
    try:
        shared.predictor(endpoints.choices()[0], shared.settings().race)
    except Exception as error:
        trouble.append(str(error) if isinstance(error, AgeGenderError) else type(error).__name__)


def state() -> dict[str, Any]:
    """Whether questions are answered at once, and by what: weights loaded, with the sum of their file; the default; those on offer."""
    if trouble:
        return {"ready": False, "error": trouble[0], "loaded": [], "default": None, "offered": []}
    names, loaded = endpoints.choices(), shared.predictor.loaded()
    cards = {entry.name: entry for entry in shared.installed_weights()}
    told = [{"name": name, "architecture": cards[name].architecture, "sha256": cards[name].sha256} for name in loaded if name in cards]
    return {"ready": names[0] in loaded or bool(loaded), "loaded": told, "default": names[0], "offered": names}


async def ready(request: Request) -> JSONResponse:
    """200 once the default network is loaded, 503 before and where it cannot be."""
    try:
        said = state()
    except AgeGenderError as error:
        said = {"ready": False, "error": str(error), "loaded": [], "default": None, "offered": []}
    return JSONResponse(said, 200 if said["ready"] else 503, {"Cache-Control": "no-store"})


try:
    shared.neighbours["gradio"] = f"{GRADIO}/"
    plain = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gradio_side = gr.mount_gradio_app(plain, gradio_app.build(), GRADIO, root_path=GRADIO, **gradio_app.served())
    mounts = [route for route in gradio_side.routes if getattr(route, "path", "") == GRADIO]
except AgeGenderError as error:  # the Streamlit pages say what is wrong, and so does /ready
    trouble.append(str(error))
    shared.neighbours.clear()
    gradio_side, mounts = FastAPI(), []


def let_pages_go(stop: asyncio.Event) -> None:
    """Set ``stop`` when the process is told to end, before the server hears of it: that waits for open connections, of which each of
    Gradio's pages keeps one for as long as it is open."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        servers = signal.getsignal(number)
        if callable(servers):

            def told(got: int, frame: Any, servers: Any = servers) -> None:
                loop.call_soon_threadsafe(stop.set)
                servers(got, frame)

            signal.signal(number, told)


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Gradio's own start and end, and the first network, loaded beside them."""
    if not trouble:
        threading.Thread(target=load_default, name="load default network", daemon=True).start()
    for mount in mounts:
        let_pages_go(mount.app.stop_event)
    async with gradio_side.router.lifespan_context(gradio_side):
        yield


app = st.App(Path(__file__).with_name("app.py"), routes=[Route("/ready", ready), *mounts], lifespan=lifespan)

if __name__ == "__main__":
    app.run()
