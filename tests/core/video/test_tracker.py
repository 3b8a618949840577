"""Who is where: drawn people that stand, move, cross, vanish and change."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agegender_core.video import template_matching
from agegender_core.video.tracker import FORGET, MAX_FACES, Tracker, centre_of
from tests.support.video_scenes import SIDE, Cast, face_at, person, scene

ANNA, BO, CLEO = person(1), person(2), person(3)
STEP = 1 / 15


def play(tracker: Tracker, cast: Cast, seconds: float, found: bool = True) -> None:
    """One frame; ``found``: the detector looks at it."""
    image = cast.picture()
    gray = image.convert("L")
    tracker.follow(gray, seconds)
    if found:
        tracker.update(image, gray, cast.find(image), seconds)


def test_a_pattern_is_found_to_a_part_of_a_pixel() -> None:
    start = scene([(ANNA, (150, 100))]).convert("L")
    known = template_matching.pattern(start, (150, 100), SIDE)
    for moved in ((163, 92), (127, 121), (150, 100)):
        place, trust = template_matching.find(
            scene([(ANNA, moved)]).convert("L"), known, (150, 100), SIDE
        )
        assert np.allclose(place, moved, atol=1.5) and trust > 0.9
    assert (
        template_matching.find(scene([(BO, (150, 100))]).convert("L"), known, (150, 100), SIDE)[1]
        < 0.6
    )


def test_people_look_like_themselves_only() -> None:
    image = scene([(ANNA, (80, 100)), (BO, (200, 100))])
    darker = Image.eval(image, lambda value: round(0.8 * value))
    anna, bo = (
        template_matching.appearance(image, face_at(place)) for place in ((80, 100), (200, 100))
    )
    again = template_matching.appearance(darker, face_at((81, 99)))
    assert anna @ again > 0.9 and abs(anna @ bo) < 0.5


def test_a_face_is_followed_between_detections() -> None:
    tracker, cast = Tracker(), Cast([(ANNA, (60.0, 100.0))])
    errors = []
    for frame in range(30):
        cast.people = [(ANNA, (60 + 5.0 * frame, 100 + 20 * np.sin(frame / 5)))]
        play(tracker, cast, frame * STEP, found=frame % 6 == 0)
        (track,) = tracker.tracks
        errors.append(np.abs(track.centre - cast.people[0][1]).max())
        assert track.measured == (frame % 6 == 0) and track.shown(frame * STEP)
    assert max(errors) < 3 and tracker.tracks[0].id == 1
    eased = np.array(tracker.tracks[0].box).reshape(2, 2).mean(axis=0)
    assert np.abs(eased - tracker.tracks[0].centre).max() < 4


@pytest.mark.parametrize(
    ("one", "other", "hidden"),
    [(ANNA, BO, False), (ANNA, BO, True), (ANNA, ANNA, False)],
    ids=["seen", "hidden", "twins"],
)
def test_identities_survive_a_crossing(one: Image.Image, other: Image.Image, hidden: bool) -> None:
    tracker, cast = Tracker(), Cast()
    for frame in range(46):
        left, right = (60.0 + 4.4 * frame, 100.0), (260.0 - 4.4 * frame, 108.0)
        cast.people = [(one, left), (other, right)]
        image = cast.picture()
        if hidden and abs(left[0] - right[0]) < 0.7 * SIDE:
            cast.people = cast.people[1:]
        gray = image.convert("L")
        tracker.follow(gray, frame * STEP)
        if frame % 3 == 0:
            tracker.update(image, gray, cast.find(image), frame * STEP)
        if frame == 0:
            ids = {track.id: centre_of(track.face)[0] for track in tracker.tracks}
    start = {track.id: track.centre[0] for track in tracker.tracks}
    assert set(start) == set(ids)
    for identity, x in ids.items():
        assert (start[identity] > 160) == (x < 160)


def test_a_short_loss_keeps_the_identity_and_a_long_one_does_not() -> None:
    for gone, same in ((0.8, True), (FORGET + 0.5, False)):
        tracker, cast = Tracker(), Cast([(ANNA, (100.0, 100.0))])
        for frame in range(6):
            play(tracker, cast, frame * STEP)
        (before,) = tracker.tracks
        lost, frames = Cast(), round(gone / STEP)
        for frame in range(6, 6 + frames):
            play(tracker, lost, frame * STEP)
            assert not any(track.shown(frame * STEP) for track in tracker.tracks)
        cast.people = [(ANNA, (130.0, 110.0))]
        play(tracker, cast, (6 + frames) * STEP)
        (after,) = (track for track in tracker.tracks if track.shown((6 + frames) * STEP))
        assert (after.id == before.id) == same


def test_somebody_else_in_the_same_place_is_somebody_else() -> None:
    tracker, cast = Tracker(), Cast([(ANNA, (100.0, 100.0))])
    for frame in range(6):
        play(tracker, cast, frame * STEP)
    cast.people = [(BO, (100.0, 100.0))]
    play(tracker, cast, 6 * STEP)
    assert tracker.tracks[0].id == 1 and tracker.tracks[0].doubted
    play(tracker, cast, 7 * STEP)
    assert (
        tracker.tracks[0].id == 2
        and not tracker.tracks[0].doubted
        and tracker.tracks[0].number == 1
    )


def test_one_odd_look_changes_nobody() -> None:
    tracker, cast = Tracker(), Cast([(ANNA, (100.0, 100.0))])
    for frame in range(12):
        cast.people = [(BO if frame == 6 else ANNA, (100.0, 100.0))]
        play(tracker, cast, frame * STEP)
    assert [track.id for track in tracker.tracks] == [1]


def test_somebody_else_after_a_loss_is_new_at_once() -> None:
    tracker, cast = Tracker(), Cast([(ANNA, (100.0, 100.0))])
    play(tracker, cast, 0.0)
    play(tracker, Cast(), 0.3)
    cast.people = [(BO, (100.0, 100.0))]
    play(tracker, cast, 0.6)
    assert {track.id for track in tracker.tracks if track.shown(0.6)} == {2}


def test_a_face_the_detector_misses_is_still_followed_for_a_second() -> None:
    tracker, cast = Tracker(), Cast([(ANNA, (100.0, 100.0))])
    play(tracker, cast, 0.0)
    blind = Cast()
    shown = []
    for frame in range(1, 24):
        image = cast.picture()
        tracker.follow(image.convert("L"), frame * STEP)
        tracker.update(image, image.convert("L"), blind.find(image), frame * STEP)
        shown.append(any(track.shown(frame * STEP) for track in tracker.tracks))
    assert sum(shown) == 15 and all(shown[:15]) and not tracker.tracks


def test_numbers_are_the_lowest_free_and_ids_are_used_once() -> None:
    tracker = Tracker()
    cast = Cast([(ANNA, (60.0, 100.0)), (BO, (160.0, 100.0))])
    play(tracker, cast, 0.0)
    assert {track.number for track in tracker.tracks} == {1, 2}
    alone = Cast([(BO, (160.0, 100.0))])
    for frame in range(1, 60):
        play(tracker, alone, frame * STEP)
    (bo,) = tracker.tracks
    play(tracker, Cast([*alone.people, (CLEO, (260.0, 100.0))]), 60 * STEP)
    (cleo,) = (track for track in tracker.tracks if track is not bo)
    assert bo.number != cleo.number and {bo.number, cleo.number} == {1, 2} and cleo.id == 3


def test_crowds_are_bounded_and_strangers_outside_are_dropped() -> None:
    tracker = Tracker()
    crowd = Cast(
        [
            (
                person(10 + index).resize((30, 30)),
                (20.0 + 31 * (index % 20), 30.0 + 40 * (index // 20)),
            )
            for index in range(40)
        ]
    )
    crowd.size = (640, 480)
    for frame in range(4):
        play(tracker, crowd, frame * STEP)
        assert len(tracker.tracks) <= MAX_FACES
    tracker.rescale(0.5, 0.5)
    assert all(14 < track.side < 16 for track in tracker.tracks)


def test_a_smaller_frame_changes_nobody() -> None:
    tracker, cast = Tracker(), Cast([(ANNA, (100.0, 100.0))])
    play(tracker, cast, 0.0)
    tracker.rescale(0.5, 0.5)
    small = Cast([(ANNA.resize((SIDE // 2, SIDE // 2)), (50.0, 50.0))], size=(160, 120))
    play(tracker, small, STEP)
    assert [track.id for track in tracker.tracks] == [1] and tracker.tracks[0].side == SIDE / 2
