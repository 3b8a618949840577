"""The sentences of the Live page: before a camera opens, while it runs, and where it cannot."""

from __future__ import annotations

from html import escape

import streamlit as st

from agegender_core.output.drawing import colour_of, text_colour
from agegender_core.output.gender import TOO_CLOSE
from agegender_core.output.tables import describe_attributes
from agegender_core.video.types import LiveFrame, LiveTrack
from ui.common import services
from ui.common.charts import percent_words, with_en_dash
from ui.common.image_input import CAMERA
from ui.common.state import SOURCE

CAMERA_HELP = (
    "The camera is off. After the start your browser asks whether this page may use it.\n\nCamera"
    " not opening? Allow it by the small camera in the address bar, close other programs that use"
    " it, and note that browsers open cameras on `https://` addresses and on `localhost` only."
)
NETWORK_HELP = (
    "The video travels by WebRTC, straight between your browser and the computer that runs the app."
    " A company network, a VPN or a container often lets no such connection through. If this is"
    " your installation: a TURN server helps, see `AGEGENDER_TURN_URLS` in `docs/settings.md`."
)


def consent(race: bool) -> str:
    """What is estimated, of whom, where, and what becomes of the video."""
    what = describe_attributes(race)
    return (
        f"From the video of your camera this app estimates the {what} of everybody in sight, many"
        " times a second, and writes age and gender onto the image. Ask anyone who may appear on"
        " camera. It happens in the memory of the computer that runs the app: each frame is"
        " forgotten when the next one comes; nothing is stored, logged or passed on. An image you"
        " freeze is kept until you resume or close the page."
    )


def show_consent(race: bool) -> None:
    """The consent text as it stands on the page before anybody agreed."""
    st.html(f'<p class="ag-privacy">{escape(consent(race))}</p>')


def show_reminder() -> None:
    """What was agreed to, in one line, once the camera is on the page."""
    st.caption(
        "Frames stay in memory only and are forgotten at once. Ask anyone who may appear on camera."
    )


def pace(frame: LiveFrame) -> str:
    """«2 faces · 12 fps · faces detected every 5th frame, tracked in between»"""
    count = len(frame.tracks)
    faces = "No face in sight" if not count else f"{count} face{'' if count == 1 else 's'}"
    step = round(1 / frame.detected_share) if 0 < frame.detected_share < 0.7 else 1
    often = "every frame" if step == 1 else f"every {ordinal(step)} frame"
    between = "" if step == 1 or not count else ", tracked in between"
    return f"{faces} · {frame.fps:.0f} fps · faces detected {often}{between}"


def ordinal(number: int) -> str:
    """«2nd», «3rd», «5th», «11th», «21st»."""
    suffix = (
        "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{suffix}"


def face_list(frame: LiveFrame) -> str:
    """A line a face as HTML: what is written onto the image, for those who cannot read it there,
    and a little more.
    """
    lines = "".join(
        f'<p style="margin:.35rem 0">{_badge(track.number)} {escape(face_words(track))}</p>'
        for track in frame.tracks
    )
    return f'<div class="ag-interval">{lines}</div>'


def face_words(track: LiveTrack) -> str:
    """«34 years, likely 27–43; Female 97 %», or that the estimate is still to come."""
    answer = track.answer
    if answer is None:
        return "estimating …"
    if answer.age.ranges is not None:
        age = f"{with_en_dash(answer.age.ranges.label)} years"
    elif answer.low is None or answer.high is None:
        age = f"{answer.years} years"
    else:
        age = f"{answer.years} years, likely {answer.low}–{answer.high}"
    gender = answer.gender
    if gender is None:
        return age
    if answer.undecided:
        return f"{age}; gender {TOO_CLOSE}"
    sure = "" if gender.confidence is None else f" {percent_words(100 * gender.confidence)}"
    return f"{age}; {gender.label}{sure}"


def _badge(number: int) -> str:
    colour = colour_of(number)
    return (
        f'<span class="ag-number" style="background:{colour};color:{text_colour(colour)}">Face'
        f" {number}</span>"
    )


def trouble(kind: str) -> None:
    """Why there is no image, and what to do. ``kind``: «connection», «silence», «places» or
    «analysis».
    """
    title, body = {
        "connection": ("No connection for the video", NETWORK_HELP),
        "silence": (
            "The video has stopped arriving",
            f"If it does not go on by itself, stop the camera and start it again. {NETWORK_HELP}",
        ),
        "slots": (
            "All video slots are in use",
            (
                "This server analyses a few videos at a time. Leave the camera on: yours starts as"
                " soon as a slot is free."
            ),
        ),
        "analysis": (
            "These frames cannot be analysed",
            "The log of the app says what went wrong. Stop the camera and start it again.",
        ),
    }[kind]
    path = services.mounted_apps.get("gradio")
    gradio = (
        f"[Gradio's live tab]({path})"
        if path
        else "Gradio's live tab (`make app` serves it at `/gradio`)"
    )
    other = (
        f"What works without it: a snapshot on the page Predict, or {gradio}, which sends single"
        " images."
    )
    st.warning(f"{body}\n\n{other}", title=title, icon=":material/link_off:")
    if st.button("Take a snapshot instead", icon=":material/photo_camera:", key="live-to-snapshot"):
        SOURCE.set(CAMERA)
        st.switch_page("pages/predict.py")
