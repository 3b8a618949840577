"""Gradio beside Streamlit on one port: below the same base path, and a plain refusal in its place
where it cannot start.

Whatever ends Gradio's start (a package that is missing, a setting it cannot take) is logged with
its traceback; the Streamlit pages start all the same.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agegender_core.errors import AgeGenderError
from agegender_core.serving import runtime
from ui.common import proxies
from ui.compat import asgi_private
from ui.gradio import preparation

LOG = logging.getLogger(__name__)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
REFUSAL = (
    "The Gradio front end and its API could not be started on this server; its log says why. The"
    " Streamlit pages are not affected."
)


def base_path() -> str:
    """What Streamlit's ``server.baseUrlPath`` puts before every path: empty, or a slash and a
    name.
    """
    name = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{name}" if name else ""


class GradioSide:
    """Gradio's front end below ``path``, made by ``build``: a function from the path to the FastAPI
    app that has it mounted there.

    ``error``: why it does not run, None where it does. ``mounted``: Gradio's own app, None where it
    could not be made.
    """

    def __init__(self, path: str, build: Callable[[str], Any]) -> None:
        self.path = path
        self.error: str | None = None
        self.mounted: Any = None
        self._outer: Any = None
        self._refusal: ASGIApp = Mount("", routes=[Route("/{rest:path}", refuse, methods=METHODS)])
        runtime.mounted_apps["gradio"] = f"{path}/"
        try:
            with proxies.hidden():
                self._outer = build(path)
                (self.mounted,) = [
                    route.app for route in self._outer.routes if getattr(route, "path", "") == path
                ]
        except Exception as error:
            self._fail(error)

    def guard(self, protect: Callable[[Any], None]) -> None:
        """Have ``protect`` put its guard before Gradio's own app. Where it cannot, Gradio is not
        served.
        """
        if self.error is None:
            try:
                protect(self.mounted)
            except Exception as error:
                self._fail(error)

    @property
    def routes(self) -> list[BaseRoute]:
        """What the Streamlit app takes in: everything below ``path``, and ``path`` itself, which
        leads there.
        """
        return [Route(self.path, self._redirect), Mount(self.path, app=self)]

    def state(self) -> dict[str, Any]:
        """For ``/ready``: where it is, whether it runs, and why not."""
        report: dict[str, Any] = {"path": f"{self.path}/", "ready": self.error is None}
        return report if self.error is None else {**report, "error": self.error}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.mounted if self.error is None else self._refusal)(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Gradio's own start and end; a start that fails leaves the refusal."""
        async with AsyncExitStack() as stack:
            if self.error is None:
                try:
                    await stack.enter_async_context(
                        asgi_private.lifespan_of(self._outer)(self._outer)
                    )
                except Exception as error:
                    self._fail(error)
            yield

    def tidy(self) -> None:
        """Take Gradio's folder away, at the end of the process: what ends a server may not let it
        clean up later.
        """
        if self.mounted is not None:
            preparation.tidy()

    def _fail(self, error: Exception) -> None:
        LOG.error(
            "Gradio and its API cannot start; the Streamlit app starts without them", exc_info=error
        )
        self.error = (
            str(error)
            if isinstance(error, AgeGenderError)
            else f"{type(error).__name__}, see the server's log"
        )
        runtime.mounted_apps.pop("gradio", None)
        runtime.missing["gradio"] = self.error

    async def _redirect(self, request: Request) -> RedirectResponse:
        # Relative: a proxy may have put a path before ours.
        return RedirectResponse(f"{self.path.rpartition('/')[2]}/", 307)


async def refuse(request: Request) -> Response:
    """503 with a sentence: JSON for programs, text for people."""
    if "text/html" in request.headers.get("accept", ""):
        return PlainTextResponse(REFUSAL, 503)
    return JSONResponse({"error": REFUSAL}, 503)
