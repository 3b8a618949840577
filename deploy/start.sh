#!/bin/sh
# How the image starts. The home folder is made here, in /tmp: the rest of the image may be read-only.
set -eu
mkdir -p "$HOME"
exec python -m streamlit run serve.py
