"""A refresh, or the way back from another site, brings a tab's uploads and answers back. Streamlit
begins a new session then; the browser's cookie and a number that only this tab knows say that it is
the same visitor. Without the guard of ``serve.py`` there is no cookie, and a refresh starts over.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import streamlit as st

from ui.common import uploads
from ui.common.kept_visits import Content, Visit
from ui.common.session_results import Answer
from ui.common.state import ANSWERS, FACES, PAGE, SAVED_UPLOADS
from ui.compat import streamlit_private
from ui.guard import visitor_cookie
from ui.predict import state

TAB = re.compile(r"[0-9a-f]{32}", re.ASCII)
SLOTS = (SAVED_UPLOADS, ANSWERS, FACES)
TAKE_IMAGES = ("Predict", "Attention")
PATIENCE = 2.0
"""Seconds for the server to hear that the session before was closed."""
_ASK = st.components.v2.component(
    "agegender-tab", html="", js=Path(__file__).with_name("tab.js").read_text(encoding="utf-8")
)


def is_settled() -> bool:
    """Whether the page may be drawn: what its tab left behind is here, or there is nothing. Where
    it is not, the browser is being asked which tab it is, and the next run knows.
    """
    here = _here()
    if here is None or state.LOOKED_BACK.get():
        return True
    session, browser = here
    visits = uploads.visits()
    if not visits.known(browser, session):
        state.LOOKED_BACK.set(True)
        return True
    tab = state.TAB.get()
    if tab is None:
        st.caption("One moment …")
        _ask()
        return False
    state.LOOKED_BACK.set(True)
    deadline = time.monotonic() + PATIENCE
    while (visit := visits.take(browser, tab, session)) is None:
        if not visits.is_elsewhere(browser, tab, session) or time.monotonic() > deadline:
            return True
        time.sleep(0.1)
    _take_over(visit)
    return True


def keep() -> None:
    """From now on the same tab may ask for what this session has, and will have."""
    here, tab = _here(), state.TAB.get()
    if here is not None and tab:
        content = {slot.key: slot.stored() for slot in SLOTS}
        visit = Visit(*here, tab, content, lambda: bytes_of(content))
        uploads.visits().keep(visit)


def ask() -> None:
    """At the end of a page that has uploads, have the browser say which tab it is, once. Not
    sooner: its answer runs the page again, and a click on another page at that moment would be
    lost. Not in a fragment: one that answers while another page opens breaks the browser's side of
    Streamlit.
    """
    uploaded = any(SAVED_UPLOADS.stored().values())
    if PAGE.get() in TAKE_IMAGES and uploaded and state.TAB.get() is None and _here() is not None:
        _ask()


def bytes_of(content: Content) -> int:
    """Of the files, the previews and the crops in what is kept; each file once. None where there is
    no upload.
    """
    files: dict[int, int] = {}
    saved = [image for images in list(content[SLOTS[0].key].values()) for image in images]
    if not saved:
        return 0
    answers = list(content[SLOTS[1].key].values())
    for image in [*saved, *(one.image for one in answers)]:
        files[id(image.data)] = len(image.data)
    drawn = 0
    for one in answers:
        if isinstance(one, Answer):
            drawn += len(one.preview)
            drawn += sum(3 * face.crop.width * face.crop.height for face in one.predictions)
    return sum(files.values()) + drawn


def _here() -> tuple[str, str] | None:
    """Session and browser; None where there is no cookie of ours, or images are not kept."""
    session = streamlit_private.session_id()
    if session is None or not uploads.keep_minutes() or uploads.server_bound() is None:
        return None
    browser = visitor_cookie.verified(st.context.cookies.get(visitor_cookie.NAME))
    return None if browser is None else (session, browser)


def _ask() -> None:
    """A component that shows nothing and says which tab this is."""
    _ASK(key=state.TAB_SAID.key, on_tab_change=_hear)


def _hear() -> None:
    tab = (state.TAB_SAID.get() or {}).get("tab")
    state.TAB.set(tab if isinstance(tab, str) and TAB.fullmatch(tab) else "")
    keep()


def _take_over(visit: Visit) -> None:
    """The uploads, and the answers to them, are this session's; the one before has none of them any
    more.
    """
    saved, answers, faces = (visit.content[slot.key] for slot in SLOTS)
    digests = {image.digest for images in saved.values() for image in images}
    SAVED_UPLOADS.set(dict(saved))
    ANSWERS.set({key: one for key, one in answers.items() if key[0] in digests})
    FACES.set({digest: found for digest, found in faces.items() if digest in digests})
    for emptied in (saved, answers, faces):
        emptied.clear()
    if (store := streamlit_private.upload_store()) is not None:
        store.remove_session_files(visit.session)
