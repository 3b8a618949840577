"""Live: the webcam's faces, boxed with age and gender while one watches."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from agegender_core.settings import Settings
from ui import face_picker, live_camera, live_frozen, live_words, messages, network_card, services, style
from ui.live_stream import Stream
from ui.ready import ready

OPEN, STREAM, ATTEMPT, MIRROR = "live-open", "live-stream", "live-attempt", "live-mirror"


def agree() -> None:
    """Consent was given: the camera may be shown."""
    st.session_state[OPEN] = True


def stream_for(weights: str, race: bool, title: str) -> Stream:
    """This session's stream, asking ``weights``. Raises ``WeightsError`` or ``DetectorError``."""
    known = st.session_state.get(STREAM)
    if known is None or known[0] != (weights, race):
        from agegender_core.live import LiveAnalyser

        with st.spinner(f"Loading {messages.plain(title)}. The first time takes a few seconds …"):
            analyser = LiveAnalyser(services.predictor(weights, race), race)
            analyser.warm()
        stream = Stream(analyser, places=services.films()) if known is None else known[1]
        stream.use(analyser)
        st.session_state[STREAM] = known = ((weights, race), stream)
    return known[1]


def controls(stream: Stream, running: bool) -> None:
    """Freeze or go on, and the mirror."""
    with st.container(horizontal=True, vertical_alignment="center", key="live-controls"):
        if live_frozen.kept() is None:
            st.button("Freeze", icon=":material/pause:", key="live-freeze", on_click=live_frozen.freeze, args=(stream,))
            live_frozen.missed()
        else:
            label, icon = ("Go on", ":material/play_arrow:") if running else ("Discard the picture", ":material/delete:")
            st.button(label, icon=icon, key="live-thaw", on_click=live_frozen.thaw, args=(stream,))
        stream.mirror = st.toggle("Mirror", value=True, key=MIRROR, help="Mirrors the picture; words stay readable.")


def watch(stream: Stream, attempt: live_camera.Attempt, running: bool) -> None:
    """What is seen now, or why nothing is."""
    if running and not attempt.told and not stream.alive():  # it ran by its frames alone, and these have ended
        st.rerun()
    seen = stream.seen()
    wrong = attempt.trouble(seen)
    if wrong is not None:
        live_words.trouble(wrong)
    elif seen.frame is not None:
        st.caption(live_words.pace(seen.frame))
        st.html(live_words.face_list(seen.frame))
    elif running:
        st.caption("Waiting for the camera's first picture …")
    else:
        st.caption(live_words.CAMERA_HELP)


def film(settings: Settings, stream: Stream) -> None:
    """Camera and controls on the left, what is said on the right."""
    attempt = st.session_state.setdefault(ATTEMPT, live_camera.Attempt())
    left, right = st.columns([6, 5], gap="medium")
    with left:
        running = live_camera.camera(stream, attempt, settings)
        controls(stream, running)
        frozen = live_frozen.kept()
        if frozen is not None and not running:
            live_frozen.picture(frozen)
    with right:
        if frozen is not None:
            live_frozen.cards(frozen)
        else:
            st.fragment(watch, run_every=1.0 if running else None)(stream, attempt, running)


style.page("Live", "Your camera's film with every face boxed: how old it looks, how sure that is, and which gender.")
settings, installed = ready()
if not st.session_state.get(OPEN, False):
    live_words.told(settings.race)
    st.button("Agree and show the camera", icon=":material/videocam:", type="primary", key="live-agree", on_click=agree)
    st.stop()
above = st.container()  # the film first, though what is chosen below it decides who answers
weights = face_picker.pick_weights([entry for entry in installed if not entry.for_comparison] or installed, settings.weights)
live_words.told(settings.race)
entry = next((entry for entry in installed if entry.name == weights), None)
try:
    with above:
        film(settings, stream_for(weights, settings.race, network_card.loading_words(entry) if entry else weights))
except AgeGenderError as error:
    with above:
        messages.cannot_start(error)
