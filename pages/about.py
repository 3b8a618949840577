"""About: what the app does, how to read an answer, and what it cannot know."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from agegender_core.output.gender import EVEN, LIVE_DECIDED, LIVE_UNDECIDED
from ui.common import messages, services, theme, uploads

TEXT = """
## What it is

It finds faces in an image, turns each upright into a small square crop, and asks a neural network
what age and gender people would likely name. It does not find out who anybody is, and it keeps no
collection of faces.

On Live, each face is compared with the faces of the frames just before, by its place and a
thumbnail of at most 24 × 24 pixels, so that it keeps its number and its estimates can be averaged
over frames. The thumbnail stays in memory and is dropped once the face has been gone for about two
seconds, or with the video.

## How to read an answer

- **The age** is an estimate from looks, like a stranger's guess. Errors of several years are
  normal.
- **The interval** is the more honest part. At 80 %, about one true age in five lies outside it.
  That share was measured on images the model had not been trained on; images unlike those may do
  worse. The Models page says how often it held on each dataset.
- **The curve** shows which ages the model considers possible. One narrow hill is a firm answer; a
  wide one, or two hills, is not. A model trained on age ranges shows a bar for each range and
  names the likeliest. Some give one number; then there is no curve. Small steps at 30, 40 and 50
  come from one of the training datasets, whose labels are age ranges that end there.
- **The model** can be changed below the answer. The image stays and its faces are not detected
  again. The page's address names the model, so that a reload keeps it.
- **The gender** is one of two labels, because the training data has two. It is what annotators
  saw in an image, not who a person is. Below {even} %, it is too close to call. On Live, where
  answers waver, a named gender stays down to {stays} % and is named again from {again} %.
- **The detection score** says how surely this spot is a face. It says nothing about the age.

## What it cannot know

- Make-up, beards, glasses, light, sharpness and pose move the answer. Two images of one person
  can differ by years.
- People over 70 are guessed several years too young. The gender of small children is wrong far
  more often than that of adults.
- It is less accurate for some groups than for others: the Models page and the reports say by how
  much.
- It must not decide anything about anybody: not who may enter, buy, work or be believed. It is no
  proof of age.

## Your images

Images and snapshots go to the computer that runs this app, are processed in its memory, and are
forgotten {forgotten}; until then, a refresh in the same tab can bring uploads
back. "Remove" drops an upload at once. None is written to disk, logged or passed on, and none is
used for training. The camera opens only when you press its button. Use images of people who would
not mind.

Race is not estimated from uploads or the camera unless whoever runs this app has switched it on
for an audit; then the Predict page says so. The European Union's AI Act forbids inferring race
from people's biometrics.

## What the models were trained on
"""

theme.page("About", "What this app does, how to read an answer, and what it cannot know.")
with st.container(width=760):
    st.markdown(
        TEXT.format(
            forgotten=uploads.forgotten_words(),
            even=f"{100 * EVEN:.0f}",
            stays=f"{100 * LIVE_UNDECIDED:.0f}",
            again=f"{100 * LIVE_DECIDED:.0f}",
        )
    )
    try:
        installed = services.installed_weights()
    except AgeGenderError as error:
        messages.cannot_start(error)
        st.stop()
    if not installed:
        messages.no_weights()
    for info in installed:
        with st.container(border=True):
            st.markdown(f"**{messages.plain(info.title)}**")
            st.markdown(messages.plain(f"{info.summary} {info.caveats}"))
            st.caption(f"Terms of the training data: {messages.plain(info.terms)}")
    if path := services.mounted_apps.get("gradio"):
        st.markdown(
            f"## For programs\n\n[The same in Gradio]({path}) has tabs for photo, live, attention"
            f" and batch, and an API with [documented answers]({path}gradio_api/info): `/predict`,"
            " `/predict_batch` and `/attention`. `docs/api.md` shows how to call it."
        )
    elif "gradio" in services.missing:
        st.markdown("## For programs")
        st.warning(
            "These pages work. If this is your installation: its log says why Gradio could not"
            " start, and `/ready` names it in short.",
            title="Gradio and the API are not running on this server",
            icon=":material/link_off:",
        )
