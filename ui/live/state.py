"""What the session stores for Live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ui.common.state import Slot

if TYPE_CHECKING:
    from ui.live.camera import Attempt
    from ui.live.snapshot import Frozen
    from ui.live.stream import Stream


AGREED = Slot[bool]("live-open", bool)
"""Whether the visitor agreed to have the camera shown."""
CAMERA = Slot[Any]("live-camera")
"""streamlit-webrtc's context."""
STREAM: Slot[tuple[tuple[str, bool], Stream] | None] = Slot("live-stream")
"""The stream, after the model's name and whether it estimates race."""
ATTEMPT: Slot[Attempt | None] = Slot("live-attempt")
MIRROR = Slot[bool]("live-mirror")
FROZEN: Slot[Frozen | None] = Slot("live-frozen")
MISSED = Slot[bool]("live-missed", bool)
"""Whether the last attempt to freeze found no frame."""
