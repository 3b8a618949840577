"""The gate before the work: never too many inside, first come first served, a polite refusal,
nobody stuck.
"""

from __future__ import annotations

import threading
import time

import pytest

from agegender_core.errors import BusyError
from agegender_core.serving.admission import AdmissionQueue, SlotLeases

SOON = 20.0


def until(what: object) -> None:
    deadline = time.monotonic() + SOON
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_never_more_inside_than_allowed_and_all_get_in() -> None:
    gate, inside, most, done = AdmissionQueue(2, 100), [], [], []

    def work(number: int) -> None:
        with gate.admit():
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert sorted(done) == list(range(12)) and max(most) == 2


def test_first_come_first_served_and_told_where_they_stand() -> None:
    gate, order, reported = AdmissionQueue(1, 10), [], {}
    leave = threading.Event()

    def work(number: int) -> None:
        with gate.admit(lambda before: reported.setdefault(number, before)):
            order.append(number)
            leave.wait(SOON)

    threads = []
    for number in range(4):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        until(lambda number=number: number in reported or number in order)
    leave.set()
    for thread in threads:
        thread.join(SOON)
    assert order == [0, 1, 2, 3] and reported == {1: 1, 2: 2, 3: 3}


def test_a_full_queue_turns_away_and_lets_in_again() -> None:
    gate = AdmissionQueue(1, 0)
    with gate.admit(), pytest.raises(BusyError, match="try again"), gate.admit():
        raise AssertionError("nobody else comes in")
    with gate.admit():
        pass


def test_work_that_has_begun_waits_where_others_are_turned_away() -> None:
    gate, waits, done = AdmissionQueue(1, 0), threading.Event(), []

    def step() -> None:
        with gate.admit(lambda before: waits.set(), already_admitted=True):
            done.append(1)

    with gate.admit():
        other = threading.Thread(target=step)
        other.start()
        assert waits.wait(SOON) and done == []
    other.join(SOON)
    assert done == [1]


def test_who_gives_up_or_fails_leaves_room() -> None:
    gate = AdmissionQueue(1, 5)

    def leave(before: int) -> None:
        raise KeyError(before)

    with gate.admit(), pytest.raises(KeyError), gate.admit(leave):
        raise AssertionError("gave up before")
    with pytest.raises(ValueError, match="inside"), gate.admit():
        raise ValueError("inside")
    with gate.admit():
        pass


def test_places_are_given_back_or_lost() -> None:
    places = SlotLeases(2, lost=10)
    assert places.take("a", 0) and places.take("b", 1) and not places.take("c", 2)
    assert places.take("a", 9)  # still there
    # B has not been heard of for ten seconds.
    assert not places.take("c", 10.5) and places.take("c", 11.5)
    assert not places.take("b", 12)
    places.leave("a")
    places.leave("nobody")
    assert places.take("b", 12)


def sessions_of(gate: AdmissionQueue, caller: str, count: int, leave: threading.Event) -> list[str]:
    """What becomes of ``count`` sessions of one address, each with one question: «in» or
    «refused» once it is known, nothing while it waits.
    """
    outcomes: list[str] = []

    def session() -> None:
        try:
            with gate.admit(caller=caller):
                outcomes.append("in")
                leave.wait(SOON)
        except BusyError:
            outcomes.append("refused")

    for _ in range(count):
        threading.Thread(target=session, daemon=True).start()
    return outcomes


def test_sessions_of_one_address_leave_room_for_others() -> None:
    """Ten pages of one client where five can be in or wait: it has three of the places, and another
    visitor is the next to be served.
    """
    gate, leave, served = AdmissionQueue(1, 4), threading.Event(), threading.Event()
    outcomes = sessions_of(gate, "10.0.0.1", 10, leave)
    until(lambda: outcomes.count("refused") == 7)
    assert gate.share == 3 == gate.taken_by("10.0.0.1")
    before: list[int] = []

    def other() -> None:
        with gate.admit(before.append, caller="10.0.0.2"):
            served.set()

    threading.Thread(target=other, daemon=True).start()
    until(lambda: before)
    assert before[0] <= 2
    leave.set()
    assert served.wait(SOON)
    until(lambda: gate.taken_by("10.0.0.1") == 0)
    assert outcomes.count("in") == 3


def test_steps_of_long_jobs_count_and_wait_for_their_share() -> None:
    """Own datasets are never refused, but a client's tenth one takes no place of others'."""
    gate, leave, finished = AdmissionQueue(1, 4), threading.Event(), []

    def job() -> None:
        with gate.admit(already_admitted=True, caller="10.0.0.1"):
            leave.wait(SOON)
        finished.append(1)

    for _ in range(10):
        threading.Thread(target=job, daemon=True).start()
    until(lambda: gate.taken_by("10.0.0.1") == gate.share)
    time.sleep(0.05)
    assert gate.taken_by("10.0.0.1") == gate.share
    with gate.asked() as room:
        assert room
    leave.set()
    until(lambda: len(finished) == 10)


def test_calls_of_the_api_count_in_a_clients_share() -> None:
    gate = AdmissionQueue(1, 3)
    gate.elsewhere, gate.elsewhere_of = lambda: 2, lambda caller: 2 * (caller == "10.0.0.1")
    with pytest.raises(BusyError, match="your address"), gate.admit(caller="10.0.0.1"):
        pass
    with gate.admit(caller="10.0.0.2"):
        assert gate.taken_by("10.0.0.2") == 1
    with gate.covered(), gate.admit(caller="10.0.0.1"):
        assert gate.taken_by("10.0.0.1") == 2


def test_a_wait_for_ones_share_can_be_ended() -> None:
    gate = AdmissionQueue(1, 0)
    gate.elsewhere_of = lambda caller: gate.share

    def leave(before: int) -> None:
        raise KeyError

    with pytest.raises(KeyError), gate.admit(leave, already_admitted=True, caller="a"):
        pass
    assert gate.taken_by("b") == gate.share
    with gate.asked() as room:
        assert room
