"""Processor time and memory of a command's whole family."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from agegender_core.benchmarks.process_tree import ProcessTree, is_supported

pytestmark = pytest.mark.skipif(not is_supported(), reason="Linux shows its processes")

BUSY = "import time\nwhile time.process_time() < {seconds}: pass\n"
# Its child is busy and outlives it, and nobody waits for it: as Ray's workers do.
ORPHAN = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(0.3)
"""
HOLDS = "import sys, time; held = bytearray(100 * 2**20); print(flush=True); time.sleep(60)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
child.wait()
"""


def test_processes_that_nobody_waits_for_are_counted() -> None:
    process = subprocess.Popen([sys.executable, "-c", ORPHAN, BUSY.format(seconds=0.7)])
    with ProcessTree(process.pid) as tree:
        process.wait()
        until = time.monotonic() + 60
        while len(tree.look()) and time.monotonic() < until:
            time.sleep(0.05)
    assert 0.5 < tree.processor_seconds < 3


def test_memory_is_the_familys() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, HOLDS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with ProcessTree(process.pid) as tree:
            process.stdout.readline()
            held, processes = tree.memory_mb()
            children = [number for number in tree.look() if number != process.pid]
            subprocess.run(["kill", *map(str, children)], check=True)
    assert 100 <= held < 200 and processes == 2


def test_other_processes_are_not_counted() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", BUSY.format(seconds=0.3)]),
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"]) as process,
        ProcessTree(process.pid) as tree,
    ):
        process.wait()
    assert tree.processor_seconds < 0.25


def test_processor_time_of_a_span() -> None:
    """A busy half second after a second of sleep."""
    code = "import time; time.sleep(1)\n" + BUSY.format(seconds=0.6)
    with (
        subprocess.Popen([sys.executable, "-c", code]) as process,
        ProcessTree(process.pid) as tree,
    ):
        started = time.time()
        process.wait()
    asleep, all_ = tree.seconds_until(started + 0.9), tree.seconds_until(time.time())
    assert asleep < 0.25 and all_ - asleep > 0.25
    assert tree.seconds_until(started - 100) == 0
