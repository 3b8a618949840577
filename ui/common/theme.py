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
[data-testid="stFileUploaderDropzoneInstructions"]::after { content: "or drop images here"; visibility: visible; position: absolute;
  left: 0; top: 50%; transform: translateY(-50%); white-space: nowrap; opacity: .8; font-size: .9rem; }
[data-testid="stFileUploaderDropzone"]:has([data-testid="stFileUploaderDropzoneInstructions"]) { min-height: 7rem; align-items: center; }
:is(.st-key-upload-area, .st-key-upload-line) [data-testid="stFileUploaderDropzone"] { flex-direction: row; justify-content: center; }
.st-key-upload-line [data-testid="stFileUploaderDropzone"] { min-height: 0; padding: .35rem .6rem; align-items: center; }
.st-key-examples { overflow-x: auto; }
.st-key-examples button { padding: .2rem .2rem .1rem; min-height: 0; min-width: 0; }
.st-key-examples button img { width: 3.5rem !important; height: 3.5rem !important; max-height: none !important;
  max-width: none !important; object-fit: cover !important; border-radius: .35rem; }
.st-key-examples button p { display: grid; justify-items: center; gap: .1rem; font-size: .75rem; line-height: 1.25; }
.st-key-answered-by button { padding: 0; min-height: 0; }
.st-key-answered-by button p { text-decoration: underline; }
.ag-map-title { font-size: 1.05rem; margin: 0 0 .3rem; }
.ag-lines { margin: 0; padding: 0 0 0 1.1rem; font-size: .95rem; line-height: 1.5; }
.ag-lines.ag-small { font-size: .85rem; opacity: .78; }
.ag-maps { display: flex; gap: .75rem; max-width: 36rem; }
.ag-maps figure { flex: 1 1 0; min-width: 0; margin: 0; }
.ag-maps img { display: block; width: 100%; aspect-ratio: 1; image-rendering: pixelated; border-radius: .3rem; }
.ag-maps.ag-overview { max-width: 54rem; }
.ag-maps.ag-many { flex-wrap: wrap; max-width: none; gap: .6rem; }
.ag-maps.ag-many figure { flex: 0 0 5.6rem; }
.ag-maps.ag-few figure { flex-basis: 9rem; }
.ag-maps.ag-many figcaption b, .ag-maps.ag-many figcaption span { display: block; }
.ag-maps.ag-smooth img { image-rendering: auto; }
.ag-maps figcaption { font-size: .85rem; line-height: 1.35; margin-top: .25rem; font-variant-numeric: tabular-nums; }
.ag-scale { display: flex; align-items: center; gap: .5rem; max-width: 36rem; font-size: .8rem; font-variant-numeric: tabular-nums; }
.ag-scale i { flex: 1; height: .6rem; border-radius: .2rem; }
.ag-pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem 2rem; }
.ag-pair .ag-rows { margin-top: .4rem; }
.ag-pair .ag-age b { font-size: 2.3rem; }
.ag-moved, .ag-said { font-size: 1.05rem; margin: .2rem 0; line-height: 1.45; }
.ag-moved { border-left: 3px solid var(--ag-accent); padding-left: .7rem; }
.st-key-attention-preview { max-width: 140px; }
.st-key-attention-preview img, .st-key-attention-covered img { border-radius: .5rem; }
.st-key-attention-channels button img { width: 3.2rem !important; height: 3.2rem !important; max-height: none !important;
  max-width: none !important; object-fit: fill !important; image-rendering: pixelated; border-radius: .25rem; }
.st-key-attention-channels button { padding: .25rem; min-height: 0; }
.st-key-attention-channels button p { display: grid; justify-items: center; gap: .1rem; font-size: .75rem; line-height: 1.2; }
@media (min-width: 900px) { .st-key-picture, .st-key-attention-answer { position: sticky; top: 4.5rem; } }
/* On a phone the answer stays in sight while one goes through the controls below it. */
@media (max-width: 640px) {
  .stMainBlockContainer h1 { font-size: 1.6rem; padding: 0; }
  .ag-lede { font-size: .95rem; line-height: 1.35; margin: -.2rem 0 0; }
  [data-testid="stFileUploaderDropzone"]:has([data-testid="stFileUploaderDropzoneInstructions"]) { min-height: 0;
    padding: .35rem .6rem; }
  .st-key-upload-area [data-testid="stFileUploaderDropzoneInstructions"] { display: none; }
  .st-key-examples button img { width: 2.6rem !important; height: 2.6rem !important; }
  .st-key-examples button p { font-size: .65rem; }
  .st-key-picture img { max-height: 17rem; object-fit: contain; }
  .ag-pair { gap: .5rem 1rem; }
  .ag-pair .ag-interval { display: none; }
  .ag-pair .ag-age b { font-size: 1.7rem; }
  .ag-pair .ag-rows { gap: .2rem .4rem; font-size: .8rem; }
}
@media (max-width: 640px) and (min-height: 740px) {
  .stColumn:has(.st-key-attention-answer) { position: sticky; top: 3.2rem; z-index: 5; padding-bottom: .25rem;
    background: #FBFAF7; background: light-dark(#FBFAF7, #10181B); border-bottom: 1px solid rgba(128, 140, 140, .3); }
}
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
