"""Libraries that report their use to their makers unless told otherwise: they are told.

ONNX Runtime, from 1.32 on, also writes a device number, a database and a session file for it.
"""

from __future__ import annotations

import os

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Environment variables of ONNX Runtime, Ray, Hugging Face's libraries and Gradio. Streamlit has
its own in ``.streamlit/config.toml``."""


def switch_off() -> None:
    """Set every switch, whatever the environment says: people are told that nothing is sent. To be
    called before any of the libraries is imported; processes started from this one inherit it.
    """
    os.environ.update(SWITCHES)
