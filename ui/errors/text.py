"""Names and sentences of the Errors page: metrics, labels and answers as people read them."""

from __future__ import annotations

import pandas as pd

from agegender_core.analysis.filters import Filter
from agegender_core.analysis.image_quality import CONDITIONS
from agegender_core.analysis.prediction_table import DIMENSIONS, ErrorTable
from agegender_core.output.metric_formats import METRIC_FORMATS
from ui.common.charts import with_en_dash

SMALL_P = "%.2g"
"""Format of a probability: 3e-16 is no nought."""
LABELS_ARE = (
    "Gender and race here are what annotators named when they looked at an image, not who a person"
    " is. They are shown because this page audits labelled datasets: for whom does a model err?"
)


def heading(metric: str) -> str:
    """«Age: mean absolute error, years»."""
    return METRIC_FORMATS[metric].heading


def scale(metric: str) -> float:
    """What a value is multiplied by to be shown: shares are in per cent."""
    return METRIC_FORMATS[metric].factor


def number_format(metric: str, sign: str = "") -> str:
    """Format of a table's column of the metric, for Streamlit: «%.2f»; ``sign``: «+»."""
    return f"%{sign}.{METRIC_FORMATS[metric].digits}f"


def amount(metric: str, value: float, sign: str = "") -> str:
    """«4.68 years», «93.9 %», «–» where unknown; ``sign``: «+» for differences."""
    return METRIC_FORMATS[metric].text(value, sign)


def gap_words(metric: str, gap: float) -> str:
    """A difference in words: «2.14 years», «5.0 points» of per cent."""
    return amount(metric, gap).replace(" %", " points")


def gap_span(metric: str, low: float, high: float) -> str:
    """Bounds of a difference in words: «+2.90 to +7.76 years», «-12.0 to -3.1 points»."""
    return (
        f"{amount(metric, low, '+').split(' ')[0]} to"
        f" {amount(metric, high, '+').replace(' %', ' points')}"
    )


def spans(metric: str, low: pd.Series, high: pd.Series, sign: str = "") -> list[str | None]:
    """Intervals as «1.90 to 2.40», None where they are unknown."""
    number = METRIC_FORMATS[metric].number
    return [
        None if pd.isna(one) or pd.isna(other) else f"{number(one, sign)} to {number(other, sign)}"
        for one, other in zip(low, high, strict=True)
    ]


def verdict(mark: str, small: bool) -> str:
    """What is sure of a slice, and whether it is small: «worse, small»."""
    return ", ".join(part for part in (mark, "small" if small else "") if part)


def condition(name: str) -> str:
    """A condition in words."""
    return CONDITIONS[name].title if name in CONDITIONS else name


def slice_words(row: pd.Series) -> str:
    """A slice in words: «70+, Female, blurred»."""
    parts = [with_en_dash(row[name]) for name in DIMENSIONS if isinstance(row[name], str)]
    return ", ".join(
        [*parts, condition(row["condition"])] if isinstance(row["condition"], str) else parts
    )


def label_age(labels: pd.Series) -> str:
    """The labelled age: «34», «30–39», «?»."""
    if pd.notna(labels["age_true"]):
        return f"{labels['age_true']:.0f}"
    return (
        with_en_dash(labels["age_range_true"]) if isinstance(labels["age_range_true"], str) else "?"
    )


def label_words(labels: pd.Series) -> str:
    """All a dataset labels of an image: «34 years, Female, Asian»."""
    parts = [] if (age := label_age(labels)) == "?" else [f"{age} years"]
    parts += [
        labels[name] for name in ("gender_true", "race_true") if isinstance(labels[name], str)
    ]
    return ", ".join(parts) if parts else "no label"


def tile_words(table: ErrorTable, weights: str, row: int) -> tuple[str, str]:
    """Two short lines under an image: ages, and gender: («34 → 52, +18», «Female → Male»)."""
    labels, answers = table.labels.iloc[row], table.predictions_for(weights).iloc[row]
    if pd.isna(answers["age_pred"]) and not isinstance(answers["gender_pred"], str):
        return f"{label_age(labels)} → ?", "no answer"
    error = "" if pd.isna(answers["error"]) else f", {answers['error']:+.0f}"
    age = (
        f"{label_age(labels)} → {answers['age_pred']:.0f}{error}"
        if pd.notna(answers["age_pred"])
        else f"{label_age(labels)} → ?"
    )
    true, answer = labels["gender_true"], answers["gender_pred"]
    if not isinstance(true, str):
        return age, f"→ {answer}" if isinstance(answer, str) else ""
    return age, (
        true
        if answer == true
        else f"{true} → {answer}"
        if isinstance(answer, str)
        else f"{true} → ?"
    )


def both_words(table: ErrorTable, first: str, second: str, row: int) -> tuple[str, str]:
    """Two short lines under an image that two models answered: («34 → 52 · 29», «Female → M ·
    F»).
    """
    labels, answers = (
        table.labels.iloc[row],
        [table.predictions_for(name).iloc[row] for name in (first, second)],
    )
    ages = ["?" if pd.isna(item["age_pred"]) else f"{item['age_pred']:.0f}" for item in answers]
    genders = [
        item["gender_pred"][:1] if isinstance(item["gender_pred"], str) else "?" for item in answers
    ]
    true = labels["gender_true"] if isinstance(labels["gender_true"], str) else ""
    return f"{label_age(labels)} → {' · '.join(ages)}", f"{true} → {' · '.join(genders)}".strip()


def filter_words(chosen: Filter) -> list[str]:
    """What a filter selects: a phrase for each field that is set."""
    words = []
    for name, head in (("age", "age"), ("gender", "gender"), ("race", "race")):
        if values := getattr(chosen, name):
            words.append(f"{head} {' or '.join(map(with_en_dash, values))}")
    words += [condition(name) for name in chosen.having] + [
        f"not {condition(name)}" for name in chosen.lacking
    ]
    for task in ("age", "gender", "race"):
        if verdict := getattr(chosen, f"{task}_is"):
            words.append(f"{task} answered {verdict}")
    if chosen.least is not None:
        words.append(f"off by {chosen.least:g} years or more")
    if chosen.most is not None:
        words.append(f"off by {chosen.most:g} years or less")
    return [*words, f"file name with «{chosen.file}»"] if chosen.file else words
