"""``app``: serve the web app from wherever the package lies."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from agegender_core.settings import ROOT


def app(
    port: Annotated[int, typer.Option(help="Where it answers.", min=1, max=65535)] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    gradio: Annotated[
        bool, typer.Option("--gradio", help="The Gradio front end and its API alone.")
    ] = False,
) -> None:
    """Serve the app on http://localhost:PORT, with Gradio and its API at /gradio. Other settings:
    Streamlit's own and docs/settings.md.
    """
    if find_spec("gradio" if gradio else "streamlit") is None:
        typer.secho(
            "error: the web app needs streamlit and gradio: pip install agegender",
            fg=typer.colors.RED,
            err=True,
        )
        raise typer.Exit(1)
    if gradio:
        os.environ |= {"GRADIO_SERVER_NAME": host, "GRADIO_SERVER_PORT": str(port)}
        command = [sys.executable, str(ROOT / "gradio_app.py")]
    else:
        options = [
            "--server.port",
            str(port),
            "--server.address",
            host,
            "--server.headless",
            "true",
        ]
        command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "serve.py"), *options]
    sys.stdout.flush()
    # Replaces this process, so that signals, such as a request to end, reach it.
    os.execv(command[0], command)
