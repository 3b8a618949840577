"""About: what the app does, how to read an answer, and what it cannot know."""

import streamlit as st

st.write("todo")
