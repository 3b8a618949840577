"""The browser's camera through streamlit-webrtc, and how its connection fares.

Without TURN settings no third server is involved: on one machine or in one network the two ends
find each other by their own addresses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from agegender_core.settings import Settings
from ui.common.state import PAGE_BEFORE
from ui.compat import webrtc_private
from ui.live import state
from ui.live.stream import Stream, StreamStatus

PATIENCE = 8.0
"""Seconds until the page reports that there is no connection."""
SILENCE = 4.0
"""Seconds without a frame after which the video counts as stopped."""
CONSTRAINTS = {
    "video": {
        "width": {"ideal": 640},
        "height": {"ideal": 480},
        "frameRate": {"ideal": 30, "max": 30},
        "facingMode": "user",
    },
    "audio": False,
}
VIDEO = {
    "autoPlay": True,
    "controls": False,
    "muted": True,
    "playsInline": True,
    "style": {"width": "100%", "borderRadius": "0.6rem", "display": "block"},
}
WORDS = {
    "start": "Start the camera",
    "stop": "Stop the camera",
    "select_device": "Choose a camera",
    "device_ask_permission": "Please allow this page to use the camera.",
    "device_not_available": "No camera was found.",
    "device_access_denied": "The browser refuses to open the camera.",
    "media_api_not_available": (
        "This browser opens no camera here: it takes an https:// address or localhost."
    ),
    "select_camera": "Camera",
}


@dataclass
class Attempt:
    """One try to get a video. ``offered``: when the browser had its camera and offered it, by
    ``time.monotonic``; ``failed``: it gave up without a single frame; ``reported``: the browser
    itself reports that it runs.
    """

    offered: float | None = None
    failed: bool = False
    reported: bool = False

    def note(self, running: bool, stream: Stream) -> None:
        """``running``: the browser offers or plays."""
        if running and self.offered is None:
            self.offered, self.failed = time.monotonic(), False
        elif not running and self.offered is not None:
            self.offered, self.failed = None, stream.status().count == 0
            stream.begin()

    def trouble(self, status: StreamStatus) -> str | None:
        """What is wrong, as ``text.trouble`` knows it; None while all is well or a frame may still
        come.
        """
        if self.offered is None:
            return "connection" if self.failed else None
        if status.failed:
            return "analysis"
        if status.busy:
            return "slots"
        if status.silent is None:
            return "connection" if time.monotonic() - self.offered > PATIENCE else None
        return "silence" if status.silent > SILENCE else None


def ice_servers(settings: Settings) -> list[dict[str, Any]]:
    """The operator's STUN and TURN servers, none by default."""
    if not settings.turn_urls:
        return []
    server: dict[str, Any] = {"urls": list(settings.turn_urls)}
    name, word = settings.turn_username, settings.turn_password
    return [server | ({"username": name, "credential": word} if name and word else {})]


def camera(stream: Stream, attempt: Attempt, settings: Settings) -> bool:
    """Put the camera with its own button for start and stop onto the page; whether it is running.

    ``desired_playing_state`` is not used: while it is set, the component opens several connections
    at once and asks for the camera again and again where it is refused.
    """
    context = component(
        key=state.CAMERA.key,
        rtc_configuration={"iceServers": ice_servers(settings)},
        media_stream_constraints=CONSTRAINTS,
        video_frame_callback=stream.receive,
        on_video_ended=stream.ended,
        video_html_attrs=VIDEO,
        translations=WORDS,
        media_toggle_controls=False,
        sendback_audio=False,
    )
    attempt.reported = context.state.playing or context.state.signalling
    # The browser's report may come late, or not at all when one clicks meanwhile.
    running = attempt.reported or stream.alive()
    attempt.note(running, stream)
    return running


def component(**options: Any) -> Any:
    """streamlit-webrtc's component, without a queue of frames. Tests replace it by their own."""
    from streamlit_webrtc import webrtc_streamer

    webrtc_private.newest_only(webrtc_private.global_relay())
    webrtc_private.start_sharp()
    if PAGE_BEFORE.get() == "Live":
        keep_open()
    return webrtc_streamer(**options)


def dress() -> None:
    """Have the camera's buttons look like all others; at the end of the page, where the component
    that does it takes no room.
    """
    webrtc_private.style_frame()


def keep_open() -> None:
    """While one stays on the page, its video goes on."""
    context = state.CAMERA.get()
    if context is not None:
        webrtc_private.keep_open(context)
