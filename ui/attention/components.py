"""The Attention page's two components in the browser: the face to cover, and the needle over the
years.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from agegender_core.types import AgeEstimate
from ui.attention.covers import Cover
from ui.attention.state import PAD

HERE = Path(__file__).parent
PAD_HTML = """<div class="pad">
<div class="stage" tabindex="0" role="application" aria-roledescription="face to cover"
 aria-label="The face. Click, drag or use the arrow keys to move the patch;
 plus and minus change its size; Delete uncovers the face.">
<img alt=""><canvas aria-hidden="true"></canvas><div class="patch" hidden></div></div>
<div class="tools" role="group" aria-label="Cover">
<button type="button" data-tool="patch" aria-pressed="true">Patch</button>
<button type="button" data-tool="brush" aria-pressed="false">Brush</button>
<button type="button" data-tool="wipe" aria-pressed="false">Uncover</button>
<button type="button" data-reset>Reset</button>
<label>Size <input type="range" min="1" max="24" step="1" value="8">
<span class="reading"></span></label></div>
<p class="hint">On the keyboard: arrows move the patch, + and − change its size,
Delete uncovers.</p></div>"""
GAUGE_HTML = """<div class="gauge"><p class="years"><b class="now"></b><span class="was"></span></p>
<svg viewBox="0 0 520 176" role="img">
<polygon class="before"></polygon><polyline class="after"></polyline>
<line class="axis" x1="14" x2="506" y1="150" y2="150"></line><g class="ticks"></g>
<line class="old" x1="0" x2="0" y1="12" y2="150"></line>
<line class="needle" x1="0" x2="0" y1="4" y2="154"></line></svg>
<p class="key"><span><i class="pale"></i>uncovered</span>
<span><i class="full"></i>now</span></p></div>"""


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


_PAD = st.components.v2.component(
    "agegender-cover-pad", html=PAD_HTML, css=_text("cover_pad.css"), js=_text("cover_pad.js")
)
_GAUGE = st.components.v2.component(
    "agegender-age-gauge", html=GAUGE_HTML, css=_text("age_gauge.css"), js=_text("age_gauge.js")
)


def cover_pad(face: str, alt: str, cover: Cover, side: int, version: str, on_change: Any) -> None:
    """The face (a data address) to be covered. ``side``: of a new patch, in pixels; ``version``:
    another one makes the browser take ``cover`` for what it shows; ``on_change``: called when the
    visitor covers something, which is then under ``PAD`` in the session.
    """
    patch = None if cover.patch is None else list(cover.patch)
    data = {
        "face": face,
        "alt": alt,
        "size": cover.size,
        "bits": cover.bits,
        "patch": patch,
        "side": side,
        "version": version,
    }
    _PAD(key=PAD.key, data=data, on_cover_change=on_change)


def age_gauge(before: AgeEstimate, after: AgeEstimate, text: str, was: str, changed: bool) -> None:
    """The needle at the years of ``after``, and both curves where the model has them. ``text`` and
    ``was``: both ages in words.
    """
    sides = {
        name: {"years": age.years, "probs": _curve(age)}
        for name, age in (("before", before), ("after", after))
    }
    label = f"Estimated age {text}" + (f", {was} uncovered" if changed else "")
    _GAUGE(
        key="attention-gauge",
        data={**sides, "text": text, "was": was, "changed": changed, "label": label},
    )


def _curve(age: AgeEstimate) -> list[float] | None:
    return None if age.probs is None else [round(float(value), 6) for value in age.probs]
