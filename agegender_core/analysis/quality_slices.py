"""The effect of image conditions: images that are blurred, dark or seen from the side against those
that are not.

Old photographs are grey and show other people than new ones, so the plain difference confounds the
condition with the people. The difference within age bands is reported too: each image with the
condition is compared with those of its own band without it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from agegender_core.analysis.image_quality import CONDITIONS
from agegender_core.analysis.prediction_table import ErrorTable
from agegender_core.analysis.slices import SMALL, TESTED, WORSE
from agegender_core.errors import ConfigError
from agegender_core.evaluation.metrics import METRICS
from agegender_core.evaluation.statistics import LEVEL, Differences, differences, holm, sums
from agegender_core.output.metric_formats import METRIC_FORMATS


def condition_table(
    table: ErrorTable, weights: str, metric: str, mask: np.ndarray | None = None
) -> pd.DataFrame:
    """A row a condition that occurs among the images in ``mask`` (N,) bool that count for
    ``metric``.

    Columns: ``condition``, ``n``, ``value``, ``rest``, ``difference`` from the rest with ``low``
    and ``high``, ``within``, the mean difference from images of the same age band, with
    ``within_low`` and ``within_high``, ``p``, that there is none within age bands, ``p_holm`` among
    all conditions, ``mark`` («worse», «better» or empty, by p_holm; for the bias «older» or
    «younger») and ``small``. Raises ``ConfigError`` for an unknown metric.
    """
    if metric not in METRICS:
        raise ConfigError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    table.predictions_for(weights)
    values = table.values[weights][metric].to_numpy(float)
    known = ~np.isnan(values) if mask is None else ~np.isnan(values) & mask
    people = None if table.people is None else table.people[known]
    bands = table.groups["age"].cat.codes.to_numpy(np.int64)[known] + 1
    rows = []
    for name in CONDITIONS:
        applies = table.conditions[name].to_numpy(bool)[known]
        if applies.any() and not applies.all():
            plain = _against_rest(
                values[known], applies, people, METRIC_FORMATS[metric].unit == "%"
            )
            inside = _against_rest(
                _beside_band(values[known], applies, bands), applies, people, share=False
            )
            draws = applies.sum() if people is None else len(np.unique(people[applies]))
            row = {
                "condition": name,
                "n": int(applies.sum()),
                "draws": draws,
                "value": float(values[known][applies].mean()),
            }
            rows.append(row | _numbers(plain, inside))
    found = pd.DataFrame(rows, columns=["condition", "n", "draws", "value", *NUMBERS])
    found["p_holm"] = holm(found["p"].where(found["draws"] >= TESTED).to_numpy(float))
    found["mark"] = [
        _mark(WORSE[metric], within, p)
        for within, p in zip(found["within"], found["p_holm"], strict=True)
    ]
    found["small"] = found["n"] < SMALL
    return found.drop(columns="draws")


NUMBERS = ("rest", "difference", "low", "high", "within", "within_low", "within_high", "p")


def _numbers(plain: Differences, inside: Differences) -> dict[str, float]:
    parts = (
        plain.rest,
        plain.value,
        plain.low,
        plain.high,
        inside.value,
        inside.low,
        inside.high,
        inside.p,
    )
    return {name: float(part[0]) for name, part in zip(NUMBERS, parts, strict=True)}


def _beside_band(values: np.ndarray, applies: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """(M,) values minus the mean of their band's images without the condition; NaN where a band has
    none of these.
    """
    free = ~applies
    with np.errstate(invalid="ignore"):
        means = np.bincount(bands[free], values[free], bands.max() + 1) / np.bincount(
            bands[free], minlength=bands.max() + 1
        )
    return values - means[bands]


def _against_rest(
    values: np.ndarray, applies: np.ndarray, people: np.ndarray | None, share: bool
) -> Differences:
    known = ~np.isnan(values)
    whose = None if people is None else people[known]
    found = sums(values[known], np.where(applies[known], 0, -1), 1, whose)
    return differences(
        found, sums(values[known], np.zeros(int(known.sum()), np.int64), 1, whose), share
    )


def _mark(worse: int, within: float, p: float) -> str:
    if not p <= 1 - LEVEL or within == 0:
        return ""
    if worse == 0:
        return "older" if within > 0 else "younger"
    return "worse" if within * worse > 0 else "better"
