"""Many calls with huge images at once: memory and threads stay bounded, and others are served in
between.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from PIL import Image

from agegender_core.errors import BusyError
from agegender_core.serving import runtime
from agegender_core.vision.image_io import check_image

pytestmark = pytest.mark.slow

SIDE = 6245
"""39 megapixels: 156 MB once decoded, and 129 kB as a PNG of one colour."""
MEASURED = """
import sys, threading
from agegender_core.serving import runtime
from agegender_core.errors import InvalidImageError
from agegender_core.vision.image_io import check_image
from tests.support.memory import forget_the_peak, peak_mb
data, cut = sys.stdin.buffer.read(), None
cut = data[: len(data) // 2]
def check(data, caller=None):
    runtime.decoders().run(lambda: check_image(data), caller)
check(data)
base = forget_the_peak()
kept = []
def ask(number):
    try:
        check(cut if number % 2 else data, str(number))
    except InvalidImageError as error:
        kept.append(error)
for _ in range(2):
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
assert len(kept) == 12
print(round(peak_mb() - base))
"""


def checking(read: Callable[[], bytes], caller: str) -> Future[None]:
    """An image is checked in the decoding pool, as the front end does it."""
    return runtime.decoders().submit(lambda: check_image(read()), caller)


@pytest.fixture(scope="module")
def huge() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (90, 80, 70)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def small(portrait: Image.Image) -> bytes:
    buffer = io.BytesIO()
    portrait.save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def fresh_pool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AGEGENDER_WAITING", "20")
    runtime.decoders.cache_clear()
    yield
    runtime.decoders.cache_clear()


def test_huge_pictures_at_once_take_the_memory_of_two(huge: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED],
        input=huge,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert int(done.stdout) < 330, (
        f"{int(done.stdout)} MB more than one image takes; twelve at once would be 1,700"
    )


def test_one_who_asks_once_is_served_before_one_who_asks_often(huge: bytes, small: bytes) -> None:
    threads, finished = threading.active_count(), []

    def noted(name: str):
        return lambda _promise: finished.append(name)

    promises = []
    for _ in range(12):
        promises.append(checking(lambda: huge, "greedy"))
        promises[-1].add_done_callback(noted("greedy"))
    promises.append(checking(lambda: small, "other"))
    promises[-1].add_done_callback(noted("other"))
    assert threading.active_count() <= threads + 2
    for promise in promises:
        assert promise.result(60) is None
    assert finished.index("other") <= 4, finished


def test_more_than_may_wait_are_refused_before_anything_is_read(huge: bytes) -> None:
    end, reads = threading.Event(), []

    def read() -> bytes:
        reads.append(1)
        end.wait(60)
        return huge[:100]

    promises, refused = [], 0
    started = time.monotonic()
    for _ in range(60):
        try:
            promises.append(checking(read, "greedy"))
        except BusyError as error:
            refused += "try again" in str(error)
    assert time.monotonic() - started < 5
    end.set()
    assert (len(promises), refused) == (22, 38)
    for promise in promises:
        with pytest.raises(Exception, match="damaged"):
            promise.result(60)
    assert len(reads) == 22
