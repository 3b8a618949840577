"""The Live page in Chromium, whose camera shows a video of two people: boxed, frozen, mirrored,
stopped; and where it cannot be.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.harness import PATIENCE, overflow, turn_to, visiting

pytestmark = pytest.mark.e2e
SLOW = 30_000
RELAYS_ONLY = """
window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
  construct: (kind, [config]) => new kind({...config, iceTransportPolicy: 'relay'})
});
"""
"""The browser gives no address of its own: without a TURN server no connection comes about, as in
many a company's network.
"""
WATCHED = """
window.top.opened = window.top.opened || [];
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async wanted => {
  const stream = await open(wanted);
  window.top.opened.push(...stream.getTracks());
  return stream;
};
"""
"""Every camera that is opened is kept in mind, to see that it is closed again."""
REFUSED = (
    "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no',"
    " 'NotAllowedError'));"
)
POINTS = """video => {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const pen = canvas.getContext('2d'); pen.drawImage(video, 0, 0);
  const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
"""
"""Start of a function of the shown image: its points are in ``data``, four numbers each."""
COLOURS = (
    POINTS
    + """
  const near = (i, r, g, b) =>
    Math.abs(data[i] - r) + Math.abs(data[i+1] - g) + Math.abs(data[i+2] - b) < 60;
  const found = {first: [0, 0], second: [0, 0]};
  for (let i = 0; i < data.length; i += 4) {
    const side = (i / 4) % canvas.width;
    if (near(i, 230, 159, 0)) { found.first[0]++; found.first[1] += side; }
    if (near(i, 86, 180, 233)) { found.second[0]++; found.second[1] += side; }
  }
  return {size: [canvas.width, canvas.height], first: found.first[0], second: found.second[0],
          at: found.first[1] / Math.max(1, found.first[0]) / canvas.width};
}"""
)
"""How many points of the shown image have the colours of face 1 and face 2, and how far to the
right those of face 1 are.
"""

PALE = (
    POINTS
    + """
  let count = 0, sides = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i] > 160 && Math.abs(data[i] - data[i + 2]) < 16) {
      count++; sides += (i / 4) % canvas.width;
    }
  return count > 1000 ? sides / count / canvas.width : null;
}"""
)
"""How far to the right the pale points of the shown image are: those behind the person on the
video's left. The other's are tinted.
"""


def camera(page: Any) -> Any:
    return page.frame_locator("iframe[title*='webrtc']")


def agreed(page: Any) -> Any:
    """The Live page after consent; no camera is open before its own button is pressed."""
    turn_to(page, "Live")
    page.get_by_text("Ask anyone who may appear on camera").wait_for()
    assert page.locator("iframe[title*='webrtc']").count() == 0
    page.get_by_role("button", name="Agree and show the camera").click()
    camera(page).get_by_role("button", name="Start the camera").wait_for(timeout=SLOW)
    return page


def started(page: Any) -> Any:
    agreed(page)
    camera(page).get_by_role("button", name="Start the camera").click()
    page.get_by_text(re.compile("2 faces · .* fps")).wait_for(timeout=SLOW)
    page.locator(".ag-interval", has_text="Face 2").get_by_text(
        re.compile(r"Face 2.*years")
    ).wait_for(timeout=SLOW)
    return page


def shown(page: Any) -> dict[str, Any]:
    return camera(page).locator("video").evaluate(COLOURS)


def frames(page: Any) -> int:
    return (
        camera(page)
        .locator("video")
        .evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames")
    )


def test_faces_are_boxed_while_one_watches(cinema: Any, server_url: str) -> None:
    with visiting(cinema, server_url, permissions=["camera"]) as go:
        page = started(go(before=WATCHED))
        seen = shown(page)
        assert seen["size"] == [640, 480] and seen["first"] > 200 and seen["second"] > 200
        before = frames(page)
        page.wait_for_timeout(2000)
        # The video has thirty in that time; how many there are on a quiet machine is in the bench.
        assert frames(page) - before >= 10

        said = page.locator(".ag-interval", has_text="Face 1").inner_text()
        ages = [int(age) for age in re.findall(r"(\d+) years", said)]
        assert len(ages) == 2 and all(15 <= age <= 55 for age in ages)

        page.get_by_role("button", name="Freeze").click()
        page.get_by_text("Averaged over").wait_for()
        page.get_by_role("heading", name="Face 1").wait_for()
        page.get_by_role("heading", name="Face 2").wait_for()
        page.get_by_role("button", name=re.compile("JSON")).first.wait_for()
        page.wait_for_timeout(600)
        still = shown(page)["at"]
        page.wait_for_timeout(600)
        assert shown(page)["at"] == pytest.approx(still, abs=0.01)
        page.get_by_role("button", name="Resume").click()
        page.get_by_text(re.compile(" fps ")).wait_for()

        camera(page).get_by_role("button", name="Stop the camera").click()
        page.get_by_text("The camera is off.").wait_for()
        page.wait_for_function(
            "window.opened.length > 0 && window.opened.every(track => track.readyState === 'ended')"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_cameras_buttons_are_words_like_all_others(
    cinema: Any, server_url: str, scheme: str
) -> None:
    with visiting(cinema, server_url, permissions=["camera"]) as go:
        page = agreed(go(scheme=scheme))
        buttons = camera(page).get_by_role("button")
        said = partial(expect(buttons).to_have_text, use_inner_text=True)  # as CSS leaves it
        said(["Start the camera", "Choose a camera"])
        start = camera(page).get_by_role("button", name="Start the camera")
        start.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        style = start.evaluate(
            "button => { const {color, outlineStyle, outlineColor} = getComputedStyle(button);"
            " return [outlineStyle, outlineColor === color] }"
        )
        assert style == ["solid", True]
        camera(page).get_by_role("button", name="Choose a camera").click()
        camera(page).get_by_role("button", name="Done").wait_for()
        said(["Done"])
        camera(page).get_by_role("button", name="Done").click()
        start.click()
        camera(page).get_by_role("button", name="Stop the camera").wait_for()
        expect(buttons.first).to_have_text("Stop the camera", use_inner_text=True)


def test_a_mirror_can_be_left_out(cinema: Any, server_url: str) -> None:
    with visiting(cinema, server_url, permissions=["camera"]) as go:
        page = started(go(390, 844))
        assert overflow(page) <= 0
        page.get_by_role("button", name="Freeze").click()
        page.get_by_role("button", name="Resume").wait_for()
        page.wait_for_timeout(500)
        mirrored = camera(page).locator("video").evaluate(PALE)
        page.locator("label", has_text="Mirror").click()
        page.get_by_role("button", name="Resume").click()
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Freeze").click()
        page.get_by_role("button", name="Resume").wait_for()
        page.wait_for_timeout(500)
        plain = camera(page).locator("video").evaluate(PALE)
        assert mirrored > 0.55 and plain < 0.45
        assert overflow(page) <= 0


def test_where_webrtc_cannot_connect_two_ways_are_shown(cinema: Any, server_url: str) -> None:
    with visiting(cinema, server_url, permissions=["camera"]) as go:
        page = agreed(go(before=RELAYS_ONLY))
        camera(page).get_by_role("button", name="Start the camera").click()
        page.get_by_text("No connection for the video").wait_for(timeout=SLOW)
        assert (
            page.get_by_role("link", name="Gradio's live tab")
            .get_attribute("href")
            .endswith("/gradio/")
        )
        page.get_by_role("button", name="Take a snapshot instead").click()
        page.get_by_role("button", name="Open the camera").wait_for(timeout=PATIENCE)


def test_a_camera_that_is_refused_is_said(cinema: Any, server_url: str) -> None:
    with visiting(cinema, server_url) as go:
        page = agreed(go(before=REFUSED))
        camera(page).get_by_role("button", name="Start the camera").click()
        camera(page).get_by_text("The browser refuses to open the camera.", exact=True).wait_for()
        page.get_by_text("Allow it by the small camera in the address bar").wait_for()


def test_where_there_is_no_camera_a_photo_is_named(cinema: Any, server_url: str) -> None:
    with visiting(cinema, server_url) as go:
        page = agreed(go(before=REFUSED.replace("NotAllowedError", "NotFoundError")))
        camera(page).get_by_role("button", name="Start the camera").click()
        camera(page).get_by_text("No camera was found.", exact=True).wait_for()
        assert camera(page).get_by_text("NotFoundError").count() == 0
        page.get_by_role("link", name="No camera? Use a photo on Predict").click()
        page.get_by_role("heading", name="Age and gender from faces").wait_for()
