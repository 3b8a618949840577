"""Live: age and gender estimates on the webcam's faces, frame by frame."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from agegender_core.settings import Settings
from ui.common import messages, model_card, selectors, services, theme
from ui.common.guards import ready
from ui.live import camera as live_camera
from ui.live import snapshot, state, text
from ui.live.stream import Stream


def agree() -> None:
    """Consent was given: the camera may be shown."""
    state.AGREED.set(True)


def stream_for(weights: str, race: bool, title: str) -> Stream:
    """This session's stream, asking ``weights``. Raises ``WeightsError`` or ``DetectorError``."""
    known = state.STREAM.get()
    if known is None or known[0] != (weights, race):
        from agegender_core.video import LiveAnalyser

        with st.spinner(f"Loading {messages.plain(title)}. The first time takes a few seconds …"):
            analyser = LiveAnalyser(services.predictor(weights, race), race)
            analyser.warm()
        stream = Stream(analyser, slots=services.video_slots()) if known is None else known[1]
        stream.use(analyser)
        known = ((weights, race), stream)
        state.STREAM.set(known)
    return known[1]


def controls(stream: Stream, running: bool) -> None:
    """Freeze or resume, and the mirror. There is nothing to freeze before the camera runs."""
    with st.container(horizontal=True, vertical_alignment="center", key="live-controls"):
        if state.FROZEN.get() is None:
            if running:
                st.button(
                    "Freeze",
                    icon=":material/pause:",
                    key="live-freeze",
                    on_click=snapshot.freeze,
                    args=(stream,),
                )
            snapshot.missed()
        else:
            label, icon = (
                ("Resume", ":material/play_arrow:")
                if running
                else ("Discard the image", ":material/delete:")
            )
            st.button(label, icon=icon, key="live-thaw", on_click=snapshot.thaw, args=(stream,))
        stream.mirror = st.toggle(
            "Mirror",
            value=True,
            key=state.MIRROR.key,
            help="Mirrors the image; text stays readable.",
        )


def watch(stream: Stream, attempt: live_camera.Attempt, running: bool) -> None:
    """The faces in view now, or why there are none."""
    # It ran by its frames alone, and these have ended.
    if running and not attempt.reported and not stream.alive():
        st.rerun()
    status = stream.status()
    wrong = attempt.trouble(status)
    if wrong is not None:
        text.trouble(wrong)
    elif status.frame is not None:
        st.caption(text.pace(status.frame))
        st.html(text.face_list(status.frame))
    elif running:
        st.caption("Waiting for the camera's first image …")
    else:
        st.caption(text.CAMERA_HELP)
        st.page_link(
            "pages/predict.py",
            label="No camera? Use a photo on Predict",
            icon=":material/add_photo_alternate:",
        )


def video(settings: Settings, stream: Stream) -> None:
    """Camera and controls on the left, the estimates on the right."""
    state.ATTEMPT.set_default(live_camera.Attempt())
    attempt = state.ATTEMPT.get()
    left, right = st.columns([6, 5], gap="medium")
    with left:
        running = live_camera.camera(stream, attempt, settings)
        controls(stream, running)
        frozen = state.FROZEN.get()
        if frozen is not None and not running:
            snapshot.image(frozen)
    with right:
        if frozen is not None:
            snapshot.cards(frozen)
        else:
            st.fragment(watch, run_every=1.0 if running else None)(stream, attempt, running)


theme.page("Live", "See age and gender estimates on your webcam, live.")
settings, installed = ready()
if not state.AGREED.get():
    text.show_consent(settings.race)
    st.button(
        "Agree and show the camera",
        icon=":material/videocam:",
        type="primary",
        key="live-agree",
        on_click=agree,
    )
    st.stop()
above = st.container()  # the video first, though what is chosen below it decides who answers
weights, info, _ = selectors.answered_by(installed, settings.weights)
text.show_reminder()
try:
    with above:
        video(
            settings,
            stream_for(weights, settings.race, model_card.loading_words(info) if info else weights),
        )
except AgeGenderError as error:
    with above:
        messages.cannot_start(error)
live_camera.dress()
