"""Live video through its whole path, in a browser: ``python -m tests.e2e.live_bench [--save]``,
over WebRTC on the page Live and over HTTP in Gradio's tab.

Chromium's camera shows a drawn video whose frames carry their number as black and white blocks
along the upper edge. The browser reads it from its own camera and from the video that comes back,
so that it is known how many of the frames that come back are new, and how long each was on its way:
camera, encoder, network, decoder, analysis, drawing, encoder, network, decoder.

How many frames a second are shown is the browser's own count (``presentedFrames`` of
``requestVideoFrameCallback``): the callback itself, in which the code is read, misses frames while
the page has other work. Measured, never asserted.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median as median_of
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright

from agegender_core.benchmarks.cold_start import processor_seconds
from agegender_core.benchmarks.networks import machine_name
from agegender_core.benchmarks.video import LOOP_FPS, LOOP_SECONDS, drawn_video
from agegender_core.evaluation.report_types import LivePathReport, LivePathRow
from agegender_core.output.files import write_json
from agegender_core.output.json_records import to_json
from tests.e2e.harness import FLAGS, PATIENCE, ROOT, find_chromium, running_app, write_film
from tests.load.server import process_of

SECONDS = 20
BITS = 8
CODE_HEIGHT = 32
"""Pixels of the blocks along the upper edge."""
COUNT = """
const open = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
const canvas = document.createElement('canvas');
canvas.width = BITS; canvas.height = 1;
const pen = canvas.getContext('2d', {willReadFrequently: true});
const note = (picture, width, mirrored, notes, shown) => {
  const now = performance.now();
  pen.drawImage(picture, 0, 4, width, CODE - 12, 0, 0, BITS, 1);
  const {data} = pen.getImageData(0, 0, BITS, 1);
  let code = 0;
  for (let bit = 0; bit < BITS; bit++)
    code += (data[4 * (mirrored ? BITS - 1 - bit : bit)] > 127 ? 1 : 0) << bit;
  notes.push([code, now, shown, width]);
};
const count = (video, mirrored, notes) => {
  const look = (_, {presentedFrames}) => {
    note(video, video.videoWidth, mirrored, notes, presentedFrames);
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
};
if (open) navigator.mediaDevices.getUserMedia = async wanted => {
  const stream = await open(wanted);
  window.top.sent = []; window.top.back = [];
  const own = document.createElement('video');
  Object.assign(own, {muted: true, autoplay: true, srcObject: stream});
  own.style = 'position: fixed; width: 32px; height: 24px; opacity: 0.01; left: 0; top: 0';
  document.body.append(own);
  count(own, false, window.top.sent);
  const found = setInterval(() => {
    const video = [...document.querySelectorAll('video')].find(one => one !== own);
    if (!OVER_HTTP && video && video.videoWidth) {
      clearInterval(found); count(video, true, window.top.back);
    }
  }, 50);
  if (OVER_HTTP) document.addEventListener('load', ({target}) => {
    if (target.src?.startsWith('data:image/jpeg') && target.naturalWidth)
      note(target, target.naturalWidth, true, window.top.back, window.top.back.length);
  }, true);
  return stream;
};
""".replace("BITS", str(BITS)).replace("CODE", str(CODE_HEIGHT))
"""The code is read in every window, so also in the component's own. What comes back is a video, or
``OVER_HTTP`` an image a frame.
"""


def numbered(frames: list[Image.Image]) -> list[Image.Image]:
    """The frames with their number, 0 to 255, as blocks: lowest bit left, white for one."""
    assert len(frames) <= 1 << BITS
    width = frames[0].width // BITS
    for number, frame in enumerate(frames):
        pen = ImageDraw.Draw(frame)
        for bit in range(BITS):
            colour = "white" if number >> bit & 1 else "black"
            pen.rectangle((bit * width, 0, (bit + 1) * width - 1, CODE_HEIGHT - 1), fill=colour)
    return frames


class Note(NamedTuple):
    """A frame that the browser read. ``code``: its number; ``now``: in milliseconds; ``shown``:
    frames shown so far; ``width``: in pixels.
    """

    code: int
    now: float
    shown: int
    width: int


def shown_fps(notes: list[Note]) -> tuple[float, float]:
    """Frames a second that were shown, and those of them that were new. Between two frames that
    were read one after the other it is known whether the second one was; of the others as many
    are taken to be.
    """
    if len(notes) < 2:
        return 0.0, 0.0
    fps = 1000 * (notes[-1].shown - notes[0].shown) / (notes[-1].now - notes[0].now)
    changed = [
        later.code != note.code for note, later in pairwise(notes) if later.shown - note.shown == 1
    ]
    return fps, fps * sum(changed) / len(changed) if changed else fps


def delays(sent: list[Note], back: list[Note], loop: int) -> list[float]:
    """Milliseconds each returned frame was on its way: since its number was last seen in the
    camera. Numbers that the camera did not show in the last half loop are misread, and left out.
    """
    found, shown, index = [], dict[int, float](), 0
    for code, now, *_ in back:
        while index < len(sent) and sent[index].now <= now:
            shown[sent[index].code] = sent[index].now
            index += 1
        if code in shown and now - shown[code] < 1000 * loop / LOOP_FPS / 2:
            found.append(now - shown[code])
    return found


def start_webrtc(page: Any, url: str, faces: int) -> None:
    """The Live page, once it shows the video of ``faces``."""
    page.goto(f"{url}/live")
    page.get_by_role("button", name="Agree and show the camera").click()
    frame = page.frame_locator("iframe[title*='webrtc']")
    frame.get_by_role("button", name="Start the camera").click()
    plural = "s" if faces > 1 else ""
    page.get_by_text(re.compile(rf"{faces} face{plural} · .* fps")).wait_for()


def start_http(page: Any, url: str, faces: int) -> None:
    """Gradio's live tab, once it shows the video of ``faces``."""
    page.goto(f"{url}/gradio/")
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Agree and show the camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_role("button", name="capture photo").click()
    page.locator("li", has_text=re.compile(r"\d+ \(\d+-\d+\)")).nth(faces - 1).wait_for()


WAYS: dict[str, Callable[[Any, str, int], None]] = {"WebRTC": start_webrtc, "HTTP": start_http}


def watch(page: Any, url: str, way: str, faces: int) -> LivePathRow:
    """The video of ``faces`` for ``SECONDS``, after it has settled."""
    WAYS[way](page, url, faces)
    page.wait_for_timeout(8000)
    server = process_of(url)
    page.evaluate("window.sent.length = 0; window.back.length = 0")
    before = processor_seconds(server)
    page.wait_for_timeout(1000 * SECONDS)
    sent, back = (
        [Note(*map(round, note)) for note in notes]
        for notes in page.evaluate("[window.sent, window.back]")
    )
    spent = processor_seconds(server) - before
    said = page.get_by_text(re.compile(r"\d+ fps")).first.inner_text()
    waits = delays(sent, back, LOOP_SECONDS * LOOP_FPS)
    (camera, _), (returned, new) = shown_fps(sent), shown_fps(back)
    median, late = np.percentile(waits, (50, 90)) if waits else (0.0, 0.0)
    return LivePathRow(
        what=f"{way}, {faces} face{'s' if faces > 1 else ''}",
        width=round(median_of([note.width for note in back])) if back else 0,
        camera_fps=round(camera, 1),
        returned_fps=round(returned, 1),
        new_fps=round(new, 1),
        analyser_fps=int(re.search(r"(\d+) fps", said)[1]),  # type: ignore[index]  # waited for
        latency_median_ms=round(median),
        latency_p90_ms=round(late),
        read=len(waits),
        server_cores=round(spent / SECONDS, 2),
    )


def measure(faces: tuple[int, ...] = (1, 2, 3)) -> LivePathReport:
    """A row for each way and number of faces, each in a browser of its own, on one server."""
    rows: list[LivePathRow] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as driver,
        running_app(script="serve.py") as url,
    ):
        for count in faces:
            film = write_film(Path(folder) / "film.y4m", numbered(drawn_video(count)))
            header = film.read_bytes()
            film.write_bytes(header.replace(b" F15:1 ", f" F{LOOP_FPS}:1 ".encode(), 1))
            flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
            for way in WAYS:
                browser = driver.chromium.launch(executable_path=find_chromium(), args=flags)
                context = browser.new_context(permissions=["camera"])
                context.add_init_script(f"const OVER_HTTP = {json.dumps(way == 'HTTP')};{COUNT}")
                page = context.new_page()
                page.set_default_timeout(PATIENCE)
                rows.append(watch(page, url, way, count))
                print(json.dumps(to_json(rows[-1])), flush=True)
                browser.close()
    return LivePathReport(tuple(rows), machine_name())


if __name__ == "__main__":
    result = measure()
    if "--save" in sys.argv:
        write_json(ROOT / "reports" / "live.json", to_json(result))
