"""The Live page: consent first, then a camera; what is said while it runs and where it cannot; what
a frozen frame becomes.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agegender_core.errors import DetectorError
from agegender_core.serving.admission import SlotLeases
from agegender_core.settings import Settings
from agegender_core.video.analyzer import LiveAnalyser
from tests.support.pages import Backend
from tests.support.video_scenes import Cast, Network, person
from ui.common import downloads, services
from ui.compat import webrtc_private
from ui.live import camera as live_camera
from ui.live import snapshot as live_frozen
from ui.live import state, text
from ui.live.stream import LONGEST_SIDE, Stream, StreamStatus

av = pytest.importorskip("av", reason="streamlit-webrtc is not installed")
PEOPLE = [(person(1), (80.0, 120.0)), (person(2), (240.0, 120.0))]


def video(image: Image.Image) -> Any:
    """A camera's frame."""
    return av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")


def filmed(
    frames: int = 12, network: Network | None = None, mirror: bool = False
) -> tuple[Stream, Cast]:
    """A stream that has seen two people for ``frames`` frames, far enough apart to be looked at
    each time.
    """
    cast = Cast(list(PEOPLE))
    stream = Stream(LiveAnalyser(network or Network(), find_faces=cast.find), mirror)
    for _ in range(frames):
        stream.receive(video(cast.picture()))
        time.sleep(0.05)
    return stream, cast


class Component:
    """Stands for streamlit-webrtc's: remembers what it was given and plays when told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.playing = self.signalling = False

    def __call__(self, **options: Any) -> Any:
        self.calls.append(options)
        return SimpleNamespace(
            state=SimpleNamespace(playing=self.playing, signalling=self.signalling)
        )


@pytest.fixture
def component(monkeypatch: pytest.MonkeyPatch) -> Component:
    """The camera's stand-in."""
    made = Component()
    monkeypatch.setattr(live_camera, "component", made)
    return made


@pytest.fixture
def live(
    backend: Backend,
    component: Component,
    open_app: Callable[[], AppTest],
    monkeypatch: pytest.MonkeyPatch,
) -> AppTest:
    """The page as one finds it."""
    cast = Cast(list(PEOPLE))
    monkeypatch.setattr(
        "agegender_core.video.analyzer.live_detector", lambda: SimpleNamespace(detect=cast.find)
    )
    monkeypatch.setattr(
        "ui.common.services.predictor",
        lambda weights, race: backend.asked.append((weights, race)) or Network(race=race),
    )
    return open_app().switch_page("pages/live.py").run()


def html(app: AppTest) -> str:
    return " ".join(item.proto.body for item in app.get("html"))


def agree(app: AppTest) -> AppTest:
    return app.button(key="live-agree").click().run()


def stream_of(app: AppTest) -> Stream:
    return app.session_state["live-stream"][1]


def test_people_are_told_before_there_is_a_camera(
    live: AppTest, component: Component, backend: Backend
) -> None:
    assert not live.exception and live.title[0].value == "Live"
    assert text.consent(race=False) in html(live) and not component.calls
    backend.asked.clear()  # Predict, where one came from, has answered its sample
    agree(live)
    assert (
        not live.exception
        and len(component.calls) == 1
        and text.consent(race=False) not in html(live)
    )
    assert any("Ask anyone who may appear on camera" in line.value for line in live.caption)
    assert not any(button.key == "live-freeze" for button in live.button), (
        "nothing to freeze before the camera runs"
    )
    assert any("your browser asks" in line.value for line in live.caption)
    (options,) = component.calls
    assert (
        options["rtc_configuration"] == {"iceServers": []}
        and options["media_stream_constraints"]["audio"] is False
    )
    assert options.get("desired_playing_state") is None and backend.asked == [
        ("fake-weights", False)
    ]


