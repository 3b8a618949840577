"""Label, guess and answer on one axis of years."""

from __future__ import annotations

from html import escape

from agegender_core.labels import MAX_AGE
from ui.common.charts import with_en_dash
from ui.common.result_card import interval_words
from ui.guess.game import Played, off_words

TICKS = (0, 20, 40, 60, 80, 100)


def comparison(one: Played) -> str:
    """A row each for the label, the visitor and the model, as HTML."""
    rows = [
        _row("Label", _mark("label", one.label), f"<b>{one.label}</b>", ""),
        _row(
            "You", _mark("you", one.guess), f"<b>{one.guess}</b>", off_words(one.guess - one.label)
        ),
        _row(
            "Model",
            _bar(one) + _mark("model", one.age.years),
            f"<b>{one.answer:.1f}</b>",
            off_words(one.answer - one.label),
        ),
    ]
    line = f'<i class="ag-guess-line" style="left:{_share(one.label)}"></i>'
    ticks = "".join(f'<span style="left:{_share(tick)}">{tick}</span>' for tick in TICKS)
    axis = f'<div class="ag-guess-axis" aria-hidden="true">{line}{ticks}</div>'
    return (
        f'<div class="ag-guess">{"".join(rows)}<span></span>{axis}<span></span></div>'
        f'<p class="ag-guess-note">{escape(model_words(one))}</p>'
    )


def model_words(one: Played) -> str:
    """What the model says of its own answer, and whether the label lies in it."""
    age = one.age
    said = interval_words(age)
    words = (
        f"The model: {said[0].lower()}{said[1:]}"
        if age.interval
        else "The model gives no interval."
    )
    if age.ranges is not None:
        words = f"The model says {with_en_dash(age.ranges.label)}. {words}"
    if age.interval is None:
        return words
    low, high = (round(end) for end in age.interval)
    words = words.removesuffix(".")
    inside = low <= one.label <= high
    return f"{words}. The label lies {'inside' if inside else 'outside'}."


def _row(name: str, marks: str, value: str, note: str) -> str:
    return (
        f'<span class="ag-guess-name">{name}</span>'
        f'<span class="ag-guess-track" aria-hidden="true">{marks}</span>'
        f'<span class="ag-guess-value">{value} <small>{escape(note)}</small></span>'
    )


def _mark(kind: str, years: float) -> str:
    return f'<i class="ag-guess-mark ag-guess-{kind}" style="left:{_share(years)}"></i>'


def _bar(one: Played) -> str:
    if one.age.interval is None:
        return ""
    low, high = one.age.interval
    style = f"left:{_share(low)};right:calc(100% - {_share(high)})"
    return f'<i class="ag-guess-bar" style="{style}"></i>'


def _share(years: float) -> str:
    return f"{100 * min(max(years, 0), MAX_AGE) / MAX_AGE:.1f}%"
