"""Internals of streamlit-webrtc and of aiortc's relay below it.

Why each is needed:

* ``keep_open``: streamlit-webrtc closes a camera that a run of the script left out. It detects that
  by Streamlit's count of finished runs, which lags behind on a busy computer and then jumps by two.
* ``newest_only``: aiortc's relay stores frames for a reader that is slower than the camera, and
  streamlit-webrtc has no option to read without that buffer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiortc.contrib.media import MediaRelay

CHECKED_WITH = {"streamlit-webrtc": "0.79.0", "aiortc": "1.16.0"}


def global_relay() -> MediaRelay:
    """The relay through which streamlit-webrtc reads every camera."""
    from streamlit_webrtc.relay import get_global_relay

    return get_global_relay()


def keep_open(context: Any) -> None:
    """Have the video of a streamer's ``context`` go on in the next run; once the last run's number
    is forgotten, it is not compared.
    """
    context._last_rendered_run_count = None


def newest_only(relay: MediaRelay) -> None:
    """Frames wait nowhere: a reader of ``relay`` that is slower than the camera gets the newest
    frame, not a growing queue.
    """
    if "subscribe" not in vars(relay):
        relay.subscribe = partial(relay.subscribe, buffered=False)