def test_race_is_said_and_asked_for_only_where_the_operator_wants_it(
    live: AppTest, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "race" not in html(live)
    monkeypatch.setenv("AGEGENDER_RACE", "1")
    live.run()
    assert "race category" in html(live)
    agree(live)
    assert backend.asked[-1] == ("fake-weights", True)


def test_a_network_that_cannot_start_is_told_without_paths(
    live: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(weights: str | None, race: bool) -> Any:
        raise DetectorError("no /srv/secret")

    monkeypatch.setattr("ui.common.services.predictor", fail)
    agree(live)
    assert len(live.error) == 1 and "secret" not in live.error[0].value and not live.exception


def test_what_is_seen_is_also_said_in_words(live: AppTest, component: Component) -> None:
    component.playing = True
    agree(live)
    assert any("Waiting for the camera's first image" in line.value for line in live.caption)
    stream, cast = stream_of(live), Cast(list(PEOPLE))
    for _ in range(12):
        stream.receive(video(cast.picture()))
        time.sleep(0.05)
    live.run()
    assert any(
        "2 faces" in line.value and " fps · faces detected" in line.value for line in live.caption
    )
    assert "34 years, likely" in html(live) and "Female 90 %" in html(live)


def test_a_frozen_frame_becomes_cards_and_goes_away(live: AppTest, component: Component) -> None:
    component.playing = True
    agree(live)
    live.button(key="live-freeze").click().run()
    assert live.toast[0].value.startswith("There is no image")
    stream, cast = stream_of(live), Cast(list(PEOPLE))
    for _ in range(12):
        stream.receive(video(cast.picture()))
        time.sleep(0.05)
    live.button(key="live-freeze").click().run()
    assert (
        not live.exception
        and len(live.get("plotly_chart")) == 2
        and "Face 1" in html(live)
        and len(live.get("download_button")) == 3
    )
    component.playing = False
    stream.ended()
    live.run()
    assert len(live.image) == 3 and len(live.get("plotly_chart")) == 2
    live.button(key="live-thaw").click().run()
    assert "live-frozen" not in live.session_state and not live.get("plotly_chart")


def test_a_connection_that_does_not_come_is_explained(
    live: AppTest, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_camera, "PATIENCE", 0.0)
    component.signalling = True
    agree(live)
    (warning,) = live.warning
    assert warning.title == "No connection for the video" and "AGEGENDER_TURN_URLS" in warning.value
    assert "`make app` serves it" in warning.value  # alone there is nothing to point to
    monkeypatch.setitem(services.mounted_apps, "gradio", "/gradio/")
    (warning,) = live.run().warning
    assert "[Gradio's live tab](/gradio/)" in warning.value
    assert live.button(key="live-to-snapshot").label == "Take a snapshot instead"


def test_how_a_connection_fares() -> None:
    stream, attempt = filmed(0)[0], live_camera.Attempt()
    nothing = StreamStatus(None, 0, None, False)
    assert attempt.trouble(nothing) is None
    attempt.note(True, stream)
    assert attempt.trouble(nothing) is None
    attempt.offered -= live_camera.PATIENCE + 1
    assert attempt.trouble(nothing) == "connection"
    attempt.note(False, stream)
    assert attempt.failed and attempt.trouble(nothing) == "connection"
    attempt.note(True, stream)
    assert attempt.trouble(nothing) is None
    assert (
        attempt.trouble(StreamStatus(None, 9, 0.1, False)) is None
        and attempt.trouble(StreamStatus(None, 9, 60.0, False)) == "silence"
    )
    assert attempt.trouble(StreamStatus(None, 9, 0.1, True)) == "analysis"
    stream.receive(video(Image.new("RGB", (64, 48))))
    attempt.note(False, stream)
    assert not attempt.failed and stream.status().count == 0


def test_turn_servers_are_the_operators_only() -> None:
    assert live_camera.ice_servers(Settings()) == []
    given = SimpleNamespace(
        turn_urls=("turn:turn.example:3478",), turn_username="me", turn_password="word"
    )
    assert live_camera.ice_servers(given) == [
        {"urls": ["turn:turn.example:3478"], "username": "me", "credential": "word"}
    ]
    given = SimpleNamespace(
        turn_urls=("stun:stun.example:3478",), turn_username=None, turn_password=None
    )
    assert live_camera.ice_servers(given) == [{"urls": ["stun:stun.example:3478"]}]


def test_frames_come_back_marked_mirrored_and_small() -> None:
    stream, cast = filmed(1)
    back = stream.receive(video(cast.picture())).to_ndarray(format="rgb24")
    assert back.shape == (240, 320, 3) and (back != np.asarray(cast.picture())).any()
    stream.mirror = True
    mirrored = stream.receive(video(cast.picture())).to_ndarray(format="rgb24")
    assert (mirrored != back).any()
    assert np.array_equal(mirrored[-20:], np.asarray(cast.picture())[-20:, ::-1])
    large = stream.receive(video(Image.new("RGB", (1280, 722))))
    assert large.width == LONGEST_SIDE and large.height % 2 == 0
    assert stream.status().count == 4 and stream.status().silent < 5


def test_a_held_frame_stands_still_and_the_end_forgets_the_rest() -> None:
    stream, cast = filmed()
    frame, marked = stream.freeze()
    cast.people = []
    assert np.array_equal(
        stream.receive(video(cast.picture())).to_ndarray(format="rgb24"), np.asarray(marked)
    )
    assert len(frame.answered()) == 2
    stream.resume()
    assert np.array_equal(
        stream.receive(video(cast.picture())).to_ndarray(format="rgb24")[:5],
        np.asarray(cast.picture())[:5],
    )
    stream.ended()
    assert stream.status().frame is None and stream.freeze() is None


def test_an_error_leaves_the_film_going_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def fail(face: Any) -> tuple[float, float]:
        raise RuntimeError("cannot")

    stream, cast = filmed(2, Network(says=fail))
    assert np.array_equal(
        stream.receive(video(cast.picture())).to_ndarray(format="rgb24"), np.asarray(cast.picture())
    )
    assert stream.status().failed and "could not be analysed" in caplog.text
    stream.use(LiveAnalyser(Network(), find_faces=cast.find))
    stream.receive(video(cast.picture()))
    assert not stream.status().failed


def test_a_mirrored_frozen_frame_is_told_as_it_is_seen() -> None:
    stream, cast = filmed(mirror=True)
    frame, marked = stream.freeze()
    frozen = live_frozen.frozen_answer(frame, marked)
    document = json.loads(downloads.json_text([frozen]))
    assert document["file"] == "frozen.png" and [
        face["number"] for face in document["faces"]
    ] == list(frozen.numbers)
    boxes = sorted(face["face"]["box_xyxy"][0] for face in document["faces"])
    # Both stand 80 pixels from an edge, so they swap places.
    assert boxes == pytest.approx([50, 210], abs=3)
    first = document["faces"][0]
    assert (
        first["looks"] >= 2
        and "race" not in first
        and len(downloads.csv_text([frozen]).splitlines()) == 3
    )
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(downloads.png(frozen)))), np.asarray(marked)
    )
    assert Image.open(io.BytesIO(frozen.preview)).size == cast.size
    assert live_frozen.averaged(frozen).startswith(
        "Averaged over "
    ) and "(face 1)" in live_frozen.averaged(frozen)


