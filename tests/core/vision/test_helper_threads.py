"""Helping threads: order, errors, and never a wait for a thread that is busy with something
else.
"""

from __future__ import annotations

import threading

import pytest

from agegender_core.vision.helper_threads import Helpers


def test_results_come_in_order_and_threads_help() -> None:
    meet = threading.Barrier(2, timeout=20)  # passes only if two tasks run at the same time

    def task(number: int) -> int:
        if number < 2:
            meet.wait()
        return number * number

    assert Helpers(1)([lambda number=number: task(number) for number in range(9)]) == [
        n * n for n in range(9)
    ]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_threads_or_tasks_it_works_too(count: int) -> None:
    helpers = Helpers(count)
    assert (
        helpers([]) == []
        and helpers([lambda: 5]) == [5]
        and helpers([lambda: 1, lambda: 2]) == [1, 2]
    )


def test_a_busy_thread_is_not_waited_for() -> None:
    helpers, go, begun = Helpers(1), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go.wait(20)

    held = threading.Thread(target=lambda: helpers([lambda: begun.wait(20), block]))
    held.start()
    begun.wait(20)
    try:
        assert helpers([lambda n=n: n for n in range(5)]) == [
            0,
            1,
            2,
            3,
            4,
        ]  # all by the caller itself
    finally:
        go.set()
        held.join()


@pytest.mark.parametrize("bad", [0, 1, 4])
def test_an_error_of_any_task_is_raised(bad: int) -> None:
    def task(number: int) -> int:
        if number == bad:
            raise ValueError("this one")
        return number

    helpers = Helpers(2)
    with pytest.raises(ValueError, match="this one"):
        helpers([lambda number=number: task(number) for number in range(5)])
    assert helpers([lambda: 1, lambda: 2]) == [1, 2]


def test_threads_are_prepared_once_and_made_again_in_a_fork() -> None:
    prepared: list[str] = []
    helpers = Helpers(1, lambda: prepared.append(threading.current_thread().name))
    both = threading.Barrier(2, timeout=20)
    for _ in range(3):
        helpers([both.wait, both.wait])
    assert len(prepared) == 1 and prepared[0].startswith("detection")
    before = helpers._threads()
    helpers.renew_after_fork()
    assert helpers._threads() is not before
