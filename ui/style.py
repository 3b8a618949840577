"""The head every page opens with, and the few rules of CSS that Streamlit's theme cannot say.

Streamlit sets ``color-scheme``, so ``light-dark()`` follows the theme; where a browser does not know it, the mid-toned colour before
it is used, which reads on both backgrounds.
"""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

CSS = """<style>
.stMainBlockContainer { max-width: 1180px; }
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p { opacity: 1; color: inherit; }
[data-testid="stCaptionContainer"] p, .ag-quiet { opacity: .78; }
.stApp { --ag-accent: #2A8C92; --ag-accent: light-dark(#3C8C94, #2F9092); --ag-warn: #C0691C; --ag-warn: light-dark(#A5420D, #F5A55B); }
.ag-lede { font-size: 1.1rem; line-height: 1.5; opacity: .86; max-width: 44rem; margin: -.5rem 0 .25rem; }
.ag-privacy { max-width: 44rem; line-height: 1.5; margin: 0; padding: .1rem 0 .1rem 1rem; border-left: 3px solid var(--ag-accent); }
.ag-age { line-height: 1.1; display: flex; align-items: baseline; gap: .4rem; margin: .15rem 0 .1rem;
  font-family: "Source Serif", Georgia, serif; }
.ag-age b { font-size: 2.9rem; font-weight: 600; }
.ag-age span { font-size: 1.25rem; }
.ag-number { display: inline-block; padding: 0 .5rem; border-radius: .4rem; font-weight: 600; font-size: .85rem; line-height: 1.5rem; }
.ag-interval { font-size: .95rem; line-height: 1.4; }
.ag-rows { display: grid; grid-template-columns: max-content minmax(2.5rem, 1fr) max-content; gap: .3rem .75rem; align-items: center;
  font-size: .95rem; line-height: 1.3; }
.ag-rows > .ag-value { text-align: right; font-variant-numeric: tabular-nums; }
.ag-bar { height: .6rem; border-radius: .3rem; overflow: hidden; background: rgba(128, 140, 140, .22); }
.ag-bar i { display: block; height: 100%; min-width: 2px; background: rgba(128, 140, 140, .8); }
.ag-bar i.ag-chosen { background: var(--ag-accent); }
.ag-card-title, .ag-card-summary { margin: 0 0 .4rem; line-height: 1.4; }
.ag-card-title code { font-size: .85rem; opacity: .78; }
.ag-card { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: .5rem 2.5rem; }
.ag-card dl.ag-facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); align-content: start; gap: .3rem 1rem;
  margin: 0; padding: 0; font-size: .9rem; line-height: 1.4; }
.ag-facts dt { opacity: .78; }
.ag-facts dd { margin: 0; overflow-wrap: anywhere; }
.ag-measured { width: 100%; margin: 0 0 .2rem; border-collapse: collapse; font-size: .9rem; line-height: 1.4; }
.ag-measured th, .ag-measured td { text-align: right; padding: .2rem 0 .2rem .75rem; border-bottom: 1px solid rgba(128, 140, 140, .3);
  font-variant-numeric: tabular-nums; }
.ag-measured th { font-weight: 600; }
.ag-measured th:first-child, .ag-measured td:first-child { text-align: left; padding-left: 0; }
.ag-small { font-size: .8rem; margin: .3rem 0 0; }
.ag-notes { margin: 0; display: grid; gap: .15rem; }
.ag-notes p { margin: 0; font-size: .875rem; line-height: 1.5; }
.ag-notes .ag-caution { border-left: 3px solid var(--ag-warn); padding-left: .6rem; }
.stPlotlyChart text { fill: currentColor !important; }
[data-testid="stBaseButton-primary"], [data-testid="stBaseButton-primary"] p { color: #FFFFFF; color: light-dark(#FFFFFF, #10181B); }
[class*="st-key-crop-"] img { border-radius: .5rem; }
/* Streamlit prints the server's limit and every suffix; ours stand below in our own words. */
[data-testid="stFileUploaderDropzoneInstructions"] { visibility: hidden; position: relative; }
[data-testid="stFileUploaderDropzoneInstructions"]::after { content: "or drop pictures here"; visibility: visible; position: absolute;
  left: 0; top: 50%; transform: translateY(-50%); white-space: nowrap; opacity: .8; font-size: .9rem; }
[data-testid="stFileUploaderDropzone"]:has([data-testid="stFileUploaderDropzoneInstructions"]) { min-height: 7rem; align-items: center; }
@media (min-width: 900px) { .st-key-picture { position: sticky; top: 4.5rem; } }
</style>"""


def page(title: str, lede: str) -> None:
    """Style sheet, title and one plain sentence."""
    _through_the_entry()
    st.html(CSS)
    st.title(title, anchor=False)
    st.html(f'<p class="ag-lede">{lede}</p>')


def _through_the_entry() -> None:
    """Run ``app.py`` around this page, where Streamlit did not: a folder called pages is a menu of its own to it until the entry has run
    once, so the first visitor of a fresh server who follows a link to a page would get that menu and none of the app's settings."""
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()
