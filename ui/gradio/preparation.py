"""What comes before Gradio: where it may write and that it reports nothing, both of which it reads
from the environment when it is imported.

``prepare`` is called by ``serve.py`` and ``gradio_app.py`` before anything that imports Gradio.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from agegender_core import no_telemetry
from ui.common import proxies
from ui.compat import gradio_private


@cache
def prepare() -> Path:
    """Give Gradio a private folder that ends with the process, and import it, whatever proxy the
    environment names. Once a process.
    """
    path = Path(tempfile.mkdtemp(prefix="agegender-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = str(path)
    no_telemetry.switch_off()
    with proxies.hidden(), gradio_private.no_type_stubs():
        importlib.import_module("gradio")
    return path


def folder() -> Path:
    """Where Gradio may write, and finds the examples. Uploads are never here: they stay in memory.
    Raises ``RuntimeError`` where ``prepare`` was not called: Gradio would write elsewhere.
    """
    if not prepare.cache_info().currsize:
        raise RuntimeError("call ui.gradio.preparation.prepare() before Gradio is used")
    return prepare()


def tidy() -> None:
    """Take the folder away, at the end of the process."""
    if prepare.cache_info().currsize:
        shutil.rmtree(prepare(), ignore_errors=True)
