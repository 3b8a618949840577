"""Puts the guard before the front ends: ``guarded`` for ``serve.py``, ``alone`` for
``gradio_app.py``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from agegender_core.openmp import sleep_soon
from agegender_core.serving import runtime
from agegender_core.settings import Settings
from ui.common import uploads
from ui.common.upload_limits import UploadLimits
from ui.compat import asgi_private, gradio_private
from ui.gradio import preparation
from ui.guard.connections import limit_connections
from ui.guard.front_door import FrontDoor
from ui.guard.gradio_side import API, GradioGuard, Rules
from ui.guard.limits import Limits
from ui.guard.page_head import PageHead
from ui.guard.process import allow_descriptors, settle_memory
from ui.guard.static_files import StaticFiles
from ui.guard.uploads import UploadStore
from ui.guard.visitor_cookie import VisitorCookie

if TYPE_CHECKING:
    from ui.gradio.mounting import GradioSide

STREAMLIT_MB = 60
"""Of one of Streamlit's uploads, where its own setting cannot be read."""


def guarded(side: GradioSide) -> list[Middleware]:
    """Middleware for Streamlit's app with Gradio's ``side`` of it, which is guarded as well; what
    cannot be guarded is not served.
    """
    from ui.guard.web_sockets import FRAME  # made of Streamlit's own messages

    limits = _begin()
    side.guard(lambda gradio: protect(gradio, limits))
    largest = (_streamlit_mb() + 1) * 2**20
    asgi_private.keep_forms_in_memory(largest)
    asgi_private.limit_messages(FRAME)
    path = side.path.rpartition("/")[0]
    layers = [
        Middleware(
            FrontDoor,
            _store(),
            limits,
            largest,
            lambda path: f"{side.path}{API}/" in path and side.error is None,
            path,
        )
    ]
    layers.append(Middleware(StaticFiles, f"{path}/static/"))
    if uploads.keep_minutes():
        layers.append(Middleware(VisitorCookie, path, _same_site(), f"{side.path}/"))
    layers.append(Middleware(PageHead, f"{side.path}/"))
    return layers


def alone(app: FastAPI) -> ASGIApp:
    """``app`` with Gradio mounted at its root, guarded; open pages do not keep it from ending."""
    limits = _begin()
    gradio = gradio_private.mounted_app(app)
    protect(gradio, limits)
    within = asgi_private.lifespan_of(app)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        let_pages_go(gradio_private.stop_event(gradio))
        async with within(app) as state:
            yield state
        preparation.tidy()

    asgi_private.replace_lifespan(app, lifespan)
    return FrontDoor(app, _store(), limits, 0, lambda path: f"{API}/" in path)


def protect(gradio: Any, limits: Limits) -> None:
    """Guard one of Gradio's apps, before it has begun to serve. Raises ``ConfigError``."""
    from ui.gradio import components as parts

    settings = runtime.settings()
    rules = Rules(
        _store(),
        settings.max_mb * 2**20,
        settings.max_pictures,
        parts.CHECKS,
        runtime.decoders,
        parts.session_ended,
        limits,
    )
    gradio_private.add_innermost(gradio, Middleware(GradioGuard, gradio, rules, runtime.admission))
    # No path comes as far, but two locks are better than one.
    gradio_private.check_paths(gradio)


def let_pages_go(stop: asyncio.Event) -> None:
    """Set ``stop`` when the process gets a signal to end, before the server handles that: it waits
    for open connections, and every open page of Gradio has one.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        servers = signal.getsignal(number)
        if callable(servers):

            def stop_streams(got: int, frame: Any, servers: Any = servers) -> None:
                loop.call_soon_threadsafe(stop.set)
                servers(got, frame)

            signal.signal(number, stop_streams)


def _begin() -> Limits:
    sleep_soon()
    settle_memory()
    allow_descriptors()
    limits = Limits()
    limit_connections(limits)
    return limits


def _store() -> UploadStore:
    try:
        from ui.gradio import components as parts

        return parts.uploads()
    except Exception:
        # Without Gradio, or with a wrong setting, which the front ends report: the default counts.
        limits = UploadLimits.of(Settings())
        return UploadStore(os.sep, limits.total, limits.client)


def _same_site() -> str:
    """«none» where the operator serves the app in a frame of another site, as Streamlit's own
    cookie is told.
    """
    import streamlit as st

    return str(st.get_option("server.xsrfCookieSameSite") or "lax").lower()


def _streamlit_mb() -> int:
    try:
        import streamlit as st

        return int(st.get_option("server.maxUploadSize"))
    except (ImportError, RuntimeError):
        return STREAMLIT_MB
