"""Forked processes answer: each test forks for real in a process of its own, which is ended if it
hangs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from agegender_core.forking import mind_forks
from agegender_core.serving.runtime import Predictors
from agegender_core.vision.face_detector import MTCNNDetector

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
SECONDS = 120
"""A hang is for ever; the work takes a few seconds, on a busy machine half a minute."""

POOL = """
import multiprocessing, torch
from agegender_core import analyze
from agegender_core.datasets.sample_image import sample_portrait

def years(number):
    return analyze(sample_portrait())[0].age.years, torch.get_num_threads()

torch.set_num_threads(2)
{before}
if {parent}:
    assert abs(analyze(sample_portrait())[0].age.years - 27) < 5
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map(years, range(4))
assert {{threads for _, threads in found}} == {{1}}, found
here = analyze(sample_portrait())[0].age.years
assert all(abs(one - here) < 1e-2 for one, _ in found), (found, here)
assert torch.get_num_threads() == 2, "the parent keeps its threads"
"""

WHILE_LOADING = """
import os, threading, time
from agegender_core import load_predictor
from agegender_core.datasets.sample_image import sample_portrait

predictor = load_predictor()
detector = predictor.find_faces.__self__
hold = threading.Event()

def other():
    with detector._lock:
        hold.set()
        time.sleep(1)

threading.Thread(target=other).start()
hold.wait()
child = os.fork()
if child == 0:
    os._exit(0 if len(predictor.predict(sample_portrait())) == 1 else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

OPTIONS = """
import os, torch
from agegender_core import load_predictor
from agegender_core.datasets.sample_image import sample_portrait

load_predictor(threads=2).predict(sample_portrait())
child = os.fork()
if child == 0:
    found = load_predictor(threads=2).predict(sample_portrait())
    os._exit(0 if len(found) == 1 and torch.get_num_threads() == 1 else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def answer(code: str) -> None:
    """Run ``code`` in a process of its own; it must end by itself, and without an error. Its
    children go with it.
    """
    usual = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code],
        env=usual,  # with torch's own number of threads
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, messages = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        pytest.fail("a forked process never answered")
    assert process.returncode == 0, messages


def test_a_pool_forked_after_an_answer_answers_too() -> None:
    answer(POOL.format(before="", parent=True))


@pytest.mark.slow
def test_a_pool_forked_after_loading_alone_answers() -> None:
    answer(
        POOL.format(
            before="from agegender_core import load_predictor; load_predictor()", parent=False
        )
    )


@pytest.mark.slow
def test_a_lock_that_another_thread_held_does_not_hold_the_child() -> None:
    answer(WHILE_LOADING)


@pytest.mark.slow
def test_asking_for_threads_in_a_child_does_not_hang_it() -> None:
    answer(OPTIONS)


def in_child(check) -> int:
    """Exit code of a forked child that ends with ``check()``: 0 for True; -9 where it hangs."""
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 3)
    timer = threading.Timer(20, os.kill, (child, 9))
    timer.start()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    timer.cancel()
    return code


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_another_thread_was_loading_is_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    mind_forks()
    kept, begun, end = Predictors(), threading.Event(), threading.Event()

    def load(name: str) -> str:
        begun.set()
        end.wait(30)
        return name

    monkeypatch.setattr("agegender_core.serving.runtime._load", load)
    loading = threading.Thread(target=kept, args=(None,))
    loading.start()
    begun.wait(10)

    def loads() -> bool:
        monkeypatch.setattr("agegender_core.serving.runtime._load", lambda name: name)
        return isinstance(kept(None), str)

    try:
        with kept._lock:
            assert in_child(loads) == 0
    finally:
        end.set()
        loading.join()


def test_watching_a_detector_does_not_keep_it_alive() -> None:
    import gc
    import weakref

    gone = weakref.ref(MTCNNDetector())
    gc.collect()
    assert gone() is None