def test_faces_keep_their_numbers_while_a_frame_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, cast = filmed()
    before = [(track.id, track.number) for track in stream.status().frame.tracks]
    stream.freeze()
    now = time.monotonic
    monkeypatch.setattr("ui.live.stream.time.monotonic", lambda: now() + 60)
    stream.receive(video(cast.picture()))
    stream.resume()
    stream.resume()
    stream.receive(video(cast.picture()))
    frame = stream.status().frame
    assert [(track.id, track.number) for track in frame.tracks] == before and all(
        track.answer is not None for track in frame.tracks
    )


def test_a_slow_reader_gets_the_newest_frame() -> None:
    from aiortc.contrib.media import MediaRelay
    from aiortc.mediastreams import VideoStreamTrack

    class Camera(VideoStreamTrack):
        count = 0

        async def recv(self) -> Any:
            await asyncio.sleep(0.01)
            self.count += 1
            frame = av.VideoFrame(16, 16, "yuv420p")
            frame.pts, frame.time_base = self.count, Fraction(1, 100)
            return frame

    async def lag() -> int:
        relay, camera = MediaRelay(), Camera()
        webrtc_private.newest_only(relay)
        reader = relay.subscribe(camera)
        await reader.recv()
        await asyncio.sleep(0.3)
        await reader.recv()
        behind = camera.count - (await reader.recv()).pts
        reader.stop()
        camera.stop()
        return behind

    # The browser tests' driver keeps a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(asyncio.run, lag()).result() <= 2


