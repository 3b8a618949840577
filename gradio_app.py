"""The Gradio front end and its typed API over the same core: photo, live, attention, batch. Alone:
``python gradio_app.py``; beside the Streamlit app on one port: ``serve.py``.

Uploaded images stay in memory, in the store of ``ui/guard``, which stands before Gradio: the API's
are forgotten once they are answered, the page's when they are replaced, when the page is closed, or
after ten minutes. Images in answers are part of the answer itself.
"""

from __future__ import annotations

import os

import uvicorn

from agegender_core.errors import AgeGenderError
from ui.common import proxies
from ui.gradio.hooks import alone
from ui.gradio.preparation import prepare

HOST, PORT = "127.0.0.1", 7860


def main() -> None:
    """Serve the front end alone. ``GRADIO_SERVER_NAME`` and ``GRADIO_SERVER_PORT`` say where."""
    host, port = (
        os.environ.get("GRADIO_SERVER_NAME", HOST),
        int(os.environ.get("GRADIO_SERVER_PORT", PORT)),
    )
    prepare()
    from ui.gradio import components, front_end

    with proxies.hidden():
        app = front_end.mounted("/", favicon_path=components.ICON)
    print(f"Age and gender from faces: http://{host}:{port}", flush=True)
    uvicorn.run(alone(app), host=host, port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    try:
        main()
    except AgeGenderError as error:
        raise SystemExit(str(error)) from None
