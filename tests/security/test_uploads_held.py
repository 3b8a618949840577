"""What one session, and all together, may put into the server's memory by uploads: over real HTTP,
by a client that no page has asked.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from agegender_core.settings import Settings
from tests.e2e.harness import QUIET, running_app
from ui.common import uploads
from ui.common.upload_limits import MAX_FILES, MB, UploadLimits
from ui.common.uploads import bind
from ui.compat import streamlit_private
from ui.guard import front_door
from ui.guard.uploads import TooMuch


def record(name: str, size: int) -> UploadedFileRec:
    return UploadedFileRec(file_id=name, name=f"{name}.jpg", type="image/jpeg", data=bytes(size))


def held(manager: MemoryUploadedFileManager) -> dict[str, int]:
    """Bytes by session."""
    return {
        one: sum(len(file.data) for file in files.values())
        for one, files in manager.file_storage.items()
        if files
    }


@pytest.fixture
def manager() -> MemoryUploadedFileManager:
    made = MemoryUploadedFileManager("/upload")
    limits = UploadLimits(total=5 * MB, client=4 * MB, session=3 * MB)
    assert bind(made, limits) is bind(made, limits), "bound once, however often the page runs"
    return made


def test_a_session_holds_no_more_than_it_may(manager: MemoryUploadedFileManager) -> None:
    for name in "abc":
        manager.add_file("one", record(name, MB))
    with pytest.raises(HTTPException, match="3 MB"):
        manager.add_file("one", record("d", 1))
    manager.add_file("one", record("c", MB // 2))
    manager.add_file("one", record("d", MB // 2))
    manager.remove_file("one", "a")
    manager.add_file("one", record("e", MB))
    assert held(manager) == {"one": 3 * MB}


def test_all_sessions_together_hold_no_more_than_they_may(
    manager: MemoryUploadedFileManager,
) -> None:
    manager.add_file("one", record("a", 3 * MB))
    manager.add_file("two", record("a", 2 * MB))
    with pytest.raises(HTTPException):
        manager.add_file("three", record("a", 1))
    manager.remove_session_files("one")
    manager.add_file("three", record("a", 3 * MB))
    assert held(manager) == {"two": 2 * MB, "three": 3 * MB}


def test_a_session_holds_so_many_files(manager: MemoryUploadedFileManager) -> None:
    for number in range(MAX_FILES):
        manager.file_storage["one"][str(number)] = record(str(number), 0)
    with pytest.raises(HTTPException):
        manager.add_file("one", record("more", 0))
    manager.add_file("one", record("7", 1))


def test_a_session_may_hold_what_is_set_and_never_more_than_a_client() -> None:
    usual, small = UploadLimits.of(Settings()), UploadLimits.of(Settings(uploads_mb=150))
    assert (usual.total, usual.client, usual.session) == (1500 * MB, 500 * MB, 160 * MB)
    assert (small.total, small.client, small.session) == (150 * MB, 50 * MB, 50 * MB)


def test_files_no_uploader_shows_any_more_make_room(manager: MemoryUploadedFileManager) -> None:
    bound = bind(manager, UploadLimits(0, 0, 0))
    manager.add_file("one", record("a", 2 * MB))
    assert bound.room("one") == MB and bound.room("two") == 3 * MB
    bound.showing("one", {"a"})
    assert bound.room("one") == MB
    bound.showing("one", set())
    assert bound.room("one") == 3 * MB
    manager.add_file("one", record("b", 3 * MB))
    assert held(manager) == {"one": 3 * MB}


def test_the_front_door_refuses_before_a_file_is_read_and_the_page_hears_of_it(
    manager: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamlit_private, "upload_store", lambda: manager)
    bound = uploads.server_bound()
    assert bound is not None and bound.limits.session == 3 * MB
    manager.add_file("one", record("a", 2 * MB))
    taken: list[int] = []
    take = front_door._within_session(f"/base{front_door.UPLOAD_ROUTE}one/b", taken.append)
    take(MB)
    take(front_door.ENVELOPE)
    with pytest.raises(TooMuch, match="3 MB"):
        take(1)
    assert taken == [MB, front_door.ENVELOPE] and bound.refused == {"one"}


@pytest.mark.e2e
def test_a_visitor_who_gives_too_much_is_told(browser: Any) -> None:
    with running_app(switches={"AGEGENDER_MAX_SESSION_MB": "2"}) as url:
        page = browser.new_context().new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{url}/errors?view=own")
        page.locator(QUIET).wait_for()
        requests: list[Any] = []
        page.on(
            "response",
            lambda answer: requests.append(answer) if "upload_file" in answer.url else None,
        )
        noise = [
            {"name": f"{number}.zip", "mimeType": "application/zip", "buffer": bytes(900_000)}
            for number in range(4)
        ]
        page.locator("input[type=file]").first.set_input_files(noise)
        page.get_by_text("Some files were not accepted").wait_for()
        assert sorted(answer.status for answer in requests if answer.request.method == "PUT") == [
            204,
            204,
            413,
            413,
        ]
        address = next(answer.url for answer in requests if answer.request.method == "PUT")
        again = urllib.request.Request(f"{address}x", bytes(10), method="PUT")  # no token of a page
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(again)
        assert told.value.code in (400, 403)
        page.context.close()
