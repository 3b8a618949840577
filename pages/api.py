"""API: how a program asks this server, in three languages."""

from urllib.parse import urljoin

import streamlit as st

from ui.common import services, theme
from ui.common.api_snippets import LANGUAGES, program

theme.page(
    "API",
    "Ask this server from your own program. Each example sends photo.jpg from the current folder.",
)
path = services.mounted_apps.get("gradio")
if not path:
    st.info(
        "The API is part of the Gradio front end, which is not running here. Start both with `make"
        " app` or `agegender app`; this address is then filled in below.",
        icon=":material/link_off:",
    )
server = urljoin(st.context.url or "http://localhost:8501/", path or "/gradio/")
for tab, language in zip(st.tabs(list(LANGUAGES)), LANGUAGES, strict=True):
    tab.code(program(language, server), language=LANGUAGES[language][1], wrap_lines=True)
st.markdown(
    "`/predict` takes one image, `/predict_batch` many, `/attention` gives a model's masks over one"
    " face. The second value names the model; `null` is the default one. Uploads stay in memory"
    " and are deleted once they are answered. Bad input gets status 422 and a sentence, which"
    " these programs print."
)
if path:
    st.markdown(f"[All endpoints with the JSON schema of their answers]({path}gradio_api/info)")
