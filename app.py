"""Entry of the web app: page settings and the list of pages. Start with ``streamlit run
app.py``.
"""

from pathlib import Path

import streamlit as st

from agegender_core.openmp import sleep_soon
from ui.common import state, uploads
from ui.predict import returning

NAME = "Age and gender from faces"
ICON = Path(__file__).parent / "ui" / "icon.svg"
WORDMARK = ICON.with_name("wordmark.svg")

sleep_soon()
# Before the pages are named: their icons would be fetched for the tab.
st.set_page_config(page_title=NAME, page_icon=ICON, layout="wide")

st.logo(WORDMARK, size="medium")
uploads.server_bound()
page = st.navigation(
    [
        st.Page(
            "pages/predict.py",
            title="Predict",
            icon=":material/familiar_face_and_zone:",
            default=True,
        ),
        st.Page("pages/live.py", title="Live", icon=":material/videocam:"),
        st.Page("pages/attention.py", title="Attention", icon=":material/visibility:"),
        st.Page("pages/guess.py", title="Guess", icon=":material/quiz:"),
        st.Page("pages/errors.py", title="Errors", icon=":material/troubleshoot:"),
        st.Page("pages/models.py", title="Models", icon=":material/leaderboard:"),
        st.Page("pages/api.py", title="API", icon=":material/code:"),
        st.Page("pages/about.py", title="About", icon=":material/menu_book:"),
    ],
    position="top",
)
st.set_page_config(page_title=f"{page.title} · {NAME}", page_icon=ICON, layout="wide")
state.enter_page(page.title)
with uploads.released_after_run():
    if returning.is_settled():
        returning.keep()
        page.run()
        returning.ask()
