"""What the Live page says: before a camera opens, while it runs, and where it cannot."""

from __future__ import annotations

from html import escape

import streamlit as st

from agegender_core.export import colour_of, estimated, text_colour
from agegender_core.live.types import LiveFrame, LiveTrack
from ui import services
from ui.charts import percent_words, shown
from ui.image_input import CAMERA, SOURCE_KEY

CAMERA_HELP = (
    "The camera is off. After the start your browser asks whether this page may use it.\n\n"
    "Does it not open? Allow it by the small camera in the address bar, close other programs that hold it, and mind that browsers "
    "open cameras on `https://` addresses and on `localhost` only."
)
NETWORK_HELP = (
    "The film travels by WebRTC, straight between your browser and the computer that runs the app. A company network, a VPN or a "
    "container often lets no such connection through. If this is your installation: a TURN server helps, see `AGEGENDER_TURN_URLS` in "
    "the README."
)


def consent(race: bool) -> str:
    """What is estimated, of whom, where, and what becomes of the film."""
    what = estimated(race)
    return (
        f"From the film of your camera this app estimates the {what} of everybody in sight, many times a second, and writes age and "
        "gender onto the picture. So ask those who may walk into it. It happens in the memory of the computer that runs the app: each "
        "frame is forgotten when the next one comes; nothing is stored, logged or passed on. A picture you freeze is kept until you go "
        "on or close the page."
    )


def told(race: bool) -> None:
    """The consent text as it stands on the page."""
    st.html(f'<p class="ag-privacy">{escape(consent(race))}</p>')


def pace(frame: LiveFrame) -> str:
    """«2 faces. 21 frames a second; looked for faces in 1 of 6 frames, followed them in between.»"""
    count = len(frame.tracks)
    faces = "No face in sight" if not count else f"{count} face{'' if count == 1 else 's'}"
    often = f"1 of {round(1 / frame.detected_share)} frames" if 0 < frame.detected_share < 0.7 else "every frame"
    between = "" if often == "every frame" or not count else ", followed them in between"
    return f"{faces}. {frame.fps:.0f} frames a second; looked for faces in {often}{between}."


def face_list(frame: LiveFrame) -> str:
    """A line a face as HTML: what is written onto the picture, for those who cannot read it there, and a little more."""
    lines = "".join(f'<p style="margin:.35rem 0">{_badge(track.number)} {escape(face_words(track))}</p>' for track in frame.tracks)
    return f'<div class="ag-interval">{lines}</div>'


def face_words(track: LiveTrack) -> str:
    """«34 years, probably 27–43; Female 97 %», or that it is being looked at."""
    answer = track.answer
    if answer is None:
        return "is being looked at …"
    if answer.age.ranges is not None:
        age = f"{shown(answer.age.ranges.label)} years"
    elif answer.low is None or answer.high is None:
        age = f"{answer.years} years"
    else:
        age = f"{answer.years} years, probably {answer.low}–{answer.high}"
    gender = answer.gender
    if gender is None:
        return age
    if answer.undecided:
        return f"{age}; gender undecided"
    sure = "" if gender.confidence is None else f" {percent_words(100 * gender.confidence)}"
    return f"{age}; {gender.label}{sure}"


def _badge(number: int) -> str:
    colour = colour_of(number)
    return f'<span class="ag-number" style="background:{colour};color:{text_colour(colour)}">Face {number}</span>'


def trouble(kind: str) -> None:
    """Why there is no picture, and what to do. ``kind``: «connection», «silence», «places» or «analysis»."""
    title, body = {
        "connection": ("No connection for the film", NETWORK_HELP),
        "silence": ("The film has stopped arriving", f"If it does not go on by itself, stop the camera and start it again. {NETWORK_HELP}"),
        "places": (
            "Others are filming right now",
            "This computer looks at a few films at a time. Leave the camera on: yours is looked at as soon as a place is free.",
        ),
        "analysis": ("These pictures cannot be looked at", "The log of the app says what goes wrong. Stop the camera and start it again."),
    }[kind]
    path = services.neighbours.get("gradio")
    gradio = f"[Gradio's live tab]({path})" if path else "Gradio's live tab (`make app` serves it at `/gradio`)"
    other = f"What works without it: a snapshot on the page Predict, or {gradio}, which sends single pictures."
    st.warning(f"{body}\n\n{other}", title=title, icon=":material/link_off:")
    if st.button("Take a snapshot instead", icon=":material/photo_camera:", key="live-to-snapshot"):
        st.session_state[SOURCE_KEY] = CAMERA
        st.switch_page("pages/predict.py")