@pytest.mark.parametrize(("before", "stays"), [("Live", True), ("Predict", False)])
def test_a_run_that_is_counted_late_closes_no_camera(
    before: str, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamlit_webrtc import component as webrtc

    context = webrtc.WebRtcStreamerContext(
        None, webrtc.WebRtcStreamerState(playing=True, signalling=False)
    )
    context._last_rendered_run_count = 7
    monkeypatch.setattr(
        "streamlit.session_state", {state.CAMERA.key: context, "page-before": before}
    )
    monkeypatch.setattr(webrtc, "get_this_session_info", object)
    monkeypatch.setattr(webrtc, "get_script_run_count", lambda _: 9)
    monkeypatch.setattr(
        "streamlit_webrtc.relay.get_global_relay", lambda: SimpleNamespace(subscribe=print)
    )
    monkeypatch.setattr(
        "streamlit_webrtc.webrtc_streamer", lambda key: webrtc._get_or_create_context(key)
    )
    assert live_camera.component(key=state.CAMERA.key).state.playing is stays


def test_the_page_knows_whether_one_came_from_it(live: AppTest) -> None:
    assert live.session_state["page-before"] == "Predict"
    assert agree(live).session_state["page-before"] == "Live"
    assert (
        live.switch_page("pages/about.py")
        .run()
        .switch_page("pages/live.py")
        .run()
        .session_state["page-before"]
        == "About"
    )


def test_a_film_without_a_place_is_sent_back_unmarked_and_waits() -> None:
    slots = SlotLeases(1)
    first, second = (
        Stream(LiveAnalyser(Network(), find_faces=lambda _: []), slots=slots) for _ in range(2)
    )
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
    first.receive(frame)
    second.receive(frame)
    assert not first.status().busy and second.status().busy and second.status().frame is None
    attempt = live_camera.Attempt(offered=0.0)
    assert attempt.trouble(second.status()) == "slots"
    first.ended()
    second.receive(frame)
    assert (
        not second.status().busy
        and second.status().frame is not None
        and attempt.trouble(second.status()) is None
    )


def test_frames_are_not_converted_before_there_is_a_slot_nor_where_they_are_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A visitor's frames cost what their size says: bounded first, admitted second."""
    slots, converted = SlotLeases(1), []

    class Frame:
        def __init__(self, side: int) -> None:
            self.width = self.height = side

        def reformat(self, **size: int) -> Frame:
            return Frame(size["width"])

        def to_ndarray(self, format: str) -> np.ndarray:
            converted.append(self.width)
            return np.full((self.height, self.width, 3), 90, np.uint8)

    stream = Stream(LiveAnalyser(Network(), find_faces=lambda _: []), slots=slots)
    assert slots.take("somebody else")
    back = stream.receive(Frame(1280))  # type: ignore[arg-type]  # stands for a frame of a browser
    assert stream.status().busy and max(back.width, back.height) <= 640 and converted == []
    slots.leave("somebody else")
    back = stream.receive(Frame(4000))  # type: ignore[arg-type]
    assert stream.status().failed and back.width == 2 and converted == []
    stream.receive(Frame(1280))  # type: ignore[arg-type]
    assert converted == [640] and not stream.status().failed
