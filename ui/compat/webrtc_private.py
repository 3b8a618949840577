"""Internals of streamlit-webrtc and of aiortc's relay below it.

Why each is needed:

* ``keep_open``: streamlit-webrtc closes a camera that a run of the script left out. It detects that
  by Streamlit's count of finished runs, which lags behind on a busy computer and then jumps by two.
* ``newest_only``: aiortc's relay stores frames for a reader that is slower than the camera, and
  streamlit-webrtc has no option to read without that buffer.
* ``start_sharp``: Chromium sends the first seconds at 300 kbit/s and takes half a minute to find
  out that there is room for five times as much, so the first faces are blurred. The receiver may
  name a rate to start at in its answer, and neither library has an option for it.
* ``style_frame``: the component's buttons are in capitals, and a button with the keyboard's focus
  pulses until its label is hard to read; streamlit-webrtc takes words for them, but no style. Its
  frame is of the same origin, so a component of ours adds a style sheet to it. Why a camera does
  not open, it shows in the browser's words («NotFoundError: …»), which it has no translation for:
  the same component puts ours in their place.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from aiortc.contrib.media import MediaRelay

CHECKED_WITH = {"streamlit-webrtc": "0.79.0", "aiortc": "1.16.0"}
START_KBPS = 1_200
"""Kilobits a second at which a video begins: sharp at 640x480. Where the connection has less, the
browser notices within a second or two and sends less.
"""
FRAME = "iframe[title='streamlit_webrtc.component.webrtc_streamer']"
FRAME_CSS = """
.MuiButton-root.MuiButton-root {
  text-transform: none; letter-spacing: normal; font-size: 1rem; border-radius: .6rem;
}
.MuiButton-root.MuiButton-root:focus-visible {
  outline: 2px solid currentColor; outline-offset: -5px;
}
.MuiTouchRipple-ripplePulsate { display: none; }
@media (prefers-reduced-motion: reduce) { .MuiTouchRipple-root { display: none; } }
"""
STYLE_JS = """
export default function ({ data }) {
  const style = (frame) => {
    const page = frame.contentDocument;
    if (!page?.head || page.querySelector("style[data-agegender]")) return;
    const sheet = page.createElement("style");
    sheet.dataset.agegender = "";
    sheet.textContent = data.css;
    page.head.append(sheet);
    const explain = () => page.querySelectorAll(".MuiAlert-message").forEach((message) => {
      const words = data.errors[message.textContent.split(":")[0]];
      if (!words) return;
      const texts = [...message.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
      texts.forEach((text, index) => { text.data = index ? "" : words; });
    });
    const heed = { childList: true, characterData: true, subtree: true };
    new frame.contentWindow.MutationObserver(explain).observe(page.body, heed);
    explain();
  };
  const heard = new WeakSet();
  const look = () => document.querySelectorAll(data.frame).forEach((frame) => {
    if (heard.has(frame)) return;
    heard.add(frame);
    frame.addEventListener("load", () => style(frame));
    style(frame);
  });
  const watch = new MutationObserver(look);
  watch.observe(document.body, { childList: true, subtree: true });
  look();
  return () => watch.disconnect();
}
"""
ERRORS = {
    "NotFoundError": "No camera was found.",
    "OverconstrainedError": "No camera was found.",
    "NotAllowedError": "The browser refuses to open the camera.",
    "NotReadableError": "The camera is in use by another program, or cannot be opened.",
}
"""By the browser's names, why a camera does not open."""
_STYLE = st.components.v2.component("agegender-webrtc-style", html="", js=STYLE_JS)


def style_frame() -> None:
    """Have the buttons of streamlit-webrtc's component, wherever they are on the page, in our
    style, and its errors in our words.
    """
    _STYLE(key="webrtc-style", data={"css": FRAME_CSS, "frame": FRAME, "errors": ERRORS})


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


def start_sharp() -> None:
    """Have browsers begin to send at ``START_KBPS``."""
    from aiortc.codecs import CODECS

    for codec in CODECS["video"]:
        if codec.name != "rtx":
            codec.parameters.setdefault("x-google-start-bitrate", str(START_KBPS))
