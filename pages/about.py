"""About: what the app does, how to read an answer, and what it cannot know."""

import streamlit as st

from agegender_core.errors import AgeGenderError
from ui import messages, services, style

TEXT = """
## What it is

It finds faces in a picture, turns each upright into a small square crop, and asks a neural network what age and gender people would
read in it. It recognises nobody, compares no faces with each other, and keeps no list of them.

## How to read an answer

- **The age** is an estimate from looks, like a stranger's guess. Errors of several years are normal.
- **The interval** is the more honest part. At 80 %, about one true age in five lies outside it. That share was measured on pictures
  the network had not learned from; pictures unlike those may do worse. The Models page says how often it held on each set.
- **The curve** shows which ages the network holds possible. One narrow hill is a firm answer; a wide one, or two hills, is not.
  A network that learned age ranges shows a bar a range and says the likeliest one. Some give one number; then there is no curve.
- **The network** can be changed above the answer. The picture stays and its faces are not looked for again.
- **The gender** is one of two labels, because the data it learned from has two. It says what annotators saw in a picture, not who a
  person is. Near 50 % means undecided.
- **The detection score** says how surely this spot is a face. It says nothing about the age.

## What it cannot know

- Make-up, beards, glasses, light, sharpness and pose move the answer. Two pictures of one person can differ by years.
- People over 70 are guessed several years too young. The gender of small children is wrong far more often than that of adults.
- It is less accurate for some groups than for others: the Models page and the reports say by how much.
- It must not decide anything about anybody: not who may enter, buy, work or be believed. It is no proof of age.

## Your pictures

Pictures and snapshots go to the computer that runs this app, are worked on in its memory, and are forgotten soon after you close the
page. None is written to disk, logged or passed on, and none is learned from. The camera opens only when you press its button. Use
pictures of people who would not mind.

Race is not estimated from uploads or the camera unless whoever runs this app has switched it on for an audit; then the Predict page
says so. The European Union's AI Act forbids inferring race from people's biometrics.

## What the networks learned from
"""

style.page("About", "What this app does, how to read an answer, and what it cannot know.")
with st.container(width=760):
    st.markdown(TEXT)
    try:
        installed = services.installed_weights()
    except AgeGenderError as error:
        messages.cannot_start(error)
        st.stop()
    if not installed:
        messages.no_weights()
    for entry in installed:
        with st.container(border=True):
            st.markdown(f"**{messages.plain(entry.title)}**")
            st.markdown(messages.plain(f"{entry.summary} {entry.caveats}"))
            st.caption(f"Terms of the training data: {messages.plain(entry.terms)}")
    if path := services.neighbours.get("gradio"):
        st.markdown(
            f"## For programs\n\n[The same in Gradio]({path}) has tabs for photo, live, attention and batch, and an API with "
            f"[documented answers]({path}gradio_api/info): `/predict`, `/predict_batch` and `/attention`. The README shows how to call it."
        )
