"""One process, one port: the Streamlit app at ``/``, Gradio and its API at ``/gradio``, ``/ready``
for whoever watches over it.

Started by ``streamlit run serve.py``, which finds ``app``. All of it shares one set of loaded
networks and one gate.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agegender_core.errors import AgeGenderError
from agegender_core.serving import runtime, service
from ui.common import uploads
from ui.common.kept_visits import swept
from ui.compat import gradio_private
from ui.gradio.hooks import guarded, let_pages_go
from ui.gradio.mounting import GradioSide, base_path
from ui.gradio.preparation import prepare

BASE = base_path()
GRADIO = f"{BASE}/gradio"
trouble: list[str] = []
"""Why the default network could not be loaded."""


def load_default() -> None:
    """Load the default network, so that nobody waits for it."""
    try:
        runtime.predictor(service.choices()[0], runtime.settings().race)
    except Exception as error:
        trouble.append(str(error) if isinstance(error, AgeGenderError) else type(error).__name__)


def state() -> dict[str, Any]:
    """Whether questions are answered at once, and by what: weights loaded, with the sum of their
    file; the default; those on offer.
    """
    if trouble:
        return {"ready": False, "error": trouble[0], "loaded": [], "default": None, "offered": []}
    names, loaded = service.choices(), runtime.predictor.loaded()
    cards = {info.name: info for info in runtime.installed_weights()}
    loaded_models = [
        {"name": name, "architecture": cards[name].architecture, "sha256": cards[name].sha256}
        for name in loaded
        if name in cards
    ]
    return {
        "ready": names[0] in loaded or bool(loaded),
        "loaded": loaded_models,
        "default": names[0],
        "offered": names,
    }


async def ready(request: Request) -> JSONResponse:
    """200 once the default network is loaded, 503 before and where it cannot be."""
    try:
        status = state()
    except AgeGenderError as error:
        status = {"ready": False, "error": str(error), "loaded": [], "default": None, "offered": []}
    status["gradio"] = gradio_side.state()
    return JSONResponse(status, 200 if status["ready"] else 503, {"Cache-Control": "no-store"})


def mounted_gradio(path: str) -> FastAPI:
    """An app that has the Gradio front end below ``path``."""
    prepare()
    from ui.gradio import front_end

    return front_end.mounted(path, root_path=path)


gradio_side = GradioSide(GRADIO, mounted_gradio)


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[None]:
    """Gradio's own start and end, and the first network, loaded beside them."""
    threading.Thread(target=load_default, name="load default network", daemon=True).start()
    if gradio_side.mounted is not None:
        let_pages_go(gradio_private.stop_event(gradio_side.mounted))
    async with gradio_side.lifespan(), swept(uploads.visits()):
        yield
    gradio_side.tidy()


# With a base path /ready is at both: a health check that knows nothing of it would get Streamlit's
# page, which is 200 whatever is wrong.
checks = [
    Route(path, ready)
    for path in dict.fromkeys(f"{base}/ready{end}" for base in (BASE, "") for end in ("", "/"))
]
app = st.App(
    Path(__file__).with_name("app.py"),
    routes=[*checks, *gradio_side.routes],
    middleware=guarded(gradio_side),
    lifespan=lifespan,
)

if __name__ == "__main__":
    app.run()
