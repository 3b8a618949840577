"""Fairness of lines, and the pool in which images are decoded: bounded, fair, and it keeps
nothing.
"""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import CancelledError

import pytest

from agegender_core.errors import BusyError
from agegender_core.serving.admission import AdmissionQueue
from agegender_core.serving.decoding_pool import Pool
from agegender_core.serving.fair_queue import FairLine

SOON = 20.0


def served(line: FairLine) -> list[str]:
    order = []
    while (ticket := line.first()) is not None:
        assert line.before(ticket) == 0
        line.leave(ticket, served=True)
        order.append(ticket.caller)
    return order


def test_nobody_has_two_turns_before_another_has_one() -> None:
    line = FairLine()
    for _ in range(5):
        line.join("greedy")
    one, other = line.join("one"), line.join("other")
    assert (line.before(one), line.before(other)) == (1, 2)
    line.join("one")
    assert served(line) == ["greedy", "one", "other", "greedy", "one", "greedy", "greedy", "greedy"]


def test_who_was_just_served_waits_for_those_who_were_not() -> None:
    line = FairLine()
    line.leave(line.join("greedy"), served=True)
    line.join("greedy")
    line.join("new")
    assert served(line) == ["new", "greedy"]


def test_without_names_it_is_first_come_first_served() -> None:
    line = FairLine()
    tickets = [line.join() for _ in range(4)]
    assert [line.before(ticket) for ticket in tickets] == [0, 1, 2, 3]
    line.leave(tickets[1])
    assert line.first() is tickets[0] and len(line) == 3 and tickets[1] not in line


def test_the_gate_is_fair_between_callers() -> None:
    gate, order, reported = AdmissionQueue(1, 100), [], set()

    def work(caller: str) -> None:
        with gate.admit(lambda before: reported.add(threading.get_ident()), caller=caller):
            order.append(caller)

    threads = []
    with gate.admit():
        for caller in ["greedy"] * 6 + ["other"]:
            threads.append(threading.Thread(target=work, args=(caller,)))
            threads[-1].start()
            while len(reported) < len(threads):
                threading.Event().wait(0.01)
    for thread in threads:
        thread.join(SOON)
    assert order[1] == "other" and order.count("greedy") == 6


class Slow:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.already_admitted, self.end = threading.Semaphore(0), threading.Event()

    def __call__(self) -> str:
        self.already_admitted.release()
        assert self.end.wait(SOON)
        return threading.current_thread().name


def test_so_many_work_so_many_wait_and_others_are_turned_away() -> None:
    pool, slow = Pool(2, 3, "decoder"), Slow()
    promises = [pool.submit(slow) for _ in range(5)]
    assert slow.already_admitted.acquire(timeout=SOON) and slow.already_admitted.acquire(
        timeout=SOON
    )
    # Two are at work, three wait.
    assert pool.full() and not slow.already_admitted.acquire(timeout=0.1)
    with pytest.raises(BusyError, match="try again"):
        pool.submit(slow)
    slow.end.set()
    assert {promise.result(SOON) for promise in promises} == {"decoder"}
    assert pool.run(lambda: 1) == 1 and not pool.full()


def test_callers_take_turns_in_the_pool() -> None:
    pool, slow, order = Pool(1, 100), Slow(), []
    first = pool.submit(slow)
    assert slow.already_admitted.acquire(timeout=SOON)
    asked = [("greedy", number) for number in range(4)] + [("other", 0)]
    promises = [pool.submit(lambda one=one: order.append(one), one[0]) for one in asked]
    slow.end.set()
    for promise in [first, *promises]:
        promise.result(SOON)
    assert order[:2] == [("greedy", 0), ("other", 0)]


def test_what_fails_is_told_and_what_is_given_up_never_begins() -> None:
    pool, slow, done = Pool(1, 5), Slow(), []
    busy = pool.submit(slow)
    assert slow.already_admitted.acquire(timeout=SOON)
    failing, given_up = pool.submit(lambda: 1 / 0), pool.submit(lambda: done.append(1))
    assert given_up.cancel()
    slow.end.set()
    assert busy.result(SOON)
    with pytest.raises(ZeroDivisionError):
        failing.result(SOON)
    with pytest.raises(CancelledError):
        given_up.result(SOON)
    assert pool.run(lambda: 2) == 2 and done == []


def test_results_are_not_kept() -> None:
    class Pixels:
        pass

    pool = Pool(1, 5)
    promise = pool.submit(Pixels)
    alive = weakref.ref(promise.result(SOON))
    del promise
    pool.run(lambda: None)
    gc.collect()
    assert alive() is None
