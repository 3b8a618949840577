"""The way of one frame, with drawn people, a detector that knows them and a network that says what
it is told.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from agegender_core.benchmarks.video import drawn_video, watch
from agegender_core.inference.model_zoo import list_weights
from agegender_core.output.drawing import colour_of
from agegender_core.types import Face, Prediction
from agegender_core.video.analyzer import LiveAnalyser, live_detector
from agegender_core.video.frame_budget import FrameBudget
from agegender_core.video.overlay import draw, mirrored, words
from agegender_core.video.types import LiveFrame
from tests.support import ROOT
from tests.support.video_scenes import SIDE, Cast, Network, person

ANNA, BO = person(1), person(2)
STEP = 1 / 15


def two(frame: int = 0) -> list:
    return [(ANNA, (80.0 + 2 * frame, 120.0)), (BO, (240.0 - frame, 120.0))]


def played(analyser: LiveAnalyser, cast: Cast, frames: int, start: int = 0) -> list[LiveFrame]:
    told = []
    for frame in range(start, start + frames):
        cast.people = two(frame)
        told.append(analyser.analyse(cast.picture(), frame * STEP))
    return told


def test_faces_are_searched_now_and_then_and_followed_in_between() -> None:
    cast, network = Cast(), Network()
    analyser = LiveAnalyser(network, find_faces=cast.find)
    frames = played(analyser, cast, 45)
    assert [frame.detected for frame in frames].count(True) == cast.asked
    assert 8 <= cast.asked <= 25
    assert {tuple(track.id for track in frame.tracks) for frame in frames} == {(1, 2)}
    for index, frame in enumerate(frames):
        for track, (_, place) in zip(
            sorted(frame.tracks, key=lambda one: one.box_xyxy[0]), two(index), strict=True
        ):
            assert np.allclose(np.array(track.box_xyxy).reshape(2, 2).mean(axis=0), place, atol=4)
            assert track.measured == frame.detected
    last = frames[-1]
    assert (
        last.fps == pytest.approx(15, abs=1)
        and 0 < last.detected_share < 0.7
        and last.weights == "toy"
    )
    assert all(
        track.answer.years == 34 and track.gender.label == "Female" and track.crop.size == (32, 32)
        for track in last.tracks
    )
    assert last.tracks[0].seconds == pytest.approx(44 * STEP)


def test_a_first_frame_has_boxes_and_no_answer_yet() -> None:
    cast = Cast(two())
    frame = LiveAnalyser(Network(), find_faces=cast.find).analyse(cast.picture())
    assert len(frame.tracks) == 2 and not frame.answered() and frame.analysis().predictions == ()
    assert (
        frame.tracks[0].age is None
        and frame.tracks[0].prediction("toy") is None
        and "estimating" in words(frame.tracks[0])
    )


def test_answers_travel_as_images_do() -> None:
    cast = Cast()
    analysis = played(LiveAnalyser(Network(), find_faces=cast.find), cast, 10)[-1].analysis()
    assert (
        len(analysis.predictions) == 2
        and analysis.weights == "toy"
        and analysis.image.size == cast.size
    )
    document = analysis.as_dict()
    assert (
        document["faces"][0]["age"]["coverage"] is None
        and len(document["faces"][0]["age"]["probs"]) == 101
    )


def test_race_is_left_out_unless_asked_for() -> None:
    for wanted in (False, True):
        cast = Cast()
        frame = played(
            LiveAnalyser(Network(race=True), race=wanted, find_faces=cast.find), cast, 10
        )[-1]
        assert all((track.answer.race is not None) == wanted for track in frame.tracks)


def test_the_budget_makes_slow_machines_search_and_ask_less() -> None:
    fast, slow = Cast(), Cast(seconds=0.15)
    heavy = Network(seconds=0.03)
    played(LiveAnalyser(Network(), find_faces=fast.find), fast, 40)
    frames = played(LiveAnalyser(heavy, find_faces=slow.find), slow, 40)
    assert 3 <= slow.asked < fast.asked
    mean = np.mean([frame.timing.total_ms for frame in frames[5:]])
    assert mean < 60, "15 frames a second leave 67 ms a frame"
    assert all(len(frame.answered()) == 2 for frame in frames[25:]) and min(heavy.batches) > 0


def test_a_budget_saves_ahead_and_goes_into_debt_within_bounds() -> None:
    budget = FrameBudget(15)
    assert budget.saved_ms == pytest.approx(50)
    for _ in range(20):
        budget.next_frame()
    assert budget.saved_ms == pytest.approx(150) and budget.affords("estimate") == 30
    budget.spend(10_000, "detect", 1)
    assert (
        budget.saved_ms == pytest.approx(-150)
        and budget.price("detect") == pytest.approx(70)
        and budget.affords("estimate") == 0
    )
    for _ in range(40):
        budget.spend(20, "estimate", 2)
    assert budget.price("estimate") == pytest.approx(10, abs=0.1)


def test_empty_grey_small_and_changing_frames() -> None:
    cast = Cast()
    analyser = LiveAnalyser(Network(), find_faces=cast.find)
    assert analyser.analyse(Image.new("L", (64, 48)), 0.0).tracks == ()
    assert analyser.analyse(Image.new("RGBA", (640, 480)), 1.0).image.mode == "RGB"
    frames = played(analyser, cast, 8, start=30)
    small = analyser.analyse(cast.picture().resize((160, 120)), 38 * STEP)
    assert {track.id for track in small.tracks} == {track.id for track in frames[-1].tracks}
    assert all(track.face.width < 0.6 * SIDE for track in small.tracks)


def test_two_threads_may_ask_at_once() -> None:
    cast, failures = Cast(two()), []
    analyser = LiveAnalyser(Network(), find_faces=cast.find)

    def ask() -> None:
        try:
            for _ in range(30):
                analyser.analyse(cast.picture())
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(analyser.analyse(cast.picture()).tracks) == 2


def test_memory_does_not_grow_with_the_video() -> None:
    cast = Cast()
    analyser = LiveAnalyser(Network(), find_faces=cast.find)
    for visit in range(20):  # twenty people, one after the other
        cast.people = [(person(100 + visit), (80.0 + 8 * visit, 120.0))]
        for frame in range(4):
            analyser.analyse(cast.picture(), 3.0 * visit + 0.2 * frame)
    assert len(analyser._known) <= 2 and len(analyser._tracker.tracks) <= 2
    assert not any(isinstance(value, Image.Image | LiveFrame) for value in vars(analyser).values())


def test_boxes_are_drawn_and_mirrored_with_readable_words() -> None:
    cast = Cast()
    analyser = LiveAnalyser(Network(), find_faces=cast.find)
    frame = played(analyser, cast, 10)[-1]
    before = frame.image.copy()
    drawn, mirror = draw(frame), analyser.draw(frame, mirror=True)
    assert frame.image == before and drawn != before
    track = frame.tracks[0]
    left, top, right, bottom = (round(value) for value in track.box_xyxy)
    colour = tuple(int(colour_of(track.number)[index : index + 2], 16) for index in (1, 3, 5))
    assert drawn.getpixel((left, (top + bottom) // 2)) == colour
    assert mirror.getpixel((cast.size[0] - right, (top + bottom) // 2)) == colour
    assert mirror == draw(mirrored(frame)) and mirror != drawn.transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    )
    flipped = mirrored(frame).tracks[0].face
    assert flipped.landmarks[0, 0] < flipped.landmarks[1, 0] and flipped.width == pytest.approx(
        track.face.width
    )
    assert mirrored(mirrored(frame)).image == frame.image
    assert words(track).startswith(f"{track.number}  34 (") and words(track).endswith("Female")


def test_a_frame_that_is_kept_shows_what_its_cards_say() -> None:
    cast = Cast()
    frame = played(LiveAnalyser(Network(lambda face: (34.4, 0.9)), find_faces=cast.find), cast, 10)[
        -1
    ].settled()
    for track in frame.tracks:
        assert track.answer.years == round(track.age.years) and track.answer.low == round(
            track.age.interval[0]
        )


def test_the_videos_detector_finds_the_portrait_and_takes_no_turned_images(
    portrait: Image.Image,
) -> None:
    canvas = Image.new("RGB", (640, 480), (90, 100, 110))
    canvas.paste(portrait.resize((300, 300)), (100, 60))
    (face,) = live_detector().detect(canvas)
    assert isinstance(face, Face) and 190 < face.box_xyxy[0] < 230
    started = time.perf_counter()
    assert live_detector().detect(canvas.rotate(180)) == []
    assert time.perf_counter() - started < 2


def test_the_real_network_on_a_video_of_the_portrait() -> None:
    if not any(info.installed for info in list_weights()):
        pytest.skip("no trained weights are installed")
    from agegender_core.inference.predictor import load_predictor

    analyser = LiveAnalyser(load_predictor())
    ages, identities = [], set()
    for index, image in enumerate(drawn_video(2, seconds=3, fps=15)):
        frame = analyser.analyse(image, index / 15)
        identities |= {track.id for track in frame.tracks}
        ages += [track.answer.years for track in frame.answered()]
    assert identities == {1, 2} and len(ages) > 40  # of 90; a busy machine skips more of them
    assert np.ptp(ages) <= 10 and 15 < np.mean(ages) < 45


def test_the_bench_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agegender_core.benchmarks.video.LOOP_SECONDS", 1)
    row = watch(Network(), 1, 1.0)
    assert (
        row.fps > 0
        and row.identities <= 1
        and 0 < row.detected_share <= 1
        and row.age_jump_single_looks == 0
    )


def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys; from agegender_core.video import LiveAnalyser; sys.exit(any(name in"
        " sys.modules for name in ('torch', 'streamlit')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_frames_networks_run_on_one_thread_and_the_callers_number_comes_back() -> None:
    """In the thread that asks, whichever it is; others keep theirs."""
    import torch

    seen: list[int] = []

    class Counting(Network):
        def predict_crops(self, crops: list[Image.Image], faces: list[Face]) -> list[Prediction]:
            seen.append(torch.get_num_threads())
            return super().predict_crops(crops, faces)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        cast = Cast(two())
        analyser = LiveAnalyser(Counting(), find_faces=cast.find)
        elsewhere: list[int] = []

        def another() -> None:
            played(analyser, cast, 15, 15)
            elsewhere.append(torch.get_num_threads())

        played(analyser, cast, 15)
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
        assert len(seen) > 3 and set(seen) == {1}
        assert torch.get_num_threads() == 2 and elsewhere == [2]
    finally:
        torch.set_num_threads(before)
