"""What a model is, beside the widget that chooses it: one line for everybody, the rest behind a
click.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from agegender_core.datasets.registry import TERMS
from agegender_core.inference.model_zoo import passes_of, stages_of
from agegender_core.labels import AGE_GROUP_SETS
from agegender_core.output.metric_formats import METRIC_FORMATS

if TYPE_CHECKING:
    from agegender_core.inference.model_zoo import ModelInfo

LINK = "[All measurements, and what the papers claim](models) (opens in a new tab)"
SHARES = ("fairface9_accuracy", "adience8_accuracy")
"""Shares of ages put into the right one of a benchmark's ranges, in words."""


def show(info: ModelInfo) -> None:
    """The card, folded away."""
    with st.expander("About this model", icon=":material/info:", key="network-card"):
        st.html(card(info))
        st.caption(LINK)


def loading_words(info: ModelInfo) -> str:
    """What is being loaded: title and size."""
    return (
        f"{info.title} ({millions(info.parameters)} parameters)" if info.parameters else info.title
    )


def millions(count: int) -> str:
    """«0.9M», «33M»."""
    return f"{count / 1e6:.1f}M" if count < 10e6 else f"{count / 1e6:.0f}M"


def summary_line(info: ModelInfo) -> str:
    """Size, what it answers, and its numbers on the test split of the dataset it was trained on
    most, or the first it was measured on.
    """
    parts = [f"{millions(info.parameters)} parameters", _answers(info)]
    where = headline_dataset(info)
    if where is not None:
        numbers = info.measured[where]
        age, gender = age_words(numbers, info.decoding.kind), _gender_words(numbers)
        results = (
            f"age off by {age} on average"
            if age.endswith("years")
            else f"right age range for {age.partition(' in ')[0]}"
        )
        found = [
            *([results] if age else []),
            *([f"gender correct {gender} of the time"] if gender else []),
        ]
        parts.append(f"{_where(where)}: {', '.join(found)}")
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def headline_dataset(info: ModelInfo) -> str | None:
    """Key of ``info.measured`` whose numbers stand for the model: the test split of the dataset
    it was trained on first, else the first it was measured on; None where it was not.
    """
    learned = [
        where
        for name in info.training.get("sets", ())
        for where in info.measured
        if where.startswith(f"{name} ")
    ]
    return next(iter([*learned, *info.measured]), None)


def dataset_words(where: str) -> str:
    """«UTKFace test» for «utkface test»."""
    name, _, split = where.rpartition(" ")
    return f"{_set_title(name)} {split}" if name else where


def card(info: ModelInfo) -> str:
    """Title, facts and measured numbers as HTML."""
    facts = "".join(
        f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in _facts(info) if text
    )
    title = (
        f'<p class="ag-card-title"><b>{escape(info.title)}</b> <code>{escape(info.name)}</code></p>'
    )
    summary = f'<p class="ag-card-summary">{escape(info.summary)}</p>'
    return (
        f'{title}{summary}<div class="ag-card">'
        f'<dl class="ag-facts">{facts}</dl><div>{_measured(info)}</div></div>'
    )


def _facts(info: ModelInfo) -> Iterator[tuple[str, str]]:
    side = info.input.size
    yield "System", info.paper
    yield "Answers", _answers(info).capitalize() + "."
    yield "Size", f"{info.parameters:,} parameters"
    yield (
        "Input",
        f"A face at {side} × {side} pixels" + (", as it is and mirrored" if info.flip else ""),
    )
    if info.training:
        yield "Trained on", _trained(info)
    yield "Caveats", info.caveats
    yield "Terms", info.terms


def _trained(info: ModelInfo) -> str:
    """Images, passes over them and minutes, of all stages; passes where every stage's are kept. Of
    an ensemble its members, whose own cards say so.
    """
    training, stages = info.training, stages_of(info)
    sets = ", ".join(_set_title(name) for name in training["sets"])
    if members := dict.fromkeys(stage["member"] for stage in stages if "member" in stage):
        return f"{sets}. Nothing was trained anew: it is made of {' and '.join(members)}"
    each = [passes_of(stage) for stage in stages]
    known = [count for count in each if count is not None]
    passes = f"{sum(known):.1f} passes, " if len(known) == len(each) else ""
    minutes = sum(stage.get("minutes", 0) for stage in stages)
    where = f"on {training['device']}" if len(stages) == 1 else f"in {len(stages)} stages"
    return f"{sets}: {training['pictures']:,} images, {passes}{minutes:.0f} minutes {where}"


def _answers(info: ModelInfo) -> str:
    spec = info.decoding
    if spec.kind == "distribution":
        return "an age with its distribution, and gender"
    if spec.kind == "groups":
        return (
            f"one of {len(AGE_GROUP_SETS[spec.groups])} age ranges with its probability, and gender"
        )
    return "one number for age, without a distribution, and gender"


def _measured(info: ModelInfo) -> str:
    """A row for each dataset: age as mean error in years, or the share in the right range where the
    network knows ranges only.
    """
    if not info.measured:
        return '<p class="ag-quiet">Not measured yet.</p>'
    rows = ""
    for where, numbers in info.measured.items():
        age = age_words(numbers, info.decoding.kind) or "–"
        if age.endswith("years") and "balanced_mae" in numbers:
            age += f" ({numbers['balanced_mae']:.1f})"
        cells = (
            _where(where),
            f"{numbers['n']:,}",
            age,
            _gender_words(numbers) or "–",
        )
        rows += f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
    head = "<tr><th>Measured on</th><th>Faces</th><th>Age</th><th>Gender</th></tr>"
    note = (
        "Age: mean absolute error in years (in brackets: with every age band counted alike), or the"
        " share put into the right range. Gender: share right."
    )
    return (
        f'<table class="ag-measured"><thead>{head}</thead><tbody>{rows}</tbody></table>'
        f'<p class="ag-quiet ag-small">{note}</p>'
    )


def age_words(numbers: Mapping[str, Any], kind: str) -> str:
    """«4.7 years», or «61.4 % in 9 ranges» for a model of ranges and for datasets without ages in
    years; empty where age was not measured.
    """
    shares = [
        f"{_percent(numbers[key])} in {METRIC_FORMATS[key].short}"
        for key in SHARES
        if key in numbers
    ]
    if "mae" in numbers and (kind != "groups" or not shares):
        return f"{numbers['mae']:.1f} years"
    return shares[0] if shares else ""


def _gender_words(numbers: Mapping[str, Any]) -> str:
    return _percent(numbers["gender_accuracy"]) if "gender_accuracy" in numbers else ""


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _where(key: str) -> str:
    """«UTKFace, test» for «utkface test»."""
    name, _, split = key.rpartition(" ")
    return f"{_set_title(name)}, {split}" if name else key


def _set_title(name: str) -> str:
    return TERMS[name].title if name in TERMS else name
